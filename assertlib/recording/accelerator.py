"""
Which of the twins counts: the accelerator, where it was built, or Python alone.
"""

from __future__ import annotations

import os
import sys

from .diagnostics import warn_later
from .settings import PURE_ENV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _accelerator() -> ModuleType | None:
    if _is_refused(os.environ.get(PURE_ENV)):
        return None
    try:
        from .. import _speed
    except ImportError:
        return None
    return _speed


def _is_refused(value: str | None) -> bool:
    """Whether ``ASSERTLIB_PURE`` asks to do without the accelerator."""
    return value not in (None, "", "0")


speed = _accelerator()
"""The module ``assertlib._speed``, None where Python counts alone."""

is_exact = speed is not None or getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether no hit is lost with threads: Python alone needs its lock for that."""

if not is_exact:
    warn_later("hits of threads get lost: this Python has no GIL, and the accelerator is not used")


def described() -> str:
    """Which twin counts, and why."""
    if speed is not None:
        return "accelerated"
    reason = "the accelerator was not built: no C compiler when assertlib was installed?"
    if _is_refused(os.environ.get(PURE_ENV)):
        reason = f"{PURE_ENV} is set"
    return f"pure Python ({reason})" + ("" if is_exact else ", losing hits of threads: no GIL")
