"""
The same program under the real Antithesis SDK and under ours says the same.

Where we differ on purpose:

* We declare each assertion (``hit: false``) and each guidance before its first hit; the real SDK
  leaves that to its catalog.
* We write repeated false hits too, thinned; the real SDK writes the first of each outcome only.
* We write boolean guidance only at a new extreme; the real SDK writes it at every call.
* Our primitives return the condition; those of the real SDK return nothing.
* Our own records stand between theirs, as user events.
* The class in a location is the one the function stands in; there it is that of ``self``.
* An id is a message: `assert_raw` takes another ``message`` for the same id there, not here.
"""

import inspect
import json
from collections import defaultdict

import pytest

import assertlib.assertions
import assertlib.lifecycle
import assertlib.random

real_assertions = pytest.importorskip("antithesis.assertions")
import antithesis.catalog  # noqa: E402
import antithesis.lifecycle  # noqa: E402
import antithesis.random  # noqa: E402

IMPORTS = """
from {sdk}.assertions import (
    always, always_greater_than, always_greater_than_or_equal_to, always_less_than,
    always_less_than_or_equal_to, always_or_unreachable, always_some, assert_raw, reachable,
    sometimes, sometimes_all, sometimes_greater_than, sometimes_greater_than_or_equal_to,
    sometimes_less_than, sometimes_less_than_or_equal_to, unreachable,
)
from {sdk}.lifecycle import send_event, setup_complete
"""

PROGRAM = """
setup_complete({"nodes": 3})

for number in range(6):
    always(number < 3, "always: true, then false", {"number": number})
    always_or_unreachable(number >= 0, "always or unreachable: true")
    sometimes(number == 4, "sometimes: false, then true", {"number": number, "nested": {"a": [1]}})
    reachable("reachable", {})
    unreachable("unreachable", {"number": number})
    always_greater_than(number, 2, "always >", {"note": "mine"})
    always_greater_than_or_equal_to(5 - number, 2, "always >=")
    always_less_than(number, 3, "always <")
    always_less_than_or_equal_to(-number, -3, "always <=", {"left": "shadowed"})
    sometimes_greater_than(number * 1.5, 3, "sometimes >")
    sometimes_greater_than_or_equal_to(number, 3, "sometimes >=")
    sometimes_less_than(number, 3, "sometimes <")
    sometimes_less_than_or_equal_to(7, number, "sometimes <=")
    always_some({"a": number > 1, "b": number > 3}, "some", {"note": "mine"})
    sometimes_all({"a": number > 1, "b": number > 3}, "all")

class Store:
    def put(self):
        always(True, "in a method")

    class Inner:
        def get(self):
            sometimes(False, "in a nested class")

def function():
    def inner():
        always(False, "in an inner function")
    inner()
    always(True, "in a function")

Store().put()
Store.Inner().get()
function()

always(True, "integers of any size", {"a": 2 ** 53 + 1})
always(True, "numbers json has not", {"a": [float("nan"), float("inf"), -float("inf")]})
always(True, "details of a list", [1, 2])
always(True, "details of a text", "text")
always(True, "no details at all", None)
always(True, "details without json", {"a": {1, 2}})
always(True, "details with odd keys", {b"a": 1})
always(True, "keys that json converts", {1: "a", None: "b", True: "c", 1.5: "d"})
always(True, "letters: gr\\u00f6\\u00dfe \\ud83c\\udf89 \\ud800 \\0 \\n \\"", {"k\\u00f6": "v\\u00f6"})
always_greater_than(1, float("nan"), "not a number")
always_less_than(1, float("inf"), "infinity")
always_less_than(1e308, -1e308, "a gap beyond all numbers")
always_greater_than(2 ** 60, 1, "large operands")
always_less_than(True, 2, "a truth as an operand")
always_some({}, "some of none")
sometimes_all({}, "all of none")
always_greater_than(2, 1, "details of a comparison that are a list", [1])

send_event("leader elected", {"term": 3})
send_event("no details")
send_event("empty details", {})
send_event("details without json", {"a": {1}})
send_event("a list", [1])
"""

