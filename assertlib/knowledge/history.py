"""
Reads the history of a project from git: commits, people, and who wrote which line.

Blame follows lines through changes of white space, moves and renames (``-w -M -C``); see
`Repository._read` for how that is affordable in a long history.  Its result
depends on the history and the content of a file only, so it is kept; after a commit, files that it
did not change keep theirs, and after a rewritten history none does.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..catalog import git
from ..catalog.scan.sources import LANGUAGES
from ..errors import NoDataError, UsageError
from .cache import digest, keep, kept

_FIELDS = 7
_TRAILERS = ("Co-authored-by", "Reviewed-by", "Acked-by")
_FORMAT = "%H%x00%aN%x00%aE%x00%at" + "".join(
    f"%x00%(trailers:key={key},valueonly,unfold,separator=%x1f)" for key in _TRAILERS
)
_PERSON = re.compile(r"\s*(?P<name>.*?)\s*<(?P<email>[^<>]*)>\s*\Z")
_BLAMED = re.compile(rb"^([0-9a-f]{40,64}) \d+ (\d+)", re.MULTILINE)
_ZERO = re.compile(r"0+\Z")
_BOTS = re.compile(
    r"\[bot\]|[-_]bot$|^bot[-_]|^bot$|^(?:dependabot|renovate|github-actions|greenkeeper|snyk|mergify|bors"
    r"|pre-commit-ci|copybara|codecov|semantic-release)(?:[-_ ]?bot)?$",
    re.IGNORECASE,
)
# Addresses of programs that write code; a person who commits it answers for it.  Their names are
# no proof: Claude and Devin are people as well.
_TOOLS = re.compile(
    r"noreply@(?:anthropic|openai)\.com|copilot@github\.com|cursoragent@cursor\.com|aider@aider\.chat"
    r"|(?:\d+\+)?(?:copilot|claude|codex|gemini-code-assist|google-labs-jules|devin-ai-integration)"
    r"(?:\[bot\])?@users\.noreply\.github\.com",
    re.IGNORECASE,
)
_BLAME = ("blame", "-w", "-M", "--porcelain")
_READ = frozenset([*LANGUAGES, ".toml", ".lock", ".patch"])
"""Suffixes of the files that a survey reads."""
_LATEST = 253_402_300_799
"""The last second of the year 9999."""
_LONGEST = 600
"""Seconds that one blame may take."""
_MANY = 16
"""Files from which preparing the history costs less than it saves."""
_MOVED = 3
"""Lines that a commit removes from another file before lines may have moved from there."""


@dataclass(frozen=True)
class Commit:
    """
    A commit.

    Attributes:
        authors: The people who wrote it, co-authors included; empty if a program did.
        reviewers: The people who reviewed it, by its trailers.
        time: Time of its authorship, in seconds since 1970.
    """

    authors: tuple[str, ...]
    reviewers: tuple[str, ...]
    time: int


@dataclass
class Blame:
    """
    Who wrote the lines of a file.

    Attributes:
        commits: The commit of each line, in order; empty for a line that is not committed.
        reason: Why nothing is known; empty if something is.
    """

    commits: list[str] = field(default_factory=list)
    reason: str = ""


class Repository:
    """
    The history of one repository up to a commit.

    Args:
        root: A directory in it.
        commit: The last commit that counts; None for the one that is checked out, with the
            changes of the work tree.
        bots: Patterns of names and addresses that belong to no person, besides the known ones.

    Raises:
        UsageError: *root* is in no repository, or git cannot be run.
        NoDataError: The repository has no commits.
    """

    def __init__(self, root: Path, commit: str | None = None, bots: Iterable[str] = ()) -> None:
        self.top = _top(root)
        head = git.commit_named(root, commit or "HEAD")
        if head is None:
            raise NoDataError(f"{self.top}: the repository has no commits yet")
        self.head = head
        self.is_work_tree = commit is None
        self.is_shallow = _line(root, "rev-parse", "--is-shallow-repository") == "true"
        self.was_rewritten = False
        self._bots = re.compile("|".join(bots), re.IGNORECASE) if tuple(bots) else None

    @cached_property
    def commits(self) -> dict[str, Commit]:
        """All commits up to the last one, by full name."""
        arguments = ("-z", "--use-mailmap", f"--format={_FORMAT}", self.head, "--")
        printed = _lengthy(self.top, "log", *arguments).decode("utf-8", "surrogateescape")
        parts = printed.split("\0")
        rows = [parts[at : at + _FIELDS] for at in range(0, len(parts) - _FIELDS + 1, _FIELDS)]
        named = {text for row in rows for cell in row[4:] for text in cell.split("\x1f") if text}
        mapped = self._mapped(named)
        return {
            row[0]: Commit(
                tuple(self._people([f"{row[1]} <{row[2]}>", *self._listed(row[4], mapped)])),
                tuple(self._people([*self._listed(row[5], mapped), *self._listed(row[6], mapped)])),
                _time(row[3]),
            )
            for row in rows
        }

    @cached_property
    def first_commits(self) -> frozenset[str]:
        """The commits at which a shallow history begins; what was before them is unknown."""
        if not self.is_shallow:
            return frozenset()
        path = _line(self.top, "rev-parse", "--git-path", "shallow")
        try:
            text = (self.top / (path or "")).read_text(encoding="ascii")
        except (OSError, ValueError):
            return frozenset()
        return frozenset(text.split())

    def _listed(self, cell: str, mapped: dict[str, str]) -> list[str]:
        return [mapped.get(text, text) for text in cell.split("\x1f") if text]

    def _mapped(self, texts: set[str]) -> dict[str, str]:
        """The people of trailers under the names that .mailmap gives them."""
        known = sorted(text for text in texts if _PERSON.match(text) and "\n" not in text)
        if not known or not (self.top / ".mailmap").is_file():
            return {}
        data = "\n".join(known).encode("utf-8", "surrogateescape") + b"\n"
        done = git.run(self.top, "check-mailmap", "--stdin", data=data)
        lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
        return dict(zip(known, lines, strict=True)) if len(lines) == len(known) else {}

    def _people(self, texts: Iterable[str]) -> Iterator[str]:
        """The persons among *texts*, each once, by name; bots and tools are left out."""
        seen: set[str] = set()
        for text in texts:
            found = _PERSON.match(text)
            name = " ".join((found["name"] if found else text).split())
            email = found["email"] if found else ""
            name = name or email
            if name and name not in seen and not self._is_program(name, email):
                seen.add(name)
                yield name

    def _is_program(self, name: str, email: str) -> bool:
        # The host of an address says where somebody works: jane@snyk.io is a person.
        local = email.rpartition("@")[0]
        if _BOTS.search(name) or _BOTS.search(local) or _TOOLS.fullmatch(email):
            return True
        return self._bots is not None and any(self._bots.search(each) for each in (name, email))

    def blames(self, files: Iterable[Path]) -> dict[Path, Blame]:
        """
        Return who wrote the lines of each file.

        Args:
            files: Files in the repository, by their path in the work tree.
        """
        wanted = sorted(set(files))
        name = f"blame-{digest([str(self.top), '' if self.is_work_tree else self.head])}"
        known = self._kept(name)
        states = {path: self._state(path) for path in wanted}
        found: dict[Path, Blame] = {}
        rest: list[Path] = []
        for path in wanted:
            kept_state = known.get(self._shown(path))
            if kept_state is not None and kept_state[0] == states[path]:
                found[path] = Blame(_expanded(kept_state[1]))
            else:
                rest.append(path)
        found.update(self._read(rest))
        data = {
            self._shown(path): [states[path], _packed(blame.commits)]
            for path, blame in found.items()
            if not blame.reason
        }
        if rest:
            # Files of other calls stay: each command asks for its own.
            value = {"head": self.head, "files": {**known, **data}}
            keep(self.top, name, "1", value)
        return found

    def _kept(self, name: str) -> dict[str, list[object]]:
        """The kept blames that still hold: file, state and runs of lines."""
        data = kept(self.top, name, "1")
        try:
            head, files = str(data["head"]), dict(data["files"])
            for state, runs in files.values():
                _expanded(runs)
                str(state)
        except (TypeError, KeyError, ValueError):
            return {}
        if head == self.head:
            return files
        done = git.run(self.top, "merge-base", "--is-ancestor", head, self.head)
        if done.returncode:
            # A rebase, or a branch: commits of the kept blames may not be in this history.
            self.was_rewritten = True
            return {}
        # Not a diff: a file that was deleted and added again is the same and has another history.
        arguments = ("log", "-m", "--name-only", "-z", "--no-renames", "--format=")
        listed = git.output(self.top, *arguments, f"{head}..{self.head}", "--")
        if listed is None:
            return {}
        changed = set(listed.decode("utf-8", "surrogateescape").split("\0"))
        return {file: state for file, state in files.items() if file not in changed}

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.top).as_posix() if path.is_relative_to(self.top) else str(path)

    def _state(self, path: Path) -> str:
        if not self.is_work_tree:
            return self.head
        try:
            return digest([path.read_bytes().decode("latin-1")])
        except OSError:
            return ""

    def _read(self, files: list[Path]) -> dict[Path, Blame]:
        with self._prepared(len(files)) as place, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = dict(
                zip(files, pool.map(lambda path: self._blame(place, path), files), strict=True)
            )
            # Looking for lines that were moved from other files takes ten times as long, so it
            # is left to files with a commit that removed lines elsewhere.
            moving = self._moving({name for blame in found.values() for name in blame.commits})
            again = [path for path, blame in found.items() if moving & set(blame.commits)]
            thorough = pool.map(lambda path: self._blame(place, path, "-C"), again)
            found.update(zip(again, thorough, strict=True))
        return found

    def _blame(self, place: tuple[str, ...], path: Path, *more: str) -> Blame:
        revision = () if self.is_work_tree else (self.head,)
        try:
            printed = _lengthy(self.top, *place, *_BLAME, *more, *revision, "--", self._shown(path))
        except UsageError as error:
            return Blame(reason=str(error))
        lines: dict[int, str] = {}
        for found in _BLAMED.finditer(printed):
            commit = found[1].decode()
            lines[int(found[2])] = "" if _ZERO.match(commit) else commit
        return Blame([lines.get(at, "") for at in range(1, max(lines, default=0) + 1)])

    def _moving(self, commits: set[str]) -> set[str]:
        """Those of *commits* that add lines to one file and remove lines from another."""
        names = sorted(commits - {""})
        if not names:
            return set()
        arguments = ("log", "--no-walk=unsorted", "--stdin", "--numstat", "--no-renames", "-m")
        data = "\n".join(names).encode()
        printed = _lengthy(self.top, *arguments, "--format=%x00%H", data=data)
        found: set[str] = set()
        for record in printed.split(b"\0")[1:]:
            name, *rows = record.split(b"\n")
            removed = [int(row.split(b"\t")[1]) for row in rows if row[:1].isdigit()]
            if len(removed) > 1 and max(removed) >= _MOVED:
                found.add(name.decode())
        return found

    @contextmanager
    def _prepared(self, count: int) -> Iterator[tuple[str, ...]]:
        """
        Options that let git skip commits which did not change a file.

        They name a temporary directory that borrows all objects and adds an index of the changed
        paths of each commit, which the user's repository may lack and is not written to.
        """
        if count < _MANY:
            yield ()
            return
        with tempfile.TemporaryDirectory(prefix="assertlib-history-") as directory:
            objects = _line(
                self.top, "rev-parse", "--path-format=absolute", "--git-path", "objects"
            )
            shallow = self.top / (_line(self.top, "rev-parse", "--git-path", "shallow") or "")
            kind = _line(self.top, "rev-parse", "--show-object-format") or "sha1"
            options = ("--quiet", "--bare", "--template=", f"--object-format={kind}")
            made = git.run(self.top, "init", *options, directory)
            if made.returncode or objects is None:
                yield ()
                return
            place = Path(directory)
            (place / "objects" / "info").mkdir(parents=True, exist_ok=True)
            (place / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
            (place / "HEAD").write_text(f"{self.head}\n", encoding="ascii")
            if shallow.is_file():
                shutil.copyfile(shallow, place / "shallow")
            place_options = (f"--git-dir={directory}", f"--work-tree={self.top}")
            command = ("commit-graph", "write", "--stdin-commits", "--changed-paths")
            head = f"{self.head}\n".encode()
            # Without the index, blame is slower and its result the same.
            git.run(self.top, *place_options, *command, data=head, within=_LONGEST)
            yield place_options


def _time(text: str) -> int:
    """Seconds since 1970 within the years that a date can have; broken tools write others."""
    return min(max(int(text), 0), _LATEST) if text.isdecimal() else 0


def _packed(commits: list[str]) -> list[list[object]]:
    """Runs of lines of one commit, each with its length."""
    runs: list[list[object]] = []
    for commit in commits:
        if runs and runs[-1][0] == commit:
            runs[-1][1] = int(str(runs[-1][1])) + 1
        else:
            runs.append([commit, 1])
    return runs


def _expanded(runs: object) -> list[str]:
    commits: list[str] = []
    for commit, count in runs if isinstance(runs, list) else ():
        commits += [str(commit)] * int(count)
    return commits


def _top(root: Path) -> Path:
    try:
        done = git.run(root, "rev-parse", "--show-toplevel")
    except OSError as error:
        raise UsageError(f"git cannot be run: {error.strerror}") from None
    if not done.returncode:
        return Path(done.stdout.decode("utf-8", "surrogateescape").rstrip("\n"))
    reason = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [""])[0]
    if "not a git repository" in reason:
        raise UsageError(f"{root}: not in a git repository, so its history is unknown")
    # Such as a repository of another user, which git does not trust.
    raise UsageError(f"{root}: git: {reason.removeprefix('fatal: ')}")


def commit_before(root: Path, date: str) -> str | None:
    """Return the last commit of the current branch that is not after *date*, in UTC; None for none."""
    # Of a merge only the branch itself: what was merged later was not in it yet.
    arguments = ("rev-list", "-1", "--first-parent", f"--before={date}T23:59:59+0000", "HEAD", "--")
    return _line(root, *arguments) or None


def extracted(root: Path, commit: str, directory: Path) -> None:
    """
    Write what a survey reads below *root* as it was at a commit: source, catalogs and patches.

    Not by `git archive`, which leaves out what ``.gitattributes`` excludes from releases.  Links
    are left out, since they may lead out of the directory.

    Args:
        root: Directory of the project.
        commit: Full name of the commit.
        directory: Where to write them.

    Raises:
        UsageError: The commit cannot be read.
    """
    prefix = _line(root, "rev-parse", "--show-prefix") or ""
    top = Path(_line(root, "rev-parse", "--show-toplevel") or root)
    listed = _lengthy(top, "ls-tree", "-r", "-z", "--full-tree", commit)
    wanted: list[tuple[str, str]] = []
    for row in listed.decode("utf-8", "surrogateescape").split("\0"):
        mode, _, rest = row.partition(" ")
        identity, _, path = rest.partition("\t")
        is_read = mode.startswith("100") and PurePosixPath(path).suffix in _READ
        if is_read and path.startswith(prefix) and ".." not in path.split("/"):
            wanted.append((identity.rpartition(" ")[2], path.removeprefix(prefix)))
    data = "".join(f"{identity}\n" for identity, _ in wanted).encode()
    printed = _lengthy(top, "cat-file", "--batch", data=data)
    at = 0
    for _, path in wanted:
        end = printed.index(b"\n", at)
        if printed[at:end].endswith(b" missing"):
            raise UsageError(
                f"{path} at {commit[:10]}: the object is missing in this partial clone"
            )
        size = int(printed[at:end].rpartition(b" ")[2])
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(printed[end + 1 : end + 1 + size])
        at = end + 2 + size


def _line(root: Path, *arguments: str) -> str | None:
    printed = git.output(root, *arguments)
    # Only the line end: a directory may have a name that ends with a space.
    return None if printed is None else printed.decode("utf-8", "surrogateescape").rstrip("\n")


def _lengthy(root: Path, *arguments: str, data: bytes = b"") -> bytes:
    """What git prints; unlike `git.output`, it may take minutes in a large history."""
    try:
        done = git.run(root, *arguments, within=_LONGEST, data=data)
    except OSError as error:
        raise UsageError(f"git: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        command = next(each for each in arguments if not each.startswith("--"))
        raise UsageError(f"git {command}: {lines[0].removeprefix('fatal: ')}")
    return done.stdout
