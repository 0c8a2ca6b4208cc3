"""
``assertlib evidence``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from .._text.inputs import LongLineError, lines_in
from .._text.utf8 import decoded
from ..catalog.config import Config, ConfigError
from ..catalog.files import ignore_all
from ..errors import NoDataError
from ..evidence.address import ENVIRONMENT
from ..evidence.combine import Evidence
from ..evidence.exports import from_json
from ..evidence.gather import read_evidence
from ..evidence.record import Result, RunRecord, record_of
from ..evidence.revision import short
from ..evidence.runs import find_runs, runs_in_order
from ..evidence.store import DEFAULT, Store
from ..evidence.summary import damage_of
from ..evidence.text import counted, one_line, percent
from ..recording.checkout import find_branch
from ..recording.private import replacing
from ..recording.rundir import RUN_FILE
from ..report.content import quoted
from .common import (
    OK,
    USAGE,
    ProjectOption,
    TargetOption,
    command,
    configuration,
    report_damage,
)
from .progress import progress

app = typer.Typer(
    no_args_is_help=True,
    help="Keep the evidence from runs permanently, in .assertlib/evidence.db or the database named"
    f" by {ENVIRONMENT}.",
)

_DAY = 86_400


def open_store(config: Config) -> Store:
    """
    Open the evidence store of the project.

    Raises:
        StoreError: The store cannot be opened.
    """
    url = os.environ.get(ENVIRONMENT)
    if not url:
        path = config.root / DEFAULT
        path.parent.mkdir(parents=True, exist_ok=True)
        # The database is written by tools and must not be committed by accident.
        ignore_all(path.parent)
        return Store(path)
    return Store(url)


def _add_runs(store: Store, config: Config, paths: list[Path]) -> tuple[int, list[str]]:
    """Add the runs at *paths*; return the number with new evidence, and the damage found."""
    new, damage = 0, []
    with progress("adding", len(paths)) as step:
        for path in paths:
            evidence = read_evidence([path])
            new += keep(store, config, evidence)
            damage += damage_of(evidence)
            step()
    return new, damage


def keep(store: Store, config: Config, evidence: Evidence, *, newest: bool = False) -> int:
    """
    Add the runs of *evidence*.

    Args:
        store: The store to add them to.
        config: The project, whose current branch is recorded.
        evidence: Evidence of one or more runs.
        newest: Whether runs that are new to the store are ordered after all stored runs,
            regardless of their timestamps.

    Returns:
        The number of runs with new evidence.
    """
    branch = find_branch(str(config.root)) or ""
    records = (record_of(evidence, run, branch) for run in evidence.runs)
    # A run in which no process has written a shard holds no evidence.
    return sum(store.add(record, newest=newest) for record in records if record.shards)


@app.command("add")
@command
def add(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run ids or directories; default: the newest run."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Add all of the project's runs.")] = False,
    project: ProjectOption = None,
) -> int:
    """
    Add runs to the store; adding one twice changes nothing.

    Exit code 2 if a run is damaged: its readable part is added, and its counts are lower bounds.

    Example: assertlib evidence add
    """
    config = configuration(project)
    if every:
        paths = [run for run in runs_in_order(config) if (run / RUN_FILE).exists()]
    else:
        paths = find_runs(config, runs or [])
    if not paths:
        raise NoDataError("no runs found; record one with `assertlib run -- CMD`")
    with open_store(config) as store:
        new, damage = _add_runs(store, config, paths)
    print(f"{counted(len(paths), 'run')} read, {new} with new evidence")
    report_damage(damage)
    return USAGE if damage else OK


@app.command("list")
@command
def list_runs(
    target: TargetOption = None,
    last: Annotated[
        int, typer.Option("--last", help="Number of most recent runs to list.", min=1)
    ] = 20,
    project: ProjectOption = None,
) -> int:
    """
    List the runs in the store, newest last.

    Example: assertlib evidence list --last 5
    """
    with open_store(configuration(project)) as store:
        runs = store.runs(target, last)
    if not runs:
        raise NoDataError("the store is empty; add runs with `assertlib evidence add`")
    for run in runs:
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.started / 1e9))
        extent = "full" if run.full else "partial"
        line = f"{run.id}  {when}  {run.target}  {short(run.commit) or '-'}  {run.branch or '-'}"
        print(one_line(f"{line}  {extent}  {run.command}", 200))
    return OK


@app.command("show")
@command
def show(
    run: Annotated[str, typer.Argument(help="Run id, or a prefix or suffix of one.")],
    project: ProjectOption = None,
) -> int:
    """
    Show the hits of each assertion in a run.

    Example: assertlib evidence show 3f2a
    """
    with open_store(configuration(project)) as store:
        results = list(store.results([_id_of(store, run)]))
    for each in sorted(results, key=lambda each: (each.identity.message, each.sample)):
        print(one_line(_describe(each)))
    return OK


def _id_of(store: Store, name: str) -> str:
    ids = [run.id for run in store.runs()]
    # A complete id may also be the beginning of another one.
    matching = [each for each in ids if each == name] or [
        each for each in ids if each.startswith(name) or each.endswith(name)
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise NoDataError(f"{name!r} matches several runs: {', '.join(matching[:10])}")
    raise NoDataError(f"no run {name!r} in the store; `assertlib evidence list` lists them all")


def _describe(each: Result) -> str:
    hits = f"true {each.true:,}, false {each.false:,}"
    trials = (
        f"; hit in {each.hit:,} of {counted(each.trials, 'trial')}, true in {each.made_true:,}"
        if each.trials
        else ""
    )
    sample = f" [{each.sample[0] or each.sample[1]}]"
    witness = f"; witness {each.witness}" if each.witness else ""
    return f"{each.identity.kind} {quoted(each.identity.message)}{sample}: {hits}{trials}{witness}"


@app.command("diff")
@command
def diff(
    first: Annotated[str, typer.Argument(help="First run.")],
    second: Annotated[str, typer.Argument(help="Second run.")],
    project: ProjectOption = None,
) -> int:
    """
    Show the assertions whose outcomes differ between two runs.

    Example: assertlib evidence diff 3f2a 8c01
    """
    with open_store(configuration(project)) as store:
        sides = [_by_assertion(store, _id_of(store, name)) for name in (first, second)]
    shown = 0
    for key in sorted({*sides[0], *sides[1]}):
        one, other = (side.get(key) for side in sides)
        if one != other:
            shown += 1
            kind, message = key
            print(one_line(f"{kind} {quoted(message)}: {one or 'absent'} -> {other or 'absent'}"))
    if not shown:
        print("no differences")
    return OK


def _by_assertion(store: Store, run: str) -> dict[tuple[str, str], str]:
    totals: dict[tuple[str, str], list[int]] = {}
    # An assertion has a row for each sample of trials.
    for each in store.results([run]):
        row = totals.setdefault((each.identity.kind, each.identity.message), [0, 0])
        row[0] += each.true
        row[1] += each.false
    return {key: _state(*row) for key, row in totals.items()}


def _state(true: int, false: int) -> str:
    # Not the counts, which differ between any two runs.
    if not true and not false:
        return "not reached"
    if not false:
        return "true"
    return "true and false" if true else "false"


@app.command("cooccurrence")
@command
def cooccurrence(
    first: Annotated[str, typer.Argument(help="Message of an assertion.")],
    second: Annotated[str, typer.Argument(help="Message of another assertion.")],
    target: TargetOption = None,
    last: Annotated[
        int, typer.Option("--last", help="Number of most recent runs to search.", min=1)
    ] = 100,
    project: ProjectOption = None,
) -> int:
    """
    Count the trials in which two states, such as a partition and a compaction, occurred together.

    Exit code 1 if they never did.

    Example: assertlib evidence cooccurrence "a network is cut" "history is compacted"
    """
    both = one = other = trials = 0
    example = ""
    with open_store(configuration(project)) as store:
        for run in store.runs(target, last):
            record = store.run(run.id)
            bits = _bits_of(record, first, second) if record else None
            if record is None or bits is None:
                continue
            # The outcomes of a trial are integers with a bit for each assertion of the run.
            for identifier, trial in record.trials.items():
                trials += 1
                one += bool(trial.true & bits[0])
                other += bool(trial.true & bits[1])
                if trial.true & bits[0] and trial.true & bits[1]:
                    both += 1
                    example = f"{run.id}, {identifier}"
    if not trials:
        raise NoDataError(
            "no run in the store contains both assertions; `assertlib evidence list` lists all runs"
        )
    print(
        f"{counted(trials, 'trial')}: {quoted(first)} in {one:,}, {quoted(second)} in {other:,},"
        f" both in {both:,} ({percent(both / trials)})"
    )
    if example:
        print(one_line(f"for example {example}"))
    return OK if both else 1


def _bits_of(record: RunRecord, *messages: str) -> list[int] | None:
    # A message has a bit for each kind and fingerprint under which it was recorded.
    bits = [
        sum(1 << n for n, each in enumerate(record.assertions) if each.message == message)
        for message in messages
    ]
    # A run that lacks one of the assertions proves nothing about both.
    return bits if all(bits) else None


@app.command("prune")
@command
def prune(
    keep: Annotated[
        int | None, typer.Option("--keep", help="Number of most recent runs to keep.", min=0)
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            help="Remove only runs older than this many days.",
            min=0,
        ),
    ] = None,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Remove old runs from the store.

    Example: assertlib evidence prune --keep 2000
    """
    # Without a limit, all runs would be removed.
    if keep is None and days is None:
        raise typer.BadParameter("--keep or --older-than is required")
    with open_store(configuration(project)) as store:
        runs = store.runs(target)
        # Oldest first.  With both options, only runs beyond both limits are removed.
        old = runs[: max(0, len(runs) - keep)] if keep is not None else runs
        if days is not None:
            before = (time.time() - days * _DAY) * 1e9
            old = [run for run in old if run.started < before]
        store.remove([run.id for run in old])
    print(f"{counted(len(old), 'run')} removed, {len(runs) - len(old)} kept")
    return OK


