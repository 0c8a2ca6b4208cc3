"""
The report on one screen: violations, the gaps that matter most, and what to type next.

`text` prints everything.
"""

from __future__ import annotations

import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ..catalog.model import Invariant
from ..evidence.caveats import DAMAGED
from ..evidence.summary import InvariantResult, Summary
from ..evidence.text import counted, one_line, percent
from ..evidence.verdicts import AssertionResult, Level, Verdict
from ..model import invariant_and_clause, origin_and_part
from .content import (
    Item,
    exercised,
    findings,
    heading,
    informative,
    populations,
    quoted,
    states_seen,
    violations,
)

WIDTH = 80
LINES, LINES_WITH_VIOLATION = 24, 50
"""Height of a terminal, and of the longest report with violations."""

MOST_GAPS = 8
_MOST_VIOLATIONS = 3
"""Violations that are shown with their values; the others are counted."""
_FACT_LINES, _VIOLATION_LINES = 3, 30
"""Lines that a fact about a violation may take, and all violations after the first one."""
_MOST_FINDINGS = 3
_MOST_NEEDS = 3
_GAP_LINES = 2
"""Lines that one gap may take; the rest of its text is left to the full report."""

_INDENT = " " * 10
_GAPS = {
    Verdict.VACUOUS: "vacuous",
    Verdict.NEVER_TRUE: "never true",
    Verdict.UNREACHED: "unreached",
}
"""Verdicts that are gaps.  What was evaluated in vain precedes what was never reached."""


@dataclass(frozen=True)
class Gap:
    """
    What is missing from the proof of an invariant.

    Attributes:
        rank: Its place among the gaps, the most important first: incidents of the past, then the
            kind of gap, then the name.
        facts: How far it is from closed, the most significant fact first.
    """

    rank: tuple[bool, int, str]
    subject: str
    text: str
    facts: tuple[str, ...] = ()


def render(summary: Summary, width: int = WIDTH) -> str:
    """
    Render the report for a terminal.

    Args:
        summary: The judged run.
        width: Columns of the terminal; words are never broken, so a long one may exceed it.
    """
    return "".join(f"{one_line(line)}".rstrip() + "\n" for line in _lines(summary, width))


def _lines(summary: Summary, width: int) -> list[str]:
    violated = list(violations(summary))
    head = [*_header(summary, width), *_violations(summary, violated, width)]
    tail = [*_rest(summary, width), *_next(summary, width)]
    most = LINES_WITH_VIOLATION if violated else LINES
    # Two lines for the title of the gaps and the empty line before it.
    return [*head, *_gap_lines(_gaps(summary), most - len(head) - len(tail) - 2, width), *tail]


def _header(summary: Summary, width: int) -> Iterator[str]:
    yield from _packed([*heading(summary), populations(summary)], "   ", width)
    total = len(summary.invariants)
    levels = [result.standing.level for result in summary.invariants]
    parts = [
        f"{levels.count(Level.VIOLATED)} violated" if Level.VIOLATED in levels else "",
        f"{exercised(summary)} of {total} exercised",
        f"{levels.count(Level.DEFECT_TESTED)} defect-tested"
        if Level.DEFECT_TESTED in levels
        else "",
    ]
    seen, states = states_seen(summary)
    counts = [f"invariants   {' · '.join(filter(None, parts))}", f"sometimes {seen} of {states}"]
    yield from _packed(counts, " " * 8, width)


# -- violations ----------------------------------------------------------------


def _violations(summary: Summary, violated: Sequence[Item], width: int) -> list[str]:
    entries = {result.entry.id: result.entry.invariant for result in summary.invariants}
    lines: list[str] = []
    shown = 0
    for item in violated[:_MOST_VIOLATIONS]:
        known = entries.get(invariant_and_clause(item.subject)[0])
        block = list(_violation(item, known, width, is_first=not shown))
        if shown and len(lines) + len(block) > _VIOLATION_LINES:
            break
        lines += block
        shown += 1
    if len(violated) > shown:
        lines += ["", f"{counted(len(violated) - shown, 'more violation')}; -v shows all"]
    return lines


def _violation(item: Item, known: Invariant | None, width: int, *, is_first: bool) -> Iterator[str]:
    yield ""
    yield f"{item.label:<9} {item.subject}"
    for fact in (item.text, *item.more):
        # Its parts stand three spaces apart.  Each is cut by itself, so that a long value does not
        # hide the place or the command that replays.
        rows = _packed(fact.split("   "), "   ", width, _INDENT, _FACT_LINES)
        yield from islice(rows, 2 * _FACT_LINES)
    for text in () if known is None else _knowledge(known, is_first=is_first):
        yield from _wrapped(" ".join(text.split()), _INDENT, width, _FACT_LINES)


