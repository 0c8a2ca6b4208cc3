"""
The smallest part of an illegal history.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.history.etcd import Etcd
from assertlib.history.joining import Joined
from assertlib.history.linearizability import check
from assertlib.history.minimal import minimal, relaxed
from assertlib.history.operations import Operation, Outcome
from assertlib.history.register import CasRegister, KeyValueStore, Register
from assertlib.history.requests import (
    Append,
    Committed,
    Done,
    Get,
    KeyValue,
    Put,
    Range,
    Ranged,
    Swap,
    Swapped,
    Value,
)
from assertlib.history.search import Search, Verdict

from ..forms import by_form, has_long_form
from .making import (
    ETCD_REQUESTS,
    KV_REQUESTS,
    REGISTER_REQUESTS,
    coarse_histories,
    histories,
    litmus_tests,
)
from .second_opinion import etcd, is_linearizable, registers

MODELS = [
    (CasRegister(), REGISTER_REQUESTS, registers),
    (KeyValueStore(), KV_REQUESTS, registers),
    (Etcd(), ETCD_REQUESTS, etcd),
]
of_each_model = pytest.mark.parametrize(
    ("model", "requests", "store"), MODELS, ids=[model.name for model, _, _ in MODELS]
)


def verdict_with_others_relaxed(model, operations, found, kept):
    """What a complete search of all partitions that are at fault says of *kept*."""
    joined = Joined(model, operations, found.partitions)
    ids = {each.id for each in kept}
    bound = [
        each if each.id in ids else relaxed(each, model.step(each)) for each in joined.operations
    ]
    if len(found.partitions) > 1:
        return Search(joined, [each for each in bound if each is not None]).run(10**9)
    return check(model, [each for each in bound if each is not None]).verdict


def is_confirmed(model, store, operations, **limits):
    found = check(model, operations)
    if found.verdict is not Verdict.ILLEGAL:
        return None
    core = minimal(model, operations, found, **limits)
    kept = core.operations
    assert verdict_with_others_relaxed(model, operations, found, kept) is Verdict.ILLEGAL
    assert check(model, kept).verdict is Verdict.ILLEGAL
    assert not is_linearizable(list(kept), store)
    return core, found


@has_long_form
@of_each_model
def test_a_part_is_illegal_alone_and_whatever_became_of_the_others(model, requests, store):
    @settings(max_examples=by_form(31, 250))
    @given(
        histories(requests, store, size=7) | coarse_histories(requests, store, size=7),
        st.sampled_from([-1.0, 0.0, 1e-6, 1e-4, 1e-3, 20.0]),
    )
    def judged(operations, seconds):
        is_confirmed(model, store, operations, seconds=seconds)

    judged()


@has_long_form
@of_each_model
def test_no_operation_of_a_minimal_part_can_be_relaxed(model, requests, store):
    @settings(max_examples=by_form(31, 250))
    @given(histories(requests, store, size=7) | coarse_histories(requests, store, size=7))
    def judged(operations):
        confirmed = is_confirmed(model, store, operations)
        if confirmed is None:
            return
        core, found = confirmed
        assert core.is_minimal
        for each in core.operations:
            others = [other for other in core.operations if other is not each]
            verdict = verdict_with_others_relaxed(model, operations, found, others)
            assert not others or verdict is Verdict.OK

    judged()


@settings(max_examples=by_form(37, 300))
@given(litmus_tests())
def test_a_part_that_spans_keys_within_one_stamp_is_illegal(operations):
    is_confirmed(KeyValueStore(), registers, operations)


def told(number, request, call, returned, answer):
    return Operation(number, number, request, call, returned, Outcome.OK, answer)


STALE = [
    told(1, Put("", "old"), 0, 1, Done()),
    told(2, Put("", "new"), 2, 3, Done()),
    told(3, Get(""), 4, 5, Value("old")),
]


def test_a_stale_read_is_told_by_three_operations_of_many():
    noise = [told(n, Put("", f"n{n}"), 10 * n, 10 * n + 5, Done()) for n in range(100)]
    stale = [
        told(200, Put("", "old"), 2000, 2001, Done()),
        told(201, Put("", "new"), 2002, 2003, Done()),
        told(202, Get(""), 2004, 2005, Value("old")),
    ]
    found = check(Register(), noise + stale)
    core = minimal(Register(), noise + stale, found)
    assert core.operations == tuple(stale)
    assert core.is_minimal


def test_without_time_the_whole_is_the_part_and_not_called_minimal():
    core = minimal(Register(), STALE, check(Register(), STALE), seconds=0)
    assert not core.is_minimal
    assert core.operations == tuple(STALE)


def lost_write(*, size=300):
    """
    A value comes back that was overwritten long ago, as after a failover that lost writes.

    Swaps that fail are many, and the values in between were made by chains of swaps.
    """
    operations, value = [], None
    for number in range(size):
        at = 10 * number
        match number % 4:
            case 0:
                request, answer, value = Put("", f"v{number}"), Done(), f"v{number}"
            case 1:
                request, answer = Swap("", value, f"v{number}"), Swapped(True)
                value = f"v{number}"
            case 2:
                request, answer = Swap("", "never", f"v{number}"), Swapped(False)
            case _:
                request, answer = Get(""), Value(value)
        operations.append(told(number, request, at, at + 5, answer))
    operations.append(told(size, Get(""), 10 * size, 10 * size + 5, Value("v101")))
    return operations


def test_a_value_that_comes_back_is_told_with_what_had_replaced_it():
    history = lost_write()
    core, _ = is_confirmed_of(CasRegister(), history)
    assert core.is_minimal
    assert len(core.operations) <= 3
    assert history[-1] in core.operations


def is_confirmed_of(model, operations):
    found = check(model, operations)
    core = minimal(model, operations, found)
    verdict = verdict_with_others_relaxed(model, operations, found, core.operations)
    assert verdict is Verdict.ILLEGAL
    return core, found


def test_two_reads_that_contradict_are_found_among_many_appends():
    texts, operations = [""], []
    for number in range(120):
        texts.append(f"{texts[-1]}{number},")
        append = Append("x", f"{number},")
        operations.append(told(number, append, 10 * number, 10 * number + 5, Done()))
    operations.append(told(200, Get("x"), 2000, 2001, Value(texts[-1])))
    operations.append(told(201, Get("x"), 2002, 2003, Value(texts[-9])))
    core, _ = is_confirmed_of(KeyValueStore(), operations)
    assert core.is_minimal
    assert [each.id for each in core.operations] == [200, 201]


def test_an_answer_of_long_ago_is_told_with_one_that_came_before_it():
    state, operations = None, []
    for number in range(300):
        put = Put("a", f"v{number}")
        state, answer = etcd(state, put)
        operations.append(told(number, put, 10 * number, 10 * number + 5, answer))
    # Right at its revision, and that was over long before it was asked for.
    answer = Ranged(3, (KeyValue("a", "v1", 2, 3, 2),), 1)
    operations.append(told(300, Range("a"), 3000, 3005, answer))
    core, _ = is_confirmed_of(Etcd(), operations)
    assert core.is_minimal
    assert len(core.operations) == 2
    assert operations[-1] in core.operations


def test_what_the_core_saw_is_shown_with_who_wrote_it():
    history = [
        told(1, Put("", "a"), 0, 1, Done()),
        told(2, Put("", "b"), 2, 3, Done()),
        told(3, Get(""), 4, 5, Value("never written")),
        told(4, Get(""), 6, 7, Value("a")),
    ]
    found = check(Register(), history)
    core = minimal(Register(), history, found)
    assert core.operations == (history[2],)
    assert core.related == ()


def test_a_value_that_was_read_before_it_was_written_is_told_with_its_write():
    history = [
        told(1, Get(""), 0, 1, Value("a")),
        told(2, Put("", "a"), 2, 3, Done()),
    ]
    core = minimal(Register(), history, check(Register(), history))
    assert core.operations == tuple(history)


def test_a_later_write_that_claims_the_revision_is_part_of_the_core():
    history = [
        Operation(0, 0, Put("a", "1"), 0, 1, Outcome.UNKNOWN),
        told(1, Range("a"), 2, 3, Ranged(2, (KeyValue("a", "1", 2, 2, 1),), 1)),
        told(2, Put("b", "2"), 4, 5, Committed(2, True, (Done(),))),
    ]
    found = check(Etcd(), history)
    core = minimal(Etcd(), history, found)
    assert core.is_minimal
    assert history[2] in (*core.operations, *core.related)
