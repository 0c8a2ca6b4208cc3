"""
Refusals: calls in a trial whose effect the simulator does not control.

A refusal is an exception, which code may swallow, so each one is also reported to the running trial
as it is raised.
"""

from __future__ import annotations

import contextvars
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from types import FrameType

__all__ = [
    "ORIGIN",
    "OURS",
    "STANDARD",
    "NotSimulatedError",
    "Refusal",
    "is_installed",
    "origin",
    "overseen",
    "project_stack",
    "refused",
]

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
STANDARD = sysconfig.get_path("stdlib") + os.sep
"""Paths of this package and the standard library."""
_INSTALLED = tuple(f"{os.sep}{each}{os.sep}" for each in ("site-packages", "dist-packages"))
"""Directories of installed packages; Debian installs its own in the second one."""

_LOOP = f"{__package__}.loop"

ORIGIN: contextvars.ContextVar[str] = contextvars.ContextVar("assertlib.sim.origin")
"""File and line that started the simulated thread that is running."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A refused call.

    Attributes:
        what: The function or audit event.
        why: The reason and the remedy.
        place: File and line in the project that caused it.
        library: File and line of the installed library in between; empty without one.
    """

    what: str
    why: str
    place: str
    library: str

    def __str__(self) -> str:
        through = f" (called in {self.library})" if self.library else ""
        return f"{self.place}: {self.what} {self.why}{through}"

    @property
    def name(self) -> str:
        """The refusal without its remedy and with relative paths: the same on every machine."""
        # A tape identifies its failure by this name, and may be replayed on another machine.
        through = f" (called in {_from_import_path(self.library)})" if self.library else ""
        what = f"{self.what} {self.why.partition(';')[0]}"
        return f"NotSimulatedError: {_from_import_path(self.place)}: {what}{through}"


class NotSimulatedError(RuntimeError):
    """
    Code of a trial made a call that the simulator does not control; the message names the place.

    Attributes:
        is_reported: Whether it has already failed the running trial.
    """

    is_reported = False


# A stack, since blocks nest; the innermost one is responsible.
_overseers: list[Callable[[NotSimulatedError, Refusal], bool]] = []


@contextmanager
def overseen(report: Callable[[NotSimulatedError, Refusal], bool]) -> Iterator[None]:
    """
    Report every refusal in the block at the moment it is raised.

    Args:
        report: Called with each error and its refusal; returns whether the refusal counts.
    """
    _overseers.append(report)
    try:
        yield
    finally:
        _overseers.pop()


def refused(what: str, why: str) -> NotSimulatedError:
    """
    Create the error to raise for a call that is not simulated, and report it to the running trial.

    Args:
        what: The function or audit event.
        why: The reason and, after a semicolon, the remedy.
    """
    refusal = Refusal(what, why, *_places())
    error = NotSimulatedError(str(refusal))
    # Reported now and not when it is caught: code may swallow it, and a finaliser always does.
    if _overseers:
        error.is_reported = _overseers[-1](error, refusal)
    return error


def origin() -> str:
    """Return the innermost line of the project that led to the call, for the thread that it starts."""
    return _places()[0]


def _places() -> tuple[str, str]:
    """Return the innermost line of the project, and that of a library it called, if any."""
    frame: FrameType | None = sys._getframe(2)
    # The search ends at the loop: frames above it belong to whatever started the trial, such as a
    # test of the project.
    library = standard = ""
    while frame is not None and not _is_the_loop(frame):
        name = frame.f_code.co_filename
        place = f"{name}:{frame.f_lineno}"
        # Installed packages first: they often lie below the directory of the standard library.
        if is_installed(name):
            library = library or place
        elif name.startswith(STANDARD):
            standard = standard or place
        elif not name.startswith((OURS, "<frozen")):
            return place, library
        frame = frame.f_back
    return library or standard or ORIGIN.get("?"), ""


def is_installed(path: str) -> bool:
    """Whether the file at *path* belongs to an installed package."""
    return any(each in path for each in _INSTALLED)


def project_stack() -> str:
    """Format the stack of the trial, outermost call first, without frames of the simulator."""
    frames = list(takewhile(lambda each: not _is_the_loop(each[0]), traceback.walk_stack(None)))
    calls = traceback.StackSummary.extract(iter(frames[::-1]))
    return "".join(
        traceback.format_list([each for each in calls if not each.filename.startswith(OURS)])
    )


def _is_the_loop(frame: FrameType) -> bool:
    """Whether *frame* runs the steps of a trial; its callers are outside the trial."""
    return frame.f_code.co_name == "_run" and frame.f_globals.get("__name__") == _LOOP


def _from_import_path(place: str) -> str:
    # The longest matching entry: one entry of the import path may lie below another.
    entries = [os.path.join(os.path.abspath(entry), "") for entry in sys.path]
    longest = max((each for each in entries if place.startswith(each)), key=len, default="")
    return place.removeprefix(longest)
