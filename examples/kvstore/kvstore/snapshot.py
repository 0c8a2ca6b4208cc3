"""
Snapshots: the whole state in one file, so that the log before it can go.

A snapshot is written under a temporary name, synced, renamed to ``snapshot-<index, hex>.json``,
and its directory synced; only then may the log refer to it.
"""

import struct
import zlib
from dataclasses import dataclass

from assertlib import Invariant, disk

from .codec import Codec
from .errors import KvError
from .model import KeyValue
from .state import Changed, Image, LeaseImage, State
from .wal import Marker

__all__ = ["Snapshot", "SnapshotBrokenError", "load", "remove_except", "write"]

INDEX_ATOMIC = Invariant("wal.applied-index-atomic")
GE_SNAPSHOT = Invariant("wal.applied-ge-snapshot")
SNAPSHOT_EXISTS = Invariant("wal.snapshot-file-exists")
COMPACT_LE_CURRENT = Invariant("kv.compact-le-current")

_PREFIX = "snapshot-"
_TEMPORARY = "snapshot.tmp"
_CRC = struct.Struct(">I")


class SnapshotBrokenError(KvError):
    """The snapshot that the log names is missing or damaged."""

    code = "snapshot-broken"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, and the digest it had when it was live."""

    image: Image
    digest: str


_CODEC = Codec(Snapshot, Image, Changed, LeaseImage, KeyValue)


def write(storage: disk.Disk, directory: str, state: State) -> str:
    """Put *state* into a durable file of *directory* and return the file's name."""
    payload = _CODEC.encode(Snapshot(state.image(), state.digest()))
    temporary = f"{directory}/{_TEMPORARY}"
    SNAPSHOT_EXISTS.sometimes(
        storage.exists(temporary), "a snapshot starts where a crash has left one unfinished"
    )
    name = f"{_PREFIX}{state.applied_index:016x}.json"
    file = storage.open(temporary)
    file.truncate(0)
    file.append(_CRC.pack(zlib.crc32(payload)) + payload)
    file.sync()
    file.close()
    storage.rename(temporary, f"{directory}/{name}")
    storage.sync_directory(directory)
    return name


def load(storage: disk.Disk, directory: str, marker: Marker) -> State:
    """
    The state of the snapshot that the log refers to by *marker*.

    Raises:
        SnapshotBrokenError: The file is missing or damaged.
    """
    path = f"{directory}/{marker.snapshot}"
    if not SNAPSHOT_EXISTS.always(
        storage.exists(path),
        "recovery finds the snapshot that the log names",
        lambda: {"marker": marker, "files": storage.list(directory)},
    ):
        raise SnapshotBrokenError(f"{path} is missing")
    snapshot = _read(storage, path)
    state = State.restore(snapshot.image)
    INDEX_ATOMIC.always(
        state.digest() == snapshot.digest,
        "a restored state and its applied index are the ones that were saved",
        lambda: {"saved": snapshot.digest, "index": state.applied_index},
    )
    GE_SNAPSHOT.always_greater_than_or_equal_to(
        state.applied_index, marker.index, "a restored state is not older than its marker"
    )
    COMPACT_LE_CURRENT.always_less_than_or_equal_to(
        state.compacted,
        state.revision,
        "the compacted revision of a restored state is at most its revision",
    )
    return state


def remove_except(storage: disk.Disk, directory: str, keep: str) -> None:
    """Delete every snapshot but *keep*, and what a crash left of unfinished ones."""
    for name in storage.list(directory):
        if name == _TEMPORARY or (name.startswith(_PREFIX) and name != keep):
            storage.remove(f"{directory}/{name}")
    storage.sync_directory(directory)


def _read(storage: disk.Disk, path: str) -> Snapshot:
    data = storage.read(path)
    payload = data[_CRC.size :]
    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != zlib.crc32(payload):
        raise SnapshotBrokenError(f"{path} has a wrong checksum")
    snapshot = _CODEC.decode(payload)
    if not isinstance(snapshot, Snapshot):
        raise SnapshotBrokenError(f"{path} is not a snapshot")
    return snapshot
