"""
Partitions that must be judged jointly.

A history is linearizable if each of its partitions is, provided that "returned before the other
was called" is an interval order (Herlihy and Wing 1990, theorem 1).  With equal timestamps it is
not: if two clients each call at the stamp of their previous return, both keep their own order
while everything else overlaps.  The orders of two partitions can then contradict each other.
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
    Find partitions whose orders cannot be merged into one order of all operations.

    Args:
        operations: All operations, those of one client in the order of its calls.
        orders: The order found for each partition, or for each group of joined ones.

    Returns:
        The names of partitions whose orders form a cycle; empty if the orders can be merged.
    """
    home = {each.id: names for names, order in orders.items() for each in order}
    follows = predecessors([each for each in operations if each.id in home])
    # Unless a client moves between partitions within one stamp, each partition enforces the
    # order of its clients by itself.
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
        # Detects cycles without computing an order.
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # Some nodes of the cycle may be stamps, which belong to no partition.
        cycle = [home[node] for node in error.args[1] if node in home]
        return tuple(sorted({name for names in cycle for name in names}))
    return ()


def _by_time(operations: Sequence[Operation]) -> dict[Hashable, set[Hashable]]:
    """
    Build the graph of predecessors that follow from timestamps.

    Each stamp has a node between the operations that returned by then and those called later, so
    that the number of edges is linear.
    """
    graph: dict[Hashable, set[Hashable]] = defaultdict(set)
    returned = defaultdict(list)
    for each in operations:
        if each.outcome is Outcome.OK and each.returned is not None:
            returned[each.returned].append(each.id)
    stamps = sorted(returned)
    for earlier, stamp in zip([None, *stamps], stamps, strict=False):
        graph["until", stamp] = {("until", earlier), *returned[stamp]}
    # The search is strict: an operation called at the stamp of a return overlaps it.
    for each in operations:
        if earlier_ones := bisect_left(stamps, each.call):
            graph[each.id].add(("until", stamps[earlier_ones - 1]))
    return graph


class Joined(Generic[S]):
    """
    The model of several partitions together; a state is the tuple of their states.

    Args:
        model: The model of each partition.
        operations: All operations of the history.
        names: The partitions to join.

    Attributes:
        operations: The operations of these partitions, in the order of the history.
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
        """Return the steps of *operations*, assuming that there are no other operations."""
        # A model may drop what none of the given operations can observe; operations of another
        # partition would keep too much.
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

        # Never blind: a write in one partition does not overwrite the states of the others.
        return Step(apply, is_read=step.is_read)
