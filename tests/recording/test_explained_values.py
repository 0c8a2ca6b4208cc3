"""
Golden texts: how a condition is explained by the values of its parts.
"""

from pathlib import Path

import pytest

import assertlib
from assertlib import Invariant, InvariantViolation, always, lifecycle

REPOSITORY = Path(__file__).parent.parent.parent

STORE = """
    import collections, dataclasses, enum, logging
    from assertlib import *

    @dataclasses.dataclass
    class Event:
        key: str
        rev: int
        payload: list = dataclasses.field(default_factory=list)

    class Role(enum.Enum):
        LEADER = 1
        FOLLOWER = 2

    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 2

    Span = collections.namedtuple("Span", "start end")

    class Store:
        LIMIT = 3

        def __init__(self):
            self.rev = 6
            self.events = [Event("a", 1), Event("b", 0), Event("c", 3)]
            self.index = {"a": 1, "b": -7}
            self.rows = [("x", 1), ("y", -1)]
            self.seen = {2}
            self.empty = []
            self.role = Role.FOLLOWER
            self.level = Level.LOW

        def __repr__(self):
            return "<Store>"

        @property
        def size(self):
            return 3

        def pending(self):
            return 2

    store, rev, e = Store(), 6, "not an event"
    ready = [True, None, True]
    claim = Invariant("kv.claim").declare_always("claim")
    logging.basicConfig(format="%(message)s")
"""

GOLDEN = [
    ("rev > store.rev", {"rev": "6", "store.rev": "6"}),
    ("store.rev < store.LIMIT", {"store.rev": "6", "store.LIMIT": "3"}),
    ("store.index['b'] > 0", {"store.index['b']": "-7"}),
    ("(taken := rev + 1) > 9", {"taken": "7", "rev": "6"}),
    # What it would take the store's code to find out.
    ("store.size > 3", {"store.size": "(not evaluated)", "store": "<Store>"}),
    (
        "store.pending() > rev",
        {"store.pending()": "(not evaluated)", "store": "<Store>", "rev": "6"},
    ),
    ("len(store.seen) > store.LIMIT", {"store.seen": "{2}", "store.LIMIT": "3"}),
    ("Span(1, 2).end > 3", {"Span(1, 2).end": "(not evaluated)"}),
    # Which operand it was.
    (
        "rev == 6 and store.rev < 0",
        {"rev == 6": "True", "rev": "6", "store.rev < 0": "False", "store.rev": "6"},
    ),
    (
        "not store.seen or store.size > 3",
        {
            "not store.seen": "False",
            "store.seen": "{2}",
            "store.size": "(not evaluated)",
            "store": "<Store>",
        },
    ),
    (
        "store.role is Role.LEADER or store.role == Role.LEADER",
        {
            "store.role is Role.LEADER": "False",
            "store.role": "<Role.FOLLOWER: 2>",
            "Role.LEADER": "<Role.LEADER: 1>",
            "store.role == Role.LEADER": "False",
        },
    ),
    # The counterexample.
    (
        "all(e.rev > 0 for e in store.events)",
        {
            "e = store.events[1]": "Event(key='b', rev=0, payload=[])",
            "e.rev": "0",
            "store.events": (
                "[Event(key='a', rev=1, payload=[]), Event(key='b', rev=0, payload=[]),"
                " Event(key='c', rev=3, payload=[])]"
            ),
        },
    ),
    (
        "all([e.rev > rev - 6 for e in store.events if e.key != 'a'])",
        {
            "e in store.events": "(not evaluated)",
            "store.events": (
                "[Event(key='a', rev=1, payload=[]), Event(key='b', rev=0, payload=[]),"
                " Event(key='c', rev=3, payload=[])]"
            ),
            "rev": "6",
        },
    ),
    (
        "all(0 < value < rev for value in store.index.values())",
        {"value = store.index['b']": "-7", "rev": "6", "store.index": "{'a': 1, 'b': -7}"},
    ),
    (
        "all(k == 'a' for k in store.index)",
        {"k in store.index": "'b'", "store.index": "{'a': 1, 'b': -7}"},
    ),
    (
        "all(k == 'a' or v > 0 for k, v in store.index.items())",
        {
            "k, v in store.index.items()": "('b', -7)",
            "k == 'a'": "False",
            "v > 0": "False",
            "store.index": "{'a': 1, 'b': -7}",
        },
    ),
    (
        "all(v > 0 for k, v in store.rows)",
        {"k, v = store.rows[1]": "('y', -1)", "store.rows": "[('x', 1), ('y', -1)]"},
    ),
    ("all(x in store.seen for x in (2, rev))", {"x = rev": "6", "store.seen": "{2}", "rev": "6"}),
    ("all(ready)", {"an element = ready[1]": "None", "ready": "[True, None, True]"}),
    (
        "all(each < Level.LOW for each in [store.level])",
        {
            "each = store.level": "<Level.LOW: 1>",
            "Level.LOW": "<Level.LOW: 1>",
            "store.level": "<Level.LOW: 1>",
        },
    ),
    (
        "not any(e.key == 'b' for e in store.events[:0] or store.events)",
        {
            "e in store.events[:0] or store.events": "(not evaluated)",
            "store.events[:0]": "(not evaluated)",
            "store.events": (
                "[Event(key='a', rev=1, payload=[]), Event(key='b', rev=0, payload=[]),"
                " Event(key='c', rev=3, payload=[])]"
            ),
        },
    ),
    (
        "not any(v < 0 for v in store.index.values())",
        {
            "v = store.index['b']": "-7",
            "store.index": "{'a': 1, 'b': -7}",
        },
    ),
    ("any(v > 100 for v in store.seen)", {"v in store.seen": "none of 1", "store.seen": "{2}"}),
    ("any(v for v in store.empty)", {"v in store.empty": "none of 0", "store.empty": "[]"}),
    (
        "all(store.seen) and rev > 9",
        {
            "an element in store.seen": "all of 1",
            "store.seen": "{2}",
            "rev > 9": "False",
            "rev": "6",
        },
    ),
    # An element test that calls something is not run again.
    (
        "all(store.index.get(e.key) == e.rev for e in store.events)",
        {
            "e in store.events": "(not evaluated)",
            "store.events": (
                "[Event(key='a', rev=1, payload=[]), Event(key='b', rev=0, payload=[]),"
                " Event(key='c', rev=3, payload=[])]"
            ),
            "store.index": "{'a': 1, 'b': -7}",
        },
    ),
]