@app.command("export")
@command
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Output file; - for stdout.")],
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Export all runs in the store as JSON lines, one run per line.

    Example: assertlib evidence export evidence.jsonl
    """
    with open_store(configuration(project)) as store:
        lines = _exported(store, target)
        if str(output) == "-":
            sys.stdout.writelines(lines)
            return OK
        # An interrupted export leaves an earlier file as it was.
        with replacing(output, mode=0o666) as file:
            file.writelines(lines)
    return OK


def _exported(store: Store, target: str | None) -> Iterator[str]:
    # One run at a time, since a store may be larger than memory.
    runs = store.runs(target)
    with progress("exporting", len(runs)) as step:
        for run in runs:
            record = store.run(run.id)
            if record is not None:
                yield from record.lines()
            step()


@app.command("import")
@command
def import_runs(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    project: ProjectOption = None,
) -> int:
    """
    Import files written by `export`; importing one twice changes nothing.

    Example: assertlib evidence import evidence.jsonl
    """
    # Sets: several files may contain parts of the same run.
    added: set[str] = set()
    read: set[str] = set()
    with open_store(configuration(project)) as store:
        for file in files:
            for record in _imported(file):
                # Each run is a transaction: an error in a later line keeps the runs before it.
                read.add(record.id)
                if store.add(record):
                    added.add(record.id)
    print(f"{counted(len(read), 'run')} read, {len(added)} with new evidence")
    return OK


def _imported(file: Path) -> Iterator[RunRecord]:
    with file.open("rb") as lines:
        try:
            for number, line in enumerate(lines_in(lines), 1):
                yield _record_in(line, f"{file}:{number}:1")
        except LongLineError as error:
            raise ConfigError(f"{file}:{error.number}:1: {error}; export it again") from None


def _record_in(line: bytes, place: str) -> RunRecord:
    try:
        return from_json(decoded(line).encode())
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None
