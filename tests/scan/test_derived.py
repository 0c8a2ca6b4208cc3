"""Assertions that stand for several ordinary ones."""

from __future__ import annotations

import pytest

from .reading import codes, found, only, read


def test_always_if_is_a_claim_and_an_antecedent():
    scan = read("""
        from assertlib import always_if
        always_if(a > 0, lambda: b > 0, "m", invariant="kv.x")
    """)
    assert scan.findings == []
    assert found(scan) == [
        ("always_or_unreachable", "m", "kv.x"),
        ("sometimes", "m [antecedent]", "kv.x"),
    ]
    assert [site.origin for site in scan.sites] == ["m", "m"]


def test_the_antecedent_has_its_own_condition_and_fingerprint():
    one = read("from assertlib import *\nalways_if(a > 0, lambda: b > 0, 'm')").sites
    two = read("from assertlib import *\nalways_if(a > 0, lambda: b > 1, 'm')").sites
    assert [site.condition for site in one] == ["a > 0 implies b > 0", "a > 0"]
    assert one[0].fingerprint != two[0].fingerprint
    assert one[1].fingerprint == two[1].fingerprint


def test_sometimes_both_wants_both():
    scan = read("from assertlib import *\nsometimes_both(a > 0, 'm', invariant='kv.x')")
    assert scan.findings == []
    assert found(scan) == [("sometimes", "m", "kv.x"), ("sometimes", "m [false]", "kv.x")]
    assert scan.sites[0].fingerprint != scan.sites[1].fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "with within(1, 'm', invariant='kv.x'): ...",
        "with within(seconds=1, message='m', invariant='kv.x') as timer: ...",
        "async def f():\n    async with within(1, 'm', invariant='kv.x', clock=clock): ...",
        "with open(a) as b, within(1, 'm', invariant='kv.x'): ...",
        "with Invariant('kv.x').within(1, 'm'): ...",
        "limit = within(1, 'm', invariant='kv.x')",
    ],
)
def test_within_is_an_always(text):
    site = only(read(f"from assertlib import *\nfrom assertlib import Invariant\n{text}"))
    assert (site.kind.name, site.message, site.invariant) == ("always", "m", "kv.x")


EXPECTED = {
    "('a', 'b')": ["a", "b"],
    "['a', 'b']": ["a", "b"],
    "{'a', 'b'}": ["a", "b"],
    "{'a': 1, 'b': 2}": ["a", "b"],
    "tuple(['a', 'b'])": ["a", "b"],
    "frozenset({'a', 'b'})": ["a", "b"],
    "(1, -1, None, True, 1.5)": ["1", "-1", "None", "True", "1.5"],
    "((1, 'a'),)": ["(1, 'a')"],
    "range(3)": ["0", "1", "2"],
    "range(1, 6, 2)": ["1", "3", "5"],
    "range(2, 0, -1)": ["2", "1"],
    "ROLES": ["leader", "follower"],
    "(LEADER, 'follower')": ["leader", "follower"],
    "Names.ROLES": ["leader", "follower"],
    "Role": ["LEADER", "FOLLOWER"],
    "list(Role)": ["LEADER", "FOLLOWER"],
    "tuple(Level)": ["LOW", "HIGH"],
    "(Role.LEADER, Role.FOLLOWER)": ["LEADER", "FOLLOWER"],
    "[Role.LEADER]": ["LEADER"],
}

PREAMBLE = """\
import enum
from enum import Enum
from assertlib import sometimes_each
LEADER = "leader"
ROLES = ("leader", "follower")
class Names:
    ROLES = ["leader", "follower"]
class Role(Enum):
    LEADER = 1
    FOLLOWER = enum.auto()
    _ignore_ = []
    def next(self): ...
class Level(str, enum.Enum):
    LOW = "low"
    HIGH: str = "high"
"""


@pytest.mark.parametrize(("expected", "buckets"), EXPECTED.items())
def test_each_expected_value_is_a_sometimes_of_its_own(expected, buckets):
    scan = read(f"{PREAMBLE}sometimes_each(value, 'm', expected={expected}, invariant='kv.x')")
    assert scan.findings == []
    assert sorted(found(scan)) == sorted(
        [
            *(("sometimes", f"m [bucket={bucket}]", "kv.x") for bucket in buckets),
            ("always_or_unreachable", "m [bucket=other]", "kv.x"),
        ]
    )
    assert {site.origin for site in scan.sites} == {"m"}


