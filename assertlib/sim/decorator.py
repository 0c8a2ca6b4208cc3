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
    """A trial failed; the message includes the failure and the replay command."""


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
        """Do nothing: the process continues with the tests."""


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
        jobs: Number of parallel trials.
    """

    def decorate(scenario: Scenario) -> Callable[..., None]:
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

        run.__name__, run.__qualname__ = scenario.__name__, scenario.__qualname__
        run.__module__, run.__doc__ = scenario.__module__, scenario.__doc__
        run.scenario = scenario  # type: ignore[attr-defined]
        return run

    return decorate


# The function is named for users; keep pytest from collecting it.
test.__test__ = False  # type: ignore[attr-defined]


def _name_of(scenario: Scenario) -> str:
    file = inspect.getsourcefile(scenario) or ""
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
    if exploration.found:
        found = next(iter(exploration.found.values()))
        tapes = root / ".assertlib" / DIRECTORY
        token = write(tapes, found.spec)
        raise SimulationFailedError(_story(found, token, inline=inline))


def _story(found: Found, token: str, *, inline: bool) -> str:
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