def _knowledge(known: Invariant, *, is_first: bool) -> Iterator[str]:
    """What the catalog holds; of the first violation, more than the statement."""
    yield f"must hold: {known.statement}"
    if not is_first:
        return
    yield f"why it matters: {known.why}"
    if known.debug:
        yield f"what to look at: {known.debug}"
    if known.incident:
        yield f"incidents: {', '.join(each.ref for each in known.incident)}"


# -- gaps ------------------------------------------------------------------------


def _gaps(summary: Summary) -> list[Gap]:
    results = {result.entry.id: result for result in summary.invariants}
    by_owner: dict[tuple[str, Verdict, str], list[AssertionResult]] = defaultdict(list)
    for each in summary.with_verdict(*_GAPS):
        owner = invariant_and_clause(each.invariant or "")[0]
        # The parts of a derived assertion are one gap.
        by_owner[owner, each.verdict, origin_and_part(each.message)[0]].append(each)
    gaps = [
        _gap(owner, verdict, message, parts, results.get(owner))
        for (owner, verdict, message), parts in by_owner.items()
    ]
    explained = {owner for owner, _, _ in by_owner}
    gaps += [
        Gap(
            _rank(result, len(_GAPS), identifier),
            identifier,
            f"lacks {', '.join(result.standing.missing)}",
        )
        for identifier, result in results.items()
        if identifier not in explained and _is_unproved(result)
    ]
    return sorted(gaps, key=lambda gap: gap.rank)


def _is_unproved(result: InvariantResult) -> bool:
    """Whether *result* lacks evidence that a longer or richer run could bring."""
    # Invariants that no assertion cites are counted: running more would not close these gaps.  What
    # is violated or undecided is no gap either.
    is_decided = all(each.verdict is Verdict.SATISFIED for each in result.assertions)
    return result.standing.level in (Level.ASSERTED, Level.EVALUATED) and is_decided


def _rank(result: InvariantResult | None, kind: int, name: str) -> tuple[bool, int, str]:
    has_incident = result is not None and bool(result.entry.invariant.incident)
    return not has_incident, kind, name


def _gap(
    owner: str,
    verdict: Verdict,
    message: str,
    parts: Sequence[AssertionResult],
    result: InvariantResult | None,
) -> Gap:
    names = [origin_and_part(each.message)[1].strip(" []") for each in parts]
    text = f"{_GAPS[verdict]}: {quoted(message)}"
    if any(names):
        text += f" [{', '.join(names)}]"
    facts = _facts(parts[0]) if len(parts) == 1 else []
    kind = list(_GAPS).index(verdict)
    return Gap(_rank(result, kind, owner or message), owner or "(no invariant)", text, tuple(facts))


def _facts(result: AssertionResult) -> list[str]:
    is_one_of_many = len(result.rate_bounds) > 1
    facts = [f"evaluated {result.shown(result.hits)}×"] if result.hits else []
    if result.antecedent is not None:
        evaluated = sum(result.antecedent)
        facts = [f"antecedent evaluated {evaluated:,}×" if evaluated else "never evaluated"]
    facts += [
        f"at most {percent(bound)} of trials" + (f" of {name}" if name and is_one_of_many else "")
        for name, bound in informative(result.rate_bounds)
    ]
    return [*facts, result.nearest] if result.nearest else facts


