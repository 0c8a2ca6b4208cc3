"""A small store with a catalog, for tests of what a project knows about itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"

CONFIG = """\
[tool.assertlib.targets.store]
source = ["store"]
defects = "defects"
"""
CATALOG = """\
schema = 1

[synced-before-ack]
title = "A write is synced before its ack"
kind = "safety"
status = "active"
statement = "An acknowledged record is on disk."
why = "Callers act on the acknowledgement."
debug = "Look at the order of sync and reply."
expects = ["always"]
owners = ["storage"]
open_questions = ["Does it hold with group commit?"]

[[synced-before-ack.source]]
ref = "etcd docs"

[[synced-before-ack.incident]]
ref = "etcd-io/etcd#14370"
title = "An ack overtook its sync"
status = "confirmed"
reproduce = ["early-ack"]

[index-contiguous]
title = "Records have no gaps"
kind = "safety"
status = "active"
statement = "Each record has the number after the one before."
why = "Followers count."
debug = "Look at append."
expects = ["always"]

[[index-contiguous.source]]
ref = "etcd docs"

[clients-see-order]
title = "Replies are in order"
kind = "safety"
status = "active"
statement = "No reply overtakes another."
why = "Clients number them."
debug = "Look at the queue."
expects = ["always"]

[[clients-see-order.source]]
ref = "etcd docs"
"""
LOG = '''\
"""The log of the store."""

from assertlib import Invariant

SYNCED = Invariant("wal.synced-before-ack")
GAPS = Invariant("wal.index-contiguous")


class Log:
    def __init__(self):
        self.records = []
        self.durable = 0

    def append(self, record):
        GAPS.always(record == len(self.records), "records are numbered without a gap")
        self.records.append(record)

    def sync(self):
        self.durable = len(self.records)


def reply(log, number):
    SYNCED.always(number < log.durable, "an acknowledged record is on disk")
    return number
'''
SERVER = '''\
"""Answers clients."""

from assertlib import Invariant

ORDER = Invariant("wal.clients-see-order")


class Server:
    def answer(self, number):
        # Callers rely on wal.synced-before-ack here.
        return number + 1

    def push(self, last, number):
        ORDER.always(last < number, "replies are in order")
'''
DEFECT = Path(__file__).with_name("early-ack.patch").read_text(encoding="utf-8")


class Project:
    """A directory with the store, and the command line in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", CONFIG)
        self.write("catalog/wal.toml", CATALOG)
        self.write("store/__init__.py", "")
        self.write("store/log.py", LOG)
        self.write("store/server.py", SERVER)
        self.write("defects/early-ack.patch", DEFECT)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def run(
        self, *arguments: str, code: int = 0, stdin: str | bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run assertlib; a traceback or another exit code fails the test."""
        data = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
        done = zygote.run(
            [ASSERTLIB, *arguments],
            cwd=cwd or self.root,
            env=clean_environment(),
            input=data,
            capture_output=True,
            timeout=120,
        )
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
        assert "Traceback" not in text.stdout + text.stderr, text.stderr
        assert text.returncode == code, text.stdout + text.stderr
        return text

    def git(self, *arguments: str, **environment: str) -> str:
        """Run git in the project as a user whom a test may name."""
        who = {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ann",
            "GIT_AUTHOR_EMAIL": "ann@example.org",
            "GIT_COMMITTER_NAME": "Ann",
            "GIT_COMMITTER_EMAIL": "ann@example.org",
        }
        done = subprocess.run(
            ["git", "-c", "init.defaultBranch=main", *arguments],
            cwd=self.root,
            env={**clean_environment(), **who, **environment},
            capture_output=True,
            check=True,
        )
        return done.stdout.decode("utf-8", "surrogateescape")
