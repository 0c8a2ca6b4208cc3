"""
The report as one self-contained HTML file: no network, no server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._text import html_page
from ..evidence.statistics import interval
from ..evidence.summary import Summary
from ..model import REACHABLE, SOMETIMES
from ..recording.session import VERSION
from ..recording.trials import SEED_RANDOM
from .json_format import as_dict


@dataclass(frozen=True)
class ReportContext:
    """
    Context beyond the reported runs, by message.

    Attributes:
        trends: Share of trials that satisfied the assertion in each run, oldest first.
        reached: Some of the trials that hit the assertion.
        sources: Source lines around the assertion.
        before: Its verdict in the runs to compare with.
        knowledge: Whether people still know each invariant, by id: ``alive``, ``at risk`` and so on.
    """

    trends: Mapping[str, Sequence[float]] = field(default_factory=dict)
    reached: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    knowledge: Mapping[str, str] = field(default_factory=dict)


def render(summary: Summary, context: ReportContext | None = None) -> str:
    """Render the page."""
    context = context or ReportContext()
    content = as_dict(summary)
    texts = {result.entry.id: result.entry.invariant for result in summary.invariants}
    invariants = content["invariants"]
    assert isinstance(invariants, list)
    for each in invariants:
        known = texts[each["id"]]
        each.update(statement=known.statement, why=known.why, debug=known.debug)
    content |= {
        "version": VERSION,
        "rates": _rates(summary),
        "trends": context.trends,
        "reached": context.reached,
        "sources": context.sources,
        "before": context.before,
        "knowledge": context.knowledge,
    }
    return html_page.render(__package__, "report.html", content)


def _rates(summary: Summary) -> dict[str, tuple[float, float, float]]:
    """Rates with confidence intervals, if all trials form one random sample."""
    random = [each for each in summary.populations if each.sampler == SEED_RANDOM]
    if len(random) != 1 or len(summary.populations) != 1:
        return {}
    trials = random[0].trials
    return {
        result.message: (result.trials_true / trials, *interval(result.trials_true, trials))
        for result in summary.assertions
        if result.kind in (SOMETIMES, REACHABLE) and 0 < result.trials_true <= trials
    }
