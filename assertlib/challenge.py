"""
Verify the assertions with seeded defects: each is planted in a copy and has to be caught.

A seeded defect is a patch, ``NAME.patch``, that begins with a one-sentence description and
trailers:

    A write is acknowledged before its log record is synced.

    Issue: etcd-io/etcd#14370
    Invariant: wal.fsync-before-ack

The directory of the patches is inside the directory that they apply to.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .catalog import git
from .catalog.files import files_in, read_text
from .errors import UsageError
from .evidence.revision import short
from .sim.engine import unrecorded
from .sim.explore import Exploration, Found, Plan, reproduced
from .utf8 import EncodingError

__all__ = [
    "Attempt",
    "ChallengeError",
    "Defect",
    "Result",
    "challenge",
    "read_defects",
    "read_record",
    "table",
]

_TRAILER = re.compile(r"^(Issue|Invariant): (.+)$", re.MULTILINE)
_BEGIN, _END = "<!-- track record -->", "<!-- end of track record -->"
_SHRINK_SECONDS = 10.0
_APART = 1_000_000
"""Seeds between two repetitions, so that none sees the same trials."""


class ChallengeError(UsageError):
    """A patch cannot be read or applied; the message names it and the reason."""


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


@dataclass(frozen=True)
class Attempt:
    """One attempt to catch a defect; *found* is None if it failed."""

    found: Found | None
    trials: int
    seconds: float

    @property
    def cost(self) -> float:
        """Trials until it was caught; infinite if it was not."""
        return self.found.trial if self.found else float("inf")


@dataclass(frozen=True)
class Result:
    """
    The result of challenging one defect.

    Attributes:
        best: The catch with the shortest tape, which is then shrunk.
    """

    defect: Defect
    random: tuple[Attempt, ...]
    guided: tuple[Attempt, ...]
    best: Found | None

    @property
    def is_caught(self) -> bool:
        """Whether every attempt caught it, and its tape reproduces the failure."""
        is_sure = self.best is not None and not self.best.is_flaky
        return is_sure and all(each.found for each in (*self.random, *self.guided))


def read_defects(directory: Path, names: Sequence[str] = ()) -> list[Defect]:
    """
    The defects in *directory*, or those of *names*.

    Raises:
        ChallengeError: No defect exists, or one lacks its description or trailers.
    """
    paths = files_in(directory, ".patch")
    unknown = set(names) - {path.stem for path in paths}
    if unknown or not paths:
        missing = ", ".join(sorted(unknown)) or "*.patch"
        raise ChallengeError(f"{directory}: {missing} not found")
    return [_read(path) for path in paths if not names or path.stem in names]


def _read(path: Path) -> Defect:
    head, found, _ = _text(path).partition("\n--- ")
    trailers = dict(_TRAILER.findall(head))
    about = " ".join(head.split("\n\n", 1)[0].split())
    if not found or not about or set(trailers) != {"Issue", "Invariant"}:
        raise ChallengeError(
            f"{path}: begin with a sentence, an empty line, and `Issue:` and `Invariant:`"
        )
    return Defect(path.stem, path, about, trailers["Issue"], trailers["Invariant"])


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except EncodingError as error:
        raise ChallengeError(f"{path}: {error}") from None


@contextmanager
def planted(defect: Defect) -> Iterator[Path]:
    """
    A copy of the store with *defect* in it.

    Raises:
        ChallengeError: The patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="assertlib-challenge-") as parent:
        copy = Path(parent) / "copy"
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(defect.path.parents[1], copy, ignore=ignored)
        applied = git.run(
            copy, "apply", "--", str(defect.path.resolve()),
            environment={"GIT_CEILING_DIRECTORIES": parent},
        )  # fmt: skip
        if applied.returncode:
            reason = applied.stderr.decode("utf-8", "replace").strip()
            raise ChallengeError(f"{defect.path} does not apply: {reason}")
        yield copy


