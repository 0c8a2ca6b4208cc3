"""
The table of forms: every row is a function, a method of Invariant, and known to the scanner.
"""

import inspect
import operator
import re
from pathlib import Path

import pytest

import assertlib
from assertlib import Invariant
from assertlib._calls.comparisons import Rich
from assertlib.catalog.scan.references import ASSERTIONS
from assertlib.catalog.wire import guidance_of
from assertlib.forms import FORMS, ORDINARY, RICH
from assertlib.model import ALWAYS, KINDS

API = Path(__file__).parents[1] / "docs" / "api.md"


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_exported_and_a_method_of_invariants(name):
    assert name in assertlib.__all__
    assert callable(getattr(assertlib, name))
    assert callable(getattr(Invariant("a.b"), name))
    assert name in ASSERTIONS


@pytest.mark.parametrize("name", FORMS)
def test_the_first_parameters_of_a_function_are_those_of_its_row(name):
    found = tuple(inspect.signature(getattr(assertlib, name)).parameters)
    assert found[: len(FORMS[name].parameters)] == FORMS[name].parameters


@pytest.mark.parametrize("form", ORDINARY, ids=repr)
def test_a_form_is_explained_where_it_is_called(form):
    for function in (getattr(assertlib, form.name), getattr(Invariant, form.name)):
        assert function.__name__ == form.name
        assert inspect.getdoc(function).startswith("Assert that ")
    assert inspect.getdoc(getattr(Invariant, form.name)).splitlines()[0] == (
        f"Assert that {form.about}."
    )


@pytest.mark.parametrize("form", RICH, ids=repr)
def test_a_rich_form_lives_in_the_public_package(form):
    function = getattr(assertlib, form.name)
    assert function is getattr(Rich, form.name)
    assert function.__module__ == "assertlib"
    raises = "InvariantViolation" in function.__doc__
    assert raises is form.kind.violated_by_false


def test_each_kind_has_a_form_of_its_name():
    assert {kind.name for kind in KINDS} <= set(FORMS)
    assert all(FORMS[kind.name].kind is kind for kind in KINDS)


@pytest.mark.parametrize(
    "form", [form for form in RICH if form.guidance == "numeric"], ids=lambda form: form.name
)
def test_guidance_moves_towards_the_violation_of_an_always_and_the_goal_of_a_sometimes(form):
    holds = getattr(operator, form.relation)
    far, near = (9, 0) if holds(9, 0) else (0, 9), (0, 9) if holds(9, 0) else (9, 0)
    # What holds most easily is the far end of an always, and the goal of a sometimes.
    wanted = near if form.kind is ALWAYS else far
    assert form.maximize is (wanted[0] > wanted[1])
    assert guidance_of(form.name) == ("numeric", form.maximize)


def test_the_docs_name_every_form():
    text = API.read_text()
    relations = {form.name.partition("_")[2] for form in RICH if form.shape == "comparison"}
    named = {name for name in FORMS if re.search(rf"\b{name}\b", text)}
    assert relations <= set(re.findall(r"`(\w+_to|\w+_than)`", text))
    assert {name for name in FORMS if name.partition("_")[2] not in relations} <= named
