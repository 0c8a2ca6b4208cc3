"""
Verify the assertions with seeded defects: each is planted in a copy and must be caught.

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

from .._text.utf8 import EncodingError
from ..catalog import git
from ..catalog.defects import Defect
from ..catalog.files import read_text
from ..errors import UsageError
from .engine import unrecorded
from .explore import Exploration, Found, Plan, reproduced

__all__ = [
    "Attempt",
    "ChallengeError",
    "Result",
    "challenge",
    "read_record",
    "table",
]

_BEGIN, _END = "<!-- track record -->", "<!-- end of track record -->"
_SHRINK_BUDGET = 1000
_APART = 1_000_000
"""Distance between the first seeds of two repetitions, so that they share no trials."""


class ChallengeError(UsageError):
    """A patch cannot be applied, or a table written; the message names the file and the reason."""


@dataclass(frozen=True)
class Attempt:
    """
    One attempt to catch a defect.

    Attributes:
        found: The failure that caught it; None if nothing did.
        trials: Number of trials run, including those after the catch.
        seconds: Duration in real seconds.
    """

    found: Found | None
    trials: int
    seconds: float

    @property
    def cost(self) -> float:
        """Number of trials up to the catch; infinite without one."""
        return self.found.trial if self.found else float("inf")


@dataclass(frozen=True)
class Result:
    """
    The result of challenging one defect.

    Attributes:
        random: Attempts with random trials.
        guided: Attempts with a guided search.
        best: The catch with the shortest tape, after shrinking; None without a catch.
    """

    defect: Defect
    random: tuple[Attempt, ...]
    guided: tuple[Attempt, ...]
    best: Found | None

    @property
    def is_caught(self) -> bool:
        """Whether every attempt caught the defect and the tape of the best reproduces it."""
        # A catch that its own tape does not reproduce may owe nothing to the defect.
        is_sure = self.best is not None and not self.best.is_flaky
        return is_sure and all(each.found for each in (*self.random, *self.guided))


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except EncodingError as error:
        raise ChallengeError(f"{path}: {error}") from None


@contextmanager
def planted(defect: Defect) -> Iterator[Path]:
    """
    Copy the store into a temporary directory and apply *defect* to the copy.

    Raises:
        ChallengeError: The patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="assertlib-challenge-") as parent:
        copy = Path(parent) / "copy"
        # Hidden directories hold recordings and virtual environments, which are no source.
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(defect.path.parents[1], copy, ignore=ignored)
        # The copy is no repository.  The ceiling keeps git from finding one above it, whose
        # configuration and attributes would affect how the patch is applied.
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
    Try to catch a defect with random trials and with guided search.

    Args:
        defect: The defect to plant.
        plan: The plan of each attempt; its first seed, guidance and stopping rule are replaced.
        repeats: Number of attempts of each kind.
        report: Receives progress messages.
        tick: Called periodically while exploring.

    Raises:
        ChallengeError: The patch does not apply.
    """
    # Random and guided attempts of one number share their seeds, so that only guidance differs.
    # Attempts do not shrink, since only the best catch is reproduced in the end.
    plans = [
        replace(plan, guided=guided, first=number * _APART, stops=_is_catalogued, shrinks=0)
        for guided in (False, True)
        for number in range(repeats)
    ]
    with planted(defect) as copy:
        # The copy precedes all other directories, so that its modules hide the original ones.
        here = [replace(each, path=(str(copy), *each.path)) for each in plans]
        attempts = tuple(_attempt(each, report, tick) for each in here)
        found = [each.found for each in attempts if each.found]
        best = min(found, key=lambda each: len(each.spec.choices), default=None)
        if best is not None:
            best.spec, failed = reproduced(best.spec, _SHRINK_BUDGET, here[0].path)
            best.is_flaky = best.failure.name not in failed
    return Result(defect, attempts[:repeats], attempts[repeats:], best)


def _is_catalogued(found: Found) -> bool:
    # A crash or deadlock reveals a defect, but only an assertion of an invariant is evidence that
    # the catalog covers it.
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
    """
    Format the results as a Markdown table.

    Args:
        results: One result per defect.
        commit: Short name of the commit that the defects were planted in, for the last column.
        repeats: Number of attempts of each kind.
    """
    lines = [
        (
            "| defect | modelled on | caught by | random trials | guided trials | after the last fault"
            " | choices after shrinking | last reproduced at |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(result, commit) for result in results]
    lines += [
        "",
        f"Trials until the defect was caught: median, minimum and maximum of {repeats} attempts.",
        "A dash marks an attempt that did not catch it in time.",
    ]
    return "\n".join(lines)


def read_page(path: Path) -> tuple[str, str]:
    """
    Return the parts of the Markdown file at *path* before and after its table.

    Raises:
        ChallengeError: The table markers are missing, or the file is not UTF-8.
    """
    page = _text(path)
    begin, end = page.find(_BEGIN), page.find(_END)
    if not 0 <= begin < end:
        raise ChallengeError(f"{path}: put the lines {_BEGIN} and {_END} where the table belongs")
    return f"{page[:begin]}{_BEGIN}\n", f"\n{page[end:]}"


def read_record(path: Path) -> dict[str, str]:
    """Return the commit at which each defect was last caught, from the page at *path*."""
    try:
        page = _text(path)
    except OSError:
        return {}
    # Cells escape their pipes, see `_row`; the header has no bold name and is skipped.
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
        "" if best is None else commit,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _spread(attempts: Sequence[Attempt]) -> str:
    # An attempt without a catch costs infinity: it sorts last and pulls the median up, instead of
    # being left out.
    costs = sorted(attempt.cost for attempt in attempts)
    if not costs:
        return ""
    return f"{_number(statistics.median(costs))} ({_number(costs[0])}-{_number(costs[-1])})"


def _number(value: float) -> str:
    return "-" if value == float("inf") else f"{value:,.0f}"
