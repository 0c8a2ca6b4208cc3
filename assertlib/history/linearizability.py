"""
Check linearizability: whether one order of all operations explains every response.

Partitions are checked one by one, and together where their orders contradict each other.
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
"""Steps that a partition may take, by default; a step takes one to ten microseconds."""
FIRST_TURN = 2_000


@dataclass(frozen=True, slots=True)
class Linearization:
    """
    The result of checking a history.

    Attributes:
        reason: Explanation; empty on success.
        partitions: The illegal partitions; several if each is legal by itself.
        order: The longest order found, one partition after the other.
        stuck: The first operation that no order of the preceding operations explains.
        steps: Number of operations tried, summed over states.
        answered: Number of responses checked against the model.
        observations: Number of those that depend on the state; without any, no history is illegal.
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
    Judge *operations* by *model*; the first partition that is illegal decides.

    Partitions take turns that grow, so that an illegal one is found before a hard one is done.

    Args:
        budget: Steps that each partition may take before it counts as unknown.

    Raises:
        UnsupportedRequestError: The model does not know one of the requests.
    """
    return _Judgement(model, operations, budget).whole()


class _Judgement(Generic[S]):
    """One call of `check`: each partition by itself, then those whose orders contradict."""

    def __init__(self, model: Model[S], operations: Sequence[Operation], budget: int) -> None:
        self._model = model
        self._operations = operations
        self._budget = budget
        self._steps = 0
        self._orders: dict[Names, tuple[Operation, ...]] = {}

    def whole(self) -> Linearization:
        parts = sorted(self._model.partitions(self._operations), key=lambda each: len(each[1]))
        searches: dict[Names, Search[Any]] = {
            (name,): Search(self._model, part) for name, part in parts
        }
        answered = [each for search in searches.values() for each in search.answered]
        found = self._judged(searches)
        while found is None and (names := contradicting(self._operations, self._orders)):
            found = self._together(names)
        if found is None:
            order = tuple(chain.from_iterable(self._orders.values()))
            found = Linearization(Verdict.OK, order=order)
        return replace(
            found,
            steps=self._steps,
            answered=len(answered),
            observations=sum(not isinstance(each.response, Done) for each in answered),
        )

    def _together(self, names: Names) -> Linearization | None:
        for each in [each for each in self._orders if not set(names).isdisjoint(each)]:
            del self._orders[each]
        joined = Joined(self._model, self._operations, names)
        return self._judged({names: Search(joined, joined.operations)})

    def _judged(self, waiting: dict[Names, Search[Any]]) -> Linearization | None:
        """What is wrong with one of those *waiting*; None if nothing is."""
        unknown: list[Names] = []
        turn = FIRST_TURN
        while waiting:
            for names, search in list(waiting.items()):
                before = search.steps
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
        return self._undecided(unknown) if unknown else None

    def _undecided(self, unknown: Sequence[Names]) -> Linearization:
        shown = ", ".join(map(_in_words, unknown[:5]))
        where = f" in {len(unknown)} partitions: {shown}" if shown else ""
        reason = f"not decided within {self._budget:,} steps{where}; allow more of them"
        return Linearization(Verdict.UNKNOWN, reason)


def _illegal(names: Names, search: Search[Any]) -> Linearization:
    where = f" of {_in_words(names)}" if any(names) else ""
    reason = f"no order of the operations{where} explains {search.stuck}"
    return Linearization(Verdict.ILLEGAL, reason, names, search.order(), search.stuck)


def _in_words(names: Names) -> str:
    """The partitions *names*; empty for the only one there is."""
    return " and ".join(repr(name) for name in names if name)
