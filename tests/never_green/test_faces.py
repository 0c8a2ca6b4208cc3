"""
Simulations, histories, sources and the output of other SDKs are not green over a violation.
"""

import shlex
from pathlib import Path

import pytest

from . import page
from .faces import FAMILIES
from .project import Project, outcome

CASES = [(family, name) for family, cases in FAMILIES.items() for name in cases]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_no_face_is_green(tmp_path, family, name):
    case = FAMILIES[family][name]
    project = Project(tmp_path)
    for file, text in case.files.items():
        path = project.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = {}
    for face, expected in case.expected.items():
        if not expected.startswith("because"):
            for words in face.split(" && "):
                done = project.assertlib(*shlex.split(words))
            found[face] = outcome(done, shows=case.shows)
    assert found == {face: each for face, each in case.expected.items() if face in found}


def test_the_tables_in_the_documentation_are_current():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text) == text, "run `python -m tests.never_green.page`"


@pytest.mark.parametrize("name", page.CAMPAIGNS)
def test_what_the_tables_say_of_campaigns_is_tested_in_its_room(name):
    *_, file, test = page.CAMPAIGNS[name]
    text = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
    assert f"def test_{test}" in text


def test_at_least_120_cells_are_run():
    assert sum(cell.runs for cell in page.cells()) >= 120
