"""
The assertions that a campaign cannot reach, given its model, its traffic and its faults.

A gap says something about a store only where the campaign could have closed it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..history.records import Header
from ..model import bucket_message
from .faults import FAULTS
from .traffic import (
    COMPACTION,
    CONDITIONS,
    LEASES,
    MULTI_KEY,
    PAST,
    PROFILES,
    PROGRESS,
    STALE,
    UNKNOWN_LEASES,
    WATCHES,
)

REVISIONS = "a model with revisions"

# What each assertion of `judge` needs of the campaign, beyond faults.  One without an entry is in
# reach of every campaign.
_NEEDS: dict[str, tuple[str, ...]] = {
    "no two acknowledged writes create the same revision": (REVISIONS,),
    # Without them, no read shows whether a request took effect.
    "an unanswered request was applied": (REVISIONS,),
    "an unanswered request was not applied": (REVISIONS,),
    "an acknowledged write is present once members have caught up": (REVISIONS,),
    "a member's revision never goes backwards between rounds": (REVISIONS,),
    "members at the same revision have the same hash": (REVISIONS,),
    "a historical read returns the state at the revision it names": (PAST,),
    "a stale read misses a write that had returned": (STALE,),
    "a condition of a transaction fails": (CONDITIONS,),
    "of several writes conditional on the same revision of a key, only one succeeds": (CONDITIONS,),
    "an unanswered transaction is applied completely or not at all": (MULTI_KEY,),
    "a lease with keys expires on its own": (LEASES,),
    "a put with a nonexistent lease is rejected": (UNKNOWN_LEASES,),
    "a rejected put leaves no trace": (UNKNOWN_LEASES,),
    "history is compacted at a deletion": (COMPACTION,),
    "a watch is sent only what it asked for": (WATCHES,),
    "a watch is sent events in order": (WATCHES,),
    "a watch is sent each event once": (WATCHES,),
    "a watch receives all events of a revision in one delivery": (WATCHES,),
    "no event comes after its bookmark": (WATCHES,),
    "a watch begins with the first event at or after the revision it asks for": (WATCHES,),
    "an event correctly reports whether it created its key": (WATCHES,),
    "a watch is sent every event": (WATCHES,),
    "an event names the pair it replaced": (WATCHES,),
    "no event is older than the watch's start": (WATCHES,),
    "a client watches from a future revision": (WATCHES,),
    "a watch catches up on what it missed": (WATCHES,),
    "a watch is sent events and progress notifications": (PROGRESS,),
    "a revision contains several events": (WATCHES, MULTI_KEY),
    "a watch starts where history was compacted": (WATCHES, COMPACTION),
    "a watch starts before the compacted revision": (WATCHES, COMPACTION),
    "a watch from below the compacted revision is cancelled, and the reason is given": (
        WATCHES,
        COMPACTION,
    ),
}

ANY: tuple[str, ...] = ()
"""Any fault, failpoints included, which have names of their own."""

# The faults of which any one suffices to reach a state.
_FAULTS: dict[str, tuple[str, ...]] = {
    "a member is killed while requests are under way": ("kill", "kill-all"),
    "a killed member restarts": ("kill", "kill-all"),
    "a member with requests under way is paused for longer than an election takes": ("pause",),
    "a member is cut off while clients talk to it": ("partition", "isolate"),
    "members serve clients again after a fault": ANY,
    "the leader changes": ANY,
    "an unanswered request was applied": ANY,
    "an unanswered request was not applied": ANY,
    **{bucket_message("a fault is injected", name): (name,) for name in FAULTS},
}


def out_of_reach(header: Header) -> dict[str, str]:
    """
    Find the assertions that the campaign with *header* cannot reach.

    Args:
        header: The header of its history.  Traffic that is unknown here excludes nothing.

    Returns:
        What each of them needs and the campaign lacks, by message.
    """
    return dict(_missing(header))


def _missing(header: Header) -> Iterator[tuple[str, str]]:
    chosen = set(str(header.about.get("faults", "")).split(","))
    for message, faults in _FAULTS.items():
        if chosen <= {"none", ""} if faults is ANY else chosen.isdisjoint(faults):
            yield message, f"fault {faults[0]}" if faults else "a fault"
    profile = PROFILES.get(str(header.about.get("traffic", "")))
    if profile is None:
        return
    offered = {*profile.features, *((REVISIONS,) if header.model == "etcd" else ())}
    for message, needs in _NEEDS.items():
        lacking = [each for each in needs if each not in offered]
        if lacking:
            yield message, " and ".join(lacking)
