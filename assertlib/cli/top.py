"""
``assertlib top``.
"""

from __future__ import annotations

import itertools
import json as json_
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment

from .._text.control_characters import escaped
from ..catalog.check import check
from ..catalog.config import Config, find_config
from ..evidence.live import LiveRun, Look
from ..evidence.runs import find_runs, read_info
from ..report.top import as_dict, picture
from .common import OK, ProjectOption, TargetOption, command, configuration

_QUIT = ("q", "Q", "\x1b")
_PRINTED = 50
"""Lines per snapshot when stdout is not a terminal."""

_PATIENCE = 4
"""A snapshot may use a quarter of the time; with many processes the interval is extended."""


@command
def top(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Run id or directory; default: the newest run."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.1, help="Seconds between snapshots.")
    ] = 1.0,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after this many snapshots.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each snapshot as a line of JSON.")
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Watch a run live: each invariant's level, hits per second, and violations.

    Reads the processes' memory-mapped counters without slowing the processes down.
    Press q to quit.  Without a terminal, one snapshot is printed.

    Example: assertlib top
    """
    live, console = _live(configuration(project), run, target), _Console()
    # Ctrl-C ends the display normally.
    with suppress(KeyboardInterrupt):
        if json:
            for look in _looks(live, interval, count):
                print(json_.dumps(as_dict(look)), flush=True)
        elif console.is_terminal and not console.is_dumb_terminal:
            # As Ctrl-C, so that the terminal is restored.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            _show(_looks(live, interval, count), console)
        else:
            # Rates need two looks, so the first is skipped.
            for look in itertools.islice(_looks(live, interval, (count or 1) + 1), 1, None):
                console.print(picture(look, max(console.height, _PRINTED)))
    return OK


class _Console(Console):
    """A console that escapes texts, but not its own control sequences."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render to segments, each text escaped."""
        # Control segments are rich's own: cursor movements and the alternate screen.
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped(text), style, control)


def _show(looks: Iterable[Look], console: Console) -> None:
    # Redirected streams would bypass the escaping of control characters.
    live = Live(
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with _keys(), live as shown:
        for look in looks:
            shown.update(picture(look, console.height), refresh=True)


def _live(config: Config, name: str | None, target: str | None) -> LiveRun:
    path = find_runs(config, [name] if name else [])[0]
    # Outside of a project, a run that is named by its path has the configuration around it.
    if config.file is None:
        config = find_config(path.resolve())
    chosen, found = config.target(target or read_info(path).target)
    return LiveRun(path, check(config, chosen, found))


def _looks(live: LiveRun, interval: float, count: int | None) -> Iterator[Look]:
    """Yield looks until *count* is reached or the user quits."""
    for number in itertools.count(1):
        began = time.monotonic()
        yield live.look()
        took = time.monotonic() - began
        if number == count or _is_quit(max(interval - took, took * _PATIENCE)):
            return


def _is_quit(seconds: float) -> bool:
    """Wait for *seconds*; return whether the user quit meanwhile."""
    end = time.monotonic() + seconds
    if not _has_keys():
        time.sleep(max(0.0, seconds))
        return False
    while (left := end - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            # Whole sequences: an arrow key begins with the escape character, but is longer.
            pressed = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
            # Empty at the end of the input, for example when the terminal was closed.
            if not pressed or pressed in _QUIT:
                return True
    return False


def _has_keys() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def _keys() -> Iterator[None]:
    """Read keys unbuffered and without echo, if stdin is a terminal."""
    if not _has_keys():
        yield
        return
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
