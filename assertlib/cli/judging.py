"""
Judges runs against the target they were recorded for.
"""

from __future__ import annotations

import sys

from ..catalog.check import check
from ..catalog.config import Config, find_config
from ..evidence.combine import Evidence
from ..evidence.foreign import take_outputs
from ..evidence.gather import count_shards, read_evidence
from ..evidence.runs import find_runs
from ..evidence.summary import Summary, summarise
from ..recording.reader import UnreadableRunError
from .common import place_from_here
from .progress import progress


def judged(config: Config, names: list[str], target: str | None) -> tuple[Evidence, Summary]:
    """
    Judge runs against a target.

    Args:
        config: The project; outside of one, that of the first run is used.
        names: Ids or directories of the runs; empty for the newest.
        target: Name of the target; None for the one that the newest run was recorded for.

    Returns:
        The evidence, and the judgement.

    Raises:
        ConfigError: The configuration is invalid.
        NoDataError: A run does not exist.
        UnreadableRunError: A run is damaged.
    """
    paths = find_runs(config, names)
    # Outside of a project, a run that is named by its path has the configuration around it.
    if config.file is None:
        config = find_config(paths[0].resolve())
    for path in paths:
        # A process may have continued writing after the end of its run.
        for stats in take_outputs(path):
            if stats.failure:
                raise UnreadableRunError(f"{stats.failure}; remove it from the run")
    with progress("reading", count_shards(paths)) as step:
        evidence = read_evidence(paths, step)
    newest = evidence.newest()
    recorded = None if newest is None else newest.target
    name, found = config.target(target or recorded)
    checked = check(config, name, found)
    # A broken catalog entry must not hide the verdicts of assertions.
    for finding in checked.catalog.unread:
        print(f"assertlib: {finding.seen_from(place_from_here(config))}", file=sys.stderr)
    return evidence, summarise(evidence, checked.catalog, name, checked.scan.sites)
