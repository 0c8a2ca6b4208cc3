"""
What a change costs: ``python benchmarks/before_after.py --before CHECKOUT``.

CHECKOUT is assertlib at another commit, with its accelerator built in place.  Each figure is the CPU
time of whole processes, in pairs: one of this checkout, one of the other, in turn, so that what
else the machine does meets both.  A ratio above 1 is dearer than before.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

HERE = Path(__file__).parents[1]
HOT = """
import os, time
from assertlib import Invariant, always, sometimes
bound = Invariant("kv.x").declare_always("bound")
N = 400_000
def direct():
    for _ in range(N): always(True, "direct")
def seen_false():
    for _ in range(N): sometimes(False, "seen false")
def through():
    for _ in range(N): bound(True)
for each in (direct, seen_false, through): each()
def best(call):
    return min((lambda t: (call(), time.process_time() - t)[1])(time.process_time()) for _ in range(7))
for each in (direct, seen_false, through):
    print(each.__name__, best(each) / N * 1e9)
SLOTS, FORKS, names = 2_000, 20, iter(range(10**6))
def first_violation():
    for _ in range(SLOTS): always(False, f"first violation {next(names)}")
def fork():
    for _ in range(FORKS):
        child = os.fork()
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
print("first_violation", best(first_violation) / SLOTS * 1e9)
print("fork_with_14,000_assertions", best(fork) / FORKS * 1e9)
"""
IMPORT = """
import time
before = time.process_time_ns()
import assertlib
print((time.process_time_ns() - before) / 1e6)
"""
CACHE = os.path.join(tempfile.gettempdir(), f"before-after-{os.getpid()}")
"""Where both keep their bytecode, by their paths."""

TESTS, HITS = 400, 5
STORE = "from assertlib import always\ndef put(n):\n    always(n >= 0, 'not negative', {'n': n})\n"
TEST = "import store\n" + "\n".join(
    f"def test_{number}():\n    for n in range({HITS}): store.put(n)" for number in range(TESTS)
)
SIMULATION = """
import asyncio, time
from assertlib.sim import Options, Tape, run_trial
TRIPS = 10_000
async def serve():
    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()
    return await asyncio.start_server(handle, port=7)
async def call():
    reader, writer = await asyncio.open_connection("server", 7)
    for _ in range(TRIPS):
        writer.write(b"line\\n")
        await reader.readline()
    writer.close()
async def echo(world):
    server, client = world.host("server"), world.host("client")
    server.boot()
    client.boot()
    await server.run(serve())
    await client.run(call())
async def mail(world):
    a, b = world.host("a"), world.host("b")
    a.boot()
    b.boot()
    async def play(host, other, begins):
        box = host.mailbox(1)
        for number in range(TRIPS):
            if number or begins:
                box.send((other, 1), number)
            await box.receive()
        box.send((other, 1), number)
    last = b.run(play(b, "a", False))
    await asyncio.wait([a.run(play(a, "b", True)), last])
for each in (echo, mail):
    begin = time.process_time()
    # The simplest choices, which are the same at any commit.
    assert not run_trial(each, Tape(None), Options("random"), name="x").failures
    print(each.__name__, (time.process_time() - begin) / 2 / TRIPS * 1e9)
