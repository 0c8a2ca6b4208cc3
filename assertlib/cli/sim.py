"""
``assertlib sim``.

Over 500 lines, because the commands of the group and their options are kept together.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from .. import lifecycle
from ..catalog.check import Checked, check
from ..catalog.config import Config, ConfigError, find_config
from ..catalog.defects import Defect, read_defects
from ..catalog.loader import Catalog, load
from ..errors import NoDataError
from ..evidence.gather import read_evidence
from ..evidence.revision import find_revision, short
from ..evidence.runs import describe_run, finish_run, new_run, runs_in_order, write_replays
from ..evidence.statistics import interval
from ..evidence.summary import Summary, summarise
from ..evidence.text import counted, one_line
from ..evidence.verdicts import Verdict
from ..sim.challenge import Result, challenge, read_page, table
from ..sim.diagram import diagram
from ..sim.engine import Engine, local
from ..sim.explore import Exploration, Found, Plan
from ..sim.faults import FAULTS, faults_named
from ..sim.policy import SWARM, policy_named
from ..sim.replay import CAUSES, Replay, replay
from ..sim.tape import Tape
from ..sim.tapes import DIRECTORY, TrialSpec, find, stored_witness, write
from ..sim.target import TargetError
from ..sim.trace_lines import LOOP, parsed
from ..sim.trial import Options
from ..sim.why import Why, why
from ..testing import caught
from .common import (
    NO_DATA,
    OK,
    WRONG,
    TargetOption,
    command,
    recording_environment,
    seconds_of,
)
from .scenarios import permitted, search_path
from .signals import Interrupted, interruptible
from .terminal import print_report
from .trace_filter import TraceFilter

HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write the trace as an HTML page."),
]

app = typer.Typer(
    no_args_is_help=True,
    help="Simulate a store deterministically: time, scheduling, network, disk and faults.",
)

ScenarioArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SCENARIO",
        help="MODULE:NAME or FILE.py:NAME of a function taking a World; default: the target's.",
    ),
]

_SEEDS = 1000
_CHECKS = 2
_BAR = 30
"""Characters of a bar that stands for certain failure."""
_BEFORE, _AFTER = 3, 6
"""Lines of the trace to show around the steepest rise."""
_ENDLESS = 1 << 40
"""Number of seeds if a duration alone limits the exploration."""

_STATUS_EVERY = 5.0
"""Seconds between two lines on the progress of an exploration."""


@app.command("explore")
@command
def explore(
    scenario: ScenarioArgument = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, metavar="N", help="Number of trials.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Duration, such as 60s, 5m or 1h.")
    ] = None,
    quiet: Annotated[
        int | None,
        typer.Option(
            "--until-quiet",
            min=1,
            metavar="N",
            help="Stop after N trials in a row without a new state, bucket or extreme.",
        ),
    ] = None,
    first: Annotated[int, typer.Option("--first", metavar="N", help="First seed.")] = 0,
    shard: Annotated[
        str,
        typer.Option("--shard", metavar="K/N", help="Run every N-th seed, starting with the K-th."),
    ] = "1/1",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Number of parallel trials.")
    ] = 1,
    guided: Annotated[
        bool,
        typer.Option(
            "--guided",
            help="Build on trials that reached new states: this yields witnesses, but no rates.",
        ),
    ] = False,
    faults: Annotated[
        str,
        typer.Option(
            metavar="NAME,…", help="Faults to inject, or default, all or none; see `list`."
        ),
    ] = "default",
    policy: Annotated[
        str, typer.Option(metavar="NAME", help="Scheduling policy; see `list`.")
    ] = SWARM,
    stop: Annotated[
        bool, typer.Option("--exitfirst", "-x", help="Stop at the first failure.")
    ] = False,
    checks: Annotated[
        int,
        typer.Option(
            "--check-determinism",
            min=0,
            metavar="N",
            help="Run the first N trials again in another process, and fail if they differ.",
        ),
    ] = _CHECKS,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray", help="Run trials in child processes or on a Ray cluster."
        ),
    ] = "local",
    target: TargetOption = None,
) -> int:
    """
    Run one trial per seed, and record tapes that replay the failures.

    Exit code 1 if anything failed or a trial is not deterministic, 3 if no trial was completed or none evaluated an assertion of
    the target.

    Example: assertlib sim explore kvstore.simulation:rounds --for 60s --jobs 2
    """
    project = _Project(scenario, target)
    plan = Plan(
        project.scenario,
        project.options(faults, policy),
        seeds or (_ENDLESS if duration or quiet else _SEEDS),
        first,
        _shard(shard),
        None if duration is None else seconds_of(duration),
        quiet,
        jobs,
        guided,
        stops=lambda _: stop,
        path=project.path,
        checks=checks,
    )
    return _Campaign(project, plan, _engine_named(engine)).run()


@app.command("replay")
@command
def replay_token(
    token: Annotated[
        str | None,
        typer.Argument(metavar="TOKEN", help="Token of a seed or tape, or a tape file."),
    ] = None,
    assertion: Annotated[
        str | None,
        typer.Option(
            metavar="MESSAGE",
            help="Replay the witness of this sometimes or reachable assertion instead of a token.",
        ),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace", help="Print scheduling, messages, disk operations, faults and hits."
        ),
    ] = False,
    only: Annotated[
        str,
        typer.Option(
            metavar="KIND,…",
            help="Limit the trace to these kinds of lines: steps, network, disk, hits, world;"
            " or loop, which is left out otherwise.",
        ),
    ] = "",
    host: Annotated[str, typer.Option(metavar="NAME", help="Limit the trace to this host.")] = "",
    begin: Annotated[
        float | None,
        typer.Option("--from", metavar="SECONDS", help="Start the trace at this time."),
    ] = None,
    html: HtmlOption = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Run the original trial instead of the shrunk tape.")
    ] = False,
    target: TargetOption = None,
) -> int:
    """
    Replay the trial that a token identifies.

    Exit code 1 if the trial fails (which is expected when replaying a failure); if a failure is
    not reproduced although nothing has changed (flaky); or if a witness no longer reaches its
    state.

    Example: assertlib sim replay --assertion "a slow watcher becomes a victim and catches up"
    """
    shown = TraceFilter(only, host, begin)
    trace = trace or shown.is_set
    project = _Project(None, target)
    spec = permitted(project.config, _spec(project.config, token, assertion), project.path)
    # A tape may be older than the catalog; what is out of model now depends on today's assumptions.
    spec = replace(spec, options=replace(spec.options, assumes=project.assumes))
    is_traced = trace or html is not None
    done = replay(spec.unshrunk() if whole else spec, trace=is_traced, path=project.path)
    for line in shown.select(done.answer.trace if trace else ()):
        print(one_line(line))
    for difference in done.differences:
        print(one_line(f"assertlib: changed since it was recorded: {difference}"), file=sys.stderr)
    for failure in done.answer.failures:
        label = "out of model" if failure.out_of_model else "failed"
        text = failure.text.rstrip().replace("\n", "\n  ")
        print(f"{label} after {failure.at:.6f} virtual seconds: {text}\n")
    print(_summary_line(done))
    for line in _verdict(done):
        print(one_line(line))
    if html is not None:
        _write_page(html, diagram(done.answer.trace, spec.shows or token or "trial"))
    return WRONG if done.is_wrong else OK


@app.command("why")
@command
def why_token(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Token of a failure.")],
    repeats: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Number of random continuations at each point."),
    ] = 40,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Time limit, such as 60s or 5m.")
    ] = "60s",
    html: HtmlOption = None,
    target: TargetOption = None,
) -> int:
    """
    Find the step at which a failure becomes likely.

    Repeats the trial from prefixes of its tape with random continuations, and prints how often
    they fail, with exact 95% intervals.  Look at the step at which the rate jumps.

    Example: assertlib sim why t1-0123456789
    """
    project = _Project(None, target)
    spec = permitted(project.config, _spec(project.config, token, None), project.path)
    spec = replace(spec, options=replace(spec.options, assumes=project.assumes))
    try:
        found = why(
            spec,
            repeats=repeats,
            seconds=seconds_of(duration),
            path=project.path,
            report=lambda line: print(f"assertlib: {line}", file=sys.stderr, flush=True),
        )
    except ValueError as error:
        raise ConfigError(f"{token}: {error}") from None
    for line in _explained(found):
        print(one_line(line))
    if html is not None:
        _write_page(html, diagram(found.trace, found.failure, found))
    return OK


def _write_page(path: Path, page: str) -> None:
    path.write_text(page, encoding="utf-8")
    print(one_line(f"assertlib: the trace as a page is in {path}"), file=sys.stderr)


@app.command("challenge")
@command
def challenge_all(
    defects: Annotated[
        list[str] | None,
        typer.Argument(metavar="DEFECT", help="Seeded defects; default: all."),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats",
            min=1,
            metavar="N",
            help="Number of attempts of each kind, random and guided.",
        ),
    ] = 10,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Time limit per attempt, such as 60s.")
    ] = "60s",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Number of parallel trials.")
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Markdown file in which to replace the table."),
    ] = None,
    target: TargetOption = None,
) -> int:
    """
    Apply each seeded defect to a copy of the store, and report which assertion catches it.

    Exit code 1 if a defect escapes.  A caught defect is recorded as proof for its invariant.

    Example: assertlib sim challenge --jobs 2 --output docs/track-record.md
    """
    project = _Project(None, target)
    plan = Plan(
        project.scenario,
        project.options("default", SWARM),
        _ENDLESS,
        seconds=seconds_of(duration),
        jobs=jobs,
        path=project.path,
    )
    seeded = read_defects(project.defects, defects or ())
    # Read before the challenges, which take hours: a page without marks is an error at once.
    page = None if output is None else read_page(output)
    # One block for all challenges: a signal ends the command, not just the current attempt.
    with interruptible() as check_signals:
        results = [_challenged(defect, plan, repeats, check_signals) for defect in seeded]
    commit = find_revision(project.config.root) or ""
    text = table(results, short(commit, 10), repeats)
    print(text)
    if output is not None and page is not None:
        output.write_text(text.join(page), encoding="utf-8")
    _record(project, results)
    return OK if all(result.is_caught for result in results) else WRONG


def _challenged(
    defect: Defect, plan: Plan, repeats: int, check_signals: Callable[[], None]
) -> Result:
    began = time.monotonic()
    result = challenge(defect, plan, repeats, tick=check_signals)
    best = result.best
    outcome = "NOT CAUGHT"
    if best is not None and best.is_flaky:
        outcome = f"FLAKY, the tape does not reproduce {best.failure.name!r}: {CAUSES}"
    elif best is not None and result.is_caught:
        outcome = f"caught by {best.failure.name!r}"
    seconds = time.monotonic() - began
    line = one_line(f"{seconds:7.1f} s  {defect.name}: {outcome}")
    print(line, file=sys.stderr, flush=True)
    return result


def _record(project: _Project, results: list[Result]) -> None:
    """Record a run that contains the proofs and the tapes."""
    # It is never finished, and thus partial: it holds no evaluations of the store itself.
    run_dir = new_run(project.config)
    describe_run(run_dir, project.checked, project.config, sys.argv)
    lifecycle.configure(run_dir=run_dir, mode="record", sinks=[])
    replays = {}
    for result in results:
        # A failure that does not replay may have another cause than the defect.
        if result.best is not None and not result.best.is_flaky:
            caught(result.defect.name, result.best.failure.name)
            replays[result.defect.name] = write(run_dir / DIRECTORY, result.best.spec)
    write_replays(run_dir, replays)
    print(f"assertlib: proofs and tapes are in run {run_dir.name}", file=sys.stderr)


@app.command("list")
@command
def list_all() -> int:
    """List faults and scheduling policies."""
    print("faults (* breaks an assumption; off by default)")
    for name, fault in FAULTS.items():
        print(f"  {name:15} {'*' if fault.breaks else ' '} {fault.about}")
    print("policies")
    for name, about in (
        (SWARM, "a different policy in each trial"),
        ("random", "any ready task at random"),
        ("pct3", "random priorities that change twice; pctN changes them N - 1 times"),
        ("fifo", "the task that has been ready the longest, as in asyncio"),
    ):
        print(f"  {name:17} {about}")
    return OK


# -- the plan -------------------------------------------------------------------------------


class _Project:
    """The simulation settings of a target, by default the first one with a scenario."""

    def __init__(self, scenario: str | None, target: str | None) -> None:
        self.config = find_config(Path.cwd())
        self._scenario = scenario
        self._target = target or next(
            (name for name, each in self.config.targets.items() if each.scenario), None
        )

    @property
    def path(self) -> tuple[str, ...]:
        """Search path for modules; includes the working directory for a scenario argument."""
        target = None if self._target is None else self.config.target(self._target)[1]
        # A replay must not import modules that happen to be in the working directory.
        here = () if self._scenario is None else (str(Path.cwd()),)
        return (*search_path(self.config, target), *here)

    @property
    def scenario(self) -> str:
        """
        The scenario to run.

        Raises:
            ConfigError: No scenario is given or configured.
        """
        name, target = self.config.target(self._target)
        scenario = self._scenario or target.scenario
        if not scenario:
            raise ConfigError(f"no scenario: pass SCENARIO or set `scenario` of target {name!r}")
        return scenario

    @property
    def defects(self) -> Path:
        """
        Directory of the seeded defects.

        Raises:
            ConfigError: The target does not configure it.
        """
        name, target = self.config.target(self._target)
        if not target.defects:
            raise ConfigError(
                f"no seeded defects: set `defects` of target {name!r} in the configuration"
            )
        return self.config.root / target.defects

    @cached_property
    def checked(self) -> Checked:
        """The checked target: its catalog and scan."""
        return check(self.config, *self.config.target(self._target))

    @cached_property
    def assumes(self) -> dict[str, tuple[str, ...]]:
        """Assumptions of each invariant; empty without a target."""
        if self._target is None:
            return {}
        # The catalog alone: a replay needs no scan of the source.
        _, target = self.config.target(self._target)
        return _assumptions(load(self.config.catalog_roots(target), self.config.root))

    def options(self, faults: str, policy: str) -> Options:
        """
        Trial options: everything that determines a trial except the tape.

        Raises:
            ConfigError: A fault or policy does not exist.
        """
        # Names are checked here, so that a typing error does not leave an empty run behind.
        try:
            allowed = faults_named(faults)
            policy_named(policy, Tape(None))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return Options(policy, allowed, assumes=_assumptions(self.checked.catalog))


def _assumptions(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    return {
        entry.id: tuple(entry.invariant.assumes)
        for entry in catalog.entries.values()
        if entry.invariant.assumes
    }


MakesEngine = Callable[[Plan, Mapping[str, str]], Engine]


def _engine_named(name: str) -> MakesEngine:
    if name == "local":
        return lambda plan, environment: local(plan.target, plan.options, environment, plan.path)
    if name != "ray":
        raise ConfigError(f"--engine {name}: must be local or ray")
    try:
        from ..sim.ray_engine import ray_engine
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--engine ray needs {error.name}: pip install 'assertlib-sdk[ray]'"
        ) from None
    return lambda plan, environment: ray_engine(
        plan.target, plan.options, environment, plan.path, plan.jobs
    )


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: expected K/N with K from 1 to N, such as 3/16")
    return int(match[1]), int(match[2])


def _tape_directories(config: Config) -> Iterator[Path]:
    """Directories that may contain tapes, newest run first."""
    yield from (run / DIRECTORY for run in reversed(runs_in_order(config)))
    yield config.root / ".assertlib" / DIRECTORY


def _spec(config: Config, token: str | None, assertion: str | None) -> TrialSpec:
    if (token is None) == (assertion is None):
        raise ConfigError("pass either a token or --assertion MESSAGE")
    if token is not None:
        return find(token, _tape_directories(config))
    renames = load(config.catalog_roots(config.target()[1]), config.root).renames
    # The tape may have been kept under a former message of the assertion.
    names = list(renames.before(str(assertion)))
    found = stored_witness(_tape_directories(config), names)
    if found is None:
        raise NoDataError(
            f"no run has a witness of {assertion!r}; explore further, or check the message in"
            " `assertlib report`"
        )
    return found


# -- execution -------------------------------------------------------------------------------


class _Campaign:
    """One exploration, from the empty run directory to the report."""

    def __init__(self, project: _Project, plan: Plan, makes_engine: MakesEngine) -> None:
        self._config = config = project.config
        self._checked = project.checked
        self._run_dir = new_run(config)
        self._tapes = self._run_dir / DIRECTORY
        self._status_at = 0.0
        environment = recording_environment(config.root, self._run_dir)
        engine = makes_engine(plan, environment)
        self._exploration = Exploration(plan, engine, self._print, self._tick)

    def run(self) -> int:
        describe_run(self._run_dir, self._checked, self._config, sys.argv)
        try:
            with interruptible() as self._check_signals:
                self._exploration.run()
                self._exploration.check_determinism()
        except TargetError:
            # An empty run would be the newest one, which other commands take by default.
            shutil.rmtree(self._run_dir)
            raise
        except Interrupted as error:
            print(f"\nassertlib: interrupted by {error}; judging partial results", file=sys.stderr)
            # The report is printed, but the exit code is that of the signal.
            self._conclude(full=False)
            raise
        return self._conclude(full=True)

    def _print(self, text: str) -> None:
        line = one_line(f"{self._exploration.elapsed:7.1f} s  {text}")
        print(line, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        self._check_signals()
        # Silent until the first trial, while the workers import the store.
        if self._exploration.trials and time.monotonic() - self._status_at > _STATUS_EVERY:
            self._status_at = time.monotonic()
            self._print(_status(self._exploration))

    def _conclude(self, *, full: bool) -> int:
        exploration = self._exploration
        self._print(_status(exploration))
        replays = {
            message: write(self._tapes, spec) for message, spec in exploration.witnesses().items()
        }
        tokens = {name: write(self._tapes, found.spec) for name, found in exploration.found.items()}
        # Reports offer a replay only for failures that it reproduced.
        sure = {name for name, found in exploration.found.items() if not found.is_flaky}
        write_replays(self._run_dir, {**replays, **{name: tokens[name] for name in sure}})
        finish_run(self._run_dir, full=full)
        summary = self._summary()
        print_report(summary)
        # Of the first violation the report has shown all that is known; of others it may lack space.
        explained = {result.message for result in summary.with_verdict(Verdict.VIOLATED)[:1]}
        for name, found in exploration.found.items():
            print(_failure(found, tokens[name], exploration.trials, is_explained=name in explained))
        for difference in exploration.differences:
            print("\n".join(["", *map(one_line, difference.lines())]))
        if exploration.differences:
            print(CAUSES)
        if exploration.found or exploration.differences or summary.is_violated:
            return WRONG
        return OK if self._is_judged(summary) else NO_DATA

    def _is_judged(self, summary: Summary) -> bool:
        """Whether any assertion of the target was evaluated in a trial."""
        # Without a completed trial, hits are those of an import or of a trial that was cut short.
        if summary.hits and self._exploration.trials:
            return True
        print(
            f"assertlib: no assertion of target {self._checked.name!r} was evaluated in"
            f" {counted(self._exploration.trials, 'trial')}: nothing was proved",
            file=sys.stderr,
        )
        return False

    def _summary(self) -> Summary:
        evidence = read_evidence([self._run_dir])
        return summarise(
            evidence, self._checked.catalog, self._checked.name, self._checked.scan.sites
        )


def _status(exploration: Exploration) -> str:
    seconds = max(exploration.elapsed, 0.001)
    seen = exploration.curve[-1][1] if exploration.curve else 0
    return (
        f"{counted(exploration.trials, 'trial')}, {exploration.trials / seconds:.1f} a second,"
        f" {exploration.virtual / seconds:.1f} virtual seconds a second;"
        f" states reached: {seen}; failures: {len(exploration.found)}"
    )


def _failure(found: Found, token: str, trials: int, *, is_explained: bool) -> str:
    outcome = "FLAKY" if found.is_flaky else "FAILED"
    times = f"{found.times:,} of {counted(trials, 'trial')} (first: trial {found.trial:,})"
    lines = ["", one_line(f"{outcome} in {times}: {found.failure.name}")]
    if not is_explained:
        lines.append(textwrap.indent(found.failure.text.rstrip(), "  "))
    if found.is_flaky:
        lines.append(f"  its tape does not reproduce it: {CAUSES}")
    lines.append(f"  replay: assertlib sim replay {token} --trace")
    return "\n".join(lines)


def _summary_line(done: Replay) -> str:
    # Equal digests of the log show that two replays took the same course.
    answer = done.answer
    return (
        f"{answer.steps:,} steps, {len(answer.choices):,} choices, {answer.seconds:.3f} virtual"
        f" seconds, faults: {', '.join(answer.faults) or 'none'}, log {answer.digest[:16]}"
    )


def _explained(found: Why) -> Iterator[str]:
    """Lines with the curve of a failure, and the step at which it jumps."""
    yield f"{found.failure}"
    yield ""
    yield "   choices  fails if the rest is random"
    for point in found.points:
        low, high = interval(point.failed, point.trials)
        bar = "#" * round(_BAR * point.rate)
        yield f"{point.choices:10,}  {point.rate:4.0%} ({low:.0%} to {high:.0%})".ljust(32) + bar
    yield ""
    if found.drawn.choices:
        yield f"The first {found.drawn.choices:,} choices set up the trial."
    if found.faults:
        yield f"Faults injected until the failure: {', '.join(found.faults)}."
    if found.jump is None:
        yield "No step makes the failure more likely."
        return
    jump = found.jump
    before = interval(jump.before.failed, jump.before.trials)
    after = interval(jump.after.failed, jump.after.trials)
    where = f"between choices {jump.before.choices:,} and {jump.after.choices:,}"
    if after[0] > before[1]:
        yield f"The failure becomes likely {where}, in the lines marked with >:"
    else:
        yield f"No step stands out; the steepest rise, {where}, may be chance (--repeats N):"
    first, last = jump.lines
    begin = max(0, first - _BEFORE)
    for number, line in enumerate(found.trace[begin : last + _AFTER], begin):
        event, is_marked = parsed(line), first <= number <= last
        # The event loop explains nothing about the program.
        if is_marked or event is None or event.kind != LOOP:
            yield f"{'>' if is_marked else ' '} {line}"


def _verdict(done: Replay) -> Iterator[str]:
    """Lines that report whether the tape reproduces its failure or witness."""
    name = done.spec.shows
    # The token of a seed was not kept for a failure or a state.
    if done.shows is None:
        return
    if done.shows:
        yield f"reproduced: {name}" if done.spec.fails else f"reached: {name}"
    elif done.is_flaky:
        yield f"FLAKY, not reproduced: {name}"
        yield f"  the source has not changed: {CAUSES}"
    elif done.spec.fails:
        yield f"not reproduced: {name}"
        yield f"  changed since it was recorded: {'; '.join(done.differences)}"
    else:
        yield f"STALE, no longer reached: {name}"
