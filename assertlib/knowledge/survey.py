"""
A survey of a project: who still knows its invariants, now or at an earlier date.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from ..catalog.config import Config, ConfigError, find_config
from ..errors import NoDataError, UsageError
from .credit import Ledger, ledgers, parts_of
from .history import Repository, commit_before, extracted
from .index import Index, read_index
from .levels import Evidence, last_evidence
from .passages import tests_by_message
from .status import Known, Status, judge, last_active, people_named

_END_OF_DAY = 86_399


@dataclass(frozen=True)
class Survey:
    """
    Who knows the invariants of a project.

    Attributes:
        index: The source and the catalogs that were read.
        known: The active invariants, the most urgent first.
        ledgers: The contributions to every invariant, by id.
        last: When each person was last active, in seconds since 1970.
        now: The time that was judged, in seconds since 1970.
        repository: The history that was read.
        notes: Limits of the history, as sentences.
        departed: People who counted as gone.
    """

    index: Index
    known: Sequence[Known]
    ledgers: Mapping[str, Ledger]
    last: Mapping[str, int]
    now: int
    repository: Repository
    notes: Sequence[str]
    departed: Sequence[str] = ()

    @property
    def head(self) -> str:
        """The commit that was read."""
        return self.repository.head

    def counts(self) -> dict[Status, int]:
        """Return the number of invariants with each status."""
        return {status: sum(each.status is status for each in self.known) for status in Status}


@dataclass(frozen=True)
class Question:
    """
    What is asked of the history.

    Attributes:
        as_of: The date that is judged; None for now.
        since: Earlier contributions are left out; None for none.
        departure: Names of people who count as gone.
    """

    as_of: date | None = None
    since: date | None = None
    departure: Sequence[str] = ()


def survey(config: Config, names: Sequence[str], question: Question) -> Survey:
    """
    Survey a project.

    Args:
        config: The configuration of the project.
        names: Names of the targets.
        question: What is asked.

    Raises:
        UsageError: The project is in no repository, or a name is unknown or ambiguous.
        NoDataError: There was no commit, no project or no active invariant then.
        ConfigError: The configuration or a catalog entry cannot be read.
    """
    with _at(config, names, question.as_of) as (index, repository):
        index.require_catalog()
        evidence: Mapping[str, Evidence] = {}
        tests: Mapping[str, Collection[str]] = {}
        # Runs belong to the present: what an earlier commit was exercised by is not recorded.
        if question.as_of is None:
            evidence = last_evidence(index)
            tests = tests_by_message(index)
        since = _seconds(question.since) if question.since else 0
        found = ledgers(index, parts_of(index, tests), repository, config.root, since)
        last = last_active(repository.commits.values())
        departed, problems = people_named(question.departure, last)
        if problems:
            raise UsageError("--departure: " + "; ".join(problems))
        now = _now(question.as_of)
        known = judge(found, last, now, config.knowledge, evidence, departed)
        if not known:
            raise NoDataError(
                'no active invariant in the catalog; review a draft, then set `status = "active"`'
            )
        notes = list(_notes(repository, question))
        by_id = {each.entry.id: each for each in found}
        return Survey(index, known, by_id, last, now, repository, notes, departed)


def trend(
    config: Config, names: Sequence[str], points: int
) -> list[tuple[date, dict[Status, int]]]:
    """
    Return the number of invariants with each status at some dates, evenly spread over the history.

    Args:
        config: The configuration of the project.
        names: Names of the targets.
        points: The number of dates, the last of which is that of the last commit.

    Returns:
        The dates and numbers; a date at which the catalog could not be read is left out.
    """
    repository = Repository(config.root, bots=config.knowledge.bots)
    times = sorted(each.time for each in repository.commits.values())
    first, last = times[0], times[-1]
    found: list[tuple[date, dict[Status, int]]] = []
    for number in range(points):
        time = first + (last - first) * (number + 1) // points
        day = datetime.fromtimestamp(time, UTC).date()
        try:
            counts = survey(config, names, Question(as_of=day)).counts()
        # Before the project, its catalog, or the target existed.
        except NoDataError:
            counts = dict.fromkeys(Status, 0)
        except ConfigError:
            continue
        found.append((day, counts))
    return found


@contextmanager
def _at(
    config: Config, names: Sequence[str], as_of: date | None
) -> Iterator[tuple[Index, Repository]]:
    """The source and the history of the project at a date."""
    bots = config.knowledge.bots
    if as_of is None:
        yield read_index(config, names), Repository(config.root, bots=bots)
        return
    # Also for the message about a directory without a repository, or without commits.
    Repository(config.root)
    commit = commit_before(config.root, as_of.isoformat())
    if commit is None:
        raise NoDataError(f"--as-of {as_of}: the history has no commit that early")
    with tempfile.TemporaryDirectory(prefix="assertlib-as-of-") as directory:
        extracted(config.root, commit, Path(directory))
        then = find_config(Path(directory))
        if then.file is None:
            raise NoDataError(f"--as-of {as_of}: the project had no configuration of assertlib yet")
        present = [name for name in names if name in then.targets]
        if not present:
            raise NoDataError(f"--as-of {as_of}: none of its targets existed yet")
        index = read_index(then, present)
        if all(each.is_missing for each in index.catalogs.values()):
            raise NoDataError(f"--as-of {as_of}: the catalog did not exist yet")
        yield index, Repository(config.root, commit, bots)


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _now(as_of: date | None) -> int:
    if as_of is not None:
        return _seconds(as_of) + _END_OF_DAY
    return int(datetime.now(UTC).timestamp())


def _notes(repository: Repository, question: Question) -> Iterator[str]:
    if repository.is_shallow:
        yield (
            "This is a shallow clone: lines that are older than its history have no known author"
            " (`git fetch --unshallow`)."
        )
    if repository.was_rewritten:
        yield "The history was rewritten since the last time, so all of it was read again."
    if question.since is not None:
        yield f"Contributions before {question.since} are left out."


def without(survey: Survey, name: str, config: Config) -> tuple[Survey, Survey]:
    """
    Return the same survey with a person who is active, and without that person.

    Args:
        survey: The survey.
        name: The person.
        config: The configuration of the project.
    """
    evidence = {
        each.entry.id: Evidence(each.level, "", None) for each in survey.known if each.level
    }
    # Somebody who hands over is there, however long ago the last commit was.
    last = {**survey.last, name: survey.now}

    def judged(departed: Sequence[str]) -> Survey:
        known = judge(
            survey.ledgers.values(), last, survey.now, config.knowledge, evidence, departed
        )
        return replace(survey, known=known, departed=departed)

    return judged([]), judged([name])