@pytest.mark.parametrize(("condition", "values"), GOLDEN, ids=[case[0] for case in GOLDEN])
def test_a_condition_is_explained(children, condition, values):
    outcome = children.run(STORE + f"\n    claim({condition})\n")
    (hit,) = [hit for hit in outcome.shard.hits if not hit.condition]
    assert hit.source == condition
    assert list(hit.values.items()) == list(values.items())
    told = "".join(f"    {name} = {value}\n" for name, value in values.items())
    assert f"  condition: {condition}\n{told}" in outcome.err


def test_the_whole_text_of_a_violation(children):
    def scenario():
        acked = [3, 9, 5]
        synced = 6
        assertlib.configure(mode="raise")
        try:
            Invariant("wal.fsync-before-ack").always(
                all(index <= synced for index in acked), "ack follows fsync", {"op": "put"}
            )
        except InvariantViolation as violation:
            return str(violation).splitlines()

    text = children.run(scenario).value
    documented = "\n".join(f"# {line}" for line in text[2:6])
    assert documented in (REPOSITORY / "docs" / "api.md").read_text()
    assert text[0] == "always 'ack follows fsync' is violated"
    assert text[2:] == [
        "  condition: all(index <= synced for index in acked)",
        "    index = acked[1] = 9",
        "    synced = 6",
        "    acked = [3, 9, 5]",
        '  details: {"op": "put"}',
        "  invariant: wal.fsync-before-ack (not in any catalog; see `assertlib check`)",
    ]


# -- what an element test may not do ---------------------------------------------------


