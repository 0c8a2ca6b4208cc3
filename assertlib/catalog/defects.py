"""
Seeded defects: patches kept in the repository, each of which breaks an invariant on purpose.

A seeded defect is a patch, ``NAME.patch``, that begins with a one-sentence description and
trailers:

    A write is acknowledged before its log record is synced.

    Issue: etcd-io/etcd#14370
    Invariant: wal.fsync-before-ack
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .._text.utf8 import EncodingError
from ..errors import UsageError
from .files import files_in, read_text

_TRAILER = re.compile(r"^(Issue|Invariant): (.+)$", re.MULTILINE)


class DefectError(UsageError):
    """A seeded defect cannot be read; the message names its patch and the reason."""


@dataclass(frozen=True)
class Defect:
    """
    A seeded defect.

    Attributes:
        about: Its effect on the store.
        issue: The issue it is modelled on.
        invariant: The invariant it is meant to violate.
    """

    name: str
    path: Path
    about: str
    issue: str
    invariant: str


def read_defects(directory: Path, names: Sequence[str] = ()) -> list[Defect]:
    """
    Read the defects in *directory*, or only those called *names*.

    Raises:
        DefectError: There are no defects, a name is unknown, or a patch lacks its description or
            a trailer.
    """
    paths = files_in(directory, ".patch")
    unknown = set(names) - {path.stem for path in paths}
    if unknown or not paths:
        missing = ", ".join(sorted(unknown)) or "*.patch"
        raise DefectError(f"{directory}: {missing} not found")
    return [_read(path) for path in paths if not names or path.stem in names]


def _read(path: Path) -> Defect:
    # The trailers are searched above the first hunk only: the patched lines may contain similar
    # text.
    head, found, _ = _text(path).partition("\n--- ")
    trailers = dict(_TRAILER.findall(head))
    about = " ".join(head.split("\n\n", 1)[0].split())
    if not found or not about or set(trailers) != {"Issue", "Invariant"}:
        raise DefectError(
            f"{path}: begin with a sentence, a blank line, and the trailers `Issue:` and `Invariant:`"
        )
    return Defect(path.stem, path, about, trailers["Issue"], trailers["Invariant"])


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except EncodingError as error:
        raise DefectError(f"{path}: {error}") from None
