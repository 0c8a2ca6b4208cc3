"""
``assertlib context``.
"""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import ConfigError
from ..catalog.findings import UNREAD_SOURCE
from ..errors import UsageError
from ..knowledge.changes import untracked
from ..knowledge.context import Context, context_of
from ..knowledge.context_text import AGENTS, DEFAULT_WORDS, as_markdown, as_text
from ..knowledge.index import (
    Index,
    read_index,
    touched_by_lines,
    touched_by_patch,
    touched_by_symbol,
)
from ..knowledge.levels import last_evidence
from ..knowledge.passages import passages_of
from ..knowledge.relevance import Touched
from .changes import patch_of
from .common import OK, ProjectOption, TargetOption, command, configuration, put

_PLACE = re.compile(r"(?P<file>.+?):(?P<first>\d+)(?:-(?P<last>\d+))?")


class ContextFormat(StrEnum):
    """Available formats for a context."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@command
def context(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE[:FIRST-LAST]", help="Files, or lines of files."),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", metavar="NAME", help="Function, method or class."),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="RANGE",
            help="Commits as in `git diff`, such as main..HEAD; a file that contains a diff; or - for stdin.",
        ),
    ] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="The changes that `git commit` would record.")
    ] = False,
    words: Annotated[
        int, typer.Option("--words", metavar="N", min=1, help="Maximum number of words.")
    ] = DEFAULT_WORDS,
    format: Annotated[
        ContextFormat, typer.Option("--format", "-f", help="Output format.")
    ] = ContextFormat.TEXT,
    agents: Annotated[
        bool, typer.Option("--agents", help="Print a section for AGENTS.md instead.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; - for stdout.")
    ] = None,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Show the invariants that a change, or code about to be changed, may break.

    The most relevant come first, each with the reasons why it is listed.  Without arguments, reads
    the uncommitted changes.  Nothing is imported or run.  --words limits text and Markdown;
    JSON is complete.

    Example: assertlib context --diff main..HEAD --format markdown
    """
    if agents:
        put(AGENTS, output)
        return OK
    config = configuration(project)
    index = read_index(config, config.target_names(target))
    index.require_catalog()
    for finding in index.findings:
        if finding.code in UNREAD_SOURCE:
            print(f"assertlib: {finding}", file=sys.stderr)
    if places or symbol:
        if diff is not None or staged:
            raise ConfigError("name places, or a change with --diff or --staged, not both")
        touched = _places(index, places or [], symbol or [])
    else:
        if diff is not None and staged:
            raise ConfigError("--diff and --staged exclude each other")
        touched = touched_by_patch(index, patch_of(config, diff, staged=staged))
        if diff is None and not staged:
            # New files are changes as well, which a diff leaves out until they are added.
            for file in sorted(index.files.keys() & set(untracked(config.root))):
                touched.add(touched_by_lines(index, file, 1, len(index.lines(file))))
    found = context_of(index, touched, last_evidence(index), passages_of(index, touched.functions))
    put(_rendered(found, format, words), output)
    return OK


def _rendered(found: Context, format: ContextFormat, words: int) -> str:
    if format is ContextFormat.JSON:
        import json

        return json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n"
    return as_text(found, words) if format is ContextFormat.TEXT else as_markdown(found, words)


def _places(index: Index, places: list[str], symbols: list[str]) -> Touched:
    touched = Touched()
    for place in places:
        file, first, last = _parse(place)
        shown = _in_project(index, file)
        length = len(index.lines(shown))
        if first > length:
            raise UsageError(f"{place}: the file has {length} lines")
        touched.add(touched_by_lines(index, shown, first, last or length))
    for name in symbols:
        found = touched_by_symbol(index, name)
        if not found.functions:
            raise UsageError(f"--symbol {name}: no function or class of this name in the source")
        touched.add(found)
    return touched


def _parse(place: str) -> tuple[str, int, int]:
    """File, first and last line; the last is 0 for the end of the file."""
    # A file may have a colon in its name.
    found = None if Path(place).is_file() else _PLACE.fullmatch(place)
    if found is None:
        return place, 1, 0
    first = int(found["first"])
    last = int(found["last"] or first)
    if not 0 < first <= last:
        raise UsageError(f"{place}: lines are counted from 1, and the first comes first")
    return found["file"], first, last


def _in_project(index: Index, file: str) -> str:
    """The path of *file* from the root of the project."""
    path = Path(file).absolute()
    if not path.is_file():
        raise UsageError(f"{file}: no such file")
    try:
        return path.resolve().relative_to(index.config.root.resolve()).as_posix()
    except ValueError:
        raise UsageError(f"{file}: outside the project {index.config.root}") from None
