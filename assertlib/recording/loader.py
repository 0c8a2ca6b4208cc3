"""
Loads the parts that are configured by name: sinks, the explainer of violations, and the platform
that the process runs on.

The only module that imports by name, so that a store imports only those parts that it uses.
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

        A subscriber with a method ``trouble(text)`` also receives the warnings about recording,
        which then are not logged.
        """

        def handle(self, hit: Hit) -> None:
            """Process *hit*; exceptions become a warning."""

    class Platform(Protocol):
        """Receives the records of the protocol, and supplies random numbers."""

        def write(self, lines: list[str]) -> None:
            """Pass on *lines*."""

        def random(self) -> int:
            """A random integer of 64 bits."""

    Explainer = Callable[[Hit], str]

PLATFORM_ENV = "ASSERTLIB_VOIDSTAR"
_LIBRARY = "/usr/lib/libvoidstar.so"

_EXTRAS = {"opentelemetry": "otel"}


def load_sink(name: str) -> Subscriber:
    """
    Load the sink called *name*: a module of ``assertlib.telemetry``, or of a dotted path, whose
    ``sink()`` returns a subscriber.

    Raises:
        ImportError: There is no such module, or the extra that it needs is not installed.
    """
    # A name without a dot is one of ours, so a sink of the store needs a package.
    path = name if "." in name else f"assertlib.telemetry.{name}"
    factory: Callable[[], Subscriber] = _attribute(path, "sink")
    return factory()


def load_explainer() -> Explainer | None:
    """The explainer of violations; None if the tools are not installed."""
    try:
        # By name, since recording may not import the evidence package, which needs the tools.
        factory: Callable[[], Explainer] = _attribute("assertlib.evidence.explanation", "explainer")
        return factory()
    except ImportError:
        return None


_platform: Platform | None = None
_platform_sought = False


def load_platform() -> Platform | None:
    """The platform of Antithesis; None if this process does not run on it."""
    global _platform, _platform_sought
    if not _platform_sought:
        # Set first, so that a failure is not repeated at every record.
        _platform_sought = True
        path = os.environ.get(PLATFORM_ENV) or _LIBRARY
        # A path that was configured is loaded in any case: a typing error must cause a warning.
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
        # Any error: the library is native code of another vendor, and the store must go on.
        interrupts.reraise(error)
        warn_once(f"the Antithesis library {path} cannot be used: {error}")
        return None


def _attribute(module: str, name: str) -> Any:
    import importlib

    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name == module:
            known = "log, otel, structlog, or your own module as package.module"
            raise ImportError(f"unknown sink {module!r}; choose {known}") from None
        # The module exists but needs one that is missing; for one of ours, an extra installs it.
        if not module.startswith("assertlib."):
            raise ImportError(f"{module} needs {error.name}, which is not installed") from None
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "tools")
        msg = f"{module} needs {error.name}: pip install 'assertlib-sdk[{extra}]'"
        raise ImportError(msg) from None
