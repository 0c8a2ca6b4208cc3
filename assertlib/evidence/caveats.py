"""
The caveats of a report: limits of its evidence, as complete sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .combine import Evidence
from .revision import known_revision, not_a_revision
from .text import counted

DAMAGED = "Damaged"
"""Begins the caveats of a run that cannot pass."""


def caveats_of(evidence: Evidence) -> Iterator[str]:
    """Yield the limits of *evidence* that readers of a report should know."""
    for (_, name), shard in sorted(evidence.shards.items()):
        for text in shard.damage:
            yield f"{DAMAGED}: shard {name}: {text}; its counts are lower bounds, and the run cannot pass."
    shards = evidence.shards.values()
    lost = sum(shard.lost_records for shard in shards)
    if lost:
        yield f"{counted(lost, 'record')} could not be written (no space?); the counters are exact."
    dropped = sum(shard.dropped_records for shard in shards)
    if dropped:
        yield (
            f"{counted(dropped, 'record')} dropped by max_records_per_second or max_shard_bytes;"
            " the counters are exact, but trials and examples from then on are missing."
        )
    # Nameless slots are those whose declarations were cut off with other lines.
    cut_off = [shard for shard in shards if shard.is_nameless]
    if cut_off:
        yield (
            f"{counted(len(cut_off), 'shard')} lost lines: hits are taken from the counters, but"
            " trials, examples, and any assertions not in the scan are missing."
        )
    cut = sum(shard.truncated_details for shard in shards)
    if cut:
        yield f"The details of {counted(cut, 'hit')} were too long and were truncated."
    # A shard without a declaration counted nothing that could have been lost.
    volatile = [shard.name for shard in shards if shard.declared and not shard.durable]
    if volatile:
        yield (
            f"The counts of {counted(len(volatile), 'process', 'processes')} were not durable; those of a killed process"
            " are lower bounds."
        )
    languages = Counter(shard.language for shard in shards if shard.language)
    if languages:
        recorded = ", ".join(f"{count} in {name}" for name, count in sorted(languages.items()))
        yield (
            "Some processes were recorded by SDKs that write only first hits"
            f" ({recorded}): counts marked ≥ are lower bounds."
        )
    # A set, as the processes of a run usually repeat one value.
    commits = (shard.header.get("commit") for shard in shards)
    foreign = {not_a_revision(each) for each in commits if each and known_revision(each) is None}
    yield from (f"In the header of a shard, {text}." for text in sorted(foreign))
    for _, info in sorted(evidence.runs.items()):
        yield from info.caveats
        if info.scan is None:
            yield (
                f"Run {info.id} was not scanned when it started; it is judged against"
                " the current source."
            )
