"""
The answers of the server: text about the invariants of a project, made without writing anything.
"""

from __future__ import annotations

import math
import re

from ..catalog.check import Checked, check
from ..catalog.config import Config, ConfigError
from ..catalog.findings import did_you_mean
from ..catalog.loader import Catalog, Entry
from ..docgen.pages import page_name, render_pages
from ..errors import UsageError
from ..evidence.explanation import explain
from ..evidence.gather import read_evidence
from ..evidence.runs import find_runs
from ..evidence.summary import Summary, summarise
from ..evidence.text import one_line
from ..evidence.verdicts import Verdict
from ..knowledge.cache import read_only
from ..knowledge.context import context_of
from ..knowledge.context_text import as_text
from ..knowledge.facts import words_of
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

MOST_CHARACTERS = 1_000_000
"""Length of a diff; other arguments have at most a thousandth of it."""
_PLACE = re.compile(r"(?P<file>[^:]+)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?")
_SHOWN = 20
_TITLE = 1.5
"""Weight of a word in a title, beside one in another text."""


class Answers:
    """
    Answers questions about a project.

    Each answer reads the project anew, since it changes while the server runs.

    Args:
        config: The configuration of the project.
        target: The target; None for all.
    """

    def __init__(self, config: Config, target: str | None = None) -> None:
        self._config = config
        self._names = config.target_names(target)

    def context(self, place: str = "", symbol: str = "", diff: str = "", words: int = 600) -> str:
        """
        Return the invariants at stake in code or in a change.

        Args:
            place: A source file of the project, or lines of it, as ``store/wal.py:10-40``.
            symbol: A function, method or class.
            diff: A unified diff.
            words: Maximum number of words.

        Raises:
            UsageError: Nothing or something outside the project is asked for.
        """
        _bounded(place, "place")
        _bounded(symbol, "symbol")
        _bounded(diff, "diff", MOST_CHARACTERS)
        if sum(map(bool, (place, symbol, diff))) != 1:
            raise UsageError("give one of place, symbol and diff")
        with read_only():
            index = self._index()
            touched = _touched(index, place, symbol, diff)
            found = context_of(
                index, touched, last_evidence(index), passages_of(index, touched.functions)
            )
        return as_text(found, min(max(words, 1), 100_000))

    def invariant(self, identifier: str) -> str:
        """
        Return the page of an invariant.

        Args:
            identifier: Its id, or its id elsewhere.

        Raises:
            UsageError: There is no such invariant.
        """
        _bounded(identifier, "id")
        for name in self._names:
            checked = self._checked(name)
            entry = checked.catalog.find(identifier)
            if entry is not None:
                return render_pages(checked)[page_name(entry)]
        hint = did_you_mean(identifier, self.entries()) or "use `search`"
        raise UsageError(f"no invariant {one_line(identifier)!r}; {hint}")

    def search(self, query: str, limit: int = 10) -> str:
        """
        Return the invariants whose id, title or statement has the words of a query.

        Args:
            query: The words.
            limit: Maximum number of invariants.
        """
        _bounded(query, "query")
        wanted = set(words_of(query))
        entries = self.entries()
        texts = {name: _texts(entry) for name, entry in entries.items()}
        # A word in few invariants is more specific than one in most.
        rare = {
            word: math.log(1 + len(texts) / (1 + sum(word in both[1] for both in texts.values())))
            for word in wanted
        }
        scores = {
            name: sum(rare[word] * (_TITLE if word in title else 1) for word in wanted & whole)
            for name, (title, whole) in texts.items()
        }
        exact = query.strip().lower()
        for name, entry in entries.items():
            if exact and exact in (name, entry.invariant.external_id.lower()):
                scores[name] = math.inf
        found = sorted(
            (name for name in scores if scores[name]), key=lambda name: (-scores[name], name)
        )
        lines = [
            f"{name}: {entries[name].invariant.title}" for name in found[: min(max(limit, 1), 100)]
        ]
        return "\n".join(lines) or f"no invariant matches {one_line(query, 80)!r}"

    def why_failed(self) -> str:
        """Return the newest violation, explained."""
        summary, catalog = self._newest()
        for result in summary.with_verdict(Verdict.VIOLATED):
            if result.violations:
                hit = result.violations[-1].hit
                entry = catalog.find((hit.invariant or "").partition("#")[0])
                return f"run {', '.join(summary.runs)}\n{explain(hit, entry)}"
            return (
                f"run {', '.join(summary.runs)}: {result.message!r} is violated; its record is lost"
            )
        return f"run {', '.join(summary.runs)}: no violation"

    def gaps(self, limit: int = _SHOWN) -> str:
        """
        Return what the newest run did not exercise.

        Args:
            limit: Maximum number of invariants.
        """
        summary, _ = self._newest()
        rows = [
            f"{each.entry.id}: {each.standing.level}, missing {', '.join(each.standing.missing)}"
            for each in summary.invariants
            if each.standing.missing
        ]
        shown = rows[: min(max(limit, 1), 1000)]
        more = [f"and {len(rows) - len(shown)} more"] if len(rows) > len(shown) else []
        head = f"run {', '.join(summary.runs)}: {len(rows)} of {len(summary.invariants)} invariants"
        return "\n".join([f"{head} with gaps", *shown, *more])

    def entries(self) -> dict[str, Entry]:
        """Return all invariants by id."""
        with read_only():
            return self._index().entries

    def _index(self) -> Index:
        index = read_index(self._config, self._names)
        index.require_catalog()
        return index

    def _newest(self) -> tuple[Summary, Catalog]:
        paths = find_runs(self._config, [])
        evidence = read_evidence(paths)
        newest = evidence.newest()
        checked = self._checked(
            newest.target if newest is not None and newest.target else self._names[0]
        )
        summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
        return summary, checked.catalog

    def _checked(self, name: str) -> Checked:
        checked = check(self._config, *self._config.target(name))
        if checked.catalog.unread:
            raise ConfigError("\n".join(map(str, checked.catalog.unread)))
        return checked


