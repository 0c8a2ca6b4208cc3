"""
The command line in this process: what a command printed, its exit code, and its traceback if it
ends in one.
"""

import io
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import NamedTuple

from typer.main import get_command

from assertlib.cli.app import app_with

COMMANDS = (
    "catalog", "check", "debug", "docs", "evidence", "explain", "gate", "history", "ingest",
    "report", "sim", "top",
)  # fmt: skip


class Outcome(NamedTuple):
    """How a command ended; the code is None after a traceback."""

    code: int | None
    text: str


@cache
def _command():
    # Putting it together takes longer than most commands.
    return get_command(app_with(COMMANDS))


def run(*words):
    """Run ``assertlib`` with *words*."""
    # As on a terminal: what it does not know is escaped, see `assertlib.cli.app`.
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    argv, sys.argv = sys.argv, ["assertlib", *map(str, words)]
    try:
        with redirect_stdout(stream), redirect_stderr(stream):
            code = _code()
    finally:
        sys.argv = argv
    stream.flush()
    return Outcome(code, stream.buffer.getvalue().decode("utf-8"))


def _code():
    try:
        _command()(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException as error:
        sys.stderr.write("".join(traceback.format_exception(error)[-12:]))
        return None
    return 0
