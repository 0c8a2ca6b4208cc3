"""
``@assertlib.sim.test``: run a scenario as a pytest test.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .engine import Engine, local
from .explore import Exploration, Found, Plan
from .faults import faults_named
from .policy import SWARM
from .replay import CAUSES
from .tapes import DIRECTORY, write
from .target import HASH_SEED, Stamp, stamp
from .trial import Options, Scenario
from .worker import Answer, Job, TrialRunner

__all__ = ["SimulationFailedError", "test"]


class SimulationFailedError(AssertionError):
    """A trial failed; the message contains the failure and the command that replays it."""


class _Inline:
    """A worker in the current process, for debugging; its hash seed is not fixed."""

    def __init__(self, target: str, options: Options) -> None:
        self._runner = TrialRunner(target, options)

    @property
    def stamp(self) -> Stamp:
        return stamp()

    def do(self, job: Job) -> Answer:
        return self._runner.do(job)

    def close(self) -> None:
        """Do nothing: the process goes on to run other tests."""


def test(
    *,
    seeds: int = 100,
    faults: str = "default",
    policy: str = SWARM,
    guided: bool = False,
    jobs: int = 1,
) -> Callable[[Scenario], Callable[..., None]]:
    """
    Turn a scenario into a test that fails if any of its trials fails.

    Trials run in child processes whose hash seed is fixed; ``pytest --sim-inline`` runs them in
    the test's own process.

    Args:
        seeds: Number of trials.
        faults: Faults to inject, as in ``assertlib sim explore --faults``.
        policy: How tasks are scheduled, as in ``--policy``.
        guided: Whether to build on trials that reached new states.
        jobs: Number of trials to run in parallel.

    Returns:
        A decorator, which replaces the scenario by a synchronous test function.
    """

    def decorate(scenario: Scenario) -> Callable[..., None]:
        # A plain function although the scenario is a coroutine function, which pytest runs only
        # with a plugin, and then on a loop of that plugin.
        def run(request: Any) -> None:
            config = request.config
            session = config.pluginmanager.get_plugin("assertlib-session")
            assumes = {} if session is None else session.assumes
            options = Options(policy, faults_named(faults), assumes=assumes)
            plan = Plan(
                _name_of(scenario),
                options,
                seeds,
                jobs=jobs,
                guided=guided,
                stops=lambda _: True,
                # Modules that pytest imports by file are named relative to these directories.
                path=(str(config.rootpath), os.getcwd()),
            )
            _explore(plan, inline=config.getoption("--sim-inline", False), root=config.rootpath)

        # Not functools.wraps: pytest would follow `__wrapped__` to the signature of the scenario
        # and look for a fixture called "world".
        run.__name__, run.__qualname__ = scenario.__name__, scenario.__qualname__
        run.__module__, run.__doc__ = scenario.__module__, scenario.__doc__
        # Workers import the test function by name and need the scenario in it; see `target.load`.
        run.scenario = scenario  # type: ignore[attr-defined]
        return run

    return decorate


# The name suits its users, but pytest must not collect a function called "test".
test.__test__ = False  # type: ignore[attr-defined]


def _name_of(scenario: Scenario) -> str:
    file = inspect.getsourcefile(scenario) or ""
    # A module is named only if a worker would import the same file: pytest may import test modules
    # by path, and two of them may have the same name.
    try:
        spec = importlib.util.find_spec(scenario.__module__)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin is not None and os.path.samefile(spec.origin, file):
        return f"{scenario.__module__}:{scenario.__qualname__}"
    return f"{file}:{scenario.__qualname__}"


def _explore(plan: Plan, *, inline: bool, root: Path) -> None:
    engine: Engine = (
        (lambda: _Inline(plan.target, plan.options))
        if inline
        else local(plan.target, plan.options, os.environ, plan.path)
    )
    exploration = Exploration(plan, engine)
    exploration.run(here=inline)
    # The first failure ends the exploration; parallel trials may add others, which mostly follow
    # from the same defect.
    if exploration.found:
        found = next(iter(exploration.found.values()))
        tapes = root / ".assertlib" / DIRECTORY
        token = write(tapes, found.spec)
        raise SimulationFailedError(_message(found, token, inline=inline))


def _message(found: Found, token: str, *, inline: bool) -> str:
    lines = [
        (
            f"trial {found.trial} failed after {found.failure.at:.6f} virtual seconds:"
            f" {found.failure.name}"
        ),
        found.failure.text.rstrip(),
    ]
    if found.is_flaky:
        lines.append(f"FLAKY: its tape does not reproduce it; {CAUSES}")
    lines.append(f"replay: assertlib sim replay {token} --trace")
    if inline:
        lines.append(f"(inline: the hash seed is not {HASH_SEED}, so a replay may differ)")
    return "\n".join(lines)
