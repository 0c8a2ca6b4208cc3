"""
Findings: problems in a catalog, in code, or between the two.
"""

from __future__ import annotations

import difflib
import hashlib
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

# Places inside a message, which move with every edit above them.
_LINES = re.compile(r"(?<=\.py):\d+$|\(at line \d+, column \d+\)")


UNREAD_SOURCE = ("AL109", "AL110", "AL120")
"""Rules about unread source; assertions in it are unknown."""
# Of two entries with one id, the second one is not in the catalog.
UNREAD_CATALOG = ("AL102", "AL105")
"""Rules about unread catalog entries; what they state is unknown."""


class Severity(StrEnum):
    """The severity of a finding; ``--strict`` treats warnings as errors."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, order=True)
class Finding:
    """
    One problem, reported at its place.

    Attributes:
        file: Path from the root of the project.
        line, column: From 1; 0 if the whole file is meant.
        code: The rule, as accepted by ``assertlib explain``.
        message: Description of the problem.
        remedy: What to do about it.
        state: What the message leaves out and the fingerprint must depend on: after a further
            change, the finding is a new one.
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
        """Return a copy for a working directory from which *place* is the path to the project."""
        # An absolute path, as of a shipped catalog, is kept by `join`.
        return replace(self, file=posixpath.join(place, self.file))

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify the finding in a baseline, even after lines have moved."""
        # Line, column and remedy are left out: none of them makes it another problem.
        text = "\n".join([self.code, self.file, _LINES.sub("", self.message), self.state])
        # File names that are not UTF-8 contain surrogates.
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def unreadable(file: str, reason: str, line: int = 0) -> Finding:
    """
    Return the finding about source that cannot be read.

    Args:
        file: Path from the root of the project.
        reason: Continues the sentence "cannot be read".
        line: 0 if the whole file, or a directory, is meant.
    """
    text, remedy = f"cannot be read{reason}", "fix it, or exclude it from the target"
    return Finding(file, line, 1 if line else 0, "AL109", text, remedy)


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """Return a hint at the *valid* name most similar to *wrong*; empty if none is similar."""
    near = difflib.get_close_matches(wrong, list(valid), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""
