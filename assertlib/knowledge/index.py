"""
The source of a project as `relevance` needs it: assertions and functions, kept between commands.

The index lies in ``.assertlib/cache`` and saves the scan of files that have not changed.  A file is
unchanged if its size and time of modification are; where the time is too recent to be trusted, its
content decides.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .._text.inputs import read_named
from .._text.utf8 import EncodingError, unmarked
from ..catalog.config import Config, ConfigError, Target
from ..catalog.defects import DefectError, read_defects
from ..catalog.findings import UNREAD_SOURCE, Finding
from ..catalog.loader import Catalog, Entry, leaving_out, load
from ..catalog.scan import scan_target
from ..catalog.scan.sources import LANGUAGES
from ..catalog.scan.tree import shown_from, source_file, source_files
from ..model import Site, site_from_dict
from .cache import digest, keep, kept
from .facts import Function, assigned_in, functions_of
from .patch import FileChange, Hunk, locate, read_patch
from .relevance import Defect, Touched

_FORMAT = 1
_NEAR = 30
"""Lines around an assertion that stand for its function where functions are not known."""
_RACY = 2_000_000_000
"""Nanoseconds before the index was made within which a time of modification proves nothing."""


@dataclass
class _State:
    """The state of a source file: time of modification in nanoseconds, size, digest."""

    modified: int
    size: int
    digest: str


@dataclass
class Index:
    """
    The source of several targets of a project.

    Attributes:
        config: The configuration of the project.
        targets: The targets by name.
        entries: The invariants by id.
        catalogs: The catalog of each target.
        sites: The assertions, each with the invariant that it protects.
        files: The source files, each with the targets that it belongs to.
        findings: Source that could not be read.
    """

    config: Config
    targets: dict[str, Target]
    entries: dict[str, Entry] = field(default_factory=dict)
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    files: dict[str, set[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _functions: dict[str, list[Function]] = field(default_factory=dict)
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def require_catalog(self) -> None:
        """
        Refuse a catalog with entries that cannot be read, which would be missing in any answer.

        Raises:
            ConfigError: There is such an entry.
        """
        found = (each for catalog in self.catalogs.values() for each in catalog.unread)
        # Targets often share a catalog.
        unread = list(dict.fromkeys(map(str, found)))
        if unread:
            raise ConfigError("\n".join(unread))

    def files_of(self, target: str) -> set[str]:
        """Return the source files of a target."""
        return {file for file, targets in self.files.items() if target in targets}

    def functions(self, file: str) -> list[Function]:
        """Return the functions of *file*; none if it is not Python, or cannot be read."""
        if file not in self._functions:
            text = "\n".join(self.lines(file)) if file.endswith(".py") else ""
            # As bytes, so that the parser heeds a coding declaration.
            data = text.encode("utf-8", "surrogateescape")
            self._functions[file] = functions_of(file, data) if text else []
        return self._functions[file]

    def lines(self, file: str) -> list[str]:
        """Return the lines of *file*; none if it cannot be read."""
        if file not in self._texts:
            try:
                root = self.config.root
                # Only source may ship with assertlib; any other file is the project's own.
                path = source_file(root, file) if file in self.files else root / file
                # A diff is decoded alike, whatever the encoding of the file is.
                text = unmarked(read_named(path)).decode("utf-8", "surrogateescape")
            except (OSError, EncodingError):
                text = ""
            self._texts[file] = text.replace("\r\n", "\n").split("\n") if text else []
        return self._texts[file]

    def function_at(self, file: str, line: int) -> Function | None:
        """Return the innermost function that contains a line; None outside of Python."""
        around = [each for each in self.functions(file) if each.first <= line <= each.last]
        return max(around, key=lambda each: (each.first, -each.last), default=None)

    def functions_near(self, file: str, line: int) -> list[str]:
        """Return the names of functions with an assertion near a line, in any language."""
        near = [site for site in self.sites if site.file == file and abs(site.line - line) <= _NEAR]
        return list(dict.fromkeys(site.qualname for site in near))

    def asserting(self) -> Iterator[Function]:
        """Yield the functions of all files that hold an assertion."""
        for file in sorted({site.file for site in self.sites}):
            yield from self.functions(file)

    def defects(self) -> list[Defect]:
        """Return the seeded defects of the targets; directories that cannot be read have none."""
        found: dict[str, Defect] = {}
        reproduced: dict[str, set[str]] = {}
        for entry in self.entries.values():
            for incident in entry.invariant.incident:
                for name in incident.reproduce:
                    reproduced.setdefault(name, set()).add(incident.ref)
        for directory in sorted({each.defects for each in self.targets.values() if each.defects}):
            with suppress(DefectError, OSError):
                for each in read_defects(self.config.root / directory):
                    text = each.path.read_text(encoding="utf-8")
                    touched = touched_by_patch(self, text)
                    refs = frozenset({*reproduced.get(each.name, ()), each.issue})
                    places = frozenset(touched.functions)
                    invariants = frozenset({each.invariant})
                    found[each.name] = Defect(each.name, invariants, refs, places)
        return list(found.values())


def read_index(config: Config, names: Iterable[str]) -> Index:
    """
    Read the source and the catalogs of some targets.

    Args:
        config: The configuration of the project.
        names: Names of the targets.

    Raises:
        ConfigError: A target does not exist, or names a catalog that does not ship.
    """
    index = Index(config, dict(config.target(name) for name in names))
    seen: set[tuple[str, int, int, str]] = set()
    # Targets often share a catalog, and parsing it takes longer than all else.
    loaded: dict[tuple[Path, ...], Catalog] = {}
    for name, target in index.targets.items():
        roots = tuple(config.catalog_roots(target))
        if roots not in loaded:
            loaded[roots] = load([*roots], config.root)
        catalog = leaving_out(loaded[roots], target.without)
        index.catalogs[name] = catalog
        for entry in catalog.entries.values():
            index.entries.setdefault(entry.id, entry)
        for site in _scanned(index, name, target):
            place = (site.file, site.line, site.column, site.message)
            if place not in seen:
                seen.add(place)
                index.sites.append(catalog.assign(site))
    return index


def _scanned(index: Index, name: str, target: Target) -> list[Site]:
    """The sites of *target*; also takes the functions of its files into *index*."""
    root = index.config.root
    files = {shown_from(root, path): path for path in set(source_files(root, target, []))}
    for shown in files:
        index.files.setdefault(shown, set()).add(name)
    # Sources and excludes decide what is scanned.
    place = f"index-{digest([repr((target.source, target.exclude))])}"
    known = _read_kept(root, place)
    taken = time.time_ns()
    states = {shown: _state(path, known, shown) for shown, path in files.items()}
    if known is not None and states == known.states:
        index._functions.update(known.functions)
        return known.sites
    scan = scan_target(root, target)
    index.findings += scan.findings
    for site in scan.sites:
        index.functions(site.file)
    functions = {file: found for file, found in index._functions.items() if file in files}
    # A file that cannot be read is reported each time.
    if not any(each.code in UNREAD_SOURCE for each in scan.findings):
        _keep(root, place, _Kept(taken, states, scan.sites, functions))
    return scan.sites


# -- what is kept ----------------------------------------------------------------------------------


@dataclass
class _Kept:
    taken: int
    states: dict[str, _State]
    sites: list[Site]
    functions: dict[str, list[Function]]


def _key() -> str:
    # The parser of another Python may read the same source differently.
    return f"{_FORMAT} {sys.version_info[:2]}"


def _state(path: Path, before: _Kept | None, shown: str) -> _State:
    try:
        found = path.stat()
        known = before.states.get(shown) if before is not None else None
        if (
            before is not None
            and known is not None
            and (known.modified, known.size) == (found.st_mtime_ns, found.st_size)
            and found.st_mtime_ns < before.taken - _RACY
        ):
            return known
        digest = hashlib.blake2b(read_named(path), digest_size=16).hexdigest()
        return _State(found.st_mtime_ns, found.st_size, digest)
    except OSError:
        return _State(0, 0, "")


def _read_kept(root: Path, place: str) -> _Kept | None:
    """The kept index; None if there is none, or one that this version did not write."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        data = kept(root, place, _key())
        if data is not None:
            return _Kept(
                int(data["taken"]),
                {name: _State(*each) for name, each in data["files"].items()},
                [site_from_dict(each) for each in data["sites"]],
                {
                    file: [_function(file, each) for each in found]
                    for file, found in data["functions"].items()
                },
            )
    return None


