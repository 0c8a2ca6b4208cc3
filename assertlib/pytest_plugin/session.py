"""
A recorded pytest session: one run directory, one trial per test, and a failure for each violation,
even for one that an except clause swallowed.

A violation fails its test as soon as it is detected.  At the end of the session the evidence
decides: a violation for which no test failed (its record was lost, it came late, or a rerun of the
test passed) fails the session.

Tests may patch functions of the operating system.  Code that runs between the hooks of a test
therefore calls those of `recording.system`, and imports nothing.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .._calls.primitives import InvariantViolation
from .._text.control_characters import escaped
from ..catalog.check import Checked, check
from ..catalog.config import ConfigError, find_config
from ..catalog.loader import entry_of
from ..evidence.combine import Evidence
from ..evidence.explanation import explain, unrecorded
from ..evidence.gather import read_digests
from ..evidence.revision import find_revision
from ..evidence.runs import describe_run, finish_run, new_run, read_info
from ..evidence.summary import Summary, summarise
from ..evidence.text import counted, one_line
from ..evidence.verdicts import AssertionResult, Verdict
from ..evidence.violations import Broken
from ..evidence.watch import RunWatch, Seen
from ..lifecycle import trial
from ..recording.hits import Hit
from ..recording.private import make_directory
from ..recording.reader import UnreadableRunError, shard_names
from ..recording.recorder import recorder
from ..recording.records import ErrorRecord
from ..recording.rundir import RUN_FILE
from ..recording.settings import (
    COMMIT_ENV,
    MODE_ENV,
    OFF,
    RAISE,
    ROOT_ENV,
    RUN_DIR_ENV,
)
from ..report.content import content_of

_TRIAL = pytest.StashKey[str]()
_DESELECTED = "assertlib_deselected"
_CLAIMS = "assertlib_claims"
"""Attribute of a test report: the violations detected in its phase."""

NOTHING_JUDGED = 3
"""Exit code of a session that passed and evaluated no assertion."""

_OURS = f"{Path(__file__).absolute().parents[1]}{os.sep}"

ViolationKey = tuple[str, str | None, str]
"""Shard, trial and message of a violation."""

# A session with one of these options runs some of the tests only, or none.
_NARROWING = (
    "collectonly",
    "keyword",
    "markexpr",
    "deselect",
    "lf",
    "stepwise",
    "ignore",
    "ignore_glob",
)


def start(config: pytest.Config) -> Session:
    """
    Start to record; a worker of pytest-xdist records into the run of its controller.

    Raises:
        pytest.UsageError: The configuration or the run directory is unusable.
    """
    try:
        project = find_config(config.rootpath)
        name, target = project.target(config.getoption("--assertlib-target"))
        checked = check(project, name, target)
    except ConfigError as error:
        raise pytest.UsageError(escaped(str(error))) from None
    # Set by `assertlib run` or by the controller of an xdist worker, which then owns the run.
    given = os.environ.get(RUN_DIR_ENV)
    run_dir = Path(given) if given else new_run(project)
    try:
        # A run that exists was described by its owner.
        if not (run_dir / RUN_FILE).exists():
            make_directory(run_dir)
            describe_run(run_dir, checked, project, ["pytest", *sys.argv[1:]])
    except (OSError, UnreadableRunError) as error:
        raise pytest.UsageError(escaped(f"assertlib: {error}")) from None
    os.environ.setdefault(ROOT_ENV, str(project.root))
    commit = find_revision(project.root)
    if commit is not None:
        os.environ.setdefault(COMMIT_ENV, commit)
    # A mode from the environment has precedence: None leaves it as it is.
    mode = None if MODE_ENV in os.environ else RAISE
    recorder.root = os.environ[ROOT_ENV]
    recorder.configure(mode=mode, run_dir=run_dir)
    if mode is not None:
        recorder.raise_only_here()
    if config.getoption("--assertlib-context"):
        # Imported here, so that other runs need not load what reads evidence.
        from .passages import Passages

        config.pluginmanager.register(Passages(project.root, run_dir), "assertlib-passages")
    return Session(config, checked, run_dir, owns_run=not given)


class _OwnViolations:
    """Collects violations in this process as they occur, even if their records cannot be written."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = str(run_dir)
        self._seen: list[tuple[frozenset[str], Seen]] = []

    def handle(self, hit: Hit) -> None:
        """Keep *hit* if it is an unexpected violation in this run."""
        around = recorder.around
        # A test may record into a run directory of its own; its violations belong to that run.
        if not hit.is_violation or recorder.run_dir != self._run_dir:
            return
        if not any(each.expects_violation_of(hit.message) for each in around):
            trials = frozenset(each.id for each in around)
            self._seen.append((trials, Seen(recorder.shard_name, hit)))

    def take(self, trial: str) -> list[Seen]:
        """Remove and return the violations in *trial* or in trials inside it."""
        taken = [seen for trials, seen in self._seen if trial in trials]
        self._seen = [each for each in self._seen if trial not in each[0]]
        return taken


