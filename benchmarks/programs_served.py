"""
How many programs of the package index run as they are: here, in detangle 0.1.0 and simloom 0.5.0.

Each of the programs in ``tests/sim/real_programs.py`` runs unchanged, as a server and a client host,
with a few seeds, in a process for each library.  It is served if no seed fails.  simloom needs
Python 3.12, so this runs in an environment apart:

    python3.13 -m venv peers
    peers/bin/pip install . detangle==0.1.0 simloom==0.5.0 -r tests/sim/real_programs.txt
    peers/bin/python -m benchmarks.programs_served

The options of simloom are its most permissive ones: virtual time and seeded randomness.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.real_programs import PROGRAMS, trial

LIBRARIES = ("assertlib", "detangle", "simloom")
SECONDS = 120.0


class Host:
    """A host of another library, as far as the programs use one."""

    def __init__(self, spawn: Callable[..., Any], main: Callable[[Any], Any] | None) -> None:
        self._spawn = spawn
        self._main = main
        self._task: Any = None

    def boot(self) -> None:
        if self._main is not None:
            self._task = self._spawn(self._main(self))

    def run(self, coroutine: Coroutine[Any, Any, Any], name: str | None = None) -> Any:
        return self._spawn(coroutine)

    @property
    def disk(self) -> Any:
        raise NotImplementedError("the files of a host are real ones")

    async def ended(self) -> Any:
        return await self._task


class World:
    """The world of another library, as far as the programs use one."""

    def __init__(self, spawn_on: Callable[[str], Callable[..., Any]]) -> None:
        self._spawn_on = spawn_on

    def host(self, name: str, main: Any = None, **_: Any) -> Host:
        return Host(self._spawn_on(name), main)


def run_in_assertlib(scenario: Any, seed: int) -> None:
    failure = trial(scenario, seed).failure
    if failure is not None:
        raise RuntimeError(failure.name)


def run_in_detangle(scenario: Any, seed: int) -> None:
    import detangle

    def spawn_on(name: str) -> Callable[..., Any]:
        return lambda coroutine: detangle.spawn(coroutine, host=name)

    detangle.run(lambda: scenario(World(spawn_on)), seed=seed)


def run_in_simloom(scenario: Any, seed: int) -> None:
    import simloom

    async def main(world: Any) -> None:
        # The servers listen on all addresses, which simloom takes for one of its own.
        world.net.dns.register("server", "0.0.0.0")
        await scenario(World(lambda name: world.host(name).spawn))

    simloom.run(main, seed=seed, virtual_time=True, seed_randomness=True)


def play(library: str, program: str, seeds: int) -> int:
    """Run a program in this process; print its first failure."""
    scenario, modules = PROGRAMS[program]
    for module in modules:
        importlib.import_module(module)
    run = globals()[f"run_in_{library}"]
    for seed in range(seeds):
        try:
            run(scenario, seed)
        except (Exception, asyncio.CancelledError) as error:
            print(f"{type(error).__name__}: {error}".splitlines()[0][:90])
            return 1
    return 0


def served(library: str, program: str, seeds: int) -> str:
    command = [sys.executable, "-m", "benchmarks.programs_served", "--play", library, program]
    try:
        done = subprocess.run(
            [*command, "--seeds", str(seeds)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "did not end"
    lines = done.stdout.splitlines() or done.stderr.splitlines()[-1:] or ["ended without a word"]
    return "" if done.returncode == 0 else lines[-1][:90]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--play", nargs=2, metavar=("LIBRARY", "PROGRAM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        return play(*options.play, options.seeds)
    print(f"| program, {options.seeds} seeds | {' | '.join(LIBRARIES)} |")
    print("|---|" + "---|" * len(LIBRARIES))
    totals = dict.fromkeys(LIBRARIES, 0)
    for program in PROGRAMS:
        found = {library: served(library, program, options.seeds) for library in LIBRARIES}
        for library, failure in found.items():
            totals[library] += not failure
        print(f"| {program} | {' | '.join(each or 'yes' for each in found.values())} |", flush=True)
    print(f"| served, of {len(PROGRAMS)} | {' | '.join(map(str, totals.values()))} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
