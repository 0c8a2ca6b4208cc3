"""Stores in directories of their own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from kvstore.store import Options, Store
from kvstore.testing import ManualClock

from assertlib import disk

# How long an example takes says more about the machine than about the code.
settings.register_profile(
    "any machine", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

OpenStore = Callable[..., Store]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A directory for one store."""
    return os.fspath(tmp_path / "data")


@pytest.fixture
def open_store(data: str, clock: ManualClock) -> OpenStore:
    """Opens the store in the test's directory, as often as it is called."""

    def open_it(
        storage: disk.Disk | None = None, options: Options | None = None, directory: str = data
    ) -> Store:
        return Store.open(storage or disk.RealDisk(), directory, clock=clock, options=options)

    return open_it
