"""
A small store with one promise, and every face of assertlib that may end green over it.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from .. import zygote
from ..evidence.projects import environment

BIN = Path(sys.executable).parent
TIMEOUT = 120

PYPROJECT = """
[tool.assertlib.targets.store]
source = ["store.py"]
scenario = "scenario:main"
pythonpath = ["."]
catalog = ["catalog"]

[tool.pytest]
pythonpath = ["."]
"""

CATALOG = """
schema = 1

[promise]
title = "Values are not negative"
kind = "safety"
status = "active"
statement = "No value that is stored is negative."
why = "Readers take a negative value for a tombstone."
expects = ["always"]
assumes = ["fsync-honest"]
"""

STORE = """
from assertlib import Invariant

PROMISE = Invariant("kv.promise")


def put(value):
    PROMISE.always(value >= 0, "values are not negative", {"value": value})
    return value
"""

COMMON = """
import os, signal, subprocess, sys, threading, time
sys.path.insert(0, os.getcwd())
import store
from assertlib import lifecycle, trial
"""


class Project:
    """A project in a directory of its own."""

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.write("pyproject.toml", PYPROJECT)
        self.write("catalog/kv.toml", CATALOG)
        self.write("store.py", STORE)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def execute(self, *words, **variables):
        done = zygote.run(
            list(map(str, words)),
            cwd=self.root,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
        # An error of the user's, or of the files', is a line and never our traceback.
        assert "assertlib/cli/" not in done.stderr, done.stderr
        return done

    def assertlib(self, *words, **variables):
        return self.execute(BIN / "assertlib", *words, **variables)

    def program(self, body, name="program.py"):
        return self.write(name, COMMON + textwrap.dedent(body))

    def run(self, body, **variables):
        """``assertlib run`` of a program."""
        program = self.program(body)
        return self.assertlib("run", "--full", "--", sys.executable, program, **variables)

    def pytest(self, *words, plugins=("pytest_assertlib",), **variables):
        """``pytest --assertlib``, with the plugins named and no others."""
        loaded = [word for name in plugins for word in ("-p", name)]
        return self.execute(
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *loaded, "--assertlib"),
            *words,
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
            **variables,
        )

    @property
    def newest_run(self):
        return max((self.root / ".assertlib" / "runs").glob("*"), key=lambda path: path.name)


def outcome(done, *, shows="values are not negative"):
    """What a face said: red, 3 for nothing judged, or green."""
    text = done.stdout + done.stderr
    if done.returncode == 0:
        return "GREEN"
    if done.returncode == 3:
        return "3"
    # A red face has to say of what: the assertion, or what of the evidence is damaged.
    named = shows in text or re.search(r"[1-9]\d* violated|amaged|cannot be read", text)
    return "red" if named else f"red without a reason: {text[-400:]}"
