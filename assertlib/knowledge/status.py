"""
Decides who still knows an invariant, and how urgent that is.

Knowledge fades: a contribution counts half as much after each half-life.  Whoever contributes at
all to the repository is active; what somebody remembers, git cannot show.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ..catalog.config import KnowledgeSettings
from ..catalog.loader import Entry
from .credit import ASSERTION, FUNCTION, REVIEW, STATEMENT, TEST, WEIGHTS, Credit, Ledger
from .history import Commit
from .levels import Evidence

_DAY = 86_400
_LEAST = 0.05
"""Share of the lines of an invariant below which a contribution is no knowledge of it."""
_WORDS = {
    STATEMENT: "the statement",
    ASSERTION: "an assertion",
    FUNCTION: "code around an assertion",
    TEST: "a test",
    REVIEW: "a review",
}
_EXERCISED = ("exercised", "defect-tested")


class Status(StrEnum):
    """Whether the knowledge of an invariant will survive."""

    ALIVE = "alive"
    FADING = "fading"
    AT_RISK = "at risk"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Known:
    """
    The knowledge of one invariant.

    Attributes:
        entry: The invariant.
        status: The status.
        reasons: Why it has this status, as sentences without a full stop.
        knowers: Active people who know it, the one who knows most first.
        fading: Active people whose contributions are too old or too small to count.
        former: People who knew it and are no longer active.
        level: Its level in the newest run; empty without a run.
    """

    entry: Entry
    status: Status
    reasons: tuple[str, ...]
    knowers: tuple[str, ...]
    fading: tuple[str, ...]
    former: tuple[str, ...]
    level: str

    @property
    def is_exercised(self) -> bool:
        """Whether the newest run exercised it."""
        return self.level in _EXERCISED


def last_active(commits: Iterable[Commit]) -> dict[str, int]:
    """Return the time of the last commit or review of each person, in seconds since 1970."""
    last: dict[str, int] = {}
    for commit in commits:
        for name in (*commit.authors, *commit.reviewers):
            last[name] = max(last.get(name, commit.time), commit.time)
    return last


def judge(
    ledgers: Iterable[Ledger],
    last: Mapping[str, int],
    now: int,
    settings: KnowledgeSettings,
    evidence: Mapping[str, Evidence],
    departed: Collection[str] = (),
) -> list[Known]:
    """
    Judge who still knows each active invariant, the most urgent first.

    Args:
        ledgers: The contributions to each invariant.
        last: When each person was last active, in seconds since 1970.
        now: The time that is judged, in seconds since 1970.
        settings: What counts as active and as knowledge.
        evidence: The last evidence of each invariant, by id.
        departed: People who count as gone.
    """
    found = [
        _judge(ledger, last, now, settings, evidence.get(ledger.entry.id), departed)
        for ledger in ledgers
        if ledger.entry.counts
    ]
    return sorted(found, key=lambda each: (_urgency(each), each.entry.id))


def _urgency(known: Known) -> int:
    """
    The order of the list: what one person can still hand over, and nothing exercises, is first.

    What is lost cannot be handed over any more; it comes next, since a test may still recover it.
    """
    order = {
        (Status.AT_RISK, False): 0,
        (Status.LOST, False): 1,
        (Status.LOST, True): 2,
        (Status.AT_RISK, True): 3,
        (Status.FADING, False): 4,
        (Status.FADING, True): 5,
        (Status.UNKNOWN, False): 6,
        (Status.UNKNOWN, True): 6,
        (Status.ALIVE, False): 7,
        (Status.ALIVE, True): 8,
    }
    return order[(known.status, known.is_exercised)]


def _judge(
    ledger: Ledger,
    last: Mapping[str, int],
    now: int,
    settings: KnowledgeSettings,
    evidence: Evidence | None,
    departed: Collection[str],
) -> Known:
    people = {name: _share(credits) for name, credits in ledger.credits.items()}
    people = {name: share for name, share in people.items() if share >= _LEAST}
    ordered = sorted(
        people, key=lambda name: (-_remembered(ledger.credits[name], now, settings), name)
    )
    active = [name for name in ordered if _is_active(name, last, now, settings, departed)]
    former = [name for name in ordered if name not in active]
    knowers = [
        name
        for name in active
        if _remembered(ledger.credits[name], now, settings) >= settings.threshold
    ]
    fading = [name for name in active if name not in knowers]
    status = _status(knowers, fading, former, ledger)
    reasons = _reasons(status, ledger, knowers, fading, former, last, now, departed)
    level = evidence.level if evidence else ""
    return Known(
        ledger.entry, status, tuple(reasons), tuple(knowers), tuple(fading), tuple(former), level
    )


def _share(credits: Sequence[Credit]) -> float:
    """The share of all that can be known that somebody wrote or reviewed, ever."""
    return sum(WEIGHTS[each.role] * each.share for each in credits) / sum(WEIGHTS.values())


def _remembered(credits: Sequence[Credit], now: int, settings: KnowledgeSettings) -> float:
    """The share that counts at the time *now*."""
    half = settings.half_life_days * _DAY
    total = sum(
        WEIGHTS[each.role] * each.share * math.exp2(-max(0, now - each.time) / half)
        for each in credits
    )
    return total / sum(WEIGHTS.values())


def _is_active(
    name: str,
    last: Mapping[str, int],
    now: int,
    settings: KnowledgeSettings,
    departed: Collection[str],
) -> bool:
    return name not in departed and now - last.get(name, 0) <= settings.active_days * _DAY


def _status(
    knowers: Sequence[str], fading: Sequence[str], former: Sequence[str], ledger: Ledger
) -> Status:
    if len(knowers) > 1:
        return Status.ALIVE
    if len(knowers) + len(fading) > 1:
        return Status.FADING
    if knowers or fading:
        return Status.AT_RISK
    # Lines without an author prove neither that it is known nor that it is not.
    return Status.LOST if former or not ledger.unknown else Status.UNKNOWN


def _reasons(
    status: Status,
    ledger: Ledger,
    knowers: Sequence[str],
    fading: Sequence[str],
    former: Sequence[str],
    last: Mapping[str, int],
    now: int,
    departed: Collection[str],
) -> list[str]:
    found = []
    if status is Status.ALIVE:
        found.append(f"{len(knowers)} active people know it")
    elif status is Status.FADING:
        found.append(
            f"{len(knowers)} of {len(knowers) + len(fading)} active contributors touched it recently"
            " or substantially"
        )
    elif status is Status.AT_RISK:
        (name,) = (*knowers, *fading)
        found.append(f"only {name} is still active: contributed {_did(name, ledger, now)}")
    elif status is Status.LOST and former:
        found.append("nobody who contributed to it is active")
    elif status is Status.LOST:
        found.append("no person contributed to it")
    if status in (Status.AT_RISK, Status.LOST):
        found += [_absence(name, ledger, last, now, departed) for name in former[:3]]
    found += ledger.unknown[:3]
    return found


def _did(name: str, ledger: Ledger, now: int) -> str:
    credits = sorted(
        ledger.credits[name], key=lambda each: (-WEIGHTS[each.role] * each.share, each.role)
    )
    roles = list(dict.fromkeys(_WORDS[each.role] for each in credits))
    newest = max(each.time for each in credits)
    return f"{', '.join(roles[:3])}, most recently {_ago(now - newest)}"


def _absence(
    name: str, ledger: Ledger, last: Mapping[str, int], now: int, departed: Collection[str]
) -> str:
    did = _did(name, ledger, now).rpartition(", most recently")[0]
    if name in departed:
        return f"contributor lost: {name} ({did})"
    return f"{name} ({did}) was last active {_day(last.get(name, 0))}"


def _ago(seconds: int) -> str:
    days = max(0, seconds // _DAY)
    if days < 60:
        return f"{days} days ago" if days != 1 else "1 day ago"
    return f"{days // 30} months ago" if days < 730 else f"{days // 365} years ago"


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def people_named(wanted: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """
    Find people by name.

    Args:
        wanted: Names, or unambiguous parts of names, in any case.
        known: The people of the history.

    Returns:
        The names found, and a line for each that is unknown or ambiguous.
    """
    names = sorted(known)
    found: list[str] = []
    problems: list[str] = []
    for text in wanted:
        exact = [name for name in names if name == text]
        exact = exact or [name for name in names if name.casefold() == text.casefold()]
        parts = [name for name in names if text.casefold() in name.casefold()]
        matches = exact or parts
        if len(matches) == 1:
            found += matches
        elif matches:
            problems.append(f"{text!r} could be {', '.join(matches[:5])}; write the whole name")
        else:
            problems.append(f"{text!r} wrote no commit that counts; see `git shortlog -s`")
    return found, problems


def by_area(known: Iterable[Known]) -> dict[str, list[Known]]:
    """Group invariants by area, in the order of the areas' names."""
    found: dict[str, list[Known]] = defaultdict(list)
    for each in known:
        found[each.entry.area].append(each)
    return dict(sorted(found.items()))
