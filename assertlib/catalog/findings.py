"""
What is wrong with a catalog, with code, or between the two.
"""

from __future__ import annotations

import difflib
import hashlib
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

_LINES = re.compile(r"(?<=\.py):\d+$|\(at line \d+, column \d+\)")


UNREAD_SOURCE = ("AL109", "AL110", "AL120")
"""Rules that say that code could not be read: what stands there is not known."""
UNREAD_CATALOG = ("AL102", "AL105")
"""The same of catalogs."""


class Severity(StrEnum):
    """How bad a finding is; ``--strict`` makes warnings errors."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, order=True)
class Finding:
    """
    One thing that is wrong.

    Attributes:
        line, column: From 1; 0 when the whole file is meant.
        code: The rule, as ``assertlib explain`` knows it.
        message: What is wrong.
        remedy: What to do about it.
        state: What has to stay as it is for this to be the same finding, where the message
            does not tell.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    remedy: str
    state: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.code} {self.message}; {self.remedy}"

    @property
    def place(self) -> str:
        """``file:line:column``, or the file alone."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def seen_from(self, place: str) -> Finding:
        """A copy for a working directory from which *place* leads to the project."""
        return replace(self, file=posixpath.join(place, self.file))

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that stay the same when lines move, so that readers know it again."""
        text = "\n".join([self.code, self.file, _LINES.sub("", self.message), self.state])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def unreadable(file: str, reason: str, line: int = 0) -> Finding:
    """
    The finding about source that cannot be read.

    Args:
        reason: Follows "cannot be read".
        line: 0 when the whole file, or a directory, is meant.
    """
    text, remedy = f"cannot be read{reason}", "mend it, or exclude it from the target"
    return Finding(file, line, 1 if line else 0, "AL109", text, remedy)


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """A hint at the *valid* name nearest to *wrong*; empty when none is near."""
    near = difflib.get_close_matches(wrong, list(valid), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""
