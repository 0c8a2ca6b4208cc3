"""
``pytest --assertlib``: record the session, one trial per test.

Every pytest in an environment with assertlib imports this module.  It is not part of the package,
because importing the package registers fork hooks: without the option, that must not happen.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("assertlib", "assertions that name invariants")
    group.addoption(
        "--assertlib",
        action="store_true",
        help="record assertions into a run directory; a violation fails its test",
    )
    group.addoption(
        "--assertlib-target",
        metavar="NAME",
        help="the target of pyproject.toml that the session is judged against",
    )
    group.addoption(
        "--assertlib-context",
        action="store_true",
        help="record which functions each test runs, for `assertlib context`; implies --assertlib",
    )
    group.addoption(
        "--sim-inline",
        action="store_true",
        help="run simulated trials in this process, for a debugger",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start to record if ``--assertlib`` is given."""
    if not (config.getoption("--assertlib") or config.getoption("--assertlib-context")):
        return
    try:
        from assertlib.pytest_plugin.session import start
    except ModuleNotFoundError as error:
        # A missing module of assertlib itself is no missing extra, and keeps its traceback.
        if error.name is not None and error.name.startswith("assertlib"):
            raise
        raise pytest.UsageError(
            f"--assertlib needs {error.name}: pip install 'assertlib-sdk[tools]'"
        ) from None
    config.pluginmanager.register(start(config), "assertlib-session")
