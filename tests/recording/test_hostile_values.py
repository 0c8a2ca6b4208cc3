"""
Details, messages and sinks that misbehave: nothing reaches the store, no other record is lost.
"""

import json

import pytest

from assertlib import (
    always,
    always_less_than,
    configure,
    lifecycle,
    reachable,
    sometimes,
    sometimes_each,
    trial,
    unreachable,
)

LIMIT = 64 * 1024

WORST_DETAILS = """
    import collections, collections.abc, datetime, decimal, enum, threading
    from assertlib import *
    configure(sinks=[])

    class Raising(collections.abc.Mapping):
        def __getitem__(self, key):
            raise ValueError("no item")
        def __iter__(self):
            raise ValueError("no iteration")
        def __len__(self):
            raise ValueError("no length")

    class Unprintable:
        def __repr__(self):
            raise ValueError("no repr")

    class BadException(Exception):
        def __str__(self):
            raise ValueError("no text")
        __repr__ = __str__

    class Loud(dict):
        def items(self):
            raise BadException

    def raising():
        raise ValueError("no details")

    def raising_badly():
        raise BadException

    circular = {}
    circular["self"] = circular
    deep = {}
    for _ in range(100_000):
        deep = {"deeper": deep}

    worst = DETAILS
    print(repr([
        always(False, "false", worst),
        always(True, "true", worst),
        sometimes(False, "not yet", worst),
        reachable("reachable", worst),
        unreachable("unreachable", worst),
        always_less_than(1, 2, "less", worst),
        sometimes_all({"a": False}, "all", worst),
        always_if(True, lambda: False, "if", worst),
        sometimes_each("a", "each", worst, expected=("a",)),
    ]))
    with within(3600, "within", worst):
        pass
    lifecycle.send_event("event", worst)
    lifecycle.setup_complete(worst)
    always(False, "another", {"fine": 1})
"""

UNWRITABLE = {
    "an object": "object()",
    "an object inside": "{'a': object()}",
    "an object without repr": "{'a': Unprintable()}",
    "bytes": "{'a': b'bytes'}",
    "keys of bytes": "{b'a': 1}",
    "keys that are tuples": "{(1, 2): 1}",
    "a set": "{'a': {1, 2}}",
    "a date": "{'a': datetime.datetime(2026, 1, 1)}",
    "a decimal": "{'a': decimal.Decimal('1.5')}",
    "a lock": "{'a': threading.Lock()}",
    "a circle": "circular",
    "a depth without end": "deep",
    "a mapping that raises": "Raising()",
    "a dict that raises worse": "Loud(a=1)",
    "a callable that raises": "raising",
    "a callable that raises worse": "raising_badly",
    "a callable that needs arguments": "lambda store: {}",
    "an integer without end": "{'a': 10 ** 10_000}",
}


@pytest.mark.parametrize("details", UNWRITABLE.values(), ids=UNWRITABLE)
def test_details_that_cannot_be_written_cost_only_themselves(children, details):
    outcome = children.run(WORST_DETAILS.replace("DETAILS", details))
    assert outcome.value == [False, True, False, True, False, True, False, False, True]
    shard = outcome.shard
    assert shard.error_count == 0
    assert shard.lost_records == 0
    recorded = {hit.message for hit in shard.hits}
    assert recorded == {
        *("false", "true", "not yet", "reachable", "unreachable", "less", "all", "if"),
        *("if [antecedent]", "each [bucket=a]", "within", "another"),
    }
    assert [hit.details for hit in shard.hits if hit.message == "another"] == ['{"fine": 1}']
    errors = [json.loads(line) for line in outcome.lines if '{"antithesis_error"' in line[:20]]
    assert {error["antithesis_error"]["code"] for error in errors} == {6001}
    assert "false" in {error["antithesis_error"]["context"] for error in errors}


