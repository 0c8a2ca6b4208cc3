"""
Shows what assertlib finds, in three parts: ``make demo``.

The whole output of each command goes to a log, which is named at the end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[1]
LOG = ROOT / ".assertlib" / "demo.log"
BIN = Path(sys.executable).parent
ASSERTLIB = str(BIN / "assertlib")
WITNESS = "a torn tail is found and cut"
MEANING = "A torn tail is a half-written record; only acknowledged ones must survive."
SHOWN = 8
"""Lines of the witness."""

EVENT = re.compile(r"disk: (?:write|sync) |fault: |boots|is down|power cut loses")
"""What a trace holds of disks, faults and hosts, rather than of tasks and messages."""
LINE = re.compile(r"^ *(?P<time>[0-9.]+)  (?P<host>\w*) +(?P<event>\S.*)")
FAULT = re.compile(r"^  (?P<name>[\w-]+) [ *]+(?P<about>\S.*)", re.MULTILINE)


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


def part(number: int, title: str, does: str) -> None:
    print(f"\n{number}. {title}\n   {does}\n", flush=True)


def show(lines: Iterable[str]) -> None:
    """Print lines, indented and cut between words to fit the terminal."""
    width = max(60, min(shutil.get_terminal_size().columns, 110))
    for line in lines:
        kept = line.rstrip()
        if len(kept) > width - 3:
            kept = kept[: width - 5].rpartition(" ")[0] + " …"
        print(f"   {kept}".rstrip(), flush=True)


def show_wrapped(text: str) -> None:
    width = max(60, min(shutil.get_terminal_size().columns, 110)) - 3
    show(textwrap.wrap(text, width, subsequent_indent="  "))


def totals(report: str) -> list[str]:
    """The line of a report that counts invariants and states."""
    return [line for line in report.splitlines() if line.startswith("invariants")]


def kills(log: TextIO, seconds: int) -> int:
    does = "a store is killed under load and asked for what it acknowledged."
    part(1, "kill -9", f"For {seconds} s, {does}")
    torture = (sys.executable, "-m", "kvstore.torture", "--seconds", seconds)
    code, printed = run(log, ASSERTLIB, "run", "--full", "--target", "kvstore", "--", *torture)
    show(printed.splitlines()[-1:])
    _, report = run(log, ASSERTLIB, "report")
    page = ROOT / ".assertlib" / "report.html"
    run(log, ASSERTLIB, "report", "--format", "html", "--output", page)
    show(totals(report))
    show(
        [
            "",
            "Exercised: the invariant held, and each state that it expects was reached.",
            "Sometimes: such a state, which an assertion in the code waits for.",
        ]
    )
    return code


def simulation(log: TextIO, seconds: int) -> int:
    does = "the same store in a simulated world; each seed is a trial."
    part(2, "simulation", f"For {seconds} s, {does}")
    code, report = run(log, ASSERTLIB, "sim", "explore", "--for", f"{seconds}s", "--jobs", "2")
    show([*re.findall(r"^\d+ random trials?", report, re.MULTILINE)[:1], *totals(report)])
    _, trace = run(log, ASSERTLIB, "sim", "replay", "--trace", "--assertion", WITNESS)
    _, known = run(log, ASSERTLIB, "sim", "list")
    witness = events(trace, dict(FAULT.findall(known)))
    if witness:
        show(["", f'The shortest trial that reached "{WITNESS}", up to there:', *witness, MEANING])
    return code


def events(trace: str, faults: dict[str, str]) -> list[str]:
    """The last events of disks and hosts up to the witness, with their time in seconds."""
    lines = trace.splitlines()
    end = next((at for at, line in enumerate(lines) if f"'{WITNESS}' is True" in line), 0)
    found = [line for line in lines[:end] if EVENT.search(line)][1 - SHOWN :]
    return [*(event(line, faults) for line in found), event(lines[end], faults)] if end else []


def event(line: str, faults: dict[str, str]) -> str:
    parts = LINE.match(line)
    if parts is None:
        return f"  {line.strip()}"
    host, what = parts["host"].removeprefix("world"), parts["event"]
    fault = faults.get(what.removeprefix("fault: "))
    what = f"{what} ({fault})" if fault else what
    what = f"reached: {WITNESS}" if WITNESS in what else what
    return f"  {float(parts['time']):.3f} s  {host:7} {what}"


def etcd(log: TextIO, seconds: int) -> int:
    does = "a cluster is killed; etcd-io/etcd#13766 makes it diverge."
    part(3, "etcd 3.5.1", f"For {seconds} s at most, {does}")
    options = ("--faults", "kill", "--traffic", "range-compare", "--for", f"{seconds}s")
    code, printed = run(log, ASSERTLIB, "robustness", "etcd", *options)
    timelines = sorted((ROOT / ".assertlib" / "runs").glob("*/campaign/timeline.html"))
    if timelines:
        shutil.copy(timelines[-1], ROOT / ".assertlib" / "timeline.html")
    if code == 1:
        for wanted in (r"members differ.*", r"no order of the operations explains.*"):
            for found in re.findall(wanted, printed)[:1]:
                show_wrapped(found)
        show(totals(printed))
        show(["", "The bug was reproduced."])
    elif code == 0:
        show(["The bug was not hit this time: a crash must fall into a narrow window."])
    else:
        show([f"The campaign could not be judged (exit code {code}); see the log."])
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="Seconds of each part.")
    seconds = parser.parse_args().seconds
    LOG.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    with LOG.open("w", encoding="utf-8") as log:
        # A violation in etcd is what the demo is for; one in the example store is a failure.
        codes = [kills(log, seconds), simulation(log, seconds)]
        etcd(log, 2 * seconds)
    log_file = LOG.relative_to(ROOT)
    print(
        f"\nThree parts in {time.monotonic() - began:.0f} s; all of their output is in {log_file}."
    )
    print("To open:")
    show(
        [
            ".assertlib/report.html      the report of part 1",
            ".assertlib/timeline.html    part 3: what clients saw, and where it contradicts",
            "docs/invariants/index.md    the invariants behind all of this",
        ]
    )
    command = os.path.relpath(ASSERTLIB, ROOT)
    print("To try next:")
    # Not through `show`: a command that is cut cannot be copied.
    print(
        f"   {command} report", f'   {command} sim replay --trace --assertion "{WITNESS}"', sep="\n"
    )
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