RAW = """
for hit in (False, True, True):
    for kind, shown, must_hit in [
        ("always", "Always", True),
        ("always", "AlwaysOrUnreachable", False),
        ("sometimes", "Sometimes", True),
        ("reachability", "Reachable", True),
        ("reachability", "Unreachable", False),
    ]:
        for condition in (True, False):
            assert_raw(
                condition, "raw " + shown, {"note": "mine"}, "store.go", "Put", "Store", 12, 3,
                hit, must_hit, kind, shown, "raw " + shown,
            )
assert_raw(True, "guided", {"a": 1}, "f", "g", "", 1, 0, True, True, "always", "Always", "guided",
           {"left": 1, "right": 2})
assert_raw(True, "guided only", None, "f", "g", "", 1, 0, True, True, "always", "Always",
           "guided only", guidance_data={"left": 1})
assert_raw(True, "guided over a text", "text", "f", "g", "", 1, 0, True, True, "always", "Always",
           "guided over a text", guidance_data={"left": 1})
"""


def run_real(children, program):
    """The records of *program* under the real SDK."""
    output = children.directory / "sdk.jsonl"
    script = IMPORTS.format(sdk="antithesis") + program
    children.run(script, env={"ANTITHESIS_SDK_LOCAL_OUTPUT": str(output)})
    return [json.loads(line) for line in output.read_text().splitlines()]


def run_ours(children, program):
    """The records of *program* under ours."""
    script = IMPORTS.format(sdk="assertlib") + program
    return [json.loads(line) for line in children.run(script).lines]


def bodies(records, key):
    return [record[key] for record in records if key in record]


def comparable(body):
    """A record without what depends on where its file lies."""
    location = {**body["location"], "file": "", "begin_line": 0}
    return {**body, "location": location}


def firsts(records):
    """The first true and the first false evaluation of each assertion."""
    found = {}
    for body in bodies(records, "antithesis_assert"):
        if body["hit"]:
            found.setdefault((body["id"], body["condition"]), comparable(body))
    return found


def guidance(records):
    found = defaultdict(list)
    for body in bodies(records, "antithesis_guidance"):
        if body["hit"]:
            found[body["id"]].append(comparable(body))
    return dict(found)


def test_the_first_of_each_outcome_is_the_same_record(children):
    real, ours = firsts(run_real(children, PROGRAM)), firsts(run_ours(children, PROGRAM))
    assert sorted(ours) == sorted(real)
    assert len(real) > 40
    for key, body in real.items():
        assert ours[key] == body
        assert list(ours[key]) == list(body)


CLASSES = """
class Base:
    def put(self):
        reachable("in a method")

    @classmethod
    def of_class(cls):
        reachable("in a class method")

    @staticmethod
    def of_nothing():
        reachable("in a static method")

class Store(Base):
    pass

Store().put()
Store.of_class()
Store.of_nothing()
"""


def test_the_class_of_a_record_is_the_one_that_its_function_stands_in(children):
    real, ours = firsts(run_real(children, CLASSES)), firsts(run_ours(children, CLASSES))
    assert [body["location"]["class"] for body in real.values()] == ["Store", "", ""]
    assert [body["location"]["class"] for body in ours.values()] == ["Base"] * 3


def test_the_line_of_a_record_is_the_line_of_the_call(children):
    real, ours = (
        {body["id"]: body["location"]["begin_line"] for body in bodies(found, "antithesis_assert")}
        for found in (run_real(children, PROGRAM), run_ours(children, PROGRAM))
    )
    assert ours == real


def test_numeric_guidance_is_the_same(children):
    real, ours = guidance(run_real(children, PROGRAM)), guidance(run_ours(children, PROGRAM))
    assert sorted(ours) == sorted(real)
    for name, found in real.items():
        if found[0]["guidance_type"] == "numeric":
            assert ours[name] == found


