"""
Check linearizability: whether one order of all operations explains every response.

Partitions are checked independently, and jointly where their orders contradict each other.
Sources: Herlihy and Wing 1990 (definition); Horn and Kroening 2015 (separate partitions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Generic, TypeVar

from .joining import Joined, Names, contradicting
from .model import Model
from .operations import Operation
from .requests import Done
from .search import Search, Verdict

S = TypeVar("S")

BUDGET = 20_000_000
"""Default number of steps for each partition; a step takes one to ten microseconds."""
FIRST_TURN = 2_000
"""Number of steps in the first turn of each partition."""


@dataclass(frozen=True, slots=True)
class Linearization:
    """
    The result of checking a history.

    Attributes:
        verdict: Whether the operations are linearizable.
        reason: Explanation; empty on success.
        partitions: The illegal partitions; more than one if each of them is legal by itself.
        order: The longest order found, one partition after the other.
        stuck: The first operation that no order of the preceding operations explains.
        steps: Number of operations tried, summed over states.
        answered: Number of responses checked against the model.
        observations: Number of those that reveal state; without any, no history is illegal.
    """

    verdict: Verdict
    reason: str = ""
    partitions: Names = ()
    order: tuple[Operation, ...] = ()
    stuck: Operation | None = None
    steps: int = 0
    answered: int = 0
    observations: int = 0


def check(
    model: Model[S], operations: Sequence[Operation], *, budget: int = BUDGET
) -> Linearization:
    """
    Check whether *operations* are linearizable; the first illegal partition decides.

    The search alternates between partitions, for longer each time, so that an illegal one is found
    before a hard one is finished.

    Args:
        model: The sequential specification of the store.
        operations: All operations of the history, those of one client in the order of its calls.
        budget: Number of steps after which a partition counts as unknown.

    Returns:
        The verdict, with the order found and, if illegal, the first unexplained operation.

    Raises:
        UnsupportedRequestError: The model does not support one of the requests.
    """
    return _Judgement(model, operations, budget).whole()


class _Judgement(Generic[S]):
    """One call of `check`: each partition alone, then those with contradicting orders jointly."""

    def __init__(self, model: Model[S], operations: Sequence[Operation], budget: int) -> None:
        self._model = model
        self._operations = operations
        self._budget = budget
        self._steps = 0
        self._orders: dict[Names, tuple[Operation, ...]] = {}

    def whole(self) -> Linearization:
        # Within a turn, small partitions come first: an illegal one among them is cheap to find.
        parts = sorted(self._model.partitions(self._operations), key=lambda each: len(each[1]))
        searches: dict[Names, Search[Any]] = {
            (name,): Search(self._model, part) for name, part in parts
        }
        # Collected now, because deciding removes searches from the dict.
        answered = [each for search in searches.values() for each in search.answered]
        found = self._judged(searches)
        # The order of joined partitions may contradict yet another one.  Each round joins at
        # least two groups, so the loop ends.
        while found is None and (names := contradicting(self._operations, self._orders)):
            found = self._together(names)
        if found is None:
            order = tuple(chain.from_iterable(self._orders.values()))
            found = Linearization(Verdict.OK, order=order)
        return replace(
            found,
            steps=self._steps,
            answered=len(answered),
            # A bare acknowledgement fits every state.
            observations=sum(not isinstance(each.response, Done) for each in answered),
        )

    def _together(self, names: Names) -> Linearization | None:
        for each in [each for each in self._orders if not set(names).isdisjoint(each)]:
            del self._orders[each]
        joined = Joined(self._model, self._operations, names)
        return self._judged({names: Search(joined, joined.operations)})

    def _judged(self, waiting: dict[Names, Search[Any]]) -> Linearization | None:
        """Decide the *waiting* searches; return None if all partitions are legal."""
        unknown: list[Names] = []
        turn = FIRST_TURN
        while waiting:
            for names, search in list(waiting.items()):
                before = search.steps
                # Each partition has the whole budget to itself.
                verdict = search.run(min(turn, self._budget - search.steps))
                self._steps += search.steps - before
                if verdict is Verdict.ILLEGAL:
                    return _illegal(names, search)
                if verdict is Verdict.OK:
                    self._orders[names] = waiting.pop(names).order()
                elif search.steps >= self._budget:
                    del waiting[names]
                    unknown.append(names)
            turn *= 2
        # Reported last: an illegal partition decides even if others could not be finished.
        return self._undecided(unknown) if unknown else None

    def _undecided(self, unknown: Sequence[Names]) -> Linearization:
        shown = ", ".join(map(_in_words, unknown[:5]))
        where = f" in {len(unknown)} partitions: {shown}" if shown else ""
        reason = f"not decided within {self._budget:,} steps{where}; increase the budget"
        return Linearization(Verdict.UNKNOWN, reason)


def _illegal(names: Names, search: Search[Any]) -> Linearization:
    where = f" of {_in_words(names)}" if any(names) else ""
    reason = f"no order of the operations{where} explains {search.stuck}"
    return Linearization(Verdict.ILLEGAL, reason, names, search.order(), search.stuck)


def _in_words(names: Names) -> str:
    """Format the partition *names*; empty for a model without partitions."""
    return " and ".join(repr(name) for name in names if name)
