"""
Selects the implementation that counts: the accelerator, if it was built, or pure Python.
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
        # The extension is optional: it is missing where no C compiler was available.
        return None
    return _speed


def _is_refused(value: str | None) -> bool:
    """Whether *value*, of ``ASSERTLIB_PURE``, disables the accelerator."""
    return value not in (None, "", "0")


speed = _accelerator()
"""The module ``assertlib._speed``; None if pure Python counts."""

# `sys._is_gil_enabled` exists from Python 3.13 on; earlier versions always have a GIL.
is_exact = speed is not None or getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether hits are exact with threads; pure Python depends on the GIL for that."""

if not is_exact:
    # Emitted with the recorder's first warnings, as sinks do not exist during this import.
    warn_later("hits in threads can be lost: this Python has no GIL, and no accelerator is in use")


def described() -> str:
    """Which implementation counts, and why, for `assertlib debug`."""
    if speed is not None:
        return "accelerated"
    reason = "the accelerator was not built: no C compiler when assertlib was installed?"
    if _is_refused(os.environ.get(PURE_ENV)):
        reason = f"{PURE_ENV} is set"
    return f"pure Python ({reason})" + ("" if is_exact else ", can lose hits in threads: no GIL")
