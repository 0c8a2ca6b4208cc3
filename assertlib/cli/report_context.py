"""
Context of a report beyond its runs: trends, trials, source, and a run to compare with.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from ..catalog import git
from ..catalog.config import SHIPPED, Config
from ..catalog.scan.tree import source_file
from ..errors import AssertlibError
from ..evidence.address import ENVIRONMENT
from ..evidence.combine import Evidence
from ..evidence.revision import is_dirty
from ..evidence.store import DEFAULT
from ..evidence.summary import Summary
from ..evidence.trial_index import trials_by_assertion
from ..knowledge.survey import Question, survey
from ..recording.trials import SEED_RANDOM
from ..report.html_format import ReportContext
from .evidence import open_store
from .judging import judged

_RUNS = 100
_TRIALS = 5
_LINES = 3
_MOST_SOURCES = 2000
"""With more, the page would be slow to open; the conditions are shown regardless."""


def report_context(
    config: Config, evidence: Evidence, summary: Summary, against: str | None
) -> ReportContext:
    """
    Collect the available context; the evidence store is skipped if it does not exist.

    Args:
        config: The project.
        evidence: Evidence of the judged runs.
        summary: The judgement.
        against: Run to compare with; None for no comparison.

    Raises:
        NoDataError: The run *against* does not exist.
    """
    before = judged(config, [against], summary.target)[1] if against else None
    return ReportContext(
        trends=_trends(config, summary),
        reached=trials_by_assertion(evidence, summary.renamed, _TRIALS),
        sources=_sources(config, summary),
        before={each.message: each.verdict.value for each in before.assertions} if before else {},
        knowledge=_knowledge(config, summary.target),
    )


def _knowledge(config: Config, target: str) -> dict[str, str]:
    # A project without a history, or in one that cannot be read, has no such section.
    with suppress(AssertlibError):
        found = survey(config, [target], Question())
        return {each.entry.id: str(each.status) for each in found.known}
    return {}


def _trends(config: Config, summary: Summary) -> dict[str, list[float]]:
    # Opening the store would create it.
    if not os.environ.get(ENVIRONMENT) and not (config.root / DEFAULT).exists():
        return {}
    current = {(each.message, each.site.fingerprint) for each in summary.assertions if each.site}
    points: dict[str, list[float]] = defaultdict(list)
    with open_store(config) as store:
        runs = [run.id for run in store.runs(summary.target, _RUNS)]
        for each in store.results(runs):
            message = summary.renamed(each.identity.message)
            # A changed condition starts with no evidence, and only random trials have rates.
            is_current = (message, each.identity.fingerprint) in current
            if is_current and each.sample[1] == SEED_RANDOM and each.trials:
                points[message].append(each.made_true / each.trials)
    return dict(points)


def _is_plain(file: str) -> bool:
    """Whether *file* is a printable, relative path without hidden parts."""
    is_below = not Path(file).is_absolute() and file.isprintable()
    return is_below and not any(part.startswith(".") for part in Path(file).parts)


def _text(root: Path, commit: str | None, file: str) -> str:
    if not _is_plain(file):
        return ""
    # The work tree may have changed since the run, its commit has not.
    if commit is not None and not is_dirty(commit):
        found = git.file_at(root, commit, file)
        if found is not None:
            return found.decode("utf-8", "replace")
    path = source_file(root, file)
    try:
        # A shard may name any file; files outside the project must not leak into the report.
        is_ours = any(path.resolve().is_relative_to(each.resolve()) for each in (root, SHIPPED))
        return path.read_text(encoding="utf-8") if is_ours and path.is_file() else ""
    except (OSError, ValueError):
        return ""


def _sources(config: Config, summary: Summary) -> dict[str, str]:
    """Source lines around each assertion, from the recorded commit if available."""
    lines: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    sites = [each.site for each in summary.assertions if each.site is not None]
    for site in sites[:_MOST_SOURCES]:
        if site.file not in lines:
            text = _text(config.root, summary.commit, site.file)
            lines[site.file] = text.removeprefix("\ufeff").splitlines()
        start = max(0, site.line - _LINES)
        part = lines[site.file][start : site.line + _LINES]
        if part:
            found[site.message] = "\n".join(
                f"{start + number:>5}  {line}" for number, line in enumerate(part, 1)
            )
    return found
