"""
``assertlib gate``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..catalog import git
from ..catalog.config import Config, ConfigError
from ..errors import AssertlibError, NoDataError
from ..evidence.baseline import Baseline, baseline_file, read_baseline, write_baseline
from ..evidence.combine import Evidence
from ..evidence.gate import WINDOW, Gate, history_of, judge_gate
from ..evidence.record import Result
from ..evidence.revision import is_dirty, short
from ..evidence.runs import find_runs
from ..evidence.store import StoredRun
from ..evidence.summary import Summary
from ..evidence.text import counted
from ..evidence.verdicts import Verdict
from ..report.gate import in_badge, in_junit, in_markdown_summary, in_text
from ..sim.replay import replay
from ..sim.tapes import stored_witness
from .common import (
    WRONG,
    ProjectOption,
    TargetOption,
    command,
    configuration,
    put,
    verdict_code,
)
from .evidence import keep, open_store
from .judging import judged
from .progress import progress
from .scenarios import WITNESSES, permitted, search_path


@command
def gate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs of this change; default: the newest run."),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Update the baseline: add satisfied assertions and drop deleted ones."
        ),
    ] = False,
    window: Annotated[
        int, typer.Option("--window", help="Number of earlier runs to compare with.", min=1)
    ] = WINDOW,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="COMMIT", help="Ignore runs before the first run of COMMIT."
        ),
    ] = None,
    summary_file: Annotated[
        Path | None,
        typer.Option(
            "--summary",
            metavar="FILE",
            help="Append a Markdown summary to FILE, such as $GITHUB_STEP_SUMMARY.",
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(
            "--junit", metavar="FILE", help="Write JUnit XML, one test case per invariant."
        ),
    ] = None,
    badge: Annotated[
        Path | None,
        typer.Option("--badge", metavar="FILE", help="Write a shields.io endpoint badge."),
    ] = None,
    allow_dirty: Annotated[
        bool,
        typer.Option(
            "--allow-dirty",
            help="Accept runs from a modified work tree for --update and --since.",
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Compare runs with earlier ones; fail on violations, lost baseline entries and rate drops.

    The runs are added to the evidence store.  Rate drops are detected by a statistical test whose
    false-alarm probability, over the whole history and all assertions together, is at most 1%.
    A new `sometimes` must have been true at least once, or have a tape in witnesses/ that reaches
    it. Exit code 1 if the gate fails, 3 if there is nothing to judge.

    Example: assertlib gate --junit gate.xml --summary "$GITHUB_STEP_SUMMARY"
    """
    config = configuration(project)
    paths = find_runs(config, runs or [])
    evidence, summary = judged(config, [str(path) for path in paths], target)
    # Damage and undeclared assertions are findings, which the gate has to judge.
    if summary.is_empty and not summary.undeclared and not summary.damage:
        raise NoDataError(
            f"no assertion was hit in {', '.join(summary.runs)}: the gate cannot pass"
        )
    # Before the runs are stored: a gate that stops here must not change the history.
    if update and not allow_dirty:
        _check_clean(evidence)
    path = baseline_file(config, summary.target)
    baseline = read_baseline(path)
    with open_store(config) as store:
        # The clocks of machines differ, but the judged runs come after the history.
        keep(store, config, evidence, newest=True)
        kept = _since(config, store.runs(summary.target), since, allow_dirty=allow_dirty)
        ids = [run.id for run in kept]
        with progress("judging", len(kept)) as step:
            results = _stepping(store.results(ids), step)
            history = history_of(kept, store.sampled(ids), results, summary.renamed)
    found = judge_gate(
        summary,
        history,
        baseline,
        now=summary.renamed,
        witnessed=_witnessed(config, summary),
        window=window,
        updates=update,
    )
    print(in_text(found, summary), end="")
    if summary_file is not None:
        with summary_file.open("a", encoding="utf-8") as file:
            file.write(in_markdown_summary(found, summary))
    if junit is not None:
        put(in_junit(found, summary), junit)
    if badge is not None:
        put(in_badge(summary), badge)
    if update:
        _update(path, baseline, found)
    return WRONG if found.fails else verdict_code(summary)


def _stepping(results: Iterator[Result], step: Callable[[], None]) -> Iterator[Result]:
    """Yield *results*, advancing the progress by one step per run."""
    last = None
    # The store yields results run by run.
    for each in results:
        if each.run != last:
            last = each.run
            step()
        yield each


def _check_clean(evidence: Evidence) -> None:
    """
    Reject runs of a modified work tree.

    Raises:
        ConfigError: A run was recorded from a work tree with uncommitted changes.
    """
    for info in evidence.runs.values():
        if is_dirty(info.commit):
            raise ConfigError(
                f"run {info.id} was recorded from {short(info.commit or '')}, which cannot be checked"
                " out elsewhere: commit your changes, record a new run and update the baseline from it, or pass"
                " --allow-dirty"
            )


def _since(
    config: Config, runs: list[StoredRun], commit: str | None, *, allow_dirty: bool
) -> list[StoredRun]:
    if commit is None:
        return runs
    # The commit may be missing in a shallow clone; its hash is compared all the same.
    wanted = git.commit_named(config.root, commit) or commit
    for number, run in enumerate(runs):
        if run.commit.startswith(wanted) and (allow_dirty or not is_dirty(run.commit)):
            return runs[number:]
    clean = "" if allow_dirty else ", with a clean work tree; see --allow-dirty"
    raise ConfigError(f"--since {commit}: no run of that commit in the store{clean}")


def _update(path: Path, before: Baseline | None, found: Gate) -> None:
    now = found.baseline
    if now == before:
        print(f"{path}: up to date")
        return
    write_baseline(path, now)
    known = before.satisfied if before else frozenset()
    new, gone = len(now.satisfied - known), len(known - now.satisfied)
    print(
        f"{path}: {counted(new, 'name')} added, {gone} removed, {len(now.pending)} pending;"
        " commit it"
    )


def _witnessed(config: Config, summary: Summary) -> dict[str, str]:
    """Replay the kept witnesses of unseen assertions; map each message to its outcome."""
    directory = config.root / WITNESSES
    if not directory.is_dir():
        return {}
    found: dict[str, str] = {}
    # An assertion that the run itself reached needs no witness, and replaying takes time.
    missing = summary.with_verdict(Verdict.NEVER_TRUE, Verdict.UNREACHED)
    for message in {result.message for result in missing}:
        outcome = _witness_outcome(config, directory, summary.target, [message])
        if outcome is not None:
            found[message] = outcome
    return found


def _witness_outcome(
    config: Config, directory: Path, target: str, messages: Collection[str]
) -> str | None:
    """None without a witness; empty if it reaches the assertion; otherwise why it does not."""
    try:
        spec = stored_witness(iter([directory]), messages)
        if spec is None:
            return None
        # A tape is committed with a change, so the scenario that it names may be anyone's.
        path = search_path(config, config.targets.get(target))
        done = replay(permitted(config, spec, path), trace=False, path=path)
        return "" if done.shows else "no longer reaches it"
    # A witness that cannot be replayed is a finding of the gate, not the end of it.
    except AssertlibError as error:
        return f"cannot be replayed: {error}"