HOSTILE = """
    from assertlib import *
    configure(sinks=[])
    touched = []

    def touch(*_):
        touched.append(1)
        return True

    Compares = type("Compares", (), dict.fromkeys(("__eq__", "__lt__", "__gt__"), touch))
    Hashes = type("Hashes", (), {"__hash__": lambda self: touch() + 5, "__eq__": touch})
    Truthy = type("Truthy", (), {"__bool__": touch})
    Long = type("Long", (), {"__len__": lambda self: touch() + 1})
    Number = type("Number", (int,), {"__lt__": touch, "__eq__": touch, "__hash__": int.__hash__})
    List = type("List", (list,), {"__iter__": lambda self: touch() and list.__iter__(self)})
    Reads = type("Reads", (), {"one": property(touch)})

    class Greedy:
        def __getattribute__(self, name):
            touch()
            return object.__getattribute__(self, name)

    compares, hashes, truthy, long, number, greedy = (
        Compares(), Hashes(), Truthy(), Long(), Number(5), Greedy()
    )
    held, listed, reads = {hashes}, List([1]), Reads()
    other = 1
    touched.clear()
    result = [CONDITION]
    before = len(touched)  # by the condition itself, which is evaluated once more
    always((CONDITION) and False, "claim")
    print(len(touched) - before == before)
"""


@pytest.mark.parametrize(
    "condition",
    [
        "all(each == 1 for each in [compares])",
        "all(each < 1 for each in (compares, compares))",
        "all(each in held for each in [6])",
        "all(each for each in [truthy])",
        "all([truthy])",
        "all(each for each in [long])",
        "all(each < 7 for each in [number])",
        "all(each == number for each in [5])",
        "all(each > 0 for each in listed)",
        "all(each.one for each in [reads])",
        "all(each is greedy for each in [greedy])",
        "truthy and other == 1",
        "number == 5 and other == 1",
        "compares in [1, 2] or compares in [compares]",
    ],
)
def test_looking_for_a_counterexample_runs_nothing_of_the_store(children, condition):
    outcome = children.run(HOSTILE.replace("CONDITION", condition))
    assert outcome.out.startswith("True")
    assert outcome.counts == {"claim": (0, 1)}


def test_more_elements_than_can_be_looked_at_are_left_alone(children):
    def scenario():
        numbers = list(range(1_000_000))
        always(all(each < 999_999 for each in numbers), "claim")

    (hit,) = children.run(scenario).shard.hits
    assert list(hit.values) == ["each in numbers", "numbers"]
    assert hit.values["each in numbers"] == "(not evaluated)"
    assert len(hit.values["numbers"]) <= 200


# -- bounds ----------------------------------------------------------------------------


def test_dataclasses_and_named_tuples_are_bounded_from_inside(children):
    def scenario():
        import collections
        import dataclasses

        @dataclasses.dataclass
        class Batch:
            rows: list
            hidden: int = dataclasses.field(default=1, repr=False)

        Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024

        class Own(Pair):
            def __repr__(self):
                return "own"

        batch, pair, own = Batch([0] * 10_000_000), Pair(1, [2] * 10_000_000), Own(1, 2)
        always(batch == pair == own, "claim")

    (hit,) = children.run(scenario).shard.hits
    assert hit.values["batch"].startswith("scenario.<locals>.Batch(rows=[0, 0, ")
    assert hit.values["pair"].startswith("Pair(left=1, right=[2, 2, ")
    assert hit.values["own"] == "own"
    assert all(len(value) <= 200 for value in hit.values.values())


# -- redaction -------------------------------------------------------------------------


def secrets_shown(children, **environment):
    def scenario(patterns):
        import dataclasses

        if patterns:
            assertlib.configure(redact=patterns)

        @dataclasses.dataclass
        class Session:
            user: str
            password: str

        token = "hush-1"
        config = {"api_token": "hush-2", "name": "db", "nested": {"Password": "hush-3"}}
        rows, tokens_by = [("ann", "hush-10")], {"hush-11": 1}
        session = Session("ann", "hush-4")
        tokens = ["hush-5", ""]
        always(token == config["api_token"] == session.password, "names")
        always(config == session, "inside")
        always(not any(each for each in tokens), "elements")
        always(all(each == "" for each in config.values()), "values of a dict")
        always(all(v == k for k, v in config.items()), "items of a dict")
        always(all(password == "" for name, password in rows), "unpacked")
        always(all(each > 1 for each in tokens_by.values()), "keys")
        always(any(password == "" for name, password in rows), "none of them")
        always(all(password.isdigit() for name, password in rows), "not looked into")
        always(False, "details", {"password": "hush-6", "deep": [{"api_token": "hush-7"}], "n": 1})
        always(False, "odd", {"password": "hush-8", "object": object()})
        lifecycle.send_event("login", {"password": "hush-9"})

    patterns = [] if environment else ["*token*", "password"]
    outcome = children.run(scenario, patterns, env=environment)
    return {hit.message: hit for hit in outcome.shard.hits}, "\n".join(outcome.lines) + outcome.err


