"""
Reading of the shards of runs, on all processors if they are many.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import orjson

from ..model import Site
from ..recording.reader import read_shard, shard_names
from ..recording.records import SlotRecord
from ..recording.shard import SUFFIX
from .combine import Evidence
from .digest import Digest, Table, digest
from .runs import RunInfo, read_info

_CHUNK = 64
_MANY = 512
"""With fewer shards, starting processes takes longer than they save."""


def count_shards(paths: Sequence[Path]) -> int:
    """
    Count the shards of the runs at *paths*.

    Raises:
        UnreadableRunError: A run directory does not exist.
    """
    return sum(len(shard_names(str(path))) for path in paths)


def read_evidence(paths: Sequence[Path], step: Callable[[], None] = lambda: None) -> Evidence:
    """
    Read the evidence of runs.

    Args:
        paths: The run directories.
        step: Called after each shard, for a progress bar.

    Raises:
        UnreadableRunError: A file of a run is damaged.
    """
    evidence = Evidence()
    for path in paths:
        info = read_info(path)
        evidence.add_digests(info, _stepping(read_digests(info, path), step))
    return evidence


def _stepping(digests: Iterator[Digest], step: Callable[[], None]) -> Iterator[Digest]:
    for each in digests:
        yield each
        step()


def read_digests(info: RunInfo, path: Path) -> Iterator[Digest]:
    """
    Yield the digests of the shards of a run.

    Args:
        info: The description of the run.
        path: The run directory.

    Raises:
        UnreadableRunError: A file of the run is damaged.
    """
    shards = [str(path / name) for name in shard_names(str(path))]
    scan = info.scan or ()
    # The processors of this process, which a container may limit, not those of the machine.
    processors = len(os.sched_getaffinity(0))
    if len(shards) < _MANY or processors == 1:
        yield from _digested(shards, Table(scan))
        return
    chunks = [shards[start : start + _CHUNK] for start in range(0, len(shards), _CHUNK)]
    known: dict[tuple[SlotRecord, ...], tuple[SlotRecord, ...]] = {}
    # Spawned, not forked: the caller may have threads, and maps the counters of its own shard.
    with (
        _not_collecting(),
        ProcessPoolExecutor(
            processors, mp_context=get_context("spawn"), initializer=_begin, initargs=(scan,)
        ) as pool,
    ):
        for digests in pool.map(_digested_here, chunks):
            for each in digests:
                # Pickling copies the names of each chunk.  Tallies add up shards whose names are
                # one object, so equal tuples become one again.
                each.names = known.setdefault(each.names, each.names)
                yield each


@contextmanager
def _not_collecting() -> Iterator[None]:
    """Suspend garbage collection: digests form no cycles, and the search takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# The table of a worker process: its scan is sent once, not with each chunk.
_table = Table(())


def _begin(scan: Sequence[Site]) -> None:
    global _table
    _table = Table(scan)
    gc.disable()


def _digested_here(shards: list[str]) -> list[Digest]:
    return list(_digested(shards, _table))


def _digested(shards: list[str], table: Table) -> Iterator[Digest]:
    # orjson parses the counts of trials several times as fast as the standard library.
    for path in shards:
        yield digest(read_shard(path, orjson.loads), table, path + SUFFIX)
