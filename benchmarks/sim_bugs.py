"""
Trials until a simulation finds each planted bug of the lock service in ``tests/sim``.

Each figure is the median of several explorations with seeds of their own; ``>`` marks an
exploration that ended without a failure, and counts as its number of trials.  ``sound`` is the
service without a bug, which must not fail.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from assertlib.sim import Options
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import DEFAULT
from tests.sim.lock_service import BUGS

ROOT = Path(__file__).resolve().parents[1]
WAYS = {"random": ("random", False), "pct": ("pct3", False), "guided": ("swarm", True)}


def trials_to_failure(name: str, policy: str, *, guided: bool, first: int, most: int) -> int:
    target = f"tests.sim.lock_service:{name.replace('-', '_')}"
    path = (str(ROOT),)
    options = Options(policy, DEFAULT)
    plan = Plan(
        target, options, most, first, guided=guided, stops=lambda _: True, path=path, shrinks=0
    )
    environment = {k: v for k, v in os.environ.items() if k != "ASSERTLIB_RUN_DIR"}
    exploration = Exploration(plan, local(target, options, environment, path))
    exploration.run()
    return min((found.trial for found in exploration.found.values()), default=most + 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--explorations", type=int, default=10)
    parser.add_argument("--most", type=int, default=2000, help="trials of each exploration")
    parser.add_argument("--bugs", default=",".join(BUGS))
    parser.add_argument("--ways", default=",".join(WAYS))
    chosen = parser.parse_args()
    print(f"| bug | {' | '.join(chosen.ways.split(','))} |", flush=True)
    print("|---|" + "---|" * len(chosen.ways.split(",")), flush=True)
    for bug in chosen.bugs.split(","):
        print(f"| {bug} ", end="", flush=True)
        for way in chosen.ways.split(","):
            policy, guided = WAYS[way]
            counts = [
                trials_to_failure(
                    bug, policy, guided=guided, first=number * 100_000, most=chosen.most
                )
                for number in range(chosen.explorations)
            ]
            middle = statistics.median(counts)
            shown = f"{middle:g} ({min(counts)} to {max(counts)})"
            print(
                f"| {shown.replace(str(chosen.most + 1), f'>{chosen.most}')} ", end="", flush=True
            )
        print("|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