def _gap_lines(gaps: Sequence[Gap], space: int, width: int) -> Iterator[str]:
    """The most important gaps, by name, in at most *space* lines."""
    chosen: list[Gap] = []
    indent = 0
    for gap in gaps[:MOST_GAPS]:
        tried = [*chosen, gap]
        wider = min(max(len(each.subject) for each in tried), width * 2 // 5)
        if sum(len(_gap_text(each, wider, width)) for each in tried) > max(space, _GAP_LINES):
            break
        chosen, indent = tried, wider
    if not chosen:
        return
    hidden = len(gaps) - len(chosen)
    yield ""
    yield "GAPS" + (f" ({len(chosen)} of {len(gaps)}; -v shows all)" if hidden else "")
    before = ""
    for gap in sorted(chosen, key=lambda gap: gap.subject):
        subject = "" if gap.subject == before else gap.subject
        before = gap.subject
        yield from _gap_text(replace(gap, subject=subject), indent, width)


def _gap_text(gap: Gap, indent: int, width: int) -> list[str]:
    subject = f"  {gap.subject:<{indent}}  "
    space = " " * (indent + 4)
    # A name that is longer than its column takes a line, and the text begins below it.
    own = [subject] if len(subject) > len(space) else []
    most = _GAP_LINES - len(own)
    for count in range(len(gap.facts), 0, -1):
        lines = _wrapped(f"{gap.text} ({'; '.join(gap.facts[:count])})", space, width)
        if len(lines) <= most:
            break
    else:
        lines = _wrapped(gap.text, space, width, most)
    return [*own, *lines] if own else [subject + lines[0][len(space) :], *lines[1:]]


# -- the rest --------------------------------------------------------------------


def _rest(summary: Summary, width: int) -> Iterator[str]:
    needs = sorted({name for result in summary.assertions for name in result.dormant_features})
    unasserted = sum(each.standing.level is Level.UNASSERTED for each in summary.invariants)
    inconclusive = len(summary.with_verdict(Verdict.INCONCLUSIVE))
    dormant = len(summary.with_verdict(Verdict.DORMANT))
    counts = [
        f"{inconclusive} inconclusive" if inconclusive else "",
        f"{dormant} dormant (needs {_few(needs)})" if dormant else "",
        f"{unasserted} unasserted" if unasserted else "",
        counted(len(summary.drafts), "draft") if summary.drafts else "",
    ]
    if any(counts):
        yield ""
        yield from _packed([each for each in counts if each], " · ", width)
    # Damage first: no verdict of the run can be relied on.
    problems = sorted(findings(summary), key=lambda text: not text.startswith(DAMAGED))
    if problems:
        yield ""
    for problem in problems[:_MOST_FINDINGS]:
        yield from _wrapped(problem, "FINDING   ", width, 2)
    if len(problems) > _MOST_FINDINGS:
        yield f"{_INDENT}and {len(problems) - _MOST_FINDINGS} more; -v shows all"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NEEDS
    return ", ".join(names[:_MOST_NEEDS]) + (f" and {more} more" if more > 0 else "")


def _next(summary: Summary, width: int) -> Iterator[str]:
    violated = summary.with_verdict(Verdict.VIOLATED, Verdict.OUT_OF_MODEL)
    commands = [f"assertlib sim replay {each.replay}" for each in violated if each.replay][:1]
    commands += [f"assertlib report {_limit(each)}" for each in violated][:1]
    yield ""
    yield from _packed(commands or ["assertlib report -v"], " · ", width, "next: ")


def _limit(result: AssertionResult) -> str:
    """The option that limits the report to *result*."""
    if result.invariant:
        return f"--invariant {shlex.quote(invariant_and_clause(result.invariant)[0])}"
    return f"--assertion {shlex.quote(result.message)}"


# -- lines -----------------------------------------------------------------------


def _packed(
    parts: Iterable[str], gap: str, width: int, indent: str = "", most: int | None = None
) -> Iterator[str]:
    """
    Join parts, as many on a line as fit; a part longer than a line is wrapped.

    Args:
        parts: Texts of one line.
        gap: What separates parts on a line.
        width: Columns.
        indent: What precedes the first line; the others are indented as far.
        most: Lines that are kept of a part that is wrapped.
    """
    space = " " * len(indent)
    line = ""
    for part in filter(None, parts):
        joined = f"{line}{gap}{part}" if line else part
        if line and len(indent) + len(joined) > width:
            yield from _wrapped(line, indent, width, most)
            indent, joined = space, part
        line = joined
    yield from _wrapped(line, indent, width, most)


def _wrapped(text: str, indent: str, width: int, most: int | None = None) -> list[str]:
    """
    Wrap *text* between words.

    Args:
        text: One line of text.
        indent: What precedes the first line; the others are indented as far.
        width: Columns.
        most: Lines that are kept; the last one then ends in an ellipsis.
    """
    rows = textwrap.wrap(
        text,
        max(width, len(indent) + 20),
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    kept = list(islice(rows, most))
    if len(kept) < len(rows):
        shortened = kept[-1]
        while len(shortened) > width - 2 and " " in shortened.strip():
            shortened = shortened.rpartition(" ")[0]
        kept[-1] = f"{shortened} …"
    return kept or [indent.rstrip()]
