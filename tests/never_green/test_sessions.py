"""
Test sessions that may end green over a violation, with the plugins that people use.
"""

import textwrap

import pytest

from .project import Project, outcome
from .sessions import SESSIONS


@pytest.mark.parametrize("name", SESSIONS)
def test_the_session_is_red(tmp_path, name):
    session = SESSIONS[name]
    project = Project(tmp_path)
    project.write("test_it.py", textwrap.dedent(session.source))
    plugins = ("pytest_assertlib", *session.plugins)
    done = project.pytest(*session.options, plugins=plugins)
    assert outcome(done) == "red", done.stdout
    # What is judged later says the same.
    assert outcome(project.assertlib("report")) == "red"


def test_an_expected_failure_answers_for_its_violation_and_the_run_stays_violated(tmp_path):
    project = Project(tmp_path)
    project.write(
        "test_it.py",
        """
        import pytest, store
        @pytest.mark.xfail(reason="a known bug")
        def test_known(): store.put(-1)
        """,
    )
    assert project.pytest().returncode == 0
    assert project.assertlib("report").returncode == 1