@pytest.mark.parametrize(("expected", "buckets"), EXPECTED.items())
def test_the_buckets_are_those_of_the_running_code(expected, buckets):
    from assertlib.model import bucket_of

    namespace: dict[str, object] = {}
    exec(PREAMBLE, namespace)
    values = eval(expected, namespace)
    assert sorted(buckets) == sorted(bucket_of(value) for value in values)


@pytest.mark.parametrize(
    "roles",
    [
        "import assertlib\nfrom enum import Enum\nclass Role(Enum):\n    LEADER = 1",
        "from enum import Enum\nclass Role(Enum):\n    LEADER = 1",
    ],
)
def test_an_imported_enum_is_read(roles):
    scan = read(
        "from assertlib import *\nfrom .roles import Role\nsometimes_each(a, 'm', expected=Role)",
        roles=roles,
    )
    assert scan.findings == []
    assert [site.message for site in scan.sites] == ["m [bucket=LEADER]", "m [bucket=other]"]


@pytest.mark.parametrize(
    "expected",
    [
        "load()",
        "roles",
        "[*ROLES]",
        "[role for role in ROLES]",
        "('a', name)",
        "range(limit)",
        "range(1, limit)",
        "{'a': 1, **more}",
        "Names",
        "sorted(roles)",
        "(Role.LEADER, Role.NOBODY)",
    ],
)
def test_expected_values_that_the_source_does_not_tell_are_a_finding(expected):
    scan = read(f"{PREAMBLE}sometimes_each(value, 'm', expected={expected})")
    assert codes(scan) == ["AL113"]
    assert [site.message for site in scan.sites] == ["m [bucket=other]"]


def test_a_call_without_expected_values_is_a_finding():
    assert codes(read("from assertlib import *\nsometimes_each(value, 'm')")) == ["AL113"]


def test_one_sometimes_each_at_two_places_is_a_finding():
    scan = read("""
        from assertlib import sometimes_each
        sometimes_each(a, "m", expected=("x", "y"))
        sometimes_each(b, "m", expected=("x", "y"))
    """)
    assert set(codes(scan)) == {"AL103"}


def test_one_always_if_at_two_places_is_one_finding():
    scan = read("""
        from assertlib import always_if
        always_if(a, lambda: b, "m")
        always_if(a, lambda: c, "m")
    """)
    assert codes(scan) == ["AL103"]


@pytest.mark.parametrize(
    "calls",
    [
        ("always_if(a, lambda: b, 'm')", "sometimes(a, 'm [antecedent]')"),
        ("sometimes_both(a, 'm')", "sometimes(a, 'm [false]')"),
        ("sometimes_each(a, 'm', expected=('x',))", "sometimes(a, 'm [bucket=x]')"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_message_that_a_derived_assertion_has_already_is_a_finding(calls, order):
    text = "\n".join(calls[::order])
    assert codes(read(f"from assertlib import *\n{text}")) == ["AL103"]


RAW = (
    "assert_raw({condition}, {message}, None, 'f.go', 'f', '', 1, 1, True, True,"
    " 'always', {display}, {id})"
)


def raw(condition="a > 0", message="'shown'", display="'Always'", id="'m'"):
    call = RAW.format(condition=condition, message=message, display=display, id=id)
    return read(f"from assertlib.assertions import assert_raw\n{call}")


@pytest.mark.parametrize(
    ("display", "kind"),
    [
        ("Always", "always"),
        ("AlwaysOrUnreachable", "always_or_unreachable"),
        ("Sometimes", "sometimes"),
        ("Reachable", "reachable"),
        ("Unreachable", "unreachable"),
    ],
)
def test_assert_raw_is_what_its_display_type_says(display, kind):
    site = only(raw(display=repr(display)))
    assert (site.kind.name, site.message) == (kind, "m")


def test_assert_raw_may_be_called_by_keyword():
    site = only(
        read("""
            from antithesis.assertions import assert_raw
            assert_raw(condition=a, message="shown", details=None, loc_filename="f.go",
                loc_function="f", loc_class="", loc_begin_line=1, loc_begin_column=1, hit=True,
                must_hit=True, assert_type="always", display_type="Always", assert_id="m")
        """)
    )
    assert (site.kind.name, site.message) == ("always", "m")


def test_assert_raw_may_have_a_constant_condition():
    assert only(raw(condition="True")).message == "m"


@pytest.mark.parametrize("changed", [{"id": "name"}, {"display": "kind"}, {"display": "'Never'"}])
def test_assert_raw_with_names_built_at_run_time_is_a_finding(changed):
    assert codes(raw(**changed)) == ["AL104"]