"""
CONFIG = '[tool.assertlib.targets.store]\nsource = ["store.py"]\ncatalog = []\n'
CLI = (
    "import sys; from assertlib.cli.entry import main; sys.argv[0] = 'assertlib'; sys.exit(main())"
)


def environment(checkout: Path, **more: str) -> dict[str, str]:
    dropped = ("ASSERTLIB", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = os.pathsep.join((str(checkout), str(checkout / "examples" / "kvstore")))
    return {**kept, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": CACHE, **more}


def cpu(command: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> tuple[float, str]:
    """User and system seconds of a process and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1, 5):
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def hot_path(checkout: Path, pure: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as run:
        more = {"ASSERTLIB_RUN_DIR": run, "ASSERTLIB_SINKS": "", "ASSERTLIB_PURE": pure}
        _, printed = cpu([sys.executable, "-c", HOT], Path(run), environment(checkout, **more))
    name = "pure" if pure == "1" else "accelerated"
    return {f"{name} {row.split()[0]}, ns": float(row.split()[1]) for row in printed.splitlines()}


def simulation(checkout: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as root:
        _, printed = cpu([sys.executable, "-c", SIMULATION], Path(root), environment(checkout))
    rows = (row.split() for row in printed.splitlines())
    return {f"simulated {name}, ns a message": float(value) for name, value in rows}


def plugin_of(checkout: Path) -> str:
    """The module that pytest loads where assertlib is installed."""
    is_beside = (checkout / "pytest_assertlib.py").exists()
    return "pytest_assertlib" if is_beside else "assertlib.pytest_plugin"


def start(checkout: Path, plugin: str | None, root: Path) -> dict[str, float]:
    """The start of a pytest without --assertlib, and an import."""
    plugins = () if plugin is None else ("-p", plugin)
    env = environment(checkout, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    collecting = [sys.executable, "-m", "pytest", "-q", "--collect-only", *plugins, "-p"]
    seconds, _ = cpu([*collecting, "no:cacheprovider"], root, env)
    # One import varies by a third where other processes run; the least of several is steady.
    # Without site: the finder of an editable install loads much of the standard library before.
    imports = (cpu([sys.executable, "-S", "-c", IMPORT], root, env)[1] for _ in range(15))
    return {
        "pytest without --assertlib, s": seconds,
        "import assertlib, ms": min(map(float, imports)),
    }


def pytest_session(checkout: Path, root: Path) -> dict[str, float]:
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", plugin_of(checkout), "--assertlib"),
    ]
    more = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    shutil.rmtree(root / ".assertlib", ignore_errors=True)
    seconds, _ = cpu(command, root, environment(checkout, **more))
    return {f"pytest, {TESTS} tests, s": seconds}


def demo_run(checkout: Path, trials: int) -> Path:
    """A run of the example store under kill -9, recorded by that checkout."""
    torture = [sys.executable, "-m", "kvstore.torture", "--trials", str(trials), "--seed", "7"]
    words = ["run", "--full", "--target", "kvstore", "--", *torture]
    shutil.rmtree(checkout / ".assertlib", ignore_errors=True)
    cpu([sys.executable, "-c", CLI, *words], checkout, environment(checkout))
    return next((checkout / ".assertlib" / "runs").iterdir())


def judging(checkout: Path, run: Path) -> dict[str, float]:
    figures = {}
    for face in ("report", "gate"):
        command = [sys.executable, "-c", CLI, face, str(run)]
        figures[f"{face} on the demo's run, s"], _ = cpu(command, checkout, environment(checkout))
    return figures


def compare(
    pairs: int, now: Callable[[], dict[str, float]], was: Callable[[], dict[str, float]]
) -> None:
    """Print each figure, and its ratio pair by pair."""
    now(), was()
    taken = [(now(), was()) for _ in range(pairs)]
    for name in taken[0][0]:
        ratios = sorted(after[name] / before[name] for after, before in taken)
        after, before = (statistics.median(pair[side][name] for pair in taken) for side in (0, 1))
        print(
            f"{name:34} {before:10.3f} {after:10.3f}   {statistics.median(ratios):5.3f}"
            f"   ({ratios[0]:.3f} to {ratios[-1]:.3f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--trials", type=int, default=30)
    options = parser.parse_args()
    before = options.before.resolve()
    print(f"{'':34} {'before':>10} {'now':>10}   ratio   (least to most, {options.pairs} pairs)")
    for pure in ("0", "1"):
        compare(options.pairs, partial(hot_path, HERE, pure), partial(hot_path, before, pure))
    compare(options.pairs, partial(simulation, HERE), partial(simulation, before))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for was in (before, HERE):
            plugin = plugin_of(was) if was is before else None
            print("against the other checkout:" if was is before else "against no plugin:")
            compare(
                options.pairs,
                lambda: start(HERE, plugin_of(HERE), root),
                partial(start, was, plugin, root),
            )
        (root / "store.py").write_text(STORE)
        (root / "test_store.py").write_text(TEST)
        (root / "pyproject.toml").write_text(CONFIG)
        compare(
            options.pairs,
            lambda: pytest_session(HERE, root),
            lambda: pytest_session(before, root),
        )
    runs = demo_run(HERE, options.trials), demo_run(before, options.trials)
    compare(options.pairs, lambda: judging(HERE, runs[0]), lambda: judging(before, runs[1]))
    shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    main()