@pytest.mark.parametrize("details", ["5", "'text'", "[1, 2]", "None", "{}", "True"])
def test_details_that_are_no_mapping_are_kept_under_value(children, details):
    outcome = children.run(WORST_DETAILS.replace("DETAILS", details))
    told = {hit.message: hit.details for hit in outcome.shard.hits}
    value = json.loads(json.dumps({"value": eval(details)}))
    expected = {"None": None, "{}": {}}.get(details, value)
    assert [told["false"] and json.loads(told["false"])] == [expected]
    assert json.loads(told["less"]) == {**(expected or {}), "left": 1, "right": 2}


def test_numbers_that_json_does_not_have_are_written_as_words(children):
    def scenario():
        inf = float("inf")
        always(False, "claim", {"a": [inf, -inf, float("nan")], "b": 1.5, "NaN": "NaN"})
        always(False, "again", {"a": inf})

    outcome = children.run(scenario)
    first, second = [json.loads(hit.details) for hit in outcome.shard.hits]
    assert first == {"a": ["Infinity", "-Infinity", "NaN"], "b": 1.5, "NaN": "NaN"}
    assert second == {"a": "Infinity"}
    warnings = [line for line in outcome.lines if line.startswith('{"antithesis_warning"')]
    assert [json.loads(line)["antithesis_warning"]["code"] for line in warnings] == [6002]


def test_large_integers_stay_exact_and_are_warned_of_once(children):
    def scenario():
        always(False, "claim", {"a": 2**53 + 1, "b": [-(2**64), 10**100]})
        always(False, "again", {"a": 2**60})

    outcome = children.run(scenario)
    assert json.loads(outcome.shard.hits[0].details) == {"a": 2**53 + 1, "b": [-(2**64), 10**100]}
    warnings = [line for line in outcome.lines if line.startswith('{"antithesis_warning"')]
    assert [json.loads(line)["antithesis_warning"]["code"] for line in warnings] == [6003]


def test_ten_megabytes_of_details_are_cut_and_counted(children):
    def scenario():
        for number in range(3):
            always(False, "claim", {"a": "x" * 10_000_000, "n": number})
        always(False, "another", {"fine": 1})

    outcome = children.run(scenario)
    shard = outcome.shard
    assert shard.truncated_details == 3
    assert [len(hit.details) < LIMIT for hit in shard.hits] == [True] * 4
    assert json.loads(shard.hits[-1].details) == {"fine": 1}
    assert sum(len(line) for line in outcome.lines) < 10 * LIMIT


def test_the_details_of_an_event_are_cut_and_counted_too(children):
    def scenario():
        lifecycle.send_event("event", {"a": "x" * 10_000_000})
        lifecycle.setup_complete({"a": "x" * 10_000_000})

    outcome = children.run(scenario)
    assert sum(len(line) for line in outcome.lines) < LIMIT
    assert outcome.shard.truncated_details == 2


def test_values_shown_of_a_comparison_are_bounded(children):
    def scenario():
        always_less_than("y" * 10_000_000, "x", "claim")
        always_less_than(10**4000, 5, "numbers")

    outcome = children.run(scenario)
    assert outcome.counts == {"claim": (0, 1), "numbers": (0, 1)}
    assert sum(len(line) for line in outcome.lines) < 3 * LIMIT


def test_details_as_deep_as_can_be_written_can_be_read(children):
    def scenario():
        import sys

        sys.setrecursionlimit(20_000)
        deep = {}
        for _ in range(5_000):
            deep = {"a": deep}
        always(False, "deep", deep)
        always(False, "another", {"fine": 1})

    outcome = children.run(scenario)
    assert outcome.counts == {"deep": (0, 1), "another": (0, 1)}