class _Unclaimed(NamedTuple):
    """A violation for which no test failed."""

    result: AssertionResult
    where: list[Broken]


class Session:
    """The hooks of a recording session."""

    def __init__(
        self, config: pytest.Config, checked: Checked, run_dir: Path, *, owns_run: bool
    ) -> None:
        self._config = config
        self._checked = checked
        self._run_dir = run_dir
        self._owns_run = owns_run
        # Shards that an earlier session left in a shared run are not judged again.
        self._before = frozenset(() if owns_run else shard_names(str(run_dir)))
        # This process is left out: `_own` also sees violations whose records were lost.
        self._watch = RunWatch(run_dir, but=os.getpid())
        self._own = _OwnViolations(run_dir)
        self._refusals = 0
        self._deselected = 0
        self._partial = ""
        self._claims: list[ViolationKey] = []
        self._claimed: set[ViolationKey] = set()
        self._unclaimed: list[_Unclaimed] = []
        self._summary: Summary | None = None
        self._unreadable = ""
        self._finished: set[str] = set()
        self._is_worker = hasattr(config, "workerinput")
        recorder.subscribe(self._own)
        recorder.explained_by(self._explained)

    # -- tests -----------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run set-up, call and tear-down of a test in one trial."""
        self._refusals = recorder.refusals
        with trial(item.nodeid) as unit:
            item.stash[_TRIAL] = unit.id
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """
        Attach the violations of *item* that *call* detected to its report.

        A failed report claims them: they do not fail the session again.
        """
        # After a failed set-up the hook for the call does not run, and the tear-down must not fail
        # for violations of the set-up.
        if call.when == "setup" and call.excinfo is not None:
            self._collect(item)
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, InvariantViolation):
            _shorten(report, call.excinfo.value)
        setattr(report, _CLAIMS, self._claims)
        self._claims = []
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test for violations that were swallowed, or that occurred in a child process."""
        _give_examples_trials(item)
        try:
            outcome = yield
        except InvariantViolation as violation:
            _hide_our_frames(violation)
            self._collect(item)
            raise
        except BaseException:
            # The test fails already, so its violations are collected without another failure.  A
            # skip arrives here, too: its report claims nothing, and the session fails instead.
            self._collect(item)
            raise
        self._fail_if_violated(item)
        return outcome

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail the tear-down for violations of processes that fixtures were stopping."""
        outcome = yield
        self._fail_if_violated(item)
        return outcome

    def _collect(self, item: pytest.Item) -> tuple[list[Hit], list[ErrorRecord]]:
        """Remove the violations of *item* from the watches, and note them as claims."""
        self._watch.update()
        trial = item.stash[_TRIAL]
        violations, troubles = self._watch.take(trial)
        violations = [*self._own.take(trial), *violations]
        self._claims += [(seen.shard, seen.hit.trial, seen.hit.message) for seen in violations]
        return [seen.hit for seen in violations], troubles

    def _fail_if_violated(self, item: pytest.Item) -> None:
        violations, troubles = self._collect(item)
        texts = [self._explained_once(hits) for hits in _by_message(violations)]
        texts += [
            f"assertion {trouble.message!r} could not be evaluated\n"
            f"  at {one_line(str(trouble.location))}\n  {one_line(trouble.reason)}"
            for trouble in troubles
        ]
        # The counter grows even if the record of a refusal could not be written.
        refused, self._refusals = recorder.refusals - self._refusals, recorder.refusals
        if refused > 0 and not troubles:
            texts.append(
                f"{counted(refused, 'assertion')} could not be evaluated, and no record of that could"
                " be written"
            )
        if texts:
            pytest.fail(escaped("\n\n".join(texts)), pytrace=False)

    def _explained_once(self, hits: list[Hit]) -> str:
        more = f"\nand {len(hits) - 1:,} more records of it" if len(hits) > 1 else ""
        return self._explained(hits[0]) + more

    def _explained(self, hit: Hit) -> str:
        return explain(hit, entry_of(hit.invariant, self._checked.catalog.entries))

    @property
    def assumes(self) -> dict[str, tuple[str, ...]]:
        """The assumptions of each invariant, for simulated trials."""
        entries = self._checked.catalog.entries.values()
        return {entry.id: tuple(entry.invariant.assumes) for entry in entries}

    # -- the session -----------------------------------------------------

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the deselected tests: any makes the run partial."""
        self._deselected += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """Add the counts of an xdist worker; a crashed one makes the run partial."""
        output = getattr(node, "workeroutput", None)
        # Without output the worker crashed; its lost tests count as one that was deselected.
        self._deselected += output.get(_DESELECTED, 0) if output is not None else 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Finish and judge the run."""
        output = getattr(self._config, "workeroutput", None)
        # Only the controller judges: the shards of other workers may still grow.
        if output is not None:
            output[_DESELECTED] = self._deselected
            return
        if self._owns_run:
            self._partial = self._partial_because(session, exitstatus)
            finish_run(self._run_dir, full=not self._partial)
        try:
            self._judge()
        except UnreadableRunError as error:
            self._unreadable = str(error)
        # The exit code of a session that has failed already is kept.
        if exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self._exit_status()

    def _judge(self) -> None:
        info = read_info(self._run_dir)
        digests = read_digests(info, self._run_dir)
        evidence = Evidence()
        evidence.add_digests(info, (each for each in digests if each.name not in self._before))
        checked = self._checked
        summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
        self._summary = summary
        self._unclaimed = [
            _Unclaimed(result, where)
            for result in summary.with_verdict(Verdict.VIOLATED)
            for where in [list(self._not_claimed(result))]
            if where
        ]

    def _not_claimed(self, result: AssertionResult) -> Iterator[Broken]:
        names = {result.message, *(each.hit.message for each in result.violations)}
        for broken in result.broken:
            if all((broken.shard.name, broken.trial, name) not in self._claimed for name in names):
                yield broken

    def _exit_status(self) -> int:
        """The exit code of a session whose tests all passed."""
        summary = self._summary
        # A refusal in a test fails that test, so those counted here occurred outside of tests.
        if self._unclaimed or summary is None or summary.damage or summary.refusals:
            return pytest.ExitCode.TESTS_FAILED
        if summary.is_empty and not self._partial and self._owns_run:
            return NOTHING_JUDGED
        return pytest.ExitCode.OK

    def _partial_because(self, session: pytest.Session, exitstatus: int) -> str:
        """The reason why absence proves nothing; empty if the run is full."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return f"pytest ended with exit code {int(exitstatus)}"
        stopped = session.shouldstop or session.shouldfail
        if stopped:
            return f"pytest stopped early{_after_failures(str(stopped))}"
        if self._deselected:
            return "tests were deselected or could not be collected"
        # `pytest.exit` with return code 0 leaves no other trace.
        if len(self._finished) < session.testscollected:
            return "not every test finished"
        narrowed = [name for name in _NARROWING if self._config.getoption(name, None)]
        if narrowed:
            return f"the option {narrowed[0]} was given"
        if not self._covers_all_paths():
            return "only selected tests ran; run pytest without arguments for a full run"
        return ""

    def _covers_all_paths(self) -> bool:
        """Whether the session was started on all `testpaths`, or else on the whole project."""
        root = self._config.rootpath
        given = {
            (self._config.invocation_params.dir / word).resolve() for word in self._config.args
        }
        if self._config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            return True
        whole = [root / path for path in self._config.getini("testpaths")] or [root]
        return all(path.resolve() in given or given & set(path.resolve().parents) for path in whole)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count finished tests, and claim the violations of those that failed."""
        if report.when == "teardown":
            self._finished.add(report.nodeid)
        # An expected failure covers violations like any other error.
        if report.failed or hasattr(report, "wasxfail"):
            # A report from an xdist worker went through JSON: its claims are lists.
            claims: Iterable[ViolationKey] = getattr(report, _CLAIMS, ())
            self._claimed.update((shard, trial, message) for shard, trial, message in claims)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a module that could not be collected: its tests did not run."""
        self._deselected += report.failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a short section on coverage."""
        if self._is_worker:
            return
        if self._summary is not None:
            terminalreporter.section("assertlib")
            for line in self._section(self._summary):
                terminalreporter.write_line(escaped(line))
        elif self._unreadable:
            terminalreporter.write_line(escaped(f"assertlib: {self._unreadable}"), red=True)

    def _section(self, summary: Summary) -> Iterator[str]:
        content = content_of(summary)
        if summary.is_empty:
            off = ": ASSERTLIB=off" if recorder.mode == OFF else ""
            yield f"no assertion was hit{off}; this proves nothing"
        yield one_line(content.title)
        yield " · ".join(content.counts)
        if self._partial:
            yield f"partial run: {self._partial}"
        for text in summary.damage:
            yield one_line(f"damaged: {text}")
        for message, reason, _ in summary.troubles:
            yield one_line(f"could not be evaluated: {message!r}: {reason}")
        for unclaimed in self._unclaimed:
            yield ""
            yield "Violations that did not fail any test:"
            yield self._story(unclaimed)
        yield f"assertlib report {self._run_dir.name}"

    def _story(self, unclaimed: _Unclaimed) -> str:
        """Describe a violation by one of its records, or by the counters if these were lost."""
        keys = {broken.key for broken in unclaimed.where}
        known = [each.hit for each in unclaimed.result.violations if each.key in keys]
        if known:
            return self._explained(known[0])
        return unrecorded(unclaimed.result, unclaimed.where)


