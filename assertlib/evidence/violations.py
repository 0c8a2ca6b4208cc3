"""
Violations in the evidence: counted by trial and process, and as recorded.
"""

from __future__ import annotations

from typing import NamedTuple

from ..recording.hits import Hit
from .digest import Digest

Place = tuple[str, str, str | None]
"""A run, a shard, and the trial as recorded by that process."""


class Broken(NamedTuple):
    """
    The number of violations of an assertion in one trial and process.

    Attributes:
        trial: The trial as recorded by the process.
        effective: The trial that these hits belong to; None if the process outlived it.
        times: The number of violations.
    """

    run: str
    shard: Digest
    trial: str | None
    effective: str | None
    times: int

    @property
    def key(self) -> Place:
        """Where it happened."""
        return self.run, self.shard.name, self.trial


class Violation(NamedTuple):
    """A recorded violation, with the process that recorded it."""

    run: str
    shard: Digest
    effective: str | None
    hit: Hit

    @property
    def key(self) -> Place:
        """Where it happened."""
        return self.run, self.shard.name, self.hit.trial
