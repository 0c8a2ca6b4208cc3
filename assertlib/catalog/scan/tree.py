"""
Lists the source files of a target.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import SHIPPED, Target, source_path
from ..files import is_hidden
from ..findings import Finding, unreadable
from ..rules import RULES
from .polyglot import is_own
from .sources import LANGUAGES


def source_files(root: Path, target: Target, findings: list[Finding]) -> Iterator[Path]:
    """
    Yield the source files of a target in all languages of the scanner, without hidden ones.

    A file may be yielded twice if its sources overlap.

    Args:
        root: Directory that the paths of the target are relative to.
        target: The sources and what to exclude from them.
        findings: Receives a finding for each path that is missing or cannot be read.
    """
    for name in target.source:
        start = source_path(root, name)
        if start.is_dir():
            found: Iterable[Path] = _files_below(start, root, target, findings)
        # A hidden file that is named is read; only a search skips it.
        elif start.is_file():
            found = [start]
        else:
            findings.append(
                Finding(
                    name, 0, 0, "AL110", "no such source file or directory",
                    RULES["AL110"].remedy,
                )
            )  # fmt: skip
            continue
        for path in found:
            shown = shown_from(root, path)
            # Before the file is looked at: what is excluded need not be readable.
            if _is_excluded(shown, target) or not is_own(shown):
                continue
            if path.is_file():
                yield path
            else:
                findings.append(unreadable(shown, ": not a regular file, or a dangling link"))


def _files_below(
    start: Path, root: Path, target: Target, findings: list[Finding]
) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        # os.walk ignores errors by default, and would silently leave assertions out.
        shown = shown_from(root, Path(error.filename))
        if not _is_excluded(shown, target):
            findings.append(unreadable(shown, f": {error.strerror}"))

    for directory, inner, names in os.walk(start, onerror=failed):
        # Assigned in place, so that os.walk does not descend into hidden directories.
        inner[:] = (name for name in inner if not is_hidden(name))
        for name in names:
            path = Path(directory, name)
            if path.suffix in LANGUAGES and not is_hidden(name):
                yield path


def shown_from(root: Path, path: Path) -> str:
    """Return *path* relative to *root*, or to the place of assertlib for what ships with it."""
    base = next((base for base in (root, SHIPPED) if path.is_relative_to(base)), None)
    return path.as_posix() if base is None else path.relative_to(base).as_posix()


def source_file(root: Path, shown: str) -> Path:
    """Return the path of the file that `shown_from` named *shown* for the project at *root*."""
    path = root / shown
    return path if path.exists() else SHIPPED / shown


def _is_excluded(name: str, target: Target) -> bool:
    # A pattern without wildcards may name a directory, which fnmatch would not match with its files.
    return any(
        fnmatch.fnmatch(name, pattern) or name.startswith(pattern.rstrip("/") + "/")
        for pattern in target.exclude
    )
