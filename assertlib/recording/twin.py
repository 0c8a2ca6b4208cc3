"""
Which of the twins counts: the accelerator, where it was built, or Python alone.
"""

from __future__ import annotations

import os

from .settings import PURE_ENV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _accelerator() -> ModuleType | None:
    if is_refused(os.environ.get(PURE_ENV)):
        return None
    try:
        from .. import _speed
    except ImportError:
        return None
    return _speed


def is_refused(value: str | None) -> bool:
    """Whether ``ASSERTLIB_PURE`` asks to do without the accelerator."""
    return value not in (None, "", "0")


speed = _accelerator()
"""The module ``assertlib._speed``, None where Python counts alone."""


def described() -> str:
    """Which twin counts, and why."""
    if speed is not None:
        return "accelerated"
    if is_refused(os.environ.get(PURE_ENV)):
        return f"pure Python ({PURE_ENV} is set)"
    return "pure Python (the accelerator was not built: no C compiler when it was installed?)"
