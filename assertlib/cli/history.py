"""
``assertlib history``.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import typer

from .._text.inputs import LongLineError, lines_in
from .._text.utf8 import EncodingError, unmarked_lines
from ..evidence.text import one_line
from ..history.history import History, read_history
from ..history.linearizability import BUDGET
from ..history.records import HistoryError
from ..history.timeline import timeline as rendered
from ..history.validation import MODELS, Check, Status, Validation, validate
from .common import NO_DATA, OK, WRONG, command

app = typer.Typer(
    no_args_is_help=True, help="Validate histories recorded by clients, without running a store."
)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="History as JSON lines; - for stdin.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help=f"One of {', '.join(MODELS)}; default: the one named in FILE.",
    ),
]
BudgetOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="STEPS",
        help="Search limit for each partition; beyond it, the result is unknown.",
    ),
]


@app.command("check")
@command
def check(file: FileArgument, model: ModelOption = None, budget: BudgetOption = BUDGET) -> int:
    """
    Check whether a correct store could have produced this history.

    Exit code 1 if not, 3 if undecided or if no response shows the contents of the store.

    Example: assertlib history check history.jsonl --model etcd
    """
    history = read(file, model)
    validation = validate(history, budget=budget)
    sys.stdout.write(describe(validation, validation.status))
    return exit_code(validation.status)


@app.command("timeline")
@command
def timeline(
    file: FileArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="HTML",
            help="Output file; default: FILE with the suffix .html.",
        ),
    ] = None,
    model: ModelOption = None,
    budget: BudgetOption = BUDGET,
) -> int:
    """
    Render a history as HTML: clients, watches, faults, and operations that no order explains.

    Example: assertlib history timeline history.jsonl -o timeline.html
    """
    history = read(file, model)
    if output is None and str(file) == "-":
        raise HistoryError("-: reading from stdin requires -o")
    output = output or file.with_suffix(".html")
    # The default is the history itself if its name ends with .html.
    if output.resolve() == file.resolve():
        raise HistoryError(
            f"{file}: the page would overwrite the history; choose another file with -o"
        )
    output.write_text(rendered(history, validate(history, budget=budget)), encoding="utf-8")
    print(one_line(str(output)))
    return OK


def read(file: Path, model: str | None = None) -> History:
    """
    Read the history in *file*, or from stdin if that is ``-``.

    Args:
        file: Path of the history.
        model: Name of the model to judge it by; None for the one that the history names.

    Raises:
        HistoryError: The file cannot be parsed, or its model is unknown.
        OSError: The file cannot be read.
    """
    with _opened(file) as lines:
        try:
            history = read_history(unmarked_lines(lines_in(lines)), str(file))
        except EncodingError as error:
            raise HistoryError(f"{file}: {error}") from None
        except LongLineError as error:
            raise HistoryError(f"{file}:{error.number}: {error}") from None
    # Here the message can name the file; `validate` rejects an unknown *model*.
    if model is None and history.header.model not in MODELS:
        raise HistoryError(
            f"{file}:1: unknown model {history.header.model!r}; available: {', '.join(MODELS)}"
        )
    if model is not None:
        history.header = replace(history.header, model=model)
    return history


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    # Bytes: the encoding of a terminal must not apply to a history.
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as lines:
        yield lines


def exit_code(status: Status) -> int:
    """The exit code for *status*."""
    # Anything undecided is neither a pass nor a failure.
    return {Status.SUCCESS: OK, Status.FAILURE: WRONG}.get(status, NO_DATA)


def describe(validation: Validation, ending: Status) -> str:
    """
    Format all checks, one line each with its violations below, and the *ending*.

    Checks that share the reason for not being decided share an entry.
    """
    width = max(len(each.name) for each in validation.checks)
    lines = [line for each in _alike(validation.checks) for line in _entry(each, width)]
    return "\n".join([*lines, str(ending).upper(), ""])


def _alike(checks: Iterable[Check]) -> Iterable[list[Check]]:
    """Group checks with the same status and reason; one with a result is a group of its own."""
    groups: dict[object, list[Check]] = {}
    for check in checks:
        is_decided = check.complaints or not check.reason
        key = check.name if is_decided else (check.status, check.reason)
        groups.setdefault(key, []).append(check)
    return groups.values()


def _entry(checks: list[Check], width: int) -> list[str]:
    if len(checks) == 1:
        return _lines(checks[0], width)
    title = f"{len(checks)} checks"
    names = textwrap.wrap(", ".join(each.name for each in checks), _WIDTH, break_on_hyphens=False)
    first = replace(checks[0], name=title)
    return [*_lines(first, width), *(f"    {one_line(line)}" for line in names)]


_SHOWN = 3
_WIDTH = 76
"""Columns of the names of checks that share an entry, without their indentation."""


def _lines(check: Check, width: int) -> list[str]:
    judged = f"{check.judged:,} judged" if check.judged else ""
    text = check.reason or judged
    lines = [one_line(f"{check.name:{width}}  {check.status:16}  {text}".rstrip())]
    # Each line is escaped by itself, so that a value of the store cannot add one.
    for complaint in check.complaints[:_SHOWN]:
        lines += [f"    {one_line(line)}" for line in complaint.text.splitlines()]
    if len(check.complaints) > _SHOWN:
        lines.append(f"    … and {len(check.complaints) - _SHOWN} more")
    return lines