MESSAGES = {
    "a newline": "two\nlines\r\nand more",
    "quotes": "it's \"quoted\" and 'quoted'",
    "braces": '{"assertlib_exit": {}}',
    "a record of ours": '"}}\n{"assertlib_hit": {"id": 1}}\n',
    "a NUL": "nul\0in the middle",
    "unpaired surrogates": "lone \ud800 and \udfff",
    "no ASCII": "größer als 🎉 \u2028 \u202e",
    "nothing": "",
    "blanks": " \t ",
    "percent signs": "100 %s %d %(name)s {} {0}",
    "backslashes": "\\n \\u0000 \\",
    "escape sequences": "\x1b[31mred\x1b[0m \x07",
    "a very long text": "long " * 200_000,
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_any_string_can_be_a_message(children, message):
    def scenario(message):
        always(True, message, {"n": 1})
        unreachable(message)
        sometimes(False, message)
        always_less_than(1, 2, message + " less")
        sometimes_each("a", message, expected=("a", message))
        lifecycle.send_event(message, {"a": message})
        with trial(message):
            reachable(message, {message: message}, invariant=message)
        lifecycle.faults([message], breaks=[message])
        always(always, message)
        always(True, "another")

    outcome = children.run(scenario, message)
    shard = outcome.shard
    assert outcome.counts[message] == (2, 2)
    assert outcome.counts[message + " less"] == (1, 0)
    assert outcome.counts[f"{message} [bucket=a]"] == (1, 0)
    assert outcome.counts["another"] == (1, 0)
    assert message in {hit.message for hit in shard.hits if not hit.condition}
    assert [hit.invariant for hit in shard.hits if hit.trial == message] == [message]
    assert message in shard.trials
    assert [trouble.message for trouble in shard.troubles] == [message]
    assert shard.faults[0].active == shard.faults[0].breaks == [message]


def test_a_message_may_be_a_subclass_of_str(children):
    def scenario():
        import enum

        class Name(enum.StrEnum):
            CLAIM = "claim"

        return [always(True, Name.CLAIM), always(False, Name.CLAIM), always(True, "claim")]

    outcome = children.run(scenario)
    assert outcome.value == [True, False, True]
    assert outcome.counts == {"claim": (2, 1)}


@pytest.mark.parametrize("mode", ["record", "raise"])
def test_a_sink_that_raises_does_no_harm(children, mode):
    script = """
        from assertlib import *

        class Sink:
            def handle(self, hit):
                raise ValueError("no sink")
            def __repr__(self):
                raise ValueError("no repr")

        class Counting:
            told = []
            def handle(self, hit):
                self.told.append(hit.message)

        configure(sinks=[Sink(), Counting()])
        raised = []
        for number in range(3):
            try:
                always(False, f"claim {number}")
                reachable("here")
            except InvariantViolation as violation:
                raised.append(violation.message)
        print(repr((raised, [name for name in Counting.told if name != "here"])))
    """
    outcome = children.run(script, env={"ASSERTLIB": mode})
    claims = [f"claim {number}" for number in range(3)]
    assert outcome.value == (claims if mode == "raise" else [], claims)
    assert [outcome.counts[claim] for claim in claims] == [(0, 1)] * 3
    assert outcome.shard.error_count == 0


@pytest.mark.parametrize("mode", ["record", "raise"])
@pytest.mark.parametrize(
    "sink",
    [
        "os.path",
        "broken_at_import",
        "broken_at_import.sink",
        "broken_sink.module",
        "..",
        "assertlib.model",
        "no_such_package.sink",
    ],
)
def test_a_sink_that_cannot_be_loaded_does_no_harm(children, sink, mode):
    (children.directory / "broken_at_import.py").write_text("raise ValueError('broken')")
    package = children.directory / "broken_sink"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text("def sink():\n    raise ValueError('no sink')\n")
    script = """
        from assertlib import *
        raised = []
        for number in range(3):
            try:
                always(False, f"claim {number}")
                reachable("here")
            except InvariantViolation as violation:
                raised.append(violation.message)
        print(repr(raised))
    """
    outcome = children.run(script, env={"ASSERTLIB_SINKS": f"{sink},log", "ASSERTLIB": mode})
    claims = [f"claim {number}" for number in range(3)]
    assert outcome.value == (claims if mode == "raise" else [])
    assert [outcome.counts[claim] for claim in claims] == [(0, 1)] * 3
    assert outcome.shard.error_count == 0
    assert sink in outcome.err


def test_a_sink_that_asserts_itself_does_not_recurse_for_ever(children):
    def scenario():
        class Sink:
            def handle(self, hit):
                always(False, "of the sink")

        configure(sinks=[Sink()])
        return always(False, "claim")

    outcome = children.run(scenario)
    assert outcome.value is False
    assert outcome.counts["claim"] == (0, 1)


@pytest.mark.parametrize("place", ["handler", "filter", "factory"])
def test_logging_that_raises_does_not_reach_the_store(children, place):
    script = f"""
        import logging
        from assertlib import *

        def broken(*args, **kwargs):
            raise ValueError("the log is broken")

        handler = logging.StreamHandler()
        if "{place}" == "handler":
            handler.emit = broken
        elif "{place}" == "filter":
            handler.addFilter(broken)
        else:
            logging.setLogRecordFactory(broken)
        logging.getLogger().addHandler(handler)
        returned = [
            always(False, "claim"),
            always(len, "trouble"),
            always(True, "after"),
            always(False, "bad details", {{1, 2}}),
        ]
        with trial("one"):
            always(False, "in a trial")
        print(repr(returned))
    """
    outcome = children.run(script)
    assert outcome.value == [False, False, True, False]
    assert outcome.counts["claim"] == (0, 1)
    assert outcome.counts["in a trial"] == (0, 1)


def test_a_process_without_standard_error_goes_on(children):
    def scenario():
        import sys

        sys.stderr.close()
        first = always(False, "closed")
        sys.stderr = None
        return [first, always(False, "none"), always(len, "trouble")]

    outcome = children.run(scenario)
    assert outcome.value == [False, False, False]
    assert outcome.counts == {"closed": (0, 1), "none": (0, 1)}


def test_warnings_that_are_errors_do_not_reach_the_store(children):
    def scenario():
        import warnings

        warnings.simplefilter("error")
        return [always(False, "claim", {"a": {1}}), always(lambda: 1 / 0, "trouble")]

    assert children.run(scenario).value == [False, False]


def test_a_condition_at_the_end_of_the_stack_is_counted_or_raises_the_stores_own_error(children):
    def scenario():
        def dig(depth):
            always(depth > 100_000, "shallow")
            dig(depth + 1)

        try:
            dig(0)
        except RecursionError:
            pass
        return always(True, "after")

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": ""})
    assert outcome.value is True
    assert outcome.counts["after"] == (1, 0)
    assert outcome.counts["shallow"][1] > 900


def test_trouble_without_end_is_counted_and_does_not_fill_the_disk(children):
    def scenario():
        for number in range(5000):
            always(len, f"claim {number % 7}")

    outcome = children.run(scenario)
    assert outcome.shard.error_count == 5000
    assert 1 <= len(outcome.shard.troubles) <= 1000
    assert len(outcome.err.splitlines()) < 100


def test_violations_without_end_do_not_fill_the_disk(children):
    def scenario():
        for number in range(20_000):
            always(number < 0, "claim", {"number": number})

    outcome = children.run(scenario, env={"ASSERTLIB_SINKS": ""})
    assert outcome.counts == {"claim": (0, 20_000)}
    assert len(outcome.shard.hits) < 50


@pytest.mark.parametrize("value", [5, None, object, b"a.b", ["a"]])
def test_an_invariant_that_is_no_string_leaves_a_readable_run(children, value):
    script = f"""
        from assertlib import *
        always(True, "claim", invariant={value.__name__ if value is object else repr(value)})
        always(True, "another")
    """
    outcome = children.run(script)
    assert outcome.counts["another"] == (1, 0)


@pytest.mark.parametrize("identifier", ["None", "5", "b'one'", "('a',)", "object()"])
def test_a_trial_whose_name_is_no_string_leaves_a_readable_run(children, identifier):
    script = f"""
        from assertlib import *
        try:
            with trial({identifier}):
                always(True, "inside")
        except (TypeError, ValueError):
            pass  # to be told so at once is fine
        always(True, "another")
    """
    assert children.run(script).counts["another"] == (1, 0)


@pytest.mark.parametrize("seed", ["'text'", "1.5", "object()", "True", "2 ** 70"])
def test_a_trial_with_any_seed_leaves_a_readable_run(children, seed):
    script = f"""
        from assertlib import *
        try:
            with trial("one", seed={seed}):
                always(False, "inside")
        except (TypeError, ValueError):
            pass  # to be told so at once is fine
        always(True, "another")
    """
    assert children.run(script).counts["another"] == (1, 0)


@pytest.mark.parametrize(
    "call", ["faults([1, None])", "faults('kill')", "faults(['kill'], breaks=[5])"]
)
def test_faults_of_any_kind_leave_a_readable_run(children, call):
    script = f"""
        from assertlib import *
        try:
            lifecycle.{call}
        except (TypeError, ValueError):
            pass  # to be told so at once is fine
        always(True, "another")
    """
    assert children.run(script).counts["another"] == (1, 0)


# -- messages that cannot be looked up ---------------------------------------------

LOOKED_UP = """
    from assertlib import *
    from assertlib import Invariant

    class Broken:
        def __hash__(self):
            raise RuntimeError("no hash")

    class BrokenText(Broken, str):
        pass

    class Unequal(str):
        __hash__ = str.__hash__
        def __eq__(self, other):
            raise RuntimeError("no comparison")

    KV = Invariant("kv.promise")
    CALLS = {
        "always": lambda m: always(True, m),
        "sampled": lambda m: always(lambda: True, m, every=2),
        "always_or_unreachable": lambda m: always_or_unreachable(True, m),
        "sometimes": lambda m: sometimes(True, m),
        "reachable": reachable,
        "always_greater_than": lambda m: always_greater_than(2, 1, m),
        "always_some": lambda m: always_some({"a": True}, m),
        "sometimes_all": lambda m: sometimes_all({"a": True}, m),
        "always_if": lambda m: always_if(True, lambda: True, m),
        "sometimes_both": lambda m: sometimes_both(True, m),
        "of an invariant": lambda m: KV.always(True, m),
        "declared": lambda m: KV.declare_always(m)(True),
        "declared point": lambda m: KV.declare_reachable(m)(),
    }
    found = []
    for message in (Broken(), BrokenText("broken"), []):
        for name, call in CALLS.items():
            for _ in range(2):
                try:
                    found.append((name, call(message)))
                except BaseException as error:
                    found.append((name, repr(error)))
    for _ in range(2):
        for name, call in CALLS.items():
            try:
                found.append((name, call(Unequal("unequal"))))
            except BaseException as error:
                found.append((name, repr(error)))
    print([each for each in found if each[1] is not True])
"""


@pytest.mark.parametrize("mode", ["record", "off"])
@pytest.mark.parametrize("pure", ["1", ""])
def test_a_message_that_cannot_be_looked_up_never_reaches_the_store(children, pure, mode):
    configured = f"    from assertlib import configure\n    configure(mode={mode!r})\n"
    outcome = children.run(configured + LOOKED_UP, env={"ASSERTLIB_PURE": pure})
    assert outcome.value == []


@pytest.mark.parametrize("pure", ["1", ""])
def test_a_time_limit_while_a_message_is_looked_up_reaches_the_store(children, pure):
    script = """
    import signal
    from assertlib import *

    class TimeLimit(Exception):
        pass

    def limit(number, frame):
        raise TimeLimit

    class Slow(str):
        def __hash__(self):
            signal.raise_signal(signal.SIGALRM)
            return 1

    signal.signal(signal.SIGALRM, limit)
    found = []
    for call in (lambda m: always(True, m), lambda m: sometimes(False, m), reachable):
        try:
            found.append(call(Slow("slow")))
        except TimeLimit:
            found.append("limited")
    print(found)
    """
    assert children.run(script, env={"ASSERTLIB_PURE": pure}).value == ["limited"] * 3
