"""
Drive the store beside this directory through one short, fixed scene.

``python -m defects.drive no-fsync`` prints a line ``violated INVARIANT "MESSAGE"`` for every
assertion that comes out false, and ends with status 1 if there is one.  On the store as it is
nothing is violated.  To see a defect caught, apply its patch to a copy:

    cp -r examples/kvstore COPY && cd COPY
    git apply defects/no-fsync.patch && python -m defects.drive no-fsync
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from kvstore.errors import KvError
from kvstore.model import Put
from kvstore.store import Store

from assertlib import configure, disk

Scene = Callable[[str], Coroutine[None, None, None]]


class Hit(Protocol):
    """What a sink is told of an assertion."""

    @property
    def invariant(self) -> str | None:
        """The invariant it names."""

    @property
    def message(self) -> str:
        """Its name."""

    @property
    def is_violation(self) -> bool:
        """Whether it came out false and must not."""


class Violations:
    """A sink that keeps the violations."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def handle(self, hit: Hit) -> None:
        """Take note of one hit."""
        if hit.is_violation:
            self.lines.append(f'violated {hit.invariant} "{hit.message}"')


async def write(directory: str) -> None:
    """Put three keys, one after the other."""
    store = _open(directory)
    for number in range(3):
        await store.propose(Put("key", str(number)))
    store.close()


async def write_cut_and_recover(directory: str) -> None:
    """Put three keys, take the last bytes of the log away, and open it again."""
    await write(directory)
    (log,) = Path(directory).glob("wal-*.log")
    os.truncate(log, log.stat().st_size - 5)
    with suppress(KvError):
        _open(directory).close()


SCENES: dict[str, Scene] = {
    "no-fsync": write,
    "ack-before-wal": write,
    "no-torn-tail-check": write_cut_and_recover,
}


def _open(directory: str) -> Store:
    return Store.open(disk.RealDisk(), directory, clock=time.monotonic)


def main(name: str) -> int:
    """Play the scene for defect *name*; 1 when an assertion came out false."""
    violations = Violations()
    configure(mode="record", sinks=[violations])
    with tempfile.TemporaryDirectory(prefix="kvstore-defect-") as directory:
        asyncio.run(SCENES[name](directory))
    print("\n".join(violations.lines) or "nothing is violated")
    return 1 if violations.lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SCENES:
        sys.exit(f"usage: python -m defects.drive {'|'.join(SCENES)}")
    sys.exit(main(sys.argv[1]))
