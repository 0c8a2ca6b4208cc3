"""
The exceptions of the project.
"""

from __future__ import annotations

__all__ = ["AssertlibError", "DataError", "NoDataError", "UsageError", "quoted"]


class AssertlibError(Exception):
    """
    The base of what assertlib raises; the text names what, where and the remedy.

    Commands print it as one line, with exit code 2.  `assertlib.InvariantViolation` is an
    AssertionError instead, as test runners expect.
    """


class UsageError(AssertlibError):
    """A command, a call or a configuration asks for something that cannot be done."""


class DataError(AssertlibError):
    """A file or a database is damaged, unreadable, or newer than this version of assertlib."""


def quoted(value: object) -> str:
    """*value*, which may come from a damaged file, as an error message shows it."""
    return repr(value)[:_MOST_QUOTED]


_MOST_QUOTED = 60
"""Characters of a damaged value that an error message shows."""


class NoDataError(AssertlibError):
    """Nothing was recorded that could be judged.  Commands end with exit code 3."""
