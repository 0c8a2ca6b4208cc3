"""
When leases run out.

The state machine knows which leases exist and which keys live on them; the `Lessor` knows the
time.  It only says that a lease is due: the store then logs the expiry as a command.
"""

from heapq import heappop, heappush

from assertlib import Invariant

__all__ = ["Lessor"]

NO_EARLY_EXPIRY = Invariant("lease.no-early-expiry")
UNNOTICED = Invariant("lease.no-early-expiry#unnoticed")

_not_early = NO_EARLY_EXPIRY.declare_always(
    "the full TTL of a due lease has passed since its last renewal"
)
_not_saved = NO_EARLY_EXPIRY.declare_always(
    "a lease expires only after its full TTL has passed since its last answered keepalive"
)
_stale = NO_EARLY_EXPIRY.declare_sometimes("a keepalive has superseded an earlier deadline")
_just_saved = UNNOTICED.declare_sometimes(
    "a keepalive arrives after the TTL has expired but before anyone has noticed"
)
_too_late = NO_EARLY_EXPIRY.declare_sometimes("a keepalive arrives after the expiry was decided")

_ROUNDING = 1e-6


class Lessor:
    """
    Deadlines of leases; all times and durations are seconds of one monotonic clock.

    A lease that was found due is never renewed: its end may already be on its way to the log.
    """

    def __init__(self) -> None:
        self._ttl: dict[int, float] = {}
        self._renewed: dict[int, float] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._due: set[int] = set()

    def add(self, lease: int, ttl: float, now: float) -> None:
        """Begin to time *lease*; a restart adds every lease anew, with its full ttl."""
        self._ttl[lease] = ttl
        self._renew(lease, now)

    def forget(self, lease: int) -> None:
        """*lease* is gone."""
        self._ttl.pop(lease, None)
        self._renewed.pop(lease, None)
        self._due.discard(lease)

    def expire(self, lease: int, now: float) -> None:
        """*lease* is gone because its time was over."""
        if lease in self._ttl:
            _not_saved(now >= self._deadline(lease) - _ROUNDING, lambda: self._lived(lease, now))
        self.forget(lease)

    def keep_alive(self, lease: int, now: float) -> float | None:
        """Let *lease* live its ttl from *now* on; that ttl, or None when it cannot be saved."""
        _too_late(lease in self._due)
        if lease not in self._ttl or lease in self._due:
            return None
        _just_saved(now >= self._deadline(lease))
        self._renew(lease, now)
        return self._ttl[lease]

    def take_due(self, now: float) -> tuple[int, ...]:
        """The leases whose time is over, each reported once."""
        taken = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, lease = heappop(self._deadlines)
            if self._is_current(lease, deadline):
                self._check(lease, now)
                self._due.add(lease)
                taken.append(lease)
        return tuple(taken)

    def _renew(self, lease: int, now: float) -> None:
        self._renewed[lease] = now
        heappush(self._deadlines, (self._deadline(lease), lease))

    def _deadline(self, lease: int) -> float:
        return self._renewed[lease] + self._ttl[lease]

    def _is_current(self, lease: int, deadline: float) -> bool:
        current = lease in self._ttl and lease not in self._due
        outdated = current and self._deadline(lease) != deadline
        _stale(outdated)
        return current and not outdated

    def _check(self, lease: int, now: float) -> None:
        over = now - self._deadline(lease)
        NO_EARLY_EXPIRY.sometimes_greater_than(
            over, 0.0, "a lease has lived longer than its TTL when its expiry is decided"
        )
        _not_early(over >= -_ROUNDING, lambda: self._lived(lease, now))

    def _lived(self, lease: int, now: float) -> dict[str, float]:
        return {"lived": now - self._renewed[lease], "ttl": self._ttl[lease]}
