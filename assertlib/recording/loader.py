"""
Finds the parts that are only named: sinks, and the explainer of violations.

The only module that imports by name, so that a store which uses none of them
imports none of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .hits import Hit

    class Subscriber(Protocol):
        """
        Is told of violations and of first true hits.

        One that also has ``trouble(text)`` is told what goes wrong with recording, instead of
        the logger ``assertlib``.
        """

        def handle(self, hit: Hit) -> None:
            """Take note of *hit*; whatever it raises is dropped."""

    Explainer = Callable[[Hit], str]

_EXTRAS = {"opentelemetry": "otel"}


def load_sink(name: str) -> Subscriber:
    """
    The sink called *name*: a module of ``assertlib.telemetry`` or a dotted
    path, with a ``sink()`` that returns a subscriber.

    Raises:
        ImportError: There is none, or the extra it needs is not installed.
    """
    path = name if "." in name else f"assertlib.telemetry.{name}"
    factory: Callable[[], Subscriber] = _attribute(path, "sink")
    return factory()


def load_explainer() -> Explainer | None:
    """What tells the whole story of a violation, if the tools are installed."""
    try:
        factory: Callable[[], Explainer] = _attribute("assertlib.evidence.explanation", "explainer")
        return factory()
    except ImportError:
        return None


def _attribute(module: str, name: str) -> Any:
    import importlib

    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("assertlib"):
            msg = f"there is no sink {module!r}"
            raise ImportError(msg) from None
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "tools")
        msg = f"{module} needs {error.name}: pip install 'assertlib-sdk[{extra}]'"
        raise ImportError(msg) from None
