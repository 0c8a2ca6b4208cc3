"""
Partitions that have to be judged together.

A history is linearizable if each of its partitions is, as long as "returned before it was called"
is an order of intervals (Herlihy and Wing 1990, theorem 1).  With equal time stamps it is not:
two clients may each call at the stamp of their previous return, so that each keeps its own order
and all else overlaps.  Then the orders of two partitions can contradict each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Generic, TypeAlias, TypeVar

from .model import ILLEGAL, Illegal, Model, Step
from .operations import Operation, Outcome, predecessors

S = TypeVar("S")

Names: TypeAlias = tuple[str, ...]


def contradicting(
    operations: Sequence[Operation], orders: Mapping[Names, Sequence[Operation]]
) -> Names:
    """
    Names of partitions whose *orders* cannot all be parts of one order of the *operations*.

    Empty if there is such an order.
    """
    home = {each.id: names for names, order in orders.items() for each in order}
    follows = predecessors([each for each in operations if each.id in home])
    if all(home[each] == home[before.id] for each, before in follows.items()):
        return ()
    graph: dict[Hashable, set[Hashable]] = _by_time(
        [each for order in orders.values() for each in order]
    )
    for before, after in (pair for order in orders.values() for pair in pairwise(order)):
        graph[after.id].add(before.id)
    for each, before in follows.items():
        graph[each].add(before.id)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = [home[node] for node in error.args[1] if node in home]
        return tuple(sorted({name for names in cycle for name in names}))
    return ()


def _by_time(operations: Sequence[Operation]) -> dict[Hashable, set[Hashable]]:
    """
    What has to come before each operation, by time stamps.

    Between all that had returned at one stamp and all that is called later stands a node for
    that stamp, so that there are few edges.
    """
    graph: dict[Hashable, set[Hashable]] = defaultdict(set)
    returned = defaultdict(list)
    for each in operations:
        if each.outcome is Outcome.OK and each.returned is not None:
            returned[each.returned].append(each.id)
    stamps = sorted(returned)
    for earlier, stamp in zip([None, *stamps], stamps, strict=False):
        graph["until", stamp] = {("until", earlier), *returned[stamp]}
    for each in operations:
        if earlier_ones := bisect_left(stamps, each.call):
            graph[each.id].add(("until", stamps[earlier_ones - 1]))
    return graph


class Joined(Generic[S]):
    """
    The model of several partitions at once; its state has one state for each of them.

    Attributes:
        operations: Those of the partitions, in the order of the history.
    """

    def __init__(self, model: Model[S], operations: Sequence[Operation], names: Names) -> None:
        parts = dict(model.partitions(operations))
        self.name = model.name
        self._model = model
        self._size = len(names)
        self._home = {each.id: at for at, name in enumerate(names) for each in parts[name]}
        self.operations = [each for each in operations if each.id in self._home]

    def initial(self) -> tuple[S, ...]:
        return (self._model.initial(),) * self._size

    def key(self, state: tuple[S, ...]) -> Hashable:
        return tuple(map(self._model.key, state))

    def version(self, state: tuple[S, ...]) -> int | None:
        return None

    def partitions(self, operations: Sequence[Operation]) -> Iterable[tuple[str, list[Operation]]]:
        return [("", list(operations))]

    def step(self, operation: Operation) -> Step[tuple[S, ...]] | None:
        return self._joined(operation, self._model.step(operation))

    def steps(self, operations: Sequence[Operation]) -> list[Step[tuple[S, ...]] | None]:
        parts: dict[int, list[Operation]] = defaultdict(list)
        for each in operations:
            parts[self._home[each.id]].append(each)
        steps = {
            each.id: step
            for part in parts.values()
            for each, step in zip(part, self._model.steps(part), strict=True)
        }
        return [self._joined(each, steps[each.id]) for each in operations]

    def _joined(self, operation: Operation, step: Step[S] | None) -> Step[tuple[S, ...]] | None:
        if step is None:
            return None
        at, inner = self._home[operation.id], step.apply

        def apply(state: tuple[S, ...]) -> tuple[S, ...] | Illegal:
            after = inner(state[at])
            return ILLEGAL if after is ILLEGAL else (*state[:at], after, *state[at + 1 :])

        # Never blind: what is written in one partition overwrites nothing in another.
        return Step(apply, is_read=step.is_read)
