"""
Programs that assert and log, in processes of their own.
"""

import json
import sys

import pytest

from ..evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def program(project):
    """Runs a program in the project; returns what it printed, and its standard error."""

    def run(source, **variables):
        path = project.write("program.py", source)
        done = project.execute(sys.executable, "-W", "error", path, **variables)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def told(program):
    """The JSON that a program printed last."""

    def run(source, **variables):
        return json.loads(program(source, **variables).stdout.splitlines()[-1])

    return run
