"""
Mutates what assertlib reads, and runs the faces that read it.

    python -m tests.fuzz.mutations --seed 1 --count 2000
    python -m tests.fuzz.mutations --seed 1 --only 1234

A case is made from the seed and its number alone, so `--only` repeats it.  Cases run in a child
process with a limit on memory; one that takes longer than ten seconds is a hang.

Of every case holds: no traceback, no hang, no more than a gigabyte of memory.  Of a run that
violates its promise holds, besides: `report` and `gate` end with 1 or 2, never with 0 or 3.  Only a
case that has altered the violation in *all* places that hold it is let off: the used part of the
counter file is no longer what it was, and no violation record is left as a whole line.
"""

import argparse
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from assertlib.report.base import Format
from assertlib.sim.tapes import TokenError, read

from ..corpus.world import HERE, SHARD, project_at, run_of
from .faces import Outcome, run
from .mutating import FIRST_SLOT, mutate

PATIENCE = 10
MEMORY = 1 << 30
USED = (FIRST_SLOT + 4 * 4) * 8
"""Bytes of the counter file: its header and four slots."""

ROOMS = ("run",) * 10 + ("evidence",) * 3 + ("history",) * 3 + ("tape",) * 2 + ("catalog",) * 3


class Case:
    """
    One mutated input.

    Attributes:
        wrong: What of the outcome is against the rules, face by face.
    """

    def __init__(self, project, seed, number):
        self.dice = random.Random(f"{seed}:{number}")
        self.root = project.root
        self.run = run_of(project)
        self.room = self.dice.choice(ROOMS)
        self.changes = []
        self.wrong = []

    def play(self):
        getattr(self, f"_{self.room}")()

    def _mutate(self, *paths):
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            there = [path for path in paths if path.is_file() and not path.is_symlink()]
            if there:
                self.changes.append(mutate(self.dice, self.dice.choice(there)))

    def _hold(self, outcome, allowed, *words):
        if outcome.code not in allowed:
            ending = "a traceback" if outcome.code is None else f"exit code {outcome.code}"
            self.wrong.append(f"{' '.join(map(str, words))}: {ending}\n{outcome.text[-1500:]}")

    def _face(self, allowed, *words):
        self._hold(run(*words), allowed, *words)

    def _run(self):
        shutil.rmtree(self.run)
        shutil.copytree(HERE / "run", self.run)
        lines, counts = (self.run / f"{SHARD}{suffix}" for suffix in (".jsonl", ".counts"))
        others = [path for path in self.run.rglob("*") if path.is_file()]
        self._mutate(*[lines] * 6, *[counts] * 3, *others)
        red = (1, 2) if self._is_violation_there(lines, counts) else (0, 1, 2, 3)
        self._face(red, "report", "base", "--format", self.dice.choice(list(Format)).value)
        if self.dice.random() < 0.3:
            self._another_face(red)

    def _is_violation_there(self, lines, counts):
        pristine = (HERE / "run" / counts.name).read_bytes()[:USED]
        if _regular_bytes(counts)[:USED] == pristine:
            return True
        key = b'{"assertlib_violation": '
        kept = (HERE / "run" / lines.name).read_bytes().splitlines(keepends=True)
        kept = [line for line in kept if line.startswith(key)]
        return any(line in _regular_bytes(lines).splitlines(keepends=True) for line in kept)

    def _another_face(self, red):
        face = self.dice.choice(("gate", "top", "debug", "add", "question", "witness", "ingest"))
        if face == "gate":
            self._forget()
            self._face(red, "gate", "base")
        elif face == "top":
            self._face((0, 2), "top", "base", "--count", "1", "--json")
        elif face == "debug":
            self._face((0, 2), "debug")
        elif face == "add":
            self._forget()
            self._face((0, 2), "evidence", "add", "base")
            self._face((0, 2), "evidence", "export", "-")
        elif face == "question":
            self._face(red, "report", "base", "--invariant", "kv.promise")
        elif face == "witness":
            self._face((0, 1, 2, 3), "sim", "replay", "t1-0000000000")
        else:
            output = self.run / "antithesis" / "77-0badf00d.jsonl"
            # A person names it, and may name a pipe.
            if not output.is_fifo():
                self._face((0, 1, 2, 3), "ingest", output)
            shutil.rmtree(self.run.parent)
            shutil.copytree(HERE / "run", self.run)

    def _forget(self):
        (self.root / ".assertlib" / "evidence.db").unlink(missing_ok=True)

    def _restored(self, name, source=None):
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        shutil.copy(source or HERE / name, path)
        return path

    def _evidence(self):
        path = self._restored("evidence.jsonl")
        self._mutate(path)
        if path.is_fifo():
            return
        self._forget()
        self._face((0, 2), "evidence", "import", path)
        self._face((0, 2, 3), "evidence", "show", "base")
        self._face((0, 2), "evidence", "export", "-")

    def _history(self):
        path = self._restored(self.dice.choice(("history.jsonl", "etcd.jsonl")))
        self._mutate(path)
        # A person names a history, and may name a pipe.
        if path.is_fifo() or path.is_symlink():
            return
        self._face((0, 1, 2, 3), "history", "check", path, "--budget", "2000")
        if self.dice.random() < 0.2:
            page = self.root / "page.html"
            self._face((0, 2), "history", "timeline", path, "-o", page, "--budget", "2000")

    def _tape(self):
        source = next((HERE / "run" / "sim").iterdir())
        path = self._restored("witness.tape.json", source)
        self._mutate(path)
        try:
            read(path)
        except TokenError:
            pass
        except BaseException as error:
            self._hold(Outcome(None, repr(error)), (), "tape")

    def _catalog(self):
        names = ("pyproject.toml", "catalog/kv.toml", "catalog/watch.toml", "catalog/renames.toml")
        kept = {name: (self.root / name).read_bytes() for name in names}
        try:
            self._mutate(*(self.root / name for name in names))
            self._face((0, 1, 2, 3), "check")
            face = self.dice.choice(
                (("report", "base"), ("docs", "-o", "pages"), ("catalog", "list"))
            )
            self._face((0, 1, 2, 3), *face)
        finally:
            for name, data in kept.items():
                path = self.root / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                path.unlink(missing_ok=True)
                path.write_bytes(data)


