"""
Limits on the output of a process: which records are written, how many per second, and bytes in all.

Records are thinned out by number, so that a call in a loop leaves a few lines.  The hot path has
the same rule, in ``fast_path`` and in ``_speed.c``: it leaves powers of two to the slow path.

Records beyond a limit are dropped and counted; counters stay exact.
"""

from __future__ import annotations

from .diagnostics import warn_once
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECORDS_ENV = "ASSERTLIB_MAX_RECORDS_PER_SECOND"
BYTES_ENV = "ASSERTLIB_MAX_SHARD_BYTES"

_SECOND = 10**9
FEWEST_BYTES = 1 << 16
"""Smallest limit on the size of a shard; below it no shard is useful."""


WRITTEN_FIRST = 10
"""Records of one assertion that are written before they are thinned out."""


def is_power_of_two(count: int) -> bool:
    """Whether record number *count*, from 1, is one that is always written."""
    return count & (count - 1) == 0


def worth_writing(count: int) -> bool:
    """Whether record number *count* is written: the first ten, then the powers of two."""
    return count <= WRITTEN_FIRST or is_power_of_two(count)


class Limits:
    """
    The limits that are in force.

    Attributes:
        records_per_second: Records that may be written per second, and in one burst; 0 means no
            limit.
        shard_bytes: Size that the lines of a process may reach, in bytes; 0 means no limit.
    """

    def __init__(self, records_per_second: int = 0, shard_bytes: int = 0) -> None:
        """
        Raises:
            ValueError: One of them is negative or not an integer, or *shard_bytes* is too small.
        """
        for name, value in (
            ("max_records_per_second", records_per_second),
            ("max_shard_bytes", shard_bytes),
        ):
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a non-negative integer, not {value!r}")
        if 0 < shard_bytes < FEWEST_BYTES:
            raise ValueError(
                f"max_shard_bytes must be at least {FEWEST_BYTES:,}, or 0 for no limit"
            )
        self.records_per_second = records_per_second
        self.shard_bytes = shard_bytes
        self._left = float(records_per_second)
        self._looked = system.clock()

    def allow_a_record(self) -> bool:
        """Whether one more record may be written now; if so, it is deducted."""
        if not self.records_per_second:
            return True
        # A token bucket that holds one second's worth of records.
        # The boot-time clock, which neither steps nor stands still.
        now = system.clock()
        gained = (now - self._looked) / _SECOND * self.records_per_second
        self._left = min(self._left + gained, self.records_per_second)
        self._looked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def as_environment(self) -> dict[str, str]:
        """The environment variables through which child processes inherit the limits."""
        return {RECORDS_ENV: str(self.records_per_second), BYTES_ENV: str(self.shard_bytes)}


def limits_of(environ: Mapping[str, str]) -> Limits:
    """The limits set in *environ*; one that cannot be parsed is reported and ignored."""
    # Checked one by one, so that a bad value does not disable the other limit.
    records = _limit_of(environ, RECORDS_ENV, lambda value: Limits(records_per_second=value))
    return Limits(records, _limit_of(environ, BYTES_ENV, lambda value: Limits(shard_bytes=value)))


def _limit_of(environ: Mapping[str, str], name: str, check: Callable[[int], Limits]) -> int:
    try:
        value = int(environ.get(name) or 0)
        # Validated by the constructor, as the arguments of `configure` are.
        check(value)
    except ValueError as error:
        warn_once(f"{name} is ignored: {error}")
        return 0
    return value