def _function(file: str, data: list[Any]) -> Function:
    qualname, first, last, reads, writes, calls, sources, cites = data
    return Function(
        file,
        qualname,
        first,
        last,
        frozenset(reads),
        frozenset(writes),
        frozenset(calls),
        {name: frozenset(names) for name, names in sources.items()},
        frozenset(cites),
    )


def _keep(root: Path, place: str, index: _Kept) -> None:
    files = {name: [it.modified, it.size, it.digest] for name, it in index.states.items()}
    functions = {
        file: [
            [
                each.qualname, each.first, each.last, sorted(each.reads), sorted(each.writes),
                sorted(each.calls), {name: sorted(of) for name, of in each.sources.items()},
                sorted(each.cites),
            ]
            for each in found
        ]
        for file, found in index.functions.items()
    }  # fmt: skip
    data = {
        "taken": index.taken,
        "files": files,
        "sites": [site.as_dict() for site in index.sites],
        "functions": functions,
    }
    keep(root, place, _key(), data)


# -- what a change touches --------------------------------------------------------------------------


def touched_by_patch(index: Index, text: str) -> Touched:
    """
    Find the functions that a diff changes.

    Args:
        index: The source, which has the change already or not yet.
        text: A unified diff.

    Raises:
        PatchError: The text is not a diff.
    """
    touched = Touched()
    for change in read_patch(text):
        file = _in_tree(index, change.paths)
        touched.files.append(file or change.paths[0])
        if file is None and _was_source(index, change):
            # A deleted file: what it asserted and wrote is in the removed lines.
            _take_text(touched, change.paths[0], change.hunks)
        lines = index.lines(file) if file else []
        # Text outside the targets, such as documentation, says nothing about the store.
        hunks = change.hunks if file in index.files else []
        _take_text(touched, file or "", hunks)
        for hunk in hunks:
            place = locate(hunk, lines)
            if place is not None and file:
                _touch(index, touched, file, place.lines)
            elif file and not _touch_section(index, touched, file, hunk.section):
                touched.unplaced.append(f"{file}:{hunk.new}")
    return touched


