"""
The commands, put together; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, cast

import typer

from ..control_characters import escaped
from ..recording.session import VERSION
from ..report.screen import install

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


_ParseError = cast(type[Exception], typer.BadParameter.__mro__[2])
"""``ClickException``, of click or of the copy that newer versions of typer bring along."""


def _run(app: typer.Typer) -> int:
    install()
    try:
        code = app(standalone_mode=False)
    except _ParseError as error:
        return _show(error)
    return code if isinstance(code, int) else 0


def _show(error: Any) -> int:
    """Print an error of the command line as typer does, with the words of its user escaped."""
    from typer.rich_utils import rich_format_error

    error.message = escaped(error.message)
    rich_format_error(error)
    return int(error.exit_code)
