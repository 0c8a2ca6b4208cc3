"""
Shows what assertlib finds, in three acts: ``make demo``.

The whole output of each command goes to a log, which is named at the end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[1]
LOG = ROOT / ".assertlib" / "demo.log"
BIN = Path(sys.executable).parent
ASSERTLIB = str(BIN / "assertlib")
WITNESS = "a slow watcher becomes a victim and catches up"
SHOWN = 8
"""Lines of the witness."""

# What a trace says of the world, rather than of the tasks of the event loop.
EVENT = re.compile(r"fault:|\* |boots|is down|heals|power cut loses")


def run(log: TextIO, *command: object) -> tuple[int, str]:
    """Run a command with its output in the log; returns its exit code and stdout."""
    log.write(f"\n$ {' '.join(map(str, command))}\n")
    log.flush()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "examples" / "kvstore")}
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.write(done.stdout)
    return done.returncode, done.stdout


def act(number: int, title: str, does: str) -> None:
    print(f"\n{number}. {title}\n   {does}\n", flush=True)


def show(lines: Iterable[str]) -> None:
    """Print lines, indented and cut between words to fit the terminal."""
    width = max(60, min(shutil.get_terminal_size().columns, 110))
    for line in lines:
        kept = line.rstrip()
        if len(kept) > width - 3:
            kept = kept[: width - 5].rpartition(" ")[0] + " …"
        print(f"   {kept}".rstrip(), flush=True)


def kills(log: TextIO, seconds: int) -> int:
    act(1, "kill -9", "A key-value store is killed under load and restarted, again and again.")
    torture = (sys.executable, "-m", "kvstore.torture", "--seconds", seconds)
    code, printed = run(log, ASSERTLIB, "run", "--full", "--target", "kvstore", "--", *torture)
    show([*printed.splitlines()[-1:], ""])
    _, report = run(log, ASSERTLIB, "report")
    for format, suffix in (("html", "html"), ("markdown", "md")):
        path = ROOT / ".assertlib" / f"report.{suffix}"
        run(log, ASSERTLIB, "report", "--format", format, "--output", path)
    show(report.split("GAPS")[0].splitlines()[:4])
    return code


def simulation(log: TextIO, seconds: int) -> int:
    act(
        2,
        "simulation",
        "The same store with a simulated network, disk and clock: a seed is a trial.",
    )
    code, report = run(log, ASSERTLIB, "sim", "explore", "--for", f"{seconds}s", "--jobs", "2")
    show([line for line in report.splitlines() if line.startswith("invariants")])
    show(["", f"One trial in which {WITNESS}:"])
    _, trace = run(log, ASSERTLIB, "sim", "replay", "--trace", "--assertion", WITNESS)
    show(f"  {line}" for line in events(trace))
    return code


def events(trace: str) -> list[str]:
    """The last events of the simulated world up to the witness, with its time in seconds."""
    lines = [line for line in trace.splitlines() if EVENT.search(line)]
    ends = [at for at, line in enumerate(lines) if WITNESS in line]
    return lines[max(0, ends[0] + 1 - SHOWN) : ends[0] + 1] if ends else lines[-SHOWN:]


def etcd(log: TextIO, seconds: int) -> int:
    act(
        3,
        "etcd 3.5.1",
        "A real cluster, killed under load: etcd-io/etcd#13766 made its members differ.",
    )
    options = ("--faults", "kill", "--traffic", "range-compare", "--for", f"{seconds}s")
    code, printed = run(log, ASSERTLIB, "robustness", "etcd", *options)
    if code == 1:
        wanted = re.compile(r"members differ|^ +#|smallest illegal part")
        show([line for line in printed.splitlines() if wanted.search(line)][:5])
        show(["The bug was reproduced."])
    elif code == 0:
        show(["The bug was not hit this time: a crash must fall into a narrow window."])
    else:
        show([f"The campaign could not be judged (exit code {code}); see the log."])
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="Seconds of each act.")
    seconds = parser.parse_args().seconds
    LOG.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    with LOG.open("w", encoding="utf-8") as log:
        # A violation in etcd is what the demo is for; one in the example store is a failure.
        codes = [kills(log, seconds), simulation(log, seconds)]
        etcd(log, 2 * seconds)
        run(log, ASSERTLIB, "docs", "--output", "docs/invariants")
    print(f"\nThree acts in {time.monotonic() - began:.0f} seconds.  To look at:")
    show(
        [
            ".assertlib/report.html      the report of act 1",
            "docs/invariants/index.md    the invariants behind it",
        ]
    )
    show([f"{LOG.relative_to(ROOT)}         everything that was printed"])
    print("To try next:")
    show(["assertlib report -v", f'assertlib sim replay --trace --assertion "{WITNESS}"'])
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