@pytest.mark.parametrize("environment", [{}, {"ASSERTLIB_REDACT": "*token*, password"}])
def test_what_has_a_redacted_name_is_shown_nowhere(children, environment):
    hits, everything = secrets_shown(children, **environment)
    assert "hush" not in everything
    assert hits["names"].values == {
        "token": "<redacted>",
        'config["api_token"]': "<redacted>",
        "session.password": "<redacted>",
    }
    assert "'name': 'db'" in hits["inside"].values["config"]
    assert "user='ann', password=<redacted>" in hits["inside"].values["session"]
    assert hits["elements"].values == {"each in tokens": "<redacted>"}
    assert hits["values of a dict"].values == {"each in config.values()": "<redacted>"}
    assert hits["items of a dict"].values == {"k, v in config.items()": "<redacted>"}
    assert hits["unpacked"].values == {"name, password in rows": "<redacted>"}
    assert hits["none of them"].values == {"name, password in rows": "none of 1"}
    assert hits["not looked into"].values == {"name, password in rows": "(not evaluated)"}
    assert hits["keys"].values == {"each in tokens_by.values()": "<redacted>"}
    assert hits["details"].details == (
        '{"password": "<redacted>", "deep": [{"api_token": "<redacted>"}], "n": 1}'
    )


def test_children_redact_what_their_parent_does(children):
    def scenario():
        import subprocess
        import sys

        assertlib.configure(redact=["secret"])
        code = "from assertlib import always\nsecret = 'hush'\nalways(False, 'claim', {'secret': secret})"
        subprocess.run([sys.executable, "-c", code], check=True)

    children.run(scenario)
    texts = [path.read_text() for path in children.run_dir.glob("*.jsonl")]
    assert any("<redacted>" in text for text in texts)
    assert not any("hush" in text for text in texts)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"redact": "token"}, "redact must be a list, not 'token': write ['token']"),
        ({"sinks": "log"}, "sinks must be a list, not 'log': write ['log']"),
        ({"features": "a=on"}, "features must be a mapping such as {'watch': True}, not 'a=on'"),
    ],
)
def test_one_text_instead_of_several_is_refused(given, remedy):
    with pytest.raises(ValueError) as refused:
        assertlib.configure(**given)
    assert str(refused.value) == remedy


def test_a_value_cannot_forge_lines_of_the_log(children):
    def scenario():
        class Forged:
            def __repr__(self):
                return "a\nassertlib.violation: forged \x1b[31m"

        forged = Forged()
        always(forged is None, "claim")

    outcome = children.run(scenario)
    assert "\nassertlib.violation: forged" not in outcome.err
    (hit,) = outcome.shard.hits
    assert hit.values == {"forged": "a\\nassertlib.violation: forged \\x1b[31m"}


@pytest.mark.parametrize(
    ("call", "source"),
    [
        ("always_greater_than(rev, 9, 'x')", "rev > 9"),
        ("always_less_than_or_equal_to(store.rev, 3, 'x')", "store.rev <= 3"),
        ("CLAIM.always_greater_than_or_equal_to(3, rev, 'x')", "3 >= rev"),
        ("sometimes_less_than(left=rev, right=1, message='x')", "rev < 1"),
    ],
)
def test_a_comparison_is_shown_with_its_relation(children, call, source):
    outcome = children.run(STORE + f"\n    CLAIM = Invariant('kv.claim')\n    {call}\n")
    (hit,) = outcome.shard.hits
    assert hit.source == source
