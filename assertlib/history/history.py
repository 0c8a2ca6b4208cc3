"""
A history: the operations and observations of all clients, assembled from records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .operations import ClientId, Operation, Outcome
from .records import (
    Call,
    Delivered,
    Fault,
    Found,
    Hashed,
    Header,
    HistoryError,
    Note,
    Record,
    Return,
    WatchClosed,
    WatchOpened,
    read_records,
)
from .requests import Delivery, Event, Watch


@dataclass(slots=True)
class Stream:
    """
    All deliveries to one watch.

    Attributes:
        deliveries: The deliveries with their arrival times, in the order of arrival.
        closed: Time when the watch ended; None if it was still open at the end of the history.
    """

    id: int
    client: ClientId
    request: Watch
    opened: int
    endpoint: str = ""
    deliveries: list[tuple[int, Delivery]] = field(default_factory=list)
    closed: int | None = None
    error: str = ""


@dataclass(slots=True)
class FaultInterval:
    """
    A fault from beginning to end.

    Attributes:
        end: Time of the end; None if the fault did not end.
        effect: Size of the measured effect; a fault that has no effect is not evidence.
        measured: The quantity that was counted, or why there was no effect.
    """

    name: str
    begin: int
    end: int | None
    targets: tuple[str, ...]
    breaks: tuple[str, ...]
    effect: int = 0
    measured: str = ""


@dataclass(slots=True)
class History:
    """
    Everything recorded about one campaign.

    Attributes:
        operations: The operations in the order of their call records, which is authoritative
            within a client if timestamps are equal.
        found: The changes of revisions as read from the store, by revision.
        shown_by: The member that each of them was read from, by revision.
        overlaps: Pairs of ids of operations of one client in which, by the order of lines, the
            second was called before the first returned.
        end: The latest time of any record.
    """

    header: Header
    operations: list[Operation] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    faults: list[FaultInterval] = field(default_factory=list)
    hashes: list[Hashed] = field(default_factory=list)
    found: dict[int, tuple[Event, ...]] = field(default_factory=dict)
    shown_by: dict[int, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    overlaps: set[tuple[int, int]] = field(default_factory=set)
    end: int = 0

    @property
    def effective_faults(self) -> list[FaultInterval]:
        """The faults with a measured effect."""
        return [fault for fault in self.faults if fault.effect > 0]

    def noted(self, name: str) -> list[Note]:
        """Return the notes called *name*."""
        return [note for note in self.notes if note.name == name]


def read_history(lines: Iterable[bytes], name: str) -> History:
    """
    Assemble a history from the *lines* of the file *name*.

    Raises:
        HistoryError: A line is not a valid record, or records contradict each other, such as a
            return without a call.
    """
    records = iter(read_records(lines, name))
    header = next(records, None)
    if not isinstance(header, Header):
        raise HistoryError(f"{name}:1: the header was not written, so there is nothing to judge")
    return _Assembly(History(header), name).of(records)


def assembled(header: Header, records: Iterable[Record]) -> History:
    """
    Assemble a history from its *header* and *records*.

    Raises:
        HistoryError: Records contradict each other.
    """
    return _Assembly(History(header), "history").of(records)


class _Assembly:
    def __init__(self, history: History, name: str) -> None:
        self._history = history
        # The line of the current record, for messages.
        self._place = name
        self._operations: dict[int, Operation] = {}
        self._streams: dict[int, Stream] = {}
        self._faults: dict[tuple[str, tuple[str, ...]], FaultInterval] = {}
        self._latest: dict[ClientId, int] = {}

    def of(self, records: Iterable[Record]) -> History:
        name = self._place
        # Records follow the header on line 1, one a line, so counting them yields line numbers.
        for number, record in enumerate(records, 2):
            self._place = f"{name}:{number}"
            try:
                self._add(record)
            # Looking up the beginning that an end belongs to is the only source of KeyErrors.
            except KeyError as error:
                raise HistoryError(
                    f"{self._place}: {record.type} record for {error}, which never began"
                ) from None
        # Replacing a value keeps its place in a dict, so operations are in the order of calls.
        self._history.operations = list(self._operations.values())
        self._history.streams = list(self._streams.values())
        return self._history

    def _add(self, record: Record) -> None:
        history = self._history
        match record:
            case Call():
                self._call(record)
            case Return():
                self._return(record)
            case WatchOpened(watch, client, time, request, endpoint):
                if watch in self._streams:
                    raise HistoryError(f"{self._place}: watch {watch} is opened twice")
                self._streams[watch] = Stream(watch, client, request, time, endpoint)
            case Delivered(watch, time, delivery):
                self._streams[watch].deliveries.append((time, delivery))
            case WatchClosed(watch, time, error):
                self._streams[watch].closed = time
                self._streams[watch].error = error
            case Fault():
                self._fault(record)
            case Hashed():
                history.hashes.append(record)
            case Found(_, revision, events, member):
                # Recording the same finding twice is harmless.
                if history.found.setdefault(revision, events) != events:
                    raise HistoryError(
                        f"{self._place}: revision {revision} was recorded earlier with different"
                        " events"
                    )
                history.shown_by[revision] = member
            case Note():
                history.notes.append(record)
            # Rejected by the reader already; a header has no time.
            case Header():
                return
        history.end = max(history.end, record.time)

    def _call(self, record: Call) -> None:
        # Validation gives negative numbers to the lease expiries that it adds.
        if record.id < 0:
            raise HistoryError(f"{self._place}: operation {record.id}: the id must not be negative")
        if record.id in self._operations:
            raise HistoryError(f"{self._place}: operation {record.id} is called twice")
        before = self._latest.get(record.client)
        # Detected from the order of lines: with a coarse clock both may have the same stamp.
        if before is not None and self._operations[before].returned is None:
            self._history.overlaps.add((before, record.id))
        self._latest[record.client] = record.id
        self._operations[record.id] = Operation(
            record.id, record.client, record.request, record.time, endpoint=record.endpoint
        )

    def _return(self, record: Return) -> None:
        operation = self._operations[record.id]
        if operation.returned is not None:
            raise HistoryError(f"{self._place}: operation {record.id} returns twice")
        # Models take a missing response for an unknown outcome.
        if (record.outcome is Outcome.OK) != (record.response is not None):
            raise HistoryError(
                f"{self._place}: operation {record.id} has the outcome {record.outcome} and the"
                f" response {record.response!r}; ok requires a response, and the other outcomes forbid one"
            )
        self._operations[record.id] = replace(
            operation,
            returned=record.time,
            outcome=record.outcome,
            response=record.response,
            error=record.error,
        )

    def _fault(self, record: Fault) -> None:
        # Faults have no ids: a fault ends before the same one begins on the same targets again.
        key = (record.name, record.targets)
        if record.phase == "end":
            interval = self._faults.pop(key)
            interval.end, interval.effect, interval.measured = (
                record.time,
                record.effect,
                record.measured,
            )
            return
        # Listed from the beginning: a fault that never ends is part of the history as well.
        interval = FaultInterval(record.name, record.time, None, record.targets, record.breaks)
        self._faults[key] = interval
        self._history.faults.append(interval)
