"""
An index from assertions to the trials that reached them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .combine import Evidence
from .digest import numbers_in


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
        full: dict[int, int] = {}
        for shard in evidence.shards_of(run):
            key = id(shard.names)
            # A bit for each assertion that still takes trials.  Shards that share their tuple of
            # names share the bits, so a trial with nothing new costs a single AND.
            wanted = full.setdefault(key, (1 << len(shard.names)) - 1)
            for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
                hit = (true | false) & wanted
                if trial is None or not hit:
                    continue
                for number in numbers_in(hit):
                    message = shard.names[number].message
                    names = found.setdefault(now(message or ""), [])
                    # Several processes of one trial may have hit it; and it may be full already by
                    # processes that number it otherwise.
                    if trial not in names and len(names) < most:
                        names.append(trial)
                    if len(names) >= most:
                        wanted &= ~(1 << number)
            full[key] = wanted
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
        A trial of several processes is yielded once for each of them.
    """
    for run in evidence.runs:
        for shard in evidence.shards_of(run):
            for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
                effective = evidence.trial_of(run, shard, trial)
                if effective is None:
                    continue
                # Both may be set: an assertion can be true and false within one trial.
                for number in numbers_in(true | false):
                    message = shard.names[number].message
                    if message is not None:
                        yield (
                            effective, now(message),
                            bool(true >> number & 1), bool(false >> number & 1),
                        )  # fmt: skip
