"""
The write-ahead log: what the store promises to remember, in the order it happened.

The log is a row of segment files ``wal-<first index, hex>.log``.  A record is a header (length of
the payload and CRC-32 of it, big endian) and a JSON payload: either a `Batch`, the entries of one
group commit, or a `Marker`, which says that a snapshot stands for everything before.  As a batch
is one record, and is synced before the next is written, a crash can tear only the last record.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from assertlib import Invariant, disk

from . import model
from .codec import Codec
from .errors import KvError

__all__ = ["Batch", "Entry", "Log", "Marker", "Position", "Wal", "WalCorruptedError", "open_log"]

CONTENTS = Invariant("wal.fsync-before-ack#contents")
DIR_ENTRY = Invariant("wal.fsync-before-ack#dir-entry")
RENAME = Invariant("wal.rename-dir-fsync")
SNAPSHOT_EXISTS = Invariant("wal.snapshot-file-exists")
CONTIGUOUS = Invariant("wal.index-contiguous")
TORN = Invariant("wal.torn-tail-stops-recovery")
CRC = Invariant("wal.crc-checked")

_crc_holds = CRC.declare_always("the checksum of a record holds before its contents are used")
_read_in_order = CONTIGUOUS.declare_always("entries read from the log go up by one")
_written_in_order = CONTIGUOUS.declare_always("entries appended to the log go up by one")
_name_is_durable = DIR_ENTRY.declare_always(
    "an acknowledged record is in a file whose name is durable"
)

_TEMPORARY = "recovered.tmp"
_HEADER = struct.Struct(">II")


class WalCorruptedError(KvError):
    """A record that no crash explains is broken, or records are missing."""

    code = "wal-corrupted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command and its place in the total order; indices begin at 1."""

    index: int
    command: model.Command


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries of one group commit."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """Snapshot file *snapshot* stands for all entries up to *index*."""

    index: int
    snapshot: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record ends: *end* bytes into the segment that begins with index *segment*."""

    segment: int
    end: int


@dataclass(frozen=True, slots=True)
class Log:
    """What recovery finds: the last snapshot, if any, the entries after it, bytes cut off."""

    wal: "Wal"
    marker: Marker | None
    entries: tuple[Entry, ...]
    torn: int


_CODEC = Codec(
    Batch,
    Entry,
    Marker,
    model.Put,
    model.DeleteRange,
    model.Range,
    model.Txn,
    model.Compare,
    model.Compact,
    model.LeaseGrant,
    model.LeaseRevoke,
    model.KeyRange,
)


class Wal:
    """
    The end of the log, where records are appended.

    Attributes:
        last_index: The index of the last entry that was written.
    """

    def __init__(
        self, storage: disk.Disk, directory: str, segment: int, file: disk.File, last_index: int
    ) -> None:
        self._disk = storage
        self._directory = directory
        self._segment = segment
        self._file = file
        self.last_index = last_index

    def append(self, entries: tuple[Entry, ...]) -> Position:
        """
        Write *entries* as one record; it is not durable before `sync`.

        Raises:
            OSError: The log may end in part of the record and must not be used any more.
        """
        for entry in entries:
            _written_in_order(entry.index == self.last_index + 1, lambda: {"at": self.last_index})
            self.last_index = entry.index
        return self._write(Batch(entries))

    def sync(self) -> None:
        """
        Make everything written so far durable.

        Raises:
            OSError: What is durable is unknown, and a second try could not find out.
        """
        self._file.sync()

    def covers(self, position: Position) -> bool:
        """Whether a power cut would spare the record that ends at *position*."""
        name = _segment_name(position.segment)
        _name_is_durable(
            name not in self._disk.unsynced_names(self._directory), lambda: {"name": name}
        )
        sealed = position.segment < self._segment
        return sealed or position.end <= self._file.synced

    def roll(self, snapshot: str) -> None:
        """
        Begin a new segment whose first record says that *snapshot* stands for all before it.

        The segments before it are then removed.
        """
        RENAME.always(
            snapshot not in self._disk.unsynced_names(self._directory),
            "a snapshot's name is durable before the log refers to it",
            lambda: {"snapshot": snapshot},
        )
        SNAPSHOT_EXISTS.always(
            self._disk.exists(_join(self._directory, snapshot)),
            "a snapshot is in place when the log begins to name it",
            lambda: {"snapshot": snapshot},
        )
        CONTENTS.always(
            self._file.synced == self._file.written,
            "a segment is durable to its end when the next one begins",
            lambda: {"synced": self._file.synced, "written": self._file.written},
        )
        self._file.close()
        self._segment = self.last_index + 1
        self._file = _create(self._disk, self._directory, self._segment)
        self._write(Marker(self.last_index, snapshot))
        self.sync()
        self._remove_before(self._segment)

    def close(self) -> None:
        """Give the files back; what is not synced may be lost."""
        self._file.close()

    def _write(self, record: Batch | Marker) -> Position:
        payload = _CODEC.encode(record)
        self._file.append(_HEADER.pack(len(payload), zlib.crc32(payload)) + payload)
        return Position(self._segment, self._file.written)

    def _remove_before(self, segment: int) -> None:
        for first in _segments(self._disk, self._directory):
            if first < segment:
                self._disk.remove(_join(self._directory, _segment_name(first)))
        self._disk.sync_directory(self._directory)


