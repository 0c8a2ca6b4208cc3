"""
The last evidence of each invariant: its level in the newest run of a target.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ..evidence.gather import read_evidence
from ..evidence.runs import RunInfo, read_info, runs_in_order
from ..evidence.summary import summarise
from ..recording.reader import UnreadableRunError
from .cache import digest, keep, kept, state_of
from .index import Index


@dataclass(frozen=True)
class Evidence:
    """
    The last evidence of an invariant.

    Attributes:
        level: Its level on the ladder, such as ``exercised``.
        run: Id of the run.
        commit: The revision that the run was recorded from; None if it is unknown.
        missing: What it lacks for the next level.
    """

    level: str
    run: str
    commit: str | None
    missing: tuple[str, ...] = ()


def last_evidence(index: Index) -> dict[str, Evidence]:
    """
    Return the last evidence of each invariant, by id, from the newest run of each target.

    An invariant is missing if no run of its targets can be read.
    """
    found: dict[str, Evidence] = {}
    wanted = set(index.targets)
    for path in reversed(runs_in_order(index.config)):
        if not wanted:
            break
        with suppress(UnreadableRunError, OSError):
            info = read_info(path)
            if info.target in wanted:
                wanted.discard(info.target)
                for identifier, evidence in _levels(index, info, info.target or "").items():
                    found.setdefault(identifier, evidence)
    return found


def _levels(index: Index, info: RunInfo, target: str) -> dict[str, Evidence]:
    catalog = index.catalogs[target]
    sites = [site for site in index.sites if site.file in index.files_of(target)]
    identities = (f"{each.message} {each.fingerprint} {each.invariant}" for each in sites)
    key = digest([*state_of(info.path), *catalog.text, *identities])
    name = f"levels-{digest([str(info.path)])}"
    with suppress(ValueError, TypeError, AttributeError):
        known = kept(index.config.root, name, key)
        if known is not None:
            return {
                identifier: Evidence(str(level), info.id, info.commit, tuple(map(str, missing)))
                for identifier, (level, missing) in known.items()
            }
    summary = summarise(read_evidence([info.path]), catalog, target, sites)
    levels = {
        result.entry.id: Evidence(
            str(result.standing.level), info.id, info.commit, result.standing.missing
        )
        for result in summary.invariants
    }
    data = {identifier: [each.level, each.missing] for identifier, each in levels.items()}
    keep(index.config.root, name, key, data)
    return levels
