"""
``[[assertion]]`` in the catalog: what assertions protect that cannot say so themselves.
"""

import pytest

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config

from ..evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def findings(project, assigned):
    path = project.root / "catalog" / "kv.toml"
    path.write_text(path.read_text() + assigned)
    config = find_config(project.root)
    found = check(config, *config.target()).findings
    return [f"{each.line} {each.code} {each.message}" for each in found if each.code != "AL302"]


def assigned(message, invariant):
    return f'\n[[assertion]]\nmessage = "{message}"\ninvariant = "{invariant}"\n'


def test_an_assertion_that_is_scanned_nowhere_may_be_assigned(project):
    before = findings(project, "")
    assert findings(project, assigned("from Go", "kv.positive")) == [
        each for each in before if "kv.positive" not in each
    ]


def test_an_invariant_that_only_foreign_code_protects_is_not_naked(project):
    extra = """
[elsewhere]
title = "Somewhere else"
kind = "safety"
status = "active"
statement = "It holds."
why = "It must."
debug = "Look."
expects = ["always"]
"""
    unasserted = findings(project, extra)
    assert any("AL201 kv.elsewhere" in each for each in unasserted)
    rest = findings(project, assigned("from Go", "kv.elsewhere"))
    assert not any("kv.elsewhere" in each for each in rest)


def test_its_page_says_where_it_is_protected(project):
    findings(project, assigned("from Go", "kv.full"))
    shown = project.cli("catalog", "show", "kv.full").stdout
    assert 'In code that is not scanned: "from Go".' in shown
    assert "No assertion cites it" not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (assigned("from Go", "kv.positiv"), "AL101 'from Go' is assigned to 'kv.positiv'"),
        (assigned("from Go", "kv.positive#no"), "AL115 'kv.positive' has no clause or state 'no'"),
        (
            assigned("a revision is positive", "kv.positive"),
            "AL119 'a revision is positive' is a Python assertion, at store/__init__.py",
        ),
        (assigned("a", "kv.positive") * 2, "AL105 'a' is already assigned at catalog/kv.toml"),
        (assigned("a", "Positive"), "AL105 assertion: invariant"),
        (assigned("", "kv.positive"), "AL105 assertion: message"),
        ('\n[[assertion]]\nmessage = "a"\n', "AL105 assertion: 'invariant' is missing"),
        (assigned("a", "kv.full") + "invarant = 1\n", "AL105 assertion: unknown key 'invarant'"),
        ("\n[assertion]\nmessage = 7\n", "AL105 'assertion' is not a list"),
        ("\n[[assertion]]\nmessage = 7\ninvariant = 'kv.full'\n", "AL105 assertion: message: "),
    ],
    ids=str,
)
def test_what_is_wrong_with_it_is_a_finding_at_its_line(project, text, said):
    lines = (project.root / "catalog" / "kv.toml").read_text().count("\n")
    (found,) = {each for each in findings(project, text) if said in each}
    assert int(found.split()[0]) > lines


def test_a_message_is_taken_to_the_letter(project):
    said = "AL119 'a revision is positive ' stands"
    found = findings(project, assigned("a revision is positive ", "kv.positive"))
    assert not any(said in each for each in found)
    assert not any("AL119" in each for each in found)


def test_an_area_without_invariants_may_hold_assignments_alone(project):
    project.write("catalog/go.toml", "schema = 1\n" + assigned("from Go", "kv.positive"))
    assert not any("AL105" in each for each in findings(project, ""))