def _by_message(hits: list[Hit]) -> list[list[Hit]]:
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.message, []).append(hit)
    return list(groups.values())


def _after_failures(reason: str) -> str:
    """*reason* for stopping, as the end of a sentence; pytest writes *stopping after 1 failures*."""
    found = re.fullmatch(r"stopping after (\d+) failures", reason)
    return f" after {counted(int(found[1]), 'failure')}" if found else f": {reason}"


def _hide_our_frames(violation: InvariantViolation) -> None:
    """Cut the traceback off at the call to the assertion."""
    last = trace = violation.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            last = trace
        trace = trace.tb_next
    if last is not None:
        last.tb_next = None


def _shorten(report: pytest.TestReport, violation: InvariantViolation) -> None:
    """
    Name assertion and invariant in the short summary.

    pytest truncates it to the terminal, but prints all lines where the environment has CI.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        invariant = f" {violation.invariant}" if violation.invariant else ""
        crash.message = one_line(f"violated{invariant}: {violation.message}")


def _give_examples_trials(item: pytest.Item) -> None:
    """Run each Hypothesis example of a test as a trial inside that of the test."""
    function: object = getattr(item, "obj", None)
    handle = getattr(function, "hypothesis", None)
    inner: Callable[..., object] | None = getattr(handle, "inner_test", None)
    if handle is None or inner is None:
        return
    # Reruns and parameters of a test share its function, which may be wrapped already.
    original = getattr(inner, "_assertlib_original", inner)
    numbers = itertools.count(1)

    @functools.wraps(original)
    def example(*args: object, **kwargs: object) -> object:
        with trial(f"{item.stash[_TRIAL]} [example {next(numbers)}]"):
            return original(*args, **kwargs)

    example._assertlib_original = original  # type: ignore[attr-defined]
    handle.inner_test = example
