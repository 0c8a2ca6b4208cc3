"""
Who contributed what to an invariant: its statement, its assertions, the functions around them, the
tests that hit them, and reviews.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..catalog.loader import Entry
from ..catalog.positions import positions
from ..catalog.review import LOCK
from ..model import Site, invariant_and_clause
from .history import Blame, Commit, Repository
from .index import Index

STATEMENT, ASSERTION, FUNCTION, TEST, REVIEW = (
    "statement",
    "assertion",
    "function",
    "test",
    "review",
)
WEIGHTS = {STATEMENT: 1.0, ASSERTION: 1.0, FUNCTION: 0.7, TEST: 0.5, REVIEW: 0.5}
"""How much of the knowledge of an invariant each kind of contribution stands for."""
_AROUND = 30
"""Lines around an assertion that stand for its function where functions are not known."""


@dataclass(frozen=True)
class Part:
    """
    Lines that belong to an invariant.

    Attributes:
        role: What they are.
        file: The file, from the root of the project.
        first, last: The lines, from 1.
    """

    role: str
    file: str
    first: int
    last: int


@dataclass(frozen=True)
class Credit:
    """
    A contribution of a person to an invariant.

    Attributes:
        role: What the person wrote, or ``review``.
        share: The share of the lines of this role, from 0 to 1.
        time: The time of the newest of them, in seconds since 1970.
    """

    role: str
    share: float
    time: int


@dataclass
class Ledger:
    """
    The contributions to one invariant.

    Attributes:
        entry: The invariant.
        credits: The contributions of each person.
        unknown: Why some of its lines have no known author, each reason once.
    """

    entry: Entry
    credits: dict[str, list[Credit]] = field(default_factory=lambda: defaultdict(list))
    unknown: list[str] = field(default_factory=list)


def parts_of(index: Index, tests: Mapping[str, Iterable[str]]) -> dict[str, list[Part]]:
    """
    Return the lines that belong to each invariant, by id.

    Args:
        index: The source and the catalogs.
        tests: For assertions, by message, the tests that hit them, as node ids of pytest.
    """
    found: dict[str, list[Part]] = defaultdict(list)
    for entry in index.entries.values():
        if not Path(entry.file).is_absolute():
            found[entry.id].append(Part(STATEMENT, entry.file, *_table_lines(index, entry)))
    for site in index.sites:
        if not site.invariant:
            continue
        mine = found[invariant_and_clause(site.invariant)[0]]
        mine += _site_parts(index, site)
        for test in tests.get(site.message, ()):
            mine += _test_parts(index, test)
    for lock in sorted(
        {f"{Path(entry.file).parent.as_posix()}/{LOCK}" for entry in index.entries.values()}
    ):
        for identifier, first, last in reviewed_lines(index, lock):
            found[identifier].append(Part(REVIEW, lock, first, last))
    return {identifier: list(dict.fromkeys(parts)) for identifier, parts in found.items()}


def _table_lines(index: Index, entry: Entry) -> tuple[int, int]:
    """The lines of an entry in its catalog file."""
    lines = index.lines(entry.file)
    name = entry.id.partition(".")[2]
    own = re.compile(rf"\s*\[\[?\s*[\"']?{re.escape(name)}[\"']?\s*[.\]]")
    last = entry.line
    for at in range(entry.line, len(lines)):
        if re.match(r"\s*\[", lines[at]) and not own.match(lines[at]) and _is_header(lines[at]):
            break
        # Empty lines before the next entry belong to neither.
        last = at + 1 if lines[at].strip() else last
    return entry.line, last


def _is_header(line: str) -> bool:
    # An array inside an entry begins with a bracket as well.
    return re.match(r"\s*\[\[?\s*[A-Za-z0-9_\"'.-]+\s*\]\]?\s*(?:#.*)?\Z", line) is not None


def _site_parts(index: Index, site: Site) -> Iterator[Part]:
    function = index.function_at(site.file, site.line)
    last = len(index.lines(site.file))
    if function is None:
        yield Part(ASSERTION, site.file, site.line, min(site.line + 1, last))
        first = max(1, site.line - _AROUND)
        yield Part(FUNCTION, site.file, first, min(site.line + _AROUND, last))
        return
    yield Part(ASSERTION, site.file, site.line, _end_of_call(index, site, function.last))
    # Top-level code is not a function, and may be most of the file.
    if function.qualname != "<module>":
        yield Part(FUNCTION, site.file, function.first, function.last)


def _end_of_call(index: Index, site: Site, last: int) -> int:
    """The line on which the parentheses of an assertion close, counted without a parser."""
    depth = 0
    for at in range(site.line, last + 1):
        line = re.sub(r"\"[^\"]*\"|'[^']*'", "", index.lines(site.file)[at - 1])
        depth += line.count("(") - line.count(")")
        if depth <= 0:
            return at
    return site.line


def _test_parts(index: Index, test: str) -> Iterator[Part]:
    file, *names = re.sub(r"\[.*", "", test).split("::")
    if not file.endswith(".py") or not names:
        return
    qualname = ".".join(names)
    for function in index.functions(file):
        if function.qualname == qualname:
            yield Part(TEST, file, function.first, function.last)


def reviewed_lines(index: Index, lock: str) -> Iterator[tuple[str, int, int]]:
    """Yield each invariant in a review lock, with its first and last line."""
    lines = index.lines(lock)
    if not lines:
        return
    starts = sorted(
        (line, str(path[1]))
        for path, (line, _) in positions("\n".join(lines)).items()
        if len(path) == 2 and path[0] == "reviewed"
    )
    ends = [*(line for line, _ in starts[1:]), len(lines) + 1]
    for (line, identifier), end in zip(starts, ends, strict=True):
        filled = [at for at in range(line, end) if lines[at - 1].strip()]
        yield identifier, line, max(filled, default=line)


def ledgers(
    index: Index,
    parts: Mapping[str, Sequence[Part]],
    repository: Repository,
    root: Path,
    since: int = 0,
) -> list[Ledger]:
    """
    Return the contributions to each invariant.

    Args:
        index: The source and the catalogs.
        parts: The lines of each invariant, by id.
        repository: The history.
        root: Directory of the project in the work tree.
        since: Earlier contributions are left out; in seconds since 1970.
    """
    files = {part.file for each in parts.values() for part in each}
    blames = _blames(repository, root, files)
    found = []
    for identifier, mine in sorted(parts.items()):
        entry = index.entries.get(identifier)
        if entry is not None:
            ledger = Ledger(entry)
            _fill(ledger, mine, repository, blames, since)
            found.append(ledger)
    return found


def _blames(repository: Repository, root: Path, files: Iterable[str]) -> dict[str, Blame]:
    paths = {file: (root / file).resolve() for file in files}
    top = repository.top.resolve()
    inside = {file: path for file, path in paths.items() if path.is_relative_to(top)}
    foreign = {file for file, path in inside.items() if _in_submodule(path, top)}
    found = repository.blames(path for file, path in inside.items() if file not in foreign)
    outside = Blame(reason="outside the repository")
    submodule = Blame(reason="in a submodule, whose history is not read")
    return {
        file: submodule if file in foreign else found[inside[file]] if file in inside else outside
        for file in paths
    }


def _in_submodule(path: Path, top: Path) -> bool:
    inner = (each for each in path.parents if each != top and each.is_relative_to(top))
    return any((each / ".git").exists() for each in inner)


def shares_of(part: Part, repository: Repository, root: Path) -> dict[str, float]:
    """
    Return for each person the share of some lines that they wrote or reviewed, from 0 to 1.

    Args:
        part: The lines.
        repository: The history.
        root: Directory of the project in the work tree.
    """
    found = _attributed([part], repository, _blames(repository, root, [part.file]))
    people = {*found.written, *found.reviewed}
    times = {name: max(found.written[name], found.reviewed[name], key=len) for name in people}
    return {name: len(mine) / found.lines for name, mine in times.items()}


def _fill(
    ledger: Ledger,
    parts: Sequence[Part],
    repository: Repository,
    blames: Mapping[str, Blame],
    since: int,
) -> None:
    by_role: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_role[part.role].append(part)
    unknown: dict[str, None] = {}
    for role, mine in by_role.items():
        found = _attributed(mine, repository, blames, since)
        unknown.update(found.unknown)
        for people, as_role in ((found.written, role), (found.reviewed, REVIEW)):
            for name, times in people.items():
                ledger.credits[name].append(Credit(as_role, len(times) / found.lines, max(times)))
    ledger.unknown = list(unknown)


@dataclass
class _Attributed:
    """
    Who wrote and who reviewed some lines.

    Attributes:
        lines: The number of lines whose authors are known.
        written, reviewed: For each person, the time of each line.
        unknown: Why lines have no known author, each reason once.
    """

    lines: int = 0
    written: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    reviewed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unknown: dict[str, None] = field(default_factory=dict)


def _attributed(
    parts: Iterable[Part], repository: Repository, blames: Mapping[str, Blame], since: int = 0
) -> _Attributed:
    found = _Attributed()
    # A line that belongs to two parts, such as a function with two assertions, counts once.
    places = {(part.file, at) for part in parts for at in range(part.first, part.last + 1)}
    for file, at in sorted(places):
        commit = _commit_of(blames[file], at, file, repository, found.unknown)
        if commit is None:
            continue
        found.lines += 1
        if commit.time < since:
            continue
        for name in commit.authors:
            found.written[name].append(commit.time)
        for name in commit.reviewers:
            found.reviewed[name].append(commit.time)
    return found


def _commit_of(
    blame: Blame, line: int, file: str, repository: Repository, unknown: dict[str, None]
) -> Commit | None:
    if blame.reason:
        unknown[f"{file}: {blame.reason}"] = None
        return None
    name = blame.commits[line - 1] if line <= len(blame.commits) else ""
    if not name:
        unknown[f"{file}: lines that are not committed"] = None
        return None
    if name in repository.first_commits:
        unknown[f"{file}: written before the history of this shallow clone begins"] = None
        return None
    return repository.commits.get(name)
