"""
The command line, assembled from commands that are imported on demand.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, cast

import typer
from typer.main import get_command

from .._text.control_characters import escaped
from ..recording.session import VERSION
from ..report.screen import install

EPILOG = """Examples:

assertlib init                         create a catalog and configuration
assertlib check                        check the code against the catalog
assertlib run -- python -m kvstore     record a program and its children
assertlib ingest node-*.jsonl          import the output of any Antithesis SDK
assertlib top                          watch a run live
assertlib report                       show what the newest run proved
assertlib gate                         compare this change with earlier runs
assertlib context                      show what a change may break
assertlib knowledge                    show who knows each invariant
pytest --assertlib                     record a test session
assertlib robustness etcd --for 60s    test a real etcd cluster under load and faults
assertlib sim explore --for 60s        simulate the store, one trial per seed
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
    "context": "context",
    "knowledge": "knowledge",
    "handover": "handover",
    "mcp": "mcp",
    "debug": "debug",
    "catalog": "catalog",
    "evidence": "evidence",
    "history": "history",
    "robustness": "robustness",
    "sim": "sim",
}
"""Module of each command; it defines either an `app` or a function with the command's name."""

# Words after CMD belong to it, even if they look like options of assertlib.
_TAKES_COMMAND = {"allow_interspersed_args": False, "ignore_unknown_options": False}
_SETTINGS = {"run": _TAKES_COMMAND, "exec": _TAKES_COMMAND}


def app_with(names: Iterable[str] = _COMMANDS) -> typer.Typer:
    """Build the command line with the commands *names*, and import only those."""
    app = typer.Typer(
        name="assertlib",
        no_args_is_help=True,
        add_completion=False,
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        help="Write down what must hold in a store, assert it, and prove it with evidence.",
    )
    # Without a callback, typer turns a single command into the program itself.
    app.callback()(_global_options)
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


def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Accept the options that precede a command."""


def command_line() -> Callable[[], int]:
    """Return a function that runs the requested command and returns its exit code."""
    # Importing only the requested command keeps startup fast: `check` needs no simulator.  For
    # anything else, such as --help or a typing error, all commands are needed.
    asked = [word for word in sys.argv[1:2] if word in _COMMANDS]
    return partial(_run, app_with(asked or _COMMANDS))


_ParseError = cast(type[Exception], typer.BadParameter.__mro__[2])
"""``ClickException``, from click or from the copy that newer versions of typer bundle."""


def _run(app: typer.Typer) -> int:
    # First, so that every message is escaped.
    install()
    try:
        # In standalone mode, typer would print errors itself, with unescaped user input.
        code = _without_flag_types(get_command(app))(standalone_mode=False)
    except _ParseError as error:
        return _print_parse_error(error)
    return code if isinstance(code, int) else 0


def _without_flag_types(command: Any) -> Any:
    """Keep ``--help`` from naming the type of flags, which take no value."""
    for parameter in command.get_params(typer.Context(command)):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _without_flag_types(inner)
    return command


def _print_parse_error(error: Any) -> int:
    """Print a command-line error as typer does, with user input escaped."""
    from typer.rich_utils import rich_format_error

    # Rich bypasses the escaping streams, since it emits control sequences of its own.
    error.message = escaped(error.message)
    rich_format_error(error)
    return int(error.exit_code)
