"""
``pytest --assertlib``: records the session, one trial a test.

Every pytest of an environment with assertlib imports this module, so it is outside of the package:
nothing of that is imported, and no fork hook registered, without the option.
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
        "--sim-inline",
        action="store_true",
        help="run simulated trials in this process, for a debugger",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start to record, if asked to."""
    if not config.getoption("--assertlib"):
        return
    try:
        from assertlib.pytest_session import start
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("assertlib"):
            raise
        raise pytest.UsageError(
            f"--assertlib needs {error.name}: pip install 'assertlib-sdk[tools]'"
        ) from None
    config.pluginmanager.register(start(config), "assertlib-session")
