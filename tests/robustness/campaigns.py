"""
Runs campaigns as a user does, each in a directory of its own.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .. import zygote
from ..support import child_environment

ROOT = Path(__file__).parents[2]
DEBIAN = "/usr/bin/etcd"
PATIENCE = 240

needs_debian_etcd = pytest.mark.skipif(
    shutil.which(DEBIAN) is None, reason="no /usr/bin/etcd here; `make services` installs it"
)


def environment(**more):
    return child_environment(PYTHONPATH=str(ROOT / "examples" / "kvstore"), **more)


def command(*arguments):
    return [str(Path(sys.executable).with_name("assertlib")), "robustness", *map(str, arguments)]


NO_DATA = 3


def robustness(directory, *arguments):
    """What ``assertlib robustness`` printed, followed by the full report, with its exit code."""
    done = subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stderr, done.stderr
    report = zygote.run(
        [zygote.ASSERTLIB, "report", "--verbose"],
        cwd=directory, env=environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    done.stdout += report.stdout
    return done


def judged(directory, *arguments):
    """The same; a campaign that could not be judged, which a busy machine makes, is run again."""
    for _ in range(3):
        done = robustness(directory, *arguments)
        if done.returncode != NO_DATA:
            break
    return done


def campaign_of(directory):
    """Where the only campaign in *directory* left all it has."""
    (found,) = directory.glob(".assertlib/runs/*/campaign")
    return found


def violated(output):
    """The invariants that a report calls violated."""
    words = [line.split() for line in output.splitlines()]
    return {each[1] for each in words if each[:1] == ["VIOLATED"] and "." in each[1]}
