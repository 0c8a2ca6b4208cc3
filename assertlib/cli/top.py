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

from ..catalog.check import check
from ..catalog.config import Config, find_config
from ..control_characters import escaped
from ..evidence.live import LiveRun, Look
from ..evidence.runs import find_runs, read_info
from ..report.top import as_dict, picture
from .common import OK, ProjectOption, TargetOption, command, configuration

_QUIT = ("q", "Q", "\x1b")
_PRINTED = 50
"""Lines of a picture where there is no terminal."""

_PATIENCE = 4
"""A look may take a fourth of the time; with many processes the interval gets longer."""


@command
def top(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Id or directory; the newest run if none."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.1, help="Seconds between two looks.")
    ] = 1.0,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="End after so many looks.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each look, instead of a picture.")
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Watch a run while it is recorded: how far each invariant has come, hits a second, violations.

    It reads the counters that the processes have mapped into memory, and costs them nothing.
    q ends it.  Where there is no terminal, one picture is printed.

    Example: assertlib top
    """
    live, console = _live(configuration(project), run, target), _Console()
    # Ctrl-C is as good an end as any.
    with suppress(KeyboardInterrupt):
        if json:
            for look in _looks(live, interval, count):
                print(json_.dumps(as_dict(look)), flush=True)
        elif console.is_terminal and not console.is_dumb_terminal:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            _show(_looks(live, interval, count), console)
        else:
            # Only the second knows how fast it goes.
            for look in itertools.islice(_looks(live, interval, (count or 1) + 1), 1, None):
                console.print(picture(look, max(console.height, _PRINTED)))
    return OK


class _Console(Console):
    """A console whose texts are escaped, and whose own sequences are not."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render to segments, each text escaped."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped(text), style, control)


def _show(looks: Iterable[Look], console: Console) -> None:
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
    if config.file is None:
        config = find_config(path.resolve())
    chosen, found = config.target(target or read_info(path).target)
    return LiveRun(path, check(config, chosen, found))


def _looks(live: LiveRun, interval: float, count: int | None) -> Iterator[Look]:
    """Look by look, until it is enough, or somebody does not want to see more."""
    for number in itertools.count(1):
        began = time.monotonic()
        yield live.look()
        took = time.monotonic() - began
        if number == count or _is_quit(max(interval - took, took * _PATIENCE)):
            return


def _is_quit(seconds: float) -> bool:
    """Wait, and see whether that was asked for meanwhile."""
    end = time.monotonic() + seconds
    if not _has_keys():
        time.sleep(max(0.0, seconds))
        return False
    while (left := end - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            pressed = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
            if not pressed or pressed in _QUIT:
                return True
    return False


def _has_keys() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def _keys() -> Iterator[None]:
    """Take keys one by one and unseen, if there is a keyboard."""
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
