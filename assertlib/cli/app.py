"""
The commands, put together.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from ..recording.session import VERSION
from . import (
    catalog,
    check,
    debug,
    docs,
    explain,
    history,
    init,
    report,
    robustness,
    run_command,
    sim,
)

EPILOG = """Examples:

assertlib init                         a first catalog and configuration

assertlib check                        does the code match the catalog?

assertlib run -- python -m kvstore     record a program and its children

assertlib report                       what the newest run proved

pytest --assertlib                     record a test session

assertlib robustness etcd --for 60s    test a real etcd under load and faults

assertlib sim explore kvstore.simulation:rounds --for 60s    simulate a store, seed by seed
"""

app = typer.Typer(
    name="assertlib",
    no_args_is_help=True,
    add_completion=False,
    epilog=EPILOG,
    pretty_exceptions_enable=False,
    help="Knowledge of what must hold in a store: written down, asserted, proved by evidence.",
)

app.command("init")(init.init)
app.command("check")(check.check)
app.command("explain")(explain.explain)
app.command(
    "run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False}
)(run_command.run)
app.command("report")(report.report)
app.command("docs")(docs.docs)
app.command("debug")(debug.debug)
app.add_typer(catalog.app, name="catalog")
app.add_typer(history.app, name="history")
app.add_typer(robustness.app, name="robustness")
app.add_typer(sim.app, name="sim")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"assertlib {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def run() -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows only ASCII is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0
