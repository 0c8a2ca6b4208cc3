"""
The smallest part of an illegal history.
"""

from hypothesis import given, settings

from assertlib.history.etcd import Etcd
from assertlib.history.linearizability import check
from assertlib.history.minimal import let_off, minimal
from assertlib.history.operations import Operation, Outcome
from assertlib.history.register import CasRegister, Register
from assertlib.history.requests import (
    Committed,
    Done,
    Get,
    KeyValue,
    Put,
    Range,
    Ranged,
    Value,
)
from assertlib.history.search import Verdict

from .making import ETCD_REQUESTS, REGISTER_REQUESTS, histories
from .second_opinion import etcd, registers


def is_minimal(model, operations):
    found = check(model, operations)
    if found.verdict is not Verdict.ILLEGAL:
        return
    core = minimal(model, operations, found)
    assert core.is_minimal

    def verdict(kept):
        ids = {each.id for each in kept}
        bound = [each if each.id in ids else let_off(each, model.step(each)) for each in core.among]
        return check(model, [each for each in bound if each is not None]).verdict

    assert verdict(core.operations) is Verdict.ILLEGAL
    for each in core.operations:
        others = [other for other in core.operations if other is not each]
        assert not others or verdict(others) is Verdict.OK


@settings(max_examples=300)
@given(histories(REGISTER_REQUESTS, registers, size=8))
def test_no_operation_of_the_core_can_be_let_off(operations):
    is_minimal(CasRegister(), operations)


@settings(max_examples=300)
@given(histories(ETCD_REQUESTS, etcd, size=7))
def test_no_operation_of_the_core_can_be_let_off_with_revisions(operations):
    is_minimal(Etcd(), operations)


def told(number, request, call, returned, answer):
    return Operation(number, number, request, call, returned, Outcome.OK, answer)


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


def test_a_core_that_takes_too_long_is_not_called_minimal():
    stale = [
        told(1, Put("", "old"), 0, 1, Done()),
        told(2, Put("", "new"), 2, 3, Done()),
        told(3, Get(""), 4, 5, Value("old")),
    ]
    core = minimal(Register(), stale, check(Register(), stale), seconds=-1)
    assert not core.is_minimal
    assert set(core.operations) <= set(stale)


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
