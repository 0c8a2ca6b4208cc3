"""
How much a process may write: records a second, and bytes in all.

What goes beyond is dropped and counted; counters stay exact.
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
"""No shard is useful below that."""


class Limits:
    """
    Attributes:
        records_per_second: How many records may be written each second, and at once; 0 is
            without limit.
        shard_bytes: How large the lines of a process may get; 0 is without limit.
    """

    def __init__(self, records_per_second: int = 0, shard_bytes: int = 0) -> None:
        """
        Raises:
            ValueError: One of them is negative, no integer, or too little to be of use.
        """
        for name, value in (
            ("max_records_per_second", records_per_second),
            ("max_shard_bytes", shard_bytes),
        ):
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be an integer from 0, not {value!r}")
        if 0 < shard_bytes < FEWEST_BYTES:
            raise ValueError(
                f"max_shard_bytes must be at least {FEWEST_BYTES:,}, or 0 for no limit"
            )
        self.records_per_second = records_per_second
        self.shard_bytes = shard_bytes
        self._left = float(records_per_second)
        self._looked = system.clock()

    def allow_a_record(self) -> bool:
        """Whether one more may be written now; if so, it is taken off what is left."""
        if not self.records_per_second:
            return True
        now = system.clock()
        gained = (now - self._looked) / _SECOND * self.records_per_second
        self._left = min(self._left + gained, self.records_per_second)
        self._looked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def as_environment(self) -> dict[str, str]:
        """The environment that child processes inherit."""
        return {RECORDS_ENV: str(self.records_per_second), BYTES_ENV: str(self.shard_bytes)}


def limits_of(environ: Mapping[str, str]) -> Limits:
    """The limits that the environment sets; one that cannot be parsed is reported and ignored."""
    records = _limit_of(environ, RECORDS_ENV, lambda value: Limits(records_per_second=value))
    return Limits(records, _limit_of(environ, BYTES_ENV, lambda value: Limits(shard_bytes=value)))


def _limit_of(environ: Mapping[str, str], name: str, check: Callable[[int], Limits]) -> int:
    try:
        value = int(environ.get(name) or 0)
        check(value)
    except ValueError as error:
        warn_once(f"{name} is not used: {error}")
        return 0
    return value
