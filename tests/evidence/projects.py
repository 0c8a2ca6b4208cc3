"""
A small project that asserts, and the command line and pytest on it.
"""

import os
import sys
import textwrap
from pathlib import Path

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.evidence.gather import read_evidence
from assertlib.evidence.runs import find_runs
from assertlib.evidence.summary import summarise
from assertlib.report.json_format import as_dict

from .. import zygote
from ..support import clean_environment

BIN = Path(sys.executable).parent

PYPROJECT = """
[tool.assertlib.targets.store]
source = ["store"]

[tool.pytest]
pythonpath = ["."]
"""

CATALOG = """
schema = 1

[positive]
title = "Revisions are positive"
kind = "safety"
status = "active"
statement = "Every revision that is handed out is greater than zero."
why = "Callers take zero for never written."
debug = "Look at who counts backwards."
expects = ["always"]

[full]
title = "The store fills up"
kind = "safety"
status = "active"
statement = "A full store says so."
why = "It would lose writes."
expects = ["sometimes"]
requires = ["limits"]
"""

STORE = '''
from assertlib import always, always_if, sometimes, sometimes_greater_than


def put(revision, size=0):
    """Take a revision; returns whether it was fine."""
    return always(
        revision > 0, "a revision is positive", {"revision": revision}, invariant="kv.positive"
    )


def grow(size):
    sometimes_greater_than(size, 64, "the store is full", invariant="kv.full")


def read(value):
    always_if(value is not None, lambda: value > 0, "what is read is positive")


def twice(value):
    sometimes(value == 2, "seen twice")
'''


def environment(**changed):
    """The environment without what a recording session around this one put there."""
    kept = clean_environment()
    for name in (
        "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "COLUMNS", "LINES", "GITHUB_ACTIONS", "CI",
    ):  # fmt: skip
        kept.pop(name, None)
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **changed}


class Project:
    """A directory with a store, a catalog and a configuration."""

    def __init__(self, root):
        self.root = root
        self.write("pyproject.toml", PYPROJECT)
        self.write("catalog/kv.toml", CATALOG)
        self.write("store/__init__.py", STORE)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def execute(self, *words, cwd=None, **variables):
        return zygote.run(
            list(map(str, words)),
            cwd=cwd or self.root,
            env=environment(**variables),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def cli(self, *words, **more):
        """The command line; whatever it is given, it never ends in a traceback."""
        done = self.execute(BIN / "assertlib", *words, **more)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def record(self, source, *options, **more):
        """``assertlib run`` of Python source."""
        source = f"import sys\nsys.path.insert(0, '.')\nimport store\n{textwrap.dedent(source)}"
        return self.cli("run", *options, "--", sys.executable, "-c", source, **more)

    def pytest(self, *words, plugins=False, **more):
        """``pytest --assertlib``; other installed *plugins* take half a second to load."""
        options = ["-p", "no:cacheprovider", "--assertlib"]
        if not plugins:
            more["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            options = ["-p", "pytest_assertlib", *options]
        return self.execute(sys.executable, "-m", "pytest", *options, *words, **more)

    def runs(self):
        """The run directories, the oldest first."""
        return sorted((self.root / ".assertlib" / "runs").glob("*"), key=os.path.getctime)

    def report(self, *names):
        """What ``assertlib report --format json`` says, without a process for it."""
        config = find_config(self.root)
        name, target = config.target()
        checked = check(config, name, target)
        evidence = read_evidence(find_runs(config, list(names)))
        return as_dict(summarise(evidence, checked.catalog, name, checked.scan.sites))

    def verdicts(self, *names):
        """Verdict by message."""
        return {each["message"]: each["verdict"] for each in self.report(*names)["assertions"]}
