"""
Sinks: the subscribers to violations, first true hits and warnings about recording.
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
"""Seconds that a fork waits for a thread that is loading sinks."""

loading = Lock()
"""Held by a thread that loads sinks, and during a fork: a child can never import a module that
another thread was importing."""


class Sinks:
    """
    Sinks by name or as objects; named sinks are loaded when they are first needed.

    Subscribers receive each hit before any sink is loaded, in the thread of the hit, and remain
    when the sinks are configured again, because tests and simulations must miss none.

    Attributes:
        subscribers: Receive each violation and first true hit, besides the sinks.
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
        """The sinks; an empty list while they are being loaded, since loading may assert."""
        if self._loaded is None and self._loader in (0, get_ident()) and not loading.is_mine():
            loading.run(self._load)
        return [] if self._loaded is None else self._loaded

    def _load(self) -> None:
        if self._loaded is not None:
            return
        try:
            self._loader = get_ident()
            found = [loaded for sink in self._named for loaded in _loaded(sink)]
            # If no named sink works, violations are logged: a typing error must not hide them.
            self._loaded = found or (_loaded("log") if self._named else [])
        except BaseException:
            # After an interrupt, the next call loads them.
            self._loader = 0
            raise

    def add(self, name: str) -> None:
        """Add the sink called *name*."""
        if name not in self._named:
            self._named.append(name)
            if self._loaded is not None:
                self._loaded += _loaded(name)

    def publish(self, hit: Hit) -> None:
        """Pass *hit* to subscribers and sinks if it is a violation or a first true hit."""
        is_news = hit.condition or hit.is_violation
        for each in list(self.subscribers) if is_news else ():
            _pass(each, hit)
        # At the first record of any kind, since some sinks read the counters.
        self.loaded()
        if is_news:
            self._late.append(hit)
        # No thread waits while another loads them: the loading thread publishes what arrives.
        while self._late and self._loaded is not None:
            try:
                late = self._late.pop(0)
            except IndexError:
                # Another thread has taken the last one.
                return
            for subscriber in list(self._loaded):
                _pass(subscriber, late)

    def after_fork_in_child(self) -> None:
        """Drop the hits that arrived while sinks were loading: the parent publishes them."""
        self._late, self._loader = [], 0

    def emit_error(self, text: str) -> bool:
        """Pass the warning *text* to all sinks with a method ``trouble``; whether there is one."""
        listeners = [each for each in self.loaded() if hasattr(each, "trouble")]
        for listener in listeners:
            try:
                listener.trouble(text)
            except Exception as error:
                # Dropped, since this is how such failures are reported.
                interrupts.reraise(error)
        return bool(listeners)


def _pass(subscriber: Subscriber, hit: Hit) -> None:
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
