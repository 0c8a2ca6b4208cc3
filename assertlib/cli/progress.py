"""
Progress output of long commands.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds before any output, and between two lines when stderr is not a terminal."""


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """
    Show a bar on a terminal and plain lines elsewhere, both on stderr; nothing for quick work.

    Args:
        doing: What is being done, such as ``reading``.
        total: Number of steps.

    Yields:
        A function to call after each step.

    Example: ``with progress("adding", 10) as step: …; step()``
    """
    if sys.stderr.isatty():
        yield from _bar(doing, total)
    else:
        yield _lines(doing, total)


def _bar(doing: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    # Redirected streams would bypass the escaping of control characters.
    bar = Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    )
    start = time.monotonic()
    task = bar.add_task(doing, total=total)
    shown = False

    def step() -> None:
        nonlocal shown
        bar.advance(task)
        if not shown and time.monotonic() - start > PATIENCE:
            bar.start()
            shown = True

    try:
        yield step
    finally:
        bar.stop()


def _lines(doing: str, total: int) -> Callable[[], None]:
    done = 0
    printed = time.monotonic()

    def step() -> None:
        nonlocal done, printed
        done += 1
        # After the last step, the result of the command follows at once.
        if time.monotonic() - printed > PATIENCE and done < total:
            printed = time.monotonic()
            print(f"{doing}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return step
