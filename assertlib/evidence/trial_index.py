"""
An index from assertions to the trials that reached them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .bits import numbers_in
from .combine import Evidence
from .run_hits import RunHits


def trials_by_assertion(
    evidence: Evidence, now: Callable[[str], str], most: int
) -> dict[str, list[str]]:
    """
    Sample the trials that hit each assertion.

    Args:
        evidence: The evidence to search.
        now: Maps a recorded message to the current one, after renames.
        most: The number of trials after which an assertion takes no more.

    Returns:
        Ids of trials by current message, in the order of the shards.
    """
    found: dict[str, list[str]] = {}
    for run in evidence.runs:
        hits = RunHits(evidence, run)
        messages = [now(name.message or "") for name in hits.names]
        # A bit for each assertion that still takes trials, so that a trial with nothing new costs a
        # single AND.
        wanted = (1 << len(messages)) - 1
        for trial, each in hits.trials.items():
            for number in numbers_in(each.hit & wanted):
                trials = found.setdefault(messages[number], [])
                # Assertions that were renamed to one message share its trials.
                if trial not in trials and len(trials) < most:
                    trials.append(trial)
                if len(trials) >= most:
                    wanted &= ~(1 << number)
    return found


def hits_by_trial(
    evidence: Evidence, now: Callable[[str], str]
) -> Iterator[tuple[str, str, bool, bool]]:
    """
    Yield every assertion of every trial that hit it.

    Args:
        evidence: The evidence to search.
        now: Maps a recorded message to the current one, after renames.

    Yields:
        The trial's id, the current message, whether it was true there, and whether it was false.
    """
    for run in evidence.runs:
        hits = RunHits(evidence, run)
        for trial, number, was_true, was_false in hits.numbers_by_trial():
            message = hits.names[number].message
            if message is not None:
                yield trial, now(message), was_true, was_false
