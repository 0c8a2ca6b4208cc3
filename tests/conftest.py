import os
import random
import signal

import pytest

from . import forms, zygote
from .browser import browser  # noqa: F401
from .leaks import nothing_left_open, remove_own_directory, use_own_directory  # noqa: F401
from .support import Children


def pytest_configure(config):
    _heed_signals()
    forms.choose(config)
    # A single process keeps pytest's directories in the usual place.
    if "PYTEST_XDIST_WORKER" in os.environ:
        use_own_directory()


def pytest_itemcollected(item):
    forms.mark(item)


def _heed_signals():
    """Heed the signals that a shell lets its background jobs ignore: children would inherit that."""
    for each, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, default)


def pytest_unconfigure():
    remove_own_directory()


@pytest.fixture(scope="session", autouse=True)
def _command_line():
    """Started before any test, which is then not blamed for the process that it is."""
    zygote.start()


@pytest.fixture
def children(tmp_path):
    return Children(tmp_path)


@pytest.fixture
def dice():
    """Randomness whose seed is printed when the test fails; TEST_SEED repeats it."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


def pytest_terminal_summary(terminalreporter):
    """Keep what was skipped, so that `make test` can end with it."""
    lines = [
        f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}\n"
        for report in terminalreporter.stats.get("skipped", [])
    ]
    path = terminalreporter.config.rootpath / ".pytest_cache" / "skipped.txt"
    if lines and path.parent.is_dir():
        with path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