def test_boolean_guidance_tells_the_same_extremes_without_repetition(children):
    real, ours = guidance(run_real(children, PROGRAM)), guidance(run_ours(children, PROGRAM))
    for name, found in real.items():
        if found[0]["guidance_type"] != "boolean":
            continue
        assert all(body in found for body in ours[name])
        assert ours[name][0] == found[0]
        best = max if found[0]["maximize"] else min
        assert best(map(held, ours[name])) == best(map(held, found))


def held(body):
    return sum(body["guidance_data"].values())


def test_diagnostics_have_the_same_codes_for_the_same_assertions(children):
    def diagnostics(records):
        return [
            (key, body["code"], body["context"])
            for record in records
            for key, body in record.items()
            if key in ("antithesis_error", "antithesis_warning")
        ]

    real, ours = run_real(children, PROGRAM), run_ours(children, PROGRAM)
    assert diagnostics(ours) == diagnostics(real)


def test_lifecycle_records_and_events_are_the_same(children):
    def events(records):
        return [
            record
            for record in records
            for key in record
            if key == "antithesis_setup" or not key.startswith(("antithesis_", "assertlib_"))
        ]

    real = events(run_real(children, PROGRAM))
    assert len(real) == 6
    assert events(run_ours(children, PROGRAM)) == real


def test_the_first_line_has_the_same_form(children):
    real, ours = run_real(children, "")[0], run_ours(children, "reachable('here')")[0]
    assert list(ours) == list(real) == ["antithesis_sdk"]
    assert list(ours["antithesis_sdk"]) == list(real["antithesis_sdk"])
    for key in ("language", "protocol_version"):
        assert ours["antithesis_sdk"][key] == real["antithesis_sdk"][key]


def test_raw_assertions_are_the_same_records(children):
    real, ours = firsts(run_real(children, RAW)), firsts(run_ours(children, RAW))
    assert sorted(ours) == sorted(real)
    for key, body in real.items():
        assert ours[key] == body


def test_raw_declarations_are_the_same_records(children):
    def declared(records):
        return {
            body["id"]: body
            for body in bodies(records, "antithesis_assert")
            if not body["hit"] and not body["condition"]
        }

    real, ours = declared(run_real(children, RAW)), declared(run_ours(children, RAW))
    assert {name: ours[name] for name in real} == real


RAW_DECLARATION = """
assert_raw(
    False, "declared", None, "store.go", "Put", "Store", 12, 3, False, True, "always", "Always",
    "declared",
)
"""


@pytest.mark.parametrize("before", ["", "reachable('another')\n"])
@pytest.mark.parametrize("after", ["", "reachable('another')\n"])
def test_a_raw_declaration_that_is_never_hit_is_on_the_wire(children, before, after):
    ours = run_ours(children, before + RAW_DECLARATION + after)
    declared = [body["id"] for body in bodies(ours, "antithesis_assert") if not body["hit"]]
    assert declared.count("declared") == 1


def test_a_raw_assertion_is_counted_like_ours(children):
    script = IMPORTS.format(sdk="assertlib") + RAW
    outcome = children.run(script)
    assert outcome.counts["raw Always"] == (2, 2)
    assert outcome.kinds["raw AlwaysOrUnreachable"] == "always_or_unreachable"
    assert outcome.shard.error_count == 0


@pytest.mark.parametrize("place", ["None, None, None, None, None", "5, 5, 5, '1', '2'"])
def test_a_raw_assertion_without_a_place_leaves_a_readable_run(children, place):
    call = f"assert_raw(True, 'm', None, {place}, HIT, True, 'always', 'Always', 'm')\n"
    program = call.replace("HIT", "False") + call.replace("HIT", "True") + "reachable('another')"
    outcome = children.run(IMPORTS.format(sdk="assertlib") + program)
    assert outcome.counts["another"] == (1, 0)


