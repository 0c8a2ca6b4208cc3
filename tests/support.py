"""
Runs a script in a child process with a run directory of its own, and reads what it left.
"""

import ast
import inspect
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

from hypothesis import seed

from assertlib.evidence.digest import Table, digest
from assertlib.evidence.gather import read_evidence
from assertlib.recording.reader import read_shards

TIMEOUT = 120

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS") or 0)
"""For how long `fuzzed` makes up examples; one round without."""

HEADER = """\
import assertlib
from assertlib import *
from assertlib import lifecycle
"""


def until(holds, within=20):
    """Wait until something holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def heed_hangups():
    """In a child, before it is executed: tests may run under nohup, whose children ignore SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def clean_environment():
    """The environment without what a recording test session puts into it; the twin stays."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ASSERTLIB") or name == "ASSERTLIB_PURE"
    }


def child_environment(**more):
    """The environment of a child that does not write into the source tree."""
    return {**clean_environment(), "PYTHONDONTWRITEBYTECODE": "1", **more}


def script_of(source, *args):
    """A script that runs *source*, a text or a function whose result it prints."""
    if isinstance(source, str):
        return textwrap.dedent(source)
    body = textwrap.dedent(inspect.getsource(source))
    return f"{HEADER}\n{body}\nprint(repr({source.__name__}(*{args!r})), flush=True)\n"


def counts_of(shards):
    """True and false hits by message, over all *shards*."""
    true, false = Counter(), Counter()
    for shard in shards:
        for number, slot in enumerate(shard.slots):
            true[slot.message] += (shard.true[number : number + 1] or [0])[0]
            false[slot.message] += (shard.false[number : number + 1] or [0])[0]
    return {message: (true[message], false[message]) for message in true}


def kinds_of(shards):
    """Name of the kind by message, over all *shards*."""
    return {slot.message: slot.kind.name for shard in shards for slot in shard.slots}


def trial_counts_of(shards):
    """True and false hits by trial and message, as the delta lines tell them."""
    found = Counter()
    for shard in shards:
        for delta in shard.deltas:
            for counts, outcome in ((delta.true, True), (delta.false, False)):
                for number, count in enumerate(counts):
                    found[delta.trial, shard.slots[number].message, outcome] += count
    return {key: count for key, count in found.items() if count}


def evidence_by_trial(run_dir):
    """True and false hits by trial and message, as evidence attributes them."""
    evidence = read_evidence([run_dir])
    digests = {shard.name: shard for shard in evidence.shards_of(run_dir.name)}
    found = Counter()
    for shard in read_shards(str(run_dir)):
        for (trial, message, outcome), count in trial_counts_of([shard]).items():
            place = evidence.trial_of(run_dir.name, digests[shard.name], trial)
            found[place, message, outcome] += count
    return dict(found)


def features_of(shard):
    """Which features the process was started with, and declared on or off outside of trials."""
    return {**shard.header["features"], **shard.features.get(None, {})}


def fuzzed(check):
    """Run a property, with one seed after the other, until time is over."""
    end = time.monotonic() + FUZZ_SECONDS
    for number in itertools.count(int(os.environ.get("TEST_SEED") or 0)):
        print(f"TEST_SEED={number}")
        seed(number)(check)()
        if time.monotonic() >= end:
            return


class Outcome:
    """What a child printed and recorded."""

    def __init__(self, run_dir, code, out, err):
        self.run_dir = run_dir
        self.code = code
        self.out = out
        self.err = err

    @property
    def value(self):
        """What the function of the script returned."""
        return ast.literal_eval(self.out.splitlines()[-1])

    @property
    def shards(self):
        return read_shards(str(self.run_dir)) if self.run_dir.exists() else []

    @property
    def shard(self):
        """The only shard."""
        (only,) = self.shards
        return only

    @property
    def counts(self):
        return counts_of(self.shards)

    @property
    def kinds(self):
        return kinds_of(self.shards)

    @property
    def lines(self):
        """The text of the only shard, by line."""
        (path,) = self.run_dir.glob("*.jsonl")
        return path.read_text(encoding="utf-8").splitlines()


class Children:
    """Starts children that record into one run directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.run_dir = directory / "run"
        self._scripts = 0

    def write(self, source, *args):
        """Put the script into a file."""
        self._scripts += 1
        path = self.directory / f"child{self._scripts}.py"
        path.write_text(script_of(source, *args), encoding="utf-8")
        return path

    def start(self, source, *args, env=None, **options):
        """Start a child and leave it running."""
        environment = child_environment(ASSERTLIB_RUN_DIR=str(self.run_dir))
        return subprocess.Popen(
            [sys.executable, self.write(source, *args)],
            **{
                "env": {**environment, **(env or {})},
                "cwd": self.directory,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )

    def run(self, source, *args, code=0, env=None, **options):
        """Run a child to its end, which must be *code*."""
        with self.start(source, *args, env=env, **options) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return Outcome(self.run_dir, process.returncode, out, err)

    @property
    def shards(self):
        return read_shards(str(self.run_dir))


def add_run(evidence, info, shards):
    """Add the *shards* of the run described by *info* to *evidence*."""
    table = Table(info.scan or ())
    evidence.add_digests(info, (digest(shard, table) for shard in shards))
