"""
``assertlib.testing``: violations that a test wants, and defects that were caught.
"""

import sys

import pytest

from .evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


HEAD = """
from contextlib import suppress
import store
from assertlib import always
from assertlib.testing import caught, expect_violation
"""


def ran(project, body, **variables):
    """pytest on one test with *body*."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    project.write("test_store.py", f"{HEAD}\ndef test_put():\n{lines}\n")
    return project.pytest(**variables)


def row(project, message="a revision is positive"):
    (found,) = [each for each in project.report()["assertions"] if each["message"] == message]
    return found


EXPECTED = """
with expect_violation("a revision is positive") as expected:
    store.put(-1)
store.put(1)
"""


@pytest.mark.parametrize("mode", ["raise", "record"])
def test_an_expected_violation_fails_no_test_and_counts_in_no_report(project, mode):
    done = ran(project, EXPECTED, ASSERTLIB=mode)
    assert done.returncode == 0, done.stdout
    assert "failed no test" not in done.stdout
    assert (row(project)["verdict"], row(project)["true"], row(project)["false"]) == (
        "satisfied",
        1,
        0,
    )


def test_in_mode_raise_the_block_ends_at_the_violation(project):
    body = """
went_on = False
with expect_violation("a revision is positive") as expected:
    store.put(-1)
    went_on = True
assert not went_on
assert expected.error.invariant == "kv.positive"
assert len(expected.hits) == 1
"""
    assert ran(project, body).returncode == 0


def test_in_mode_record_the_block_goes_on(project):
    body = """
went_on = False
with expect_violation("a revision is positive") as expected:
    store.put(-1)
    went_on = True
assert went_on
assert expected.error is None
assert expected.hits[0].captured.values == {"revision": "-1"}
"""
    assert ran(project, body, ASSERTLIB="record").returncode == 0


@pytest.mark.parametrize("mode", ["raise", "record"])
def test_a_violation_that_does_not_come_fails_the_test(project, mode):
    body = """
with expect_violation("a revision is positive"):
    store.put(1)
"""
    done = ran(project, body, ASSERTLIB=mode)
    assert done.returncode == 1
    assert "the assertion 'a revision is positive' was not violated" in done.stdout


@pytest.mark.parametrize("mode", ["raise", "record"])
def test_another_violation_in_the_block_fails_the_test(project, mode):
    body = """
with expect_violation("a revision is positive"):
    always(False, "something else")
    store.put(-1)
"""
    done = ran(project, body, ASSERTLIB=mode)
    assert done.returncode == 1
    assert "something else" in done.stdout
    assert row(project, "something else")["verdict"] == "violated"


def test_another_exception_in_the_block_is_not_swallowed(project):
    body = """
with expect_violation("a revision is positive"):
    raise KeyError("another")
"""
    done = ran(project, body)
    assert done.returncode == 1
    assert "KeyError: 'another'" in done.stdout


def test_the_violation_of_a_child_is_an_expected_one_too(project):
    body = """
import subprocess, sys
source = "import sys; sys.path.insert(0, '.'); import store; store.put(-1)"
with expect_violation("a revision is positive"):
    subprocess.run([sys.executable, "-c", source], check=True)
"""
    done = ran(project, body)
    assert done.returncode == 0, done.stdout
    assert row(project)["false"] == 0


def test_the_violation_of_a_killed_child_is_an_expected_one_too(project):
    body = """