def open_log(storage: disk.Disk, directory: str) -> Log:
    """
    Read the log in *directory*, cut a torn tail off, and make ready to append.

    Raises:
        WalCorruptedError: A record other than the last is broken, or entries are missing.
    """
    segments = _segments(storage, directory)
    if not segments:
        first = Wal(storage, directory, 1, _create(storage, directory, 1), 0)
        return Log(first, None, (), 0)
    path = _join(directory, _segment_name(segments[-1]))
    data = storage.read(path)
    intact = _intact(data)
    if not _is_torn(data, intact):
        raise WalCorruptedError(f"{path}: a record before the last is broken, at byte {intact}")
    if intact < len(data):
        TORN.reachable("a torn tail is found and cut")
    TORN.sometimes(
        not intact and len(segments) > 1, "a crash has left a segment without its first record"
    )
    marker, entries = _read_back(storage, directory, segments, data[:intact])
    file = _rewrite(storage, directory, path, data[:intact])
    storage.sync_directory(directory)
    last_index = entries[-1].index if entries else marker.index if marker else 0
    wal = Wal(storage, directory, segments[-1], file, last_index)
    return Log(wal, marker, entries, len(data) - intact)


def _rewrite(storage: disk.Disk, directory: str, path: str, intact: bytes) -> disk.File:
    """
    Open the newest segment, whose records are *intact*, for appending behind them.

    It is written anew: what an fsync has failed on may be read from the page cache, marked clean,
    and yet never get to the disk.
    """
    size = len(intact)
    temporary = _join(directory, _TEMPORARY)
    file = storage.open(temporary)
    file.truncate(0)
    file.append(intact)
    file.sync()
    storage.rename(temporary, path)
    TORN.always(
        file.written == file.synced == size,
        "a recovered log ends right after its last intact record and is durable up to that point",
        lambda: {"written": file.written, "synced": file.synced, "intact": size},
    )
    return file


def _read_back(
    storage: disk.Disk, directory: str, segments: list[int], newest: bytes
) -> tuple[Marker | None, tuple[Entry, ...]]:
    """The last marker and all entries behind it; segments before its own are left alone."""
    records = tuple(_records(newest))
    for segment in reversed(segments[:-1]):
        if records and isinstance(records[0], Marker):
            break
        records = (*_sealed(storage, _join(directory, _segment_name(segment))), *records)
    markers = [record for record in records if isinstance(record, Marker)]
    marker = markers[-1] if markers else None
    covered = marker.index if marker else 0
    batches = (record.entries for record in records if isinstance(record, Batch))
    entries = tuple(entry for batch in batches for entry in batch if entry.index > covered)
    _check_order(covered, entries)
    return marker, entries


def _check_order(index: int, entries: tuple[Entry, ...]) -> None:
    for expected, entry in enumerate(entries, index + 1):
        if not _is_next(expected, entry):
            raise WalCorruptedError(f"entry {entry.index} where {expected} was expected")


def _is_next(expected: int, entry: Entry) -> bool:
    return _read_in_order(entry.index == expected, lambda: {"want": expected, "at": entry.index})


def _sealed(storage: disk.Disk, path: str) -> Iterator[Batch | Marker]:
    """The records of a segment that was synced to its end before the next began."""
    data = storage.read(path)
    intact = _intact(data)
    if intact < len(data):
        raise WalCorruptedError(f"{path}: the record at byte {intact} is broken")
    return _records(data)


def _intact(data: bytes) -> int:
    """How many bytes of *data* are whole records, one behind the other."""
    offset = 0
    while _is_whole(data, offset):
        _, _, offset = _frame(data, offset)
    return offset


def _is_torn(data: bytes, intact: int) -> bool:
    """Whether what follows the intact records can be the one record that a crash left."""
    return not any(_is_whole(data, offset) for offset in range(intact + 1, len(data)))


def _is_whole(data: bytes, offset: int) -> bool:
    """Whether a record of matching checksum begins at *offset*; an empty one is no record."""
    begin = offset + _HEADER.size
    if begin > len(data):
        return False
    length, crc = _header(data[offset:begin])
    fits = 0 < length <= len(data) - begin
    return fits and zlib.crc32(memoryview(data)[begin : begin + length]) == crc


def _records(data: bytes) -> Iterator[Batch | Marker]:
    offset = 0
    while offset < len(data):
        payload, crc, end = _frame(data, offset)
        yield _record(payload, crc)
        offset = end


def _record(payload: bytes, crc: int) -> Batch | Marker:
    _crc_holds(zlib.crc32(payload) == crc, lambda: {"crc": crc, "payload": payload[:80]})
    record = _CODEC.decode(payload)
    if not isinstance(record, Batch | Marker):
        raise WalCorruptedError(f"a record is a {type(record).__name__}")
    return record


def _frame(data: bytes, offset: int) -> tuple[bytes, int, int]:
    """The payload at *offset* (cut short by the end of *data*), its checksum, and its end."""
    begin = offset + _HEADER.size
    length, crc = _header(data[offset:begin].ljust(_HEADER.size, b"\0"))
    return data[begin : begin + length], crc, begin + length


def _header(data: bytes) -> tuple[int, int]:
    length, crc = _HEADER.unpack(data)
    return int(length), int(crc)


def _create(storage: disk.Disk, directory: str, segment: int) -> disk.File:
    file = storage.open(_join(directory, _segment_name(segment)))
    storage.sync_directory(directory)
    return file


def _segments(storage: disk.Disk, directory: str) -> list[int]:
    """The first index of each segment, in order."""
    names = (name for name in storage.list(directory) if name.startswith("wal-"))
    return [int(name[4:-4], 16) for name in names]


def _segment_name(segment: int) -> str:
    return f"wal-{segment:016x}.log"


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}"
