"""
Which trials reached an assertion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .combine import Evidence
from .digest import numbers_in


def trials_by_assertion(
    evidence: Evidence, now: Callable[[str], str], most: int
) -> dict[str, list[str]]:
    """For each message some of the trials that hit it, *most* at most; tests before seeds."""
    found: dict[str, list[str]] = {}
    for run in evidence.runs:
        full: dict[int, int] = {}
        for shard in evidence.shards_of(run):
            key = id(shard.names)
            # Those that still want trials, as bits.
            wanted = full.setdefault(key, (1 << len(shard.names)) - 1)
            for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
                hit = (true | false) & wanted
                if trial is None or not hit:
                    continue
                for number in numbers_in(hit):
                    message = shard.names[number].message
                    names = found.setdefault(now(message or ""), [])
                    if trial not in names:
                        names.append(trial)
                    if len(names) >= most:
                        wanted &= ~(1 << number)
            full[key] = wanted
    return found


def hits_by_trial(
    evidence: Evidence, now: Callable[[str], str]
) -> Iterator[tuple[str, str, bool, bool]]:
    """Trial, message, and whether it was true there, and false."""
    for run in evidence.runs:
        for shard in evidence.shards_of(run):
            for trial, true, false in zip(shard.trials, shard.true_in, shard.false_in, strict=True):
                effective = evidence.trial_of(run, shard, trial)
                if effective is None:
                    continue
                for number in numbers_in(true | false):
                    message = shard.names[number].message
                    if message is not None:
                        yield (
                            effective, now(message),
                            bool(true >> number & 1), bool(false >> number & 1),
                        )  # fmt: skip