def challenge(
    defect: Defect,
    plan: Plan,
    repeats: int,
    report: Callable[[str], None] = lambda _: None,
    tick: Callable[[], None] = lambda: None,
) -> Result:
    """
    Try to catch *defect*, *repeats* times at random and as often guided.

    Args:
        plan: How to explore, each time.
        report: Receives progress messages.
        tick: Called periodically while exploring.

    Raises:
        ChallengeError: The patch does not apply.
    """
    plans = [
        replace(plan, guided=guided, first=number * _APART, stops=_is_catalogued, shrinks=0.0)
        for guided in (False, True)
        for number in range(repeats)
    ]
    with planted(defect) as copy:
        here = [replace(each, path=(str(copy), *each.path)) for each in plans]
        attempts = tuple(_attempt(each, report, tick) for each in here)
        found = [each.found for each in attempts if each.found]
        best = min(found, key=lambda each: len(each.spec.choices), default=None)
        if best is not None:
            best.spec, failed = reproduced(best.spec, _SHRINK_SECONDS, here[0].path)
            best.is_flaky = best.failure.name not in failed
    return Result(defect, attempts[:repeats], attempts[repeats:], best)


def _is_catalogued(found: Found) -> bool:
    return found.failure.invariant is not None


def _attempt(plan: Plan, report: Callable[[str], None], tick: Callable[[], None]) -> Attempt:
    engine = partial(unrecorded, plan.target, plan.options, plan.path)
    exploration = Exploration(plan, engine, report, tick)
    exploration.run()
    catches = [found for found in exploration.found.values() if _is_catalogued(found)]
    found = min(catches, key=lambda each: each.trial, default=None)
    return Attempt(found, exploration.trials, exploration.elapsed)


# -- the table --------------------------------------------------------------------------------


def table(results: Sequence[Result], commit: str, repeats: int) -> str:
    """The results as a Markdown table."""
    lines = [
        "| defect | modelled on | caught by | trials, random | trials, guided | after the last fault | choices, shrunk | last reproduced at |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(result, commit) for result in results]
    lines += [
        "",
        f"Trials until it was caught: the median of {repeats}, and the least and the most.",
        "A dash is a try that did not catch it in its time.",
    ]
    return "\n".join(lines)


def read_page(path: Path) -> tuple[str, str]:
    """
    The parts of the Markdown file at *path* before and after its table.

    Raises:
        ChallengeError: Its table markers are missing, or it is not UTF-8.
    """
    page = _text(path)
    begin, end = page.find(_BEGIN), page.find(_END)
    if not 0 <= begin < end:
        raise ChallengeError(f"{path}: put the lines {_BEGIN} and {_END} where the table belongs")
    return f"{page[:begin]}{_BEGIN}\n", f"\n{page[end:]}"


def read_record(path: Path) -> dict[str, str]:
    """The commit at which each defect was last caught, from the table of the page at *path*."""
    try:
        page = _text(path)
    except OSError:
        return {}
    rows = page.partition(_BEGIN)[2].partition(_END)[0].splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    named = [(re.match(r"\*\*(.+?)\*\*", row[0]), row[-1]) for row in cells if row]
    return {found[1]: commit for found, commit in named if found and commit}


def _row(result: Result, commit: str) -> str:
    defect, best = result.defect, result.best
    caught = "nothing" if best is None else f"`{best.failure.invariant}`: {best.failure.name}"
    cells = (
        f"**{defect.name}**: {defect.about}",
        defect.issue,
        caught,
        _spread(result.random),
        _spread(result.guided),
        "" if best is None or best.failure.after is None else f"{best.failure.after:.3f} s",
        "" if best is None else f"{len(best.spec.choices):,}",
        "" if best is None else short(commit, 10),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _spread(attempts: Sequence[Attempt]) -> str:
    costs = sorted(attempt.cost for attempt in attempts)
    if not costs:
        return ""
    return f"{_number(statistics.median(costs))} ({_number(costs[0])}-{_number(costs[-1])})"


def _number(value: float) -> str:
    return "-" if value == float("inf") else f"{value:,.0f}"