import os, signal
with expect_violation("a revision is positive"):
    child = os.fork()
    if not child:
        try:
            store.put(-1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
"""
    assert ran(project, body).returncode == 0


def test_a_violation_in_a_thread_or_swallowed_is_an_expected_one_too(project):
    body = """
import threading
def quietly():
    try:
        store.put(-1)
    except AssertionError:
        pass
with expect_violation("a revision is positive") as expected:
    thread = threading.Thread(target=quietly)
    thread.start()
    thread.join()
assert len(expected.hits) == 1
"""
    assert ran(project, body).returncode == 0


def test_a_violation_after_the_block_is_not_expected(project):
    body = """
with expect_violation("a revision is positive"):
    store.put(-1)
try:
    store.put(-2)
except AssertionError:
    pass
"""
    done = ran(project, body)
    assert done.returncode == 1
    assert "revision = -2" in done.stdout
    assert row(project)["false"] == 1


def test_the_same_violation_can_be_expected_again_and_again(project):
    body = """
for _ in range(3):
    with expect_violation("a revision is positive") as expected:
        store.put(-1)
    assert len(expected.hits) == 1
"""
    assert ran(project, body).returncode == 0


def test_a_trial_inside_the_block_changes_nothing(project):
    body = """
from assertlib import trial
with expect_violation("a revision is positive"):
    with trial("seed-7", seed=7):
        store.put(-1)
store.put(1)
"""
    done = ran(project, body)
    assert done.returncode == 0, done.stdout
    assert (row(project)["verdict"], row(project)["false"]) == ("satisfied", 0)


def test_a_trial_of_a_child_inside_the_block_changes_nothing(project):
    body = """
import subprocess, sys
source = '''if True:
    import sys
    sys.path.insert(0, '.')
    import store
    from assertlib import trial
    with trial("seed-7", seed=7):
        store.put(-1)
'''
with expect_violation("a revision is positive"):
    subprocess.run([sys.executable, "-c", source], check=True)
store.put(1)
"""
    done = ran(project, body)
    assert done.returncode == 0, done.stdout
    assert (row(project)["verdict"], row(project)["false"]) == ("satisfied", 0)


def test_hypothesis_can_expect_violations(project):
    project.write(
        "test_store.py",
        f"""{HEAD}
from hypothesis import given, settings, strategies as st

@settings(database=None, max_examples=5)
@given(st.integers(-9, 0))
def test_put(revision):
    with expect_violation("a revision is positive"):
        store.put(revision)
    store.put(1)
""",
    )
    done = project.pytest(plugins=True)
    assert done.returncode == 0, done.stdout
    assert row(project)["false"] == 0


@pytest.mark.parametrize("mode", ["raise", "record"])
def test_without_a_recording_session_it_works_too(project, mode):
    source = f"""{HEAD}
with expect_violation("a revision is positive"):
    store.put(-1)
try:
    with expect_violation("a revision is positive"):
        store.put(1)
except AssertionError:
    print("not violated")
"""
    path = project.write("script.py", source)
    done = project.execute(sys.executable, path, ASSERTLIB=mode)
    assert (done.returncode, done.stdout) == (0, "not violated\n"), done.stderr


def test_a_caught_defect_proves_its_invariant(project):
    body = """
with expect_violation("a revision is positive"):
    store.put(-1)
caught("count-backwards", "a revision is positive")
store.put(1)
"""
    project.write(".git/HEAD", "4f2c1e0aa5512345678901234567890123456789\n")
    assert ran(project, body).returncode == 0
    (tested,) = [each for each in project.report()["invariants"] if each["id"] == "kv.positive"]
    assert tested["level"] == "defect-tested"
    assert tested["proofs"] == [
        {"defect": "count-backwards", "commit": "4f2c1e0aa5512345678901234567890123456789"}
    ]


def test_what_is_expected_shows_itself_in_its_repr(project):
    body = """
with expect_violation("a revision is positive") as expected:
    store.put(-1)
assert repr(expected) == "<ExpectedViolation 'a revision is positive': 1 hits>"
"""
    assert ran(project, body).returncode == 0


def test_a_violation_is_seen_while_another_thread_loads_sinks(project):
    project.write(
        "sinks/slow.py",
        """
        import threading
        begun, go_on = threading.Event(), threading.Event()
        class Sink:
            def handle(self, hit): pass
        def sink():
            begun.set()
            go_on.wait(30)
            return Sink()
        """,
    )
    done = project.execute(
        sys.executable,
        "-c",
        """if True:
        import threading
        from sinks import slow
        from assertlib import always
        from assertlib.testing import expect_violation
        loading = threading.Thread(target=always, args=(True, "first"))
        loading.start()
        assert slow.begun.wait(30)
        with expect_violation("second") as expected:
            always(False, "second")
        assert len(expected.hits) == 1
        slow.go_on.set()
        loading.join()
        """,
        ASSERTLIB_SINKS="sinks.slow",
    )
    assert done.returncode == 0, done.stderr


def test_a_violation_may_be_expected_by_a_block_around_that_of_another_assertion(project):
    body = """
with expect_violation("a revision is positive"):
    with suppress(AssertionError), expect_violation("another assertion"):
        store.put(-1)
"""
    done = ran(project, body, ASSERTLIB="record")
    assert done.returncode == 0, done.stdout
    assert row(project)["false"] == 0
