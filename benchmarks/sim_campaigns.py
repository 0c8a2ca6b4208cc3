"""
Long simulations of the example store: is it deterministic, does it survive, what is seen when?

``determinism`` runs every seed twice, in different processes, and compares the logs.
``survival`` runs the store at random and guided, tells whether any assertion was violated, and how
many of the states that assertions want to see had been seen after how many trials; with ``--plot``
it draws that.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.model import REACHABLE, SOMETIMES
from assertlib.sim.engine import local
from assertlib.sim.explore import Exploration, Plan
from assertlib.sim.faults import DEFAULT
from assertlib.sim.trial import Options

ROOT = Path(__file__).resolve().parents[1]
TARGET = "kvstore-simulation"
MILESTONES = (100, 1_000, 5_000, 20_000)
Curve = list[tuple[int, int]]


def explored(seeds: int, jobs: int, *, guided: bool = False, digests: bool = False) -> Exploration:
    _, target = find_config(ROOT).target(TARGET)
    path = tuple(str(ROOT / each) for each in target.pythonpath)
    plan = Plan(
        target.scenario,
        Options(faults=DEFAULT),
        seeds,
        jobs=jobs,
        guided=guided,
        digests=digests,
        path=path,
    )
    environment = {k: v for k, v in os.environ.items() if k != "ASSERTLIB_RUN_DIR"}
    exploration = Exploration(plan, local(plan.target, plan.options, environment, path))
    exploration.run()
    return exploration


def determinism(seeds: int, jobs: int) -> int:
    began = time.monotonic()
    first, second = (explored(seeds, jobs, digests=True).digests for _ in range(2))
    differing = [name for name in first if first[name] != second.get(name)]
    took = time.monotonic() - began
    print(
        f"{len(first):,} and {len(second):,} trials in {took:.0f} s: {len(differing)} logs differ"
    )
    return 1 if differing or len(first) != seeds or len(second) != seeds else 0


def survival(seeds: int, jobs: int, plot: Path | None) -> int:
    states = states_to_see()
    runs = {}
    for name, guided in (("random", False), ("guided", True)):
        exploration = runs[name] = explored(seeds, jobs, guided=guided)
        print(
            f"{name}: {exploration.trials:,} trials in {exploration.elapsed:.0f} s,"
            f" {exploration.steps:,} steps, {exploration.virtual:,.0f} virtual seconds,"
            f" {len(exploration.found)} failures, {exploration.lost} workers lost",
            flush=True,
        )
        for found in exploration.found.values():
            seed = replace(found.spec.unshrunk(), shows="")
            print(f"  FAILED {found.failure.name}: {seed.token}")
    print(f"\nstates seen, of {states}")
    print("| after | random | guided |")
    print("|---|---|---|")
    for trials in (each for each in MILESTONES if each <= seeds):
        seen = [seen_after(run.curve, trials) for run in runs.values()]
        print(f"| {trials:,} trials | {seen[0]} | {seen[1]} |")
    if plot is not None:
        plot.write_text(drawn({name: run.curve for name, run in runs.items()}, seeds, states))
    return 1 if any(run.found for run in runs.values()) else 0


def states_to_see() -> int:
    config = find_config(ROOT)
    checked = check(config, *config.target(TARGET))
    return sum(site.kind in (SOMETIMES, REACHABLE) for site in checked.scan.sites)


def seen_after(curve: Curve, trials: int) -> int:
    return max((seen for at, seen in curve if at <= trials), default=0)


# -- a plot ---------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP = 640, 300, 50, 20
COLOURS = {"random": "#4477aa", "guided": "#cc6633"}


def drawn(curves: dict[str, Curve], trials: int, states: int) -> str:
    """States seen over trials, which are on a logarithmic scale, as SVG."""
    import math

    def x(at: float) -> float:
        return LEFT + WIDTH * math.log10(max(at, 1)) / math.log10(trials)

    def y(seen: float) -> float:
        return TOP + HEIGHT * (1 - seen / states)

    def step(curve: Curve) -> str:
        points, last = [], 0
        for at, seen in curve:
            points += [(x(at), y(last)), (x(at), y(seen))]
            last = seen
        points.append((x(trials), y(last)))
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)

    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 80} {HEIGHT + 70}"'
            ' font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH + 80}" height="{HEIGHT + 70}" fill="white"/>',
    ]
    for seen in range(0, states + 1, 5):
        lines += [
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(seen):.1f}" y2="{y(seen):.1f}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y(seen) + 4:.1f}" text-anchor="end">{seen}</text>',
        ]
    for at in (1, 10, *MILESTONES):
        if at <= trials:
            lines += [
                f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#eee"/>',
                f'<text x="{x(at):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{at:,}</text>',
            ]
    for number, (name, curve) in enumerate(curves.items()):
        lines += [
            f'<polyline points="{step(curve)}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>',
            (
                f'<text x="{LEFT + WIDTH - 90}" y="{TOP + HEIGHT - 40 + 18 * number}"'
                f' fill="{COLOURS[name]}">{name}</text>'
            ),
        ]
    lines += [
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 40}" text-anchor="middle">trials</text>',
        f'<text x="{LEFT}" y="{TOP - 6}">states seen, of {states}</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", choices=("determinism", "survival"))
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="where to draw, as SVG")
    options = parser.parse_args(arguments)
    if options.campaign == "determinism":
        return determinism(options.seeds, options.jobs)
    return survival(options.seeds, options.jobs, options.plot)


if __name__ == "__main__":
    sys.exit(main())