def _touched(index: Index, place: str, symbol: str, diff: str) -> Touched:
    if diff:
        return touched_by_patch(index, diff)
    if symbol:
        touched = touched_by_symbol(index, symbol)
        if not touched.functions:
            raise UsageError(f"no function or class {one_line(symbol)!r} in the source")
        return touched
    found = _PLACE.fullmatch(place)
    file = _confined(index, found["file"] if found else place)
    length = len(index.lines(file))
    first = int(found["first"] or 1) if found else 1
    last = int(found["last"] or (first if found["first"] else length)) if found else length
    if not 0 < first <= min(last, length):
        raise UsageError(f"{one_line(place)}: the file has {length} lines")
    return touched_by_lines(index, file, first, last)


def _confined(index: Index, name: str) -> str:
    """The source file that *name* means; nothing else in the project, and nothing outside it."""
    root = index.config.root.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, ValueError):
        raise UsageError(f"{one_line(name)!r} is not a path") from None
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    if shown not in index.files:
        raise UsageError(f"{one_line(name)!r} is not a source file of a target of this project")
    return shown


def _bounded(text: str, name: str, most: int = MOST_CHARACTERS // 1000) -> None:
    if len(text) > most:
        raise UsageError(f"{name} has {len(text):,} characters; at most {most:,} are read")
    if any(ord(each) < 0x20 and each not in "\n\r\t" for each in text):
        raise UsageError(f"{name} contains control characters")


def _texts(entry: Entry) -> tuple[set[str], set[str]]:
    """The words of an invariant's name, and of all its texts."""
    known = entry.invariant
    title = set(words_of(f"{entry.id} {known.title}"))
    return title, title | set(words_of(f"{known.wording} {known.why} {known.debug}"))
