"""
``assertlib history``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import typer

from ..evidence.text import one_line
from ..history.history import History, read_history
from ..history.linearizability import BUDGET
from ..history.records import HistoryError
from ..history.timeline import timeline as rendered
from ..history.validation import MODELS, Check, Status, Validation, validate
from ..inputs import LongLineError, lines_in
from ..utf8 import EncodingError, unmarked_lines
from .common import NO_DATA, OK, WRONG, command

app = typer.Typer(
    no_args_is_help=True, help="Judge what clients recorded of a store, without running anything."
)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A history, as JSON lines; - for the standard input.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="NAME", help=f"One of {', '.join(MODELS)}; as FILE says, if none."
    ),
]
BudgetOption = Annotated[
    int,
    typer.Option(
        min=1, metavar="STEPS", help="Of the search in each partition; more end as unknown."
    ),
]


@app.command("check")
@command
def check(file: FileArgument, model: ModelOption = None, budget: BudgetOption = BUDGET) -> int:
    """
    Find out whether a correct store can have given these answers.

    Exit code 1 if it cannot, 3 if that was not decided or no answer shows what the store held.

    Example: assertlib history check history.jsonl --model etcd
    """
    history = read(file, model)
    validation = validate(history, budget=budget)
    sys.stdout.write(in_words(validation, validation.status))
    return exit_code(validation.status)


@app.command("timeline")
@command
def timeline(
    file: FileArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="HTML", help="FILE with .html, if not given."),
    ] = None,
    model: ModelOption = None,
    budget: BudgetOption = BUDGET,
) -> int:
    """
    Draw a history as a page: clients, watches, faults, and what cannot be explained.

    Example: assertlib history timeline history.jsonl -o timeline.html
    """
    history = read(file, model)
    if output is None and str(file) == "-":
        raise HistoryError("-: name the page with -o")
    output = output or file.with_suffix(".html")
    if output.resolve() == file.resolve():
        raise HistoryError(f"{file}: the page would overwrite the history; name another with -o")
    output.write_text(rendered(history, validate(history, budget=budget)), encoding="utf-8")
    print(one_line(str(output)))
    return OK


def read(file: Path, model: str | None = None) -> History:
    """
    The history in *file*.

    Raises:
        HistoryError: It cannot be read.
    """
    with _opened(file) as lines:
        try:
            history = read_history(unmarked_lines(lines_in(lines)), str(file))
        except EncodingError as error:
            raise HistoryError(f"{file}: {error}") from None
        except LongLineError as error:
            raise HistoryError(f"{file}:{error.number}: {error}") from None
    if model is None and history.header.model not in MODELS:
        raise HistoryError(
            f"{file}:1: there is no model {history.header.model!r}; there are: {', '.join(MODELS)}"
        )
    if model is not None:
        history.header = replace(history.header, model=model)
    return history


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as lines:
        yield lines


def exit_code(status: Status) -> int:
    """What the command line makes of *status*."""
    return {Status.SUCCESS: OK, Status.FAILURE: WRONG}.get(status, NO_DATA)


def in_words(validation: Validation, ending: Status) -> str:
    """All checks, one line each, what failed below it, and the *ending*."""
    width = max(len(each.name) for each in validation.checks)
    lines = [line for each in validation.checks for line in _lines(each, width)]
    return "\n".join([*lines, str(ending).upper(), ""])


_SHOWN = 3


def _lines(check: Check, width: int) -> list[str]:
    judged = f"{check.judged:,} judged" if check.judged else ""
    told = check.reason or judged
    lines = [one_line(f"{check.name:{width}}  {check.status:16}  {told}".rstrip())]
    for complaint in check.complaints[:_SHOWN]:
        lines += [f"    {one_line(line)}" for line in complaint.text.splitlines()]
    if len(check.complaints) > _SHOWN:
        lines.append(f"    … and {len(check.complaints) - _SHOWN} more")
    return lines