def test_a_raw_condition_need_not_be_a_bool(children):
    program = "".join(
        f"assert_raw({condition}, 'm', None, 'f', 'g', '', 1, 0, True, True, 'always', 'Always', 'm')\n"
        for condition in ("1", "[]", "'text'", "None")
    )
    outcome = children.run(IMPORTS.format(sdk="assertlib") + program)
    assert outcome.counts == {"m": (2, 2)}
    assert [hit.condition for hit in outcome.shard.hits] == [True, False, False]


def test_a_raw_kind_that_does_not_exist_is_trouble(children):
    program = (
        "assert_raw(True, 'm', None, 'f', 'g', '', 1, 0, True, True, 'always', 'Never', 'm')\n"
        "assert_raw(True, 'n', None, 'f', 'g', '', 1, 0, True, False, 'always', 'Always', 'n')\n"
    )
    outcome = children.run(IMPORTS.format(sdk="assertlib") + program)
    assert outcome.shard.error_count == 2
    assert outcome.counts == {}


def test_a_raw_assertion_may_have_an_id_that_is_not_its_message(children):
    program = (
        "assert_raw(True, 'shown', None, 'f', 'g', '', 1, 0, True, True, 'always', 'Always', 'id')"
    )
    (real,) = bodies(run_real(children, program), "antithesis_assert")
    *_, ours = bodies(run_ours(children, program), "antithesis_assert")
    assert (real["id"], real["message"]) == ("id", "shown")
    assert ours["id"] == "id"


def test_our_shard_is_a_catalog_to_the_real_sdk(children, capsys):
    run_ours(children, PROGRAM)
    (path,) = children.run_dir.glob("*.jsonl")
    entries = antithesis.catalog.load(path)
    (shard,) = children.shards
    assert [(entry.id, entry.kind.value) for entry in entries] == [
        (slot.message, slot.kind.display_type) for slot in shard.slots
    ]
    by_id = {entry.id: entry for entry in entries}
    guided = {name: entry.guidance for name, entry in by_id.items() if entry.guidance}
    assert (guided["always >"].guidance_type, guided["always >"].maximize) == ("numeric", False)
    assert (guided["all"].guidance_type, guided["all"].maximize) == ("boolean", True)
    printed = capsys.readouterr().out
    assert "Unable to parse" not in printed
    assert "unknown assertion" not in printed


def test_what_the_real_sdk_loads_it_writes_and_loads_again(children, tmp_path):
    run_ours(children, PROGRAM)
    (path,) = children.run_dir.glob("*.jsonl")
    entries = antithesis.catalog.load(path)
    antithesis.catalog.write(entries, tmp_path / "catalog.json")
    assert antithesis.catalog.load(tmp_path / "catalog.json") == entries


def test_our_shard_can_be_read_as_text_and_as_json_line_by_line(children):
    for record in run_ours(children, PROGRAM + RAW):
        assert len(record) == 1
        assert isinstance(next(iter(record.values())), dict)


@pytest.mark.parametrize("module", ["assertions", "lifecycle", "random"])
def test_each_public_function_of_the_real_sdk_is_here_with_its_parameters(module):
    real, ours = getattr(antithesis, module), getattr(assertlib, module)
    for name, function in vars(real).items():
        if name.startswith("_") or getattr(function, "__module__", None) != real.__name__:
            continue
        expected = list(inspect.signature(function).parameters.values())
        found = list(inspect.signature(getattr(ours, name)).parameters.values())
        pairs = zip(found[: len(expected)], expected, strict=True)
        for mine, theirs in pairs:
            assert (mine.name, mine.default) == (theirs.name, theirs.default), name
        assert all(each.kind is each.KEYWORD_ONLY for each in found[len(expected) :]), name


def test_importing_ours_in_the_place_of_theirs_needs_no_other_change(children):
    ours = (
        IMPORTS.format(sdk="assertlib") + "from assertlib.random import get_random, random_choice"
    )
    children.run(ours + "\nassert random_choice([1]) == 1 and get_random() >= 0\n" + PROGRAM)