def _take_text(touched: Touched, file: str, hunks: Iterable[Hunk]) -> None:
    for hunk in hunks:
        touched.text += hunk.changed
        touched.written.setdefault(file, set()).update(assigned_in(hunk.changed))


def _was_source(index: Index, change: FileChange) -> bool:
    """Whether a file that is gone belonged to the source of a target."""
    paths = [path for path in change.paths if PurePosixPath(path).suffix in LANGUAGES]
    return change.new is None and any(
        source in (".", path) or path.startswith(f"{source.rstrip('/')}/")
        for path in paths
        for target in index.targets.values()
        for source in target.source
    )


def touched_by_lines(index: Index, file: str, first: int, last: int) -> Touched:
    """
    Find the functions that contain some lines.

    Args:
        index: The source.
        file: The file, from the root of the project.
        first, last: The lines, from 1.
    """
    text = index.lines(file)
    last = min(last, len(text))
    touched = Touched(files=[file], text=text[first - 1 : last])
    _touch(index, touched, file, range(first, last + 1))
    return touched


def touched_by_symbol(index: Index, name: str) -> Touched:
    """
    Find the functions with a name; a class stands for its methods.

    Args:
        index: The source.
        name: The name, with or without the classes around it.
    """
    touched = Touched()
    last = name.rpartition(".")[2]
    for file in sorted(index.files) if last else ():
        if not file.endswith(".py") or not any(last in line for line in index.lines(file)):
            continue
        for function in index.functions(file):
            qualname = f".{function.qualname}"
            if qualname.endswith(f".{name}") or f".{name}." in f"{qualname}.":
                lines = range(function.first, function.last + 1)
                touched.functions.setdefault(function.place, set()).update(lines)
                touched.text += index.lines(file)[function.first - 1 : function.last]
                touched.files.append(file)
    touched.files = list(dict.fromkeys(touched.files))
    return touched


def _touch(index: Index, touched: Touched, file: str, lines: Iterable[int]) -> None:
    text = index.lines(file)
    filled = [line for line in lines if line <= len(text) and text[line - 1].strip()]
    # An empty line beside a change may separate two functions and belongs to neither; one in place
    # of a line stands for the lines around it.
    for line in filled or _around(lines, text):
        function = index.function_at(file, line)
        names = [function.qualname] if function else index.functions_near(file, line) or [""]
        for name in names:
            touched.functions.setdefault((file, name), set()).add(line)


def _around(lines: Iterable[int], text: Sequence[str]) -> list[int]:
    """The nearest filled lines above and below empty ones."""
    found: set[int] = set()
    for line in lines:
        above = next((at for at in range(min(line, len(text)), 0, -1) if text[at - 1].strip()), 0)
        below = next((at for at in range(line, len(text) + 1) if text[at - 1].strip()), 0)
        found.update({above, below} - {0})
    return sorted(found)


def _touch_section(index: Index, touched: Touched, file: str, section: str) -> bool:
    """Take the function that a hunk's header names, for a hunk that fits no version of the file."""
    found = [
        each
        for each in index.functions(file)
        if each.name in section.replace("(", " ").replace(":", " ").split()
    ]
    for function in found:
        touched.functions.setdefault(function.place, set()).add(function.first)
    return bool(found)


def _in_tree(index: Index, paths: Iterable[str]) -> str | None:
    """The file of the tree that a diff means: by its path, or by the end of it if that is unique."""
    for path in paths:
        # Prefixes other than a/ and b/ are left by some settings of git.
        for name in (path, path.partition("/")[2]):
            if name and name in index.files:
                return name
        endings = [file for file in index.files if f"/{path}" in f"/{file}"[-len(path) - 1 :]]
        if len(endings) == 1:
            return endings[0]
    return next((path for path in paths if (index.config.root / path).is_file()), None)