def _regular_bytes(path):
    if not path.is_file() or path.is_symlink():
        return b""
    with path.open("rb") as file:
        return file.read(_ENOUGH)


_ENOUGH = 32 << 20
"""More than any line, or any mutation, takes."""


# -- in the child ----------------------------------------------------------------------------


def work(seed, start, stop):
    """Play the cases from *start* to before *stop*, and write how each ended, line by line."""
    with tempfile.TemporaryDirectory() as directory:
        project = project_at(Path(directory))
        os.chdir(project.root)
        _limit_memory()
        for number in range(start, stop):
            print(f"begin {number}", flush=True)
            before = time.monotonic()
            case = Case(project, seed, number)
            case.play()
            took = time.monotonic() - before
            text = f"{case.room} {took:.2f} {'; '.join(case.changes)}"
            print(f"end {number} {text!a}", flush=True)
            for wrong in case.wrong:
                print(f"wrong {number} {wrong!a}", flush=True)
        os.chdir("/")


def _limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


# -- in the parent ---------------------------------------------------------------------------


class Watch:
    """Runs cases in children, one child after the other, and notes what is wrong with which."""

    def __init__(self, seed, start, stop):
        self.seed = seed
        self.next = start
        self.stop = stop
        self.played = Counter()
        self.slowest = (0.0, "")
        self.findings = []
        self.process = None
        self._begin()

    def _begin(self):
        words = ("--seed", self.seed, "--start", self.next, "--count", self.stop - self.next)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, "--child", *map(str, words)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.buffer = b""
        self.heard = time.monotonic() + PATIENCE

    @property
    def is_done(self):
        return self.process is None

    def take(self):
        """Take what the child wrote."""
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        self.heard = max(self.heard, time.monotonic())
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            self._take_line(line.decode())
        if not data:
            self._end("the process ended")

    def _take_line(self, line):
        word, number, *rest = line.split(" ", 2)
        if word == "begin":
            self.next = int(number)
        elif word == "end":
            room, took, *_ = rest[0].strip("'\"").split(" ", 2)
            self.played[room] += 1
            self.slowest = max(self.slowest, (float(took), f"case {number}: {rest[0][:200]}"))
            self.next = int(number) + 1
        else:
            self.findings.append(f"seed {self.seed}, case {number}: {rest[0]}")

    def check(self):
        """Kill the child if it hangs."""
        if self.process is not None and time.monotonic() - self.heard > PATIENCE:
            self.process.kill()
            self._end(f"no answer for {PATIENCE} seconds")

    def _end(self, why):
        code = self.process.wait()
        self.process.stdout.close()
        self.process = None
        if self.next < self.stop:
            self.findings.append(f"seed {self.seed}, case {self.next}: {why}, exit code {code}")
            self.next += 1
            if self.next < self.stop:
                self._begin()


def fuzz(seed, start, count, jobs):
    """The watches that have played *count* cases."""
    share = -(-count // jobs)
    bounds = [(at, min(at + share, start + count)) for at in range(start, start + count, share)]
    watches = [Watch(seed, *each) for each in bounds]
    while running := [watch for watch in watches if not watch.is_done]:
        ready, _, _ = select.select([watch.process.stdout for watch in running], [], [], 1)
        for watch in running:
            if watch.process.stdout in ready:
                watch.take()
            watch.check()
    return watches


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--child", action="store_true")
    chosen = parser.parse_args()
    if chosen.only is not None:
        chosen.start, chosen.count = chosen.only, 1
    if chosen.child:
        work(chosen.seed, chosen.start, chosen.start + chosen.count)
        return 0
    print(
        f"seed {chosen.seed}, cases {chosen.start} to {chosen.start + chosen.count - 1}", flush=True
    )
    before = time.monotonic()
    watches = fuzz(chosen.seed, chosen.start, chosen.count, chosen.jobs)
    findings = [each for watch in watches for each in watch.findings]
    for each in findings:
        print(each.encode().decode("unicode_escape", "replace"), end="\n\n")
    played = sum((watch.played for watch in watches), Counter())
    took, slowest = max(watch.slowest for watch in watches)
    print(
        f"{sum(played.values())} mutations in {time.monotonic() - before:.0f} s"
        f" ({', '.join(f'{room} {count}' for room, count in sorted(played.items()))}),"
        f" {len(findings)} findings; the slowest took {took:.2f} s, {slowest}"
    )
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
