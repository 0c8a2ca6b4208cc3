"""
The subscribers to violations, first true hits and warnings about recording.
"""

from __future__ import annotations

from _thread import get_ident

from . import interrupts
from .diagnostics import warn_once
from .lock import Lock
from .reprs import bounded_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hits import Hit
    from .loader import Subscriber


PATIENCE = 10.0
"""Seconds that a fork waits for a thread which loads sinks."""

loading = Lock()
"""Held by a thread that loads sinks, and while one forks: a child cannot import what another
thread was importing."""


class Sinks:
    """
    Sinks by name or as objects; those that are named are loaded when they are first needed.

    Subscribers are handed each hit before any sink is loaded, in the thread of the hit, and stay
    when the sinks are configured anew: tests and simulations must miss none.
    """

    def __init__(
        self, named: Iterable[str | Subscriber], subscribers: Iterable[Subscriber] = ()
    ) -> None:
        self._named = list(named)
        self.subscribers = list(subscribers)
        self._loaded: list[Subscriber] | None = None
        self._loader = 0
        self._late: list[Hit] = []

    def loaded(self) -> list[Subscriber]:
        """The sinks; an empty list while they are being loaded, which may itself assert."""
        if self._loaded is None and self._loader in (0, get_ident()) and not loading.is_mine():
            loading.run(self._load)
        return [] if self._loaded is None else self._loaded

    def _load(self) -> None:
        if self._loaded is not None:
            return
        try:
            self._loader = get_ident()
            found = [loaded for sink in self._named for loaded in _loaded(sink)]
            # A typing error must not make violations silent.
            self._loaded = found or (_loaded("log") if self._named else [])
        except BaseException:
            # Interrupted: whoever comes next loads them.
            self._loader = 0
            raise

    def add(self, name: str) -> None:
        """Tell the sink called *name*, too, from now on."""
        if name not in self._named:
            self._named.append(name)
            if self._loaded is not None:
                self._loaded += _loaded(name)

    def publish(self, hit: Hit) -> None:
        """Pass *hit* to them, if it is a violation or a first true hit."""
        is_news = hit.condition or hit.is_violation
        for each in list(self.subscribers) if is_news else ():
            _tell(each, hit)
        # They are loaded at the first record of any kind: some read the counters.
        self.loaded()
        if is_news:
            self._late.append(hit)
        # The thread that loads them publishes what arrives meanwhile.
        while self._late and self._loaded is not None:
            try:
                late = self._late.pop(0)
            except IndexError:
                return
            for subscriber in list(self._loaded):
                _tell(subscriber, late)

    def after_fork_in_child(self) -> None:
        """What came while they were loaded is the parent's to publish."""
        self._late, self._loader = [], 0

    def emit_error(self, text: str) -> bool:
        """Tell those that want to know what is wrong with recording; whether there are any."""
        listeners = [each for each in self.loaded() if hasattr(each, "trouble")]
        for listener in listeners:
            try:
                listener.trouble(text)
            except Exception as error:
                # Nobody is left to report it to.
                interrupts.reraise(error)
        return bool(listeners)


def _tell(subscriber: Subscriber, hit: Hit) -> None:
    try:
        subscriber.handle(hit)
    except Exception as error:
        interrupts.reraise(error)
        warn_once(f"sink {bounded_repr(subscriber)} failed: {bounded_repr(error)}")


def _loaded(sink: str | Subscriber) -> list[Subscriber]:
    if not isinstance(sink, str):
        return [sink]
    from .loader import load_sink

    try:
        return [load_sink(sink)]
    except Exception as error:
        interrupts.reraise(error)
        warn_once(f"sink {sink!r} is not used: {bounded_repr(error)}")
        return []
