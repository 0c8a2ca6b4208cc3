"""
The checker against a second opinion, and against histories whose verdicts are known.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.history.etcd import Etcd
from assertlib.history.linearizability import check
from assertlib.history.model import UnsupportedRequestError
from assertlib.history.operations import Operation, Outcome
from assertlib.history.register import CasRegister, KeyValueStore, Register
from assertlib.history.requests import Append, Done, Get, Put, Range, Ranged, Swap, Swapped, Value
from assertlib.history.search import Verdict

from ..forms import by_form, has_long_form, sampled
from .making import (
    ETCD_REQUESTS,
    KV_REQUESTS,
    REGISTER_REQUESTS,
    coarse_histories,
    histories,
    litmus_tests,
)
from .porcupine import jepsen_histories, kv_histories
from .second_opinion import etcd, is_linearizable, registers

ROUNDS = 4
"""Each compares as many histories again, so that they can be shared out to several processes."""


def agrees(model, store, operations):
    found = check(model, operations)
    expected = Verdict.OK if is_linearizable(operations, store) else Verdict.ILLEGAL
    assert found.verdict is expected, "\n".join(map(str, operations))


@has_long_form
@pytest.mark.parametrize("_", sampled(range(ROUNDS), every=ROUNDS))
def test_registers_are_judged_as_by_trying_everything(_):
    @settings(max_examples=by_form(100, 1500))
    @given(histories(REGISTER_REQUESTS, registers))
    def judged(operations):
        agrees(CasRegister(), registers, operations)

    judged()


@has_long_form
@pytest.mark.parametrize("_", sampled(range(ROUNDS), every=ROUNDS))
def test_keys_are_judged_as_by_trying_everything(_):
    @settings(max_examples=by_form(100, 1500))
    @given(histories(KV_REQUESTS, registers))
    def judged(operations):
        agrees(KeyValueStore(), registers, operations)

    judged()


@has_long_form
@pytest.mark.parametrize("_", sampled(range(ROUNDS), every=ROUNDS))
def test_revisions_are_judged_as_by_trying_everything(_):
    @settings(max_examples=by_form(100, 2200))
    @given(histories(ETCD_REQUESTS, etcd, versions=True))
    def judged(operations):
        agrees(Etcd(), etcd, operations)

    judged()


@has_long_form
@pytest.mark.parametrize(
    ("model", "requests", "store"),
    [
        (CasRegister(), REGISTER_REQUESTS, registers),
        (KeyValueStore(), KV_REQUESTS, registers),
        (Etcd(), ETCD_REQUESTS, etcd),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_by_a_coarse_clock_each_client_keeps_its_order(model, requests, store):
    @settings(max_examples=by_form(75, 600))
    @given(coarse_histories(requests, store))
    def judged(operations):
        agrees(model, store, operations)

    judged()


@settings(max_examples=by_form(100, 1000))
@given(litmus_tests())
def test_the_order_of_a_client_holds_across_keys_within_one_stamp(operations):
    agrees(KeyValueStore(), registers, operations)


@settings(max_examples=by_form(50, 400))
@given(histories(REGISTER_REQUESTS, registers, size=8), st.integers(1, 40))
def test_a_search_that_was_interrupted_comes_to_the_same_end(operations, turn):
    whole = check(CasRegister(), operations)
    assert check(CasRegister(), operations, budget=10**6).verdict is whole.verdict
    assert whole.verdict is not Verdict.UNKNOWN


@settings(max_examples=by_form(50, 400))
@given(histories(ETCD_REQUESTS, etcd, size=8))
def test_the_order_that_is_shown_is_one(operations):
    found = check(Etcd(), operations)
    state = None
    for each in found.order:
        state, answer = etcd(state, each.request)
        if each.outcome is Outcome.OK:
            assert answer == each.response
    for position, each in enumerate(found.order):
        for later in found.order[position + 1 :]:
            assert later.returned is None or later.returned >= each.call
    if found.verdict is Verdict.OK:
        assert {each.id for each in found.order} >= {
            each.id
            for each in operations
            if each.outcome is Outcome.OK and Etcd().step(each) is not None
        }
    else:
        assert found.stuck is not None
        assert found.stuck not in found.order


@settings(max_examples=by_form(75, 600))
@given(histories(REGISTER_REQUESTS, registers, size=8))
def test_what_returned_before_the_stuck_operation_can_be_explained(operations):
    found = check(CasRegister(), operations)
    if found.stuck is None:
        return
    before = [
        each
        if each.returned is not None and each.returned < found.stuck.returned
        else replace(each, returned=None, outcome=Outcome.UNKNOWN, response=None)
        for each in operations
        if each.call <= found.stuck.returned and each.outcome is not Outcome.NOT_APPLIED
    ]
    assert check(CasRegister(), before).verdict is Verdict.OK


@pytest.mark.parametrize(("name", "operations", "legal"), jepsen_histories())
def test_the_histories_of_jepsen_get_the_verdicts_that_are_known(name, operations, legal):
    assert (check(CasRegister(), operations).verdict is Verdict.OK) == legal


@pytest.mark.parametrize(("name", "operations", "legal"), kv_histories())
def test_the_key_value_histories_of_porcupine_get_the_verdicts_that_are_known(
    name, operations, legal
):
    class Empty(KeyValueStore):
        def initial(self):
            return ""

    assert (check(Empty(), operations).verdict is Verdict.OK) == legal


def told(number, request, call, returned, answer):
    return Operation(number, number, request, call, returned, Outcome.OK, answer)


def test_an_empty_history_is_fine():
    assert check(Register(), []).verdict is Verdict.OK


def test_operations_that_touch_overlap():
    write, read = Put("", "a"), Get("")
    history = [told(0, write, 0, 5, Done()), told(1, read, 5, 6, Value(None))]
    assert check(Register(), history).verdict is Verdict.OK


def at_once(*asked):
    """Operations at one stamp: client, request and answer each."""
    return [
        Operation(number, client, request, 0, 0, Outcome.OK, answer)
        for number, (client, request, answer) in enumerate(asked)
    ]


def test_what_a_client_wrote_is_there_when_it_reads_at_the_same_stamp():
    wrote = ("a", Put("", "1"), Done())
    old, new = ("a", Get(""), Value(None)), ("a", Get(""), Value("1"))
    assert check(Register(), at_once(wrote, new)).verdict is Verdict.OK
    assert check(Register(), at_once(wrote, old)).verdict is Verdict.ILLEGAL
    # Asked the other way round it is the old value that is right.
    assert check(Register(), at_once(old, wrote)).verdict is Verdict.OK
    assert check(Register(), at_once(new, wrote)).verdict is Verdict.ILLEGAL


def test_a_write_without_an_answer_comes_after_what_its_client_did_before():
    read = Operation(0, "a", Get(""), 0, 5, Outcome.OK, Value("late"))
    lost = Operation(1, "a", Put("", "late"), 5, 5)
    assert check(Register(), [read, lost]).verdict is Verdict.ILLEGAL
    assert check(Register(), [lost, replace(read, client="b", call=5)]).verdict is Verdict.OK


@pytest.mark.parametrize("clients", [2, 3])
def test_keys_that_are_right_one_by_one_can_be_wrong_together(clients):
    keys = [f"k{number}" for number in range(clients)]
    asked = []
    for client, key in enumerate(keys):
        # Each writes one key and then finds nothing under the next.
        asked.append((client, Put(key, "1"), Done()))
        asked.append((client, Get(keys[(client + 1) % clients]), Value(None)))
    found = check(KeyValueStore(), at_once(*asked))
    assert found.verdict is Verdict.ILLEGAL
    assert found.partitions == tuple(keys)
    assert " and ".join(map(repr, keys)) in found.reason
    (*others, (client, request, _)) = asked
    seen = check(KeyValueStore(), at_once(*others, (client, request, Value("1"))))
    assert seen.verdict is Verdict.OK


def test_a_register_has_one_key():
    history = [told(0, Put("x", "a"), 0, 1, Done()), told(1, Put("y", "a"), 2, 3, Done())]
    for model in (Register(), CasRegister()):
        with pytest.raises(UnsupportedRequestError, match=r"keys 'x' and 'y'; use the model 'kv'"):
            check(model, history)


def test_a_stale_read_is_named():
    history = [
        told(0, Put("", "a"), 0, 1, Done()),
        told(1, Put("", "b"), 2, 3, Done()),
        told(2, Get(""), 4, 5, Value("a")),
    ]
    found = check(Register(), history)
    assert found.verdict is Verdict.ILLEGAL
    assert found.stuck == history[2]
    assert "#2 client 2" in found.reason
    assert found.order == (history[0], history[1])


def test_what_was_not_applied_tells_nothing():
    history = [
        Operation(0, 0, Put("", "a"), 0, 1, Outcome.NOT_APPLIED),
        told(1, Get(""), 2, 3, Value("a")),
    ]
    assert check(Register(), history).verdict is Verdict.ILLEGAL


def test_a_write_without_an_answer_may_come_late_or_never():
    lost = Operation(0, 0, Put("", "a"), 0)
    for seen in ("a", None):
        history = [
            lost,
            told(1, Get(""), 10, 11, Value(None)),
            told(2, Get(""), 12, 13, Value(seen)),
        ]
        assert check(Register(), history).verdict is Verdict.OK


def test_the_partition_at_fault_is_named_though_another_is_harder():
    hard = [told(n, Append("x", str(n)), 0, 100, Done()) for n in range(9)]
    hard.append(told(9, Get("x"), 101, 102, Value("876543210")))
    wrong = [told(10, Get("y"), 0, 1, Value("a"))]
    found = check(KeyValueStore(), hard + wrong)
    assert (found.verdict, found.partitions) == (Verdict.ILLEGAL, ("y",))


def test_what_takes_more_steps_than_allowed_is_unknown_and_says_so():
    history = [told(n, Append("x", str(n)), 0, 100, Done()) for n in range(12)]
    history.append(told(12, Get("x"), 101, 102, Value("nothing of the kind")))
    found = check(KeyValueStore(), history, budget=500)
    assert found.verdict is Verdict.UNKNOWN
    assert "500 steps" in found.reason
    assert "'x'" in found.reason


def test_a_request_that_the_model_does_not_know_is_told_with_its_number():
    with pytest.raises(UnsupportedRequestError, match=r"operation 3.*'register'.*Swap"):
        check(Register(), [told(3, Swap("", None, "a"), 0, 1, Swapped(True))])


@pytest.mark.parametrize(
    ("request_", "answer"),
    [(Get("x"), Done()), (Put("x", "a"), Swapped(False)), (Swap("x", None, "a"), Value("a"))],
)
def test_an_answer_to_another_question_is_refused(request_, answer):
    with pytest.raises(UnsupportedRequestError, match=r"operation 1: .* is not a response to"):
        check(KeyValueStore(), [told(1, request_, 0, 1, answer)])


def test_two_writes_that_claim_one_revision_are_illegal():
    history = [
        Operation(0, 0, Put("x", "a"), 0, 9, Outcome.OK, etcd(None, Put("x", "a"))[1]),
        Operation(1, 1, Put("y", "b"), 0, 9, Outcome.OK, etcd(None, Put("y", "b"))[1]),
    ]
    assert check(Etcd(), history).verdict is Verdict.ILLEGAL


def test_a_read_that_goes_back_in_revisions_is_illegal():
    _, answer = etcd(None, Put("x", "a"))
    history = [
        told(0, Put("x", "a"), 0, 1, answer),
        told(1, Range("x"), 2, 3, Ranged(1, (), 0)),
    ]
    assert check(Etcd(), history).verdict is Verdict.ILLEGAL
