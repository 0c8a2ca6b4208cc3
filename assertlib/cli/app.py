"""
The commands, put together; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated

import typer

from ..recording.session import VERSION

EPILOG = """Examples:

assertlib init                         a first catalog and configuration

assertlib check                        does the code match the catalog?

assertlib run -- python -m kvstore     record a program and its children

assertlib ingest node-*.jsonl          take what an Antithesis SDK of any language wrote

assertlib top                          watch a run while it is recorded

assertlib report                       what the newest run proved

assertlib gate                         may this change go in?

pytest --assertlib                     record a test session

assertlib robustness etcd --for 60s    test a real etcd under load and faults

assertlib sim explore kvstore.simulation:rounds --for 60s    simulate a store, seed by seed
"""

_COMMANDS = {
    "init": "init",
    "check": "check",
    "explain": "explain",
    "run": "run_command",
    "exec": "exec_command",
    "ingest": "ingest",
    "top": "top",
    "report": "report",
    "gate": "gate",
    "docs": "docs",
    "debug": "debug",
    "catalog": "catalog",
    "evidence": "evidence",
    "history": "history",
    "robustness": "robustness",
    "sim": "sim",
}
"""In which module of this package each is: as its `app`, or as the function of that name."""

_A_COMMAND = {"allow_interspersed_args": False, "ignore_unknown_options": False}
_SETTINGS = {"run": _A_COMMAND, "exec": _A_COMMAND}


def app_with(names: Iterable[str] = _COMMANDS) -> typer.Typer:
    """The command line with the commands *names*; no other is imported."""
    app = typer.Typer(
        name="assertlib",
        no_args_is_help=True,
        add_completion=False,
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        help="Knowledge of what must hold in a store: written down, asserted, proved by evidence.",
    )
    app.callback()(_before)
    for name in names:
        module = importlib.import_module(f"{__package__}.{_COMMANDS[name]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name, context_settings=_SETTINGS.get(name))(getattr(module, name))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"assertlib {VERSION}")
        raise typer.Exit


def _before(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def command_line() -> Callable[[], int]:
    """What runs the command that was asked for, and returns its exit code."""
    # `check` has no use for a simulator, and starts faster without.
    asked = [word for word in sys.argv[1:2] if word in _COMMANDS]
    return partial(_run, app_with(asked or _COMMANDS))


def _run(app: typer.Typer) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows only ASCII is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0
