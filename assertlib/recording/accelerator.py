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


_ABI = 1
"""As in ``_speed.c``: a build of another source may lack functions, or take other arguments."""

_STALE = (
    "the accelerator was built from another version of assertlib: rebuild it with"
    " `pip install --no-deps --force-reinstall assertlib-sdk`, or, in a checkout, with"
    " `pip install --no-deps --editable .`"
)


def _accelerator() -> tuple[ModuleType | None, str]:
    """The accelerator, or None and the reason why pure Python counts."""
    if _is_refused(os.environ.get(PURE_ENV)):
        return None, f"{PURE_ENV} is set"
    try:
        from .. import _speed
    except ImportError:
        # The extension is optional: it is missing where no C compiler was available.
        return (
            None,
            "the accelerator was not built: was there no C compiler when assertlib was installed?",
        )
    if getattr(_speed, "ABI", None) != _ABI:
        # Emitted with the recorder's first warnings, as sinks do not exist during this import.
        warn_later(f"falling back to counting hits in pure Python, which is slower: {_STALE}")
        return None, _STALE
    return _speed, ""


def _is_refused(value: str | None) -> bool:
    """Whether *value*, of ``ASSERTLIB_PURE``, disables the accelerator."""
    return value not in (None, "", "0")


speed, _reason = _accelerator()
"""The module ``assertlib._speed``; None if pure Python counts."""

# `sys._is_gil_enabled` exists from Python 3.13 on; earlier versions always have a GIL.
is_exact = speed is not None or getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether hits are exact with threads; pure Python depends on the GIL for that."""

if not is_exact:
    warn_later("hits in threads can be lost: this Python has no GIL, and no accelerator is in use")


def described() -> str:
    """Which implementation counts, and why, for `assertlib debug`."""
    if speed is not None:
        return "accelerated"
    return f"pure Python ({_reason})" + ("" if is_exact else ", can lose hits in threads: no GIL")
