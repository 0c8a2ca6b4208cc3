"""
A violation that is recorded in a hostile way, and the faces that judge the run.
"""

import sys
import textwrap

import pytest

from .project import COMMON, Project, outcome
from .ways import WAYS


@pytest.mark.parametrize("name", WAYS)
def test_run_report_and_gate_are_not_green(tmp_path, name):
    way = WAYS[name]
    project = Project(tmp_path)
    variables = dict(way.variables)
    faces = {"run": outcome(project.run(way.body, **variables))}
    for face in ("report", "gate"):
        faces[face] = outcome(project.assertlib(face))
    expected = dict.fromkeys(("run", "report", "gate"), way.expected)
    assert faces == {**expected, "run": way.run or way.expected}


@pytest.mark.parametrize(
    "name", [name for name, way in WAYS.items() if not way.in_test.startswith("because")]
)
def test_pytest_is_not_green_if_a_test_does_it(tmp_path, name):
    way = WAYS[name]
    project = Project(tmp_path)
    body = textwrap.indent(textwrap.dedent(way.body), "    ")
    project.write("test_it.py", f"{COMMON}\ndef test_it():\n{body}\n    pass\n")
    done = project.pytest(**dict(way.variables))
    assert outcome(done) == way.in_test, done.stdout


@pytest.mark.parametrize(
    "name", [name for name, way in WAYS.items() if not way.in_child.startswith("because")]
)
def test_pytest_is_not_green_if_a_child_of_a_test_does_it(tmp_path, name):
    way = WAYS[name]
    project = Project(tmp_path)
    program = project.program(way.body)
    project.write(
        "test_it.py",
        f"import subprocess\n"
        f"def test_it():\n    subprocess.run([{sys.executable!r}, {str(program)!r}])\n",
    )
    done = project.pytest(**dict(way.variables))
    assert outcome(done) == way.in_child, done.stdout
