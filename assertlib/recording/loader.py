"""
Finds the parts that are only named: sinks, the explainer of violations, and the platform that
the process runs on.

The only module that imports by name, so that a store which uses none of them
imports none of them.
"""

from __future__ import annotations

import os

from . import interrupts
from .diagnostics import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .hits import Hit

    class Subscriber(Protocol):
        """
        Receives violations and first true hits.

        One that also has ``trouble(text)`` receives warnings about recording, instead of
        the logger ``assertlib``.
        """

        def handle(self, hit: Hit) -> None:
            """Take note of *hit*; whatever it raises is dropped."""

    class Platform(Protocol):
        """What takes the records of the wire, and decides random numbers."""

        def write(self, lines: list[str]) -> None:
            """Take *lines*."""

        def random(self) -> int:
            """A random integer of 64 bits."""

    Explainer = Callable[[Hit], str]

PLATFORM_ENV = "ASSERTLIB_VOIDSTAR"
_LIBRARY = "/usr/lib/libvoidstar.so"

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
    """The explainer of violations, if the tools are installed."""
    try:
        factory: Callable[[], Explainer] = _attribute("assertlib.evidence.explanation", "explainer")
        return factory()
    except ImportError:
        return None


_platform: Platform | None = None
_platform_sought = False


def load_platform() -> Platform | None:
    """The platform of Antithesis, if this process runs on it."""
    global _platform, _platform_sought
    if not _platform_sought:
        _platform_sought = True
        path = os.environ.get(PLATFORM_ENV) or _LIBRARY
        if path != _LIBRARY or os.path.exists(path):
            _platform = _loaded_platform(path)
    return _platform


def _loaded_platform(path: str) -> Platform | None:
    try:
        factory: Callable[[str], Platform] = _attribute(
            "assertlib.telemetry.antithesis", "Platform"
        )
        return factory(path)
    except Exception as error:
        interrupts.reraise(error)
        warn_once(f"{path} is no library of Antithesis, and is not used: {error}")
        return None


def _attribute(module: str, name: str) -> Any:
    import importlib

    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name == module:
            known = "log, otel, structlog, or a module of yours as package.module"
            raise ImportError(f"there is no sink {module!r}; there are {known}") from None
        if not module.startswith("assertlib."):
            raise ImportError(f"{module} needs {error.name}, which is not installed") from None
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "tools")
        msg = f"{module} needs {error.name}: pip install 'assertlib-sdk[{extra}]'"
        raise ImportError(msg) from None
