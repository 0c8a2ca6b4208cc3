"""Every key's versions in revision order: the multi-version half of MVCC."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from assertlib import Invariant

from .model import KeyRange, KeyValue

__all__ = ["KeyIndex"]

HISTORY = Invariant("kv.history-immutable")
CREATE_BEFORE_MOD = Invariant("kv.create-before-mod")
VERSION = Invariant("kv.version-counts-generation")
KEEPS_LIVE = Invariant("kv.compaction-keeps-live")
AT_TOMBSTONE = Invariant("kv.compaction-keeps-live#compacts-tombstone")

_added_after = HISTORY.declare_always(
    "a version is only ever added after the newest one of its key"
)
_create_le_mod = CREATE_BEFORE_MOD.declare_always(
    "create revision is at most mod revision and constant in a generation"
)
_version_counts = VERSION.declare_always("version continues the generation or begins one at 1")
_recreated = VERSION.declare_sometimes("a deleted key is created again as a new generation")


class KeyIndex:
    """Versions by key; a tombstone ends a generation."""

    def __init__(self) -> None:
        self._versions: dict[str, list[KeyValue]] = {}
        self._sorted: list[str] = []

    def append(self, kv: KeyValue) -> None:
        """Add *kv* as the newest version of its key; a restore replays versions through here."""
        versions = self._versions.get(kv.key)
        if versions is None:
            versions = self._versions[kv.key] = []
            insort(self._sorted, kv.key)
        if versions:
            _check_successor(versions[-1], kv)
        versions.append(kv)

    def keys(self, span: KeyRange) -> Iterator[str]:
        """The keys of *span* that have any version, in order."""
        position = bisect_left(self._sorted, span.key)
        while position < len(self._sorted) and self._sorted[position] in span:
            yield self._sorted[position]
            position += 1

    def version_at(self, key: str, revision: int) -> KeyValue | None:
        """The version of *key* that *revision* sees, which may be a tombstone."""
        versions = self._versions.get(key, [])
        behind = bisect_right(versions, revision, key=_mod_revision)
        return versions[behind - 1] if behind else None

    def living_at(self, key: str, revision: int) -> KeyValue | None:
        """The pair that a read of *key* at *revision* finds."""
        kv = self.version_at(key, revision)
        return None if kv is None or kv.is_tombstone else kv

    def range_at(self, span: KeyRange, revision: int) -> tuple[KeyValue, ...]:
        """The pairs of *span* that live at *revision*, in key order."""
        found = (self.living_at(key, revision) for key in self.keys(span))
        return tuple(kv for kv in found if kv is not None)

    def versions(self) -> Iterator[KeyValue]:
        """Every version, by key and then revision."""
        for key in self._sorted:
            yield from self._versions[key]

    def compact(self, revision: int) -> int:
        """
        Drop the versions that no read at *revision* or later sees; return how many.

        A tombstone written by *revision* itself stays: a watch may begin exactly there.
        """
        seen_before = self._seen_at(revision)
        dropped = sum(self._compact_key(key, revision) for key in tuple(self._sorted))
        KEEPS_LIVE.always(
            lambda: self._seen_at(revision) == seen_before,
            "a read or a watch at the compacted revision sees the same data before and after",
            lambda: {"revision": revision, "before": len(seen_before), "dropped": dropped},
        )
        return dropped

    def _seen_at(self, revision: int) -> list[KeyValue]:
        """The pairs that live at *revision*, and the tombstones it wrote."""
        newest = (self.version_at(key, revision) for key in self._sorted)
        return [kv for kv in newest if kv is not None and _is_seen(kv, revision)]

    def _compact_key(self, key: str, revision: int) -> int:
        versions = self._versions[key]
        keep_from = bisect_right(versions, revision, key=_mod_revision)
        if keep_from and _outlives(versions[keep_from - 1], revision):
            keep_from -= 1
        del versions[:keep_from]
        if not versions:
            del self._versions[key]
            del self._sorted[bisect_left(self._sorted, key)]
        return keep_from


def _mod_revision(kv: KeyValue) -> int:
    return kv.mod_revision


def _is_seen(kv: KeyValue, revision: int) -> bool:
    return kv.mod_revision == revision or not kv.is_tombstone


def _outlives(kv: KeyValue, compacted: int) -> bool:
    at_tombstone = kv.is_tombstone and kv.mod_revision == compacted
    AT_TOMBSTONE.sometimes(at_tombstone, "compaction at a revision that is a tombstone")
    return at_tombstone or not kv.is_tombstone


def _check_successor(previous: KeyValue, kv: KeyValue) -> None:
    _added_after(kv.mod_revision > previous.mod_revision, lambda: {"old": previous, "new": kv})
    if kv.is_tombstone:
        return
    reborn = previous.is_tombstone
    create, version = (kv.mod_revision, 1) if reborn else _next_in_generation(previous)
    _recreated(reborn)
    _create_le_mod(
        kv.create_revision == create <= kv.mod_revision, lambda: {"old": previous, "new": kv}
    )
    _version_counts(kv.version == version, lambda: {"old": previous, "new": kv})


def _next_in_generation(previous: KeyValue) -> tuple[int, int]:
    return previous.create_revision, previous.version + 1
