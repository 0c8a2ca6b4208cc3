"""
Format-independent content of a report, worst first: violations and gaps precede what was proved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..catalog.loader import entry_of
from ..evidence.explanation import explain
from ..evidence.revision import short
from ..evidence.summary import InvariantResult, Population, Summary
from ..evidence.text import counted, one_line, percent
from ..evidence.verdicts import AssertionResult, Level, Verdict
from ..model import REACHABLE, SOMETIMES, Kind
from ..recording.trials import SEED_RANDOM, describe

_DETAILS_LIMIT = 160
_INFORMATIVE = 0.5
VIOLATED, OUT_OF_MODEL = "VIOLATED", "OUT OF MODEL"
_EXERCISED = (Level.EXERCISED, Level.DEFECT_TESTED)


@dataclass(frozen=True)
class Item:
    """One entry of a report: a label, its subject, and lines of detail."""

    label: str
    subject: str
    text: str
    more: tuple[str, ...] = ()

    @property
    def is_violation(self) -> bool:
        """Whether it reports a violation, in or outside the fault model."""
        return self.label in (VIOLATED, OUT_OF_MODEL)


@dataclass(frozen=True)
class State:
    """
    A sometimes or reachable assertion, and whether it was satisfied.

    Attributes:
        mark: ``reached``, ``MISSED``, or a verdict that leaves it undecided.
    """

    mark: str
    message: str
    text: str
    owner: str


@dataclass
class Content:
    """
    A report.

    Attributes:
        title: Target, commit, run, trials and the two totals.
        items: Violations, then invariants that were not exercised.
        counts: Number of assertions with each remaining verdict.
        named: Their names, by label.
        states: Every sometimes and reachable, missed ones first.
        findings: Problems with the evidence itself.
        explanations: The full explanation of each violation.
    """

    title: str
    items: list[Item] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    named: list[tuple[str, list[str]]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)


def content_of(summary: Summary) -> Content:
    """Build the report content of *summary*."""
    return Content(
        title=title(summary),
        items=[*violations(summary), *_unexercised(summary)],
        counts=list(_counts(summary)),
        named=list(_named(summary)),
        states=_states(summary),
        findings=list(findings(summary)),
        explanations=explanations(summary),
    )


def title(summary: Summary, *, is_running: bool = False) -> str:
    """The first line of a report."""
    seen, states = states_seen(summary)
    total = len(summary.invariants)
    totals = f"invariants {exercised(summary)}/{total} exercised, sometimes {seen}/{states}"
    head = "  ".join(heading(summary, is_running=is_running))
    return f"{head}  {populations(summary)}   {totals}"


def heading(summary: Summary, *, is_running: bool = False) -> tuple[str, str]:
    """Target and commit, and the runs."""
    commit = f" @{short(summary.commit)}" if summary.commit else ""
    runs = f"run {summary.runs[-1]}" if len(summary.runs) == 1 else f"{len(summary.runs)} runs"
    if is_running:
        runs += " (running)"
    elif not summary.full:
        runs += " (partial)"
    return f"{summary.target}{commit}", runs


def populations(summary: Summary) -> str:
    """The trials, by population."""
    return ", ".join(map(_population, summary.populations)) or "no trials"


def exercised(summary: Summary) -> int:
    """The number of invariants that were exercised, or are known to be defect-tested."""
    return sum(result.standing.level in _EXERCISED for result in summary.invariants)


def states_seen(summary: Summary) -> tuple[int, int]:
    """The number of satisfied sometimes and reachable assertions, and their total."""
    states = [result for result in summary.assertions if _is_state(result.kind)]
    return sum(result.verdict is Verdict.SATISFIED for result in states), len(states)


def _is_state(kind: Kind) -> bool:
    return kind in (SOMETIMES, REACHABLE)


def _population(population: Population) -> str:
    word = "random trial" if population.sampler == SEED_RANDOM else "trial"
    name = f" of {population.name}" if population.name else ""
    # A lone trial has had each of its faults, however often.
    is_one = population.trials == 1
    faults = ", ".join(
        fault if is_one else f"{fault} in {count:,}" for fault, count in population.faults
    )
    trials = counted(population.trials, word)
    return f"{trials}{name}" + (f" ({faults})" if faults else "")


# -- violations ----------------------------------------------------------------


def violations(summary: Summary) -> Iterator[Item]:
    """The violated assertions, then those that were violated outside the fault model."""
    trials = sum(population.trials for population in summary.populations)
    for result in summary.with_verdict(Verdict.VIOLATED):
        yield _violation(VIOLATED, result, trials)
    for result in summary.with_verdict(Verdict.OUT_OF_MODEL):
        yield _violation(OUT_OF_MODEL, result, trials)


def explanations(summary: Summary) -> list[str]:
    """The full explanation of each violated assertion, based on one false hit."""
    known = [*(result.entry for result in summary.invariants), *summary.drafts]
    entries = {entry.id: entry for entry in known}
    return [
        explain(result.example, entry_of(result.invariant, entries))
        for result in summary.with_verdict(Verdict.VIOLATED)
        if result.example is not None
    ]


def _violation(label: str, result: AssertionResult, trials: int) -> Item:
    text = f"{quoted(result.message)}   false in {result.shown(result.false)} of {result.shown(result.hits)}"
    if trials:
        text += f", in {result.trials_false:,} of {counted(trials, 'trial')}"
    return Item(label, result.invariant or "no invariant", text, tuple(_example(result)))


def _example(result: AssertionResult) -> Iterator[str]:
    hit = result.example
    if hit is None:
        yield "no record of a false hit remains; the counters are exact"
        return
    if hit.source:
        values = ", ".join(f"{name} = {value}" for name, value in hit.values.items())
        yield f"{hit.source}" + (f"   with {values}" if values else "")
    parts = [_details(hit.details), str(hit.location)]
    if result.replay:
        parts.append(f"replay: assertlib sim replay {result.replay}")
    elif hit.trial is not None:
        parts.append(f"trial: {describe(hit.trial, hit.seed)}")
    yield "   ".join(part for part in parts if part)


def _details(text: str | None) -> str:
    if text is None:
        return ""
    try:
        details = json.loads(text)
    except ValueError:
        return one_line(text, _DETAILS_LIMIT)
    if not isinstance(details, dict):
        return one_line(text, _DETAILS_LIMIT)
    text = " ".join(f"{name}={json.dumps(value)}" for name, value in details.items())
    return one_line(text, _DETAILS_LIMIT)


def quoted(message: str) -> str:
    """Quote a message for reports: on one line, without control characters."""
    return json.dumps(message, ensure_ascii=False) if message.isprintable() else json.dumps(message)


# -- invariants ------------------------------------------------------------------


def _unexercised(summary: Summary) -> Iterator[Item]:
    shown = (Level.EVALUATED, Level.ASSERTED)
    for result in summary.invariants:
        if result.standing.level in shown and not is_dormant(result):
            yield Item("NOT EXERCISED", result.entry.id, _evidence_of(result), tuple(_gap(result)))


def is_dormant(result: InvariantResult) -> bool:
    """Whether all its assertions need features that were off."""
    return bool(result.assertions) and all(
        each.verdict is Verdict.DORMANT for each in result.assertions
    )


def _evidence_of(result: InvariantResult) -> str:
    holding = [
        each
        for each in result.assertions
        if each.kind not in (SOMETIMES, REACHABLE) and each.verdict is Verdict.SATISFIED
    ]
    held = sum(each.true for each in holding)
    at_least = "≥ " if any(each.at_least for each in holding) else ""
    parts = [f"always held {at_least}{held:,}×"] if held else []
    parts += [
        f"{each.kind.name} {quoted(each.message)} {_shortfall(each)}"
        for each in result.assertions
        if each.verdict not in (Verdict.SATISFIED, Verdict.VIOLATED)
    ]
    if not parts:
        parts = [f"needs {', '.join(result.standing.missing)}"]
    return ";  ".join(parts)


def _shortfall(result: AssertionResult) -> str:
    if result.verdict in (Verdict.INCONCLUSIVE, Verdict.DORMANT):
        return f"is {result.verdict.value}, evaluated {result.shown(result.hits)}×"
    if result.antecedent is not None:
        evaluated = sum(result.antecedent)
        if not evaluated:
            return "antecedent never evaluated"
        return f"antecedent evaluated {evaluated:,}×, never true"
    if not result.hits:
        return "never reached"
    if result.kind is SOMETIMES and not result.true:
        return f"evaluated {result.shown(result.hits)}×, never true"
    return f"is {result.verdict.value}"


def _gap(result: InvariantResult) -> Iterator[str]:
    parts = []
    for each in result.assertions:
        parts += [
            f"rate ≤ {percent(bound)} (95%)" + (f" in {name}" if name else "")
            for name, bound in informative(each.rate_bounds)
        ]
    incidents = [incident.ref for incident in result.entry.invariant.incident]
    if incidents:
        parts.append(f"guards {', '.join(incidents)}")
    parts += [
        f"nearest: {each.nearest}"
        for each in result.assertions
        if each.nearest and each.verdict is not Verdict.SATISFIED
    ]
    if parts:
        yield ";  ".join(dict.fromkeys(parts))


def informative(bounds: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """The upper bounds of rates that exclude anything: a few trials bound a rate by 95%."""
    return ((name, bound) for name, bound in bounds.items() if bound <= _INFORMATIVE)


# -- the rest --------------------------------------------------------------------

_LABELS = (
    ("UNREACHED", Verdict.UNREACHED),
    ("NEVER TRUE", Verdict.NEVER_TRUE),
    ("VACUOUS", Verdict.VACUOUS),
    ("INCONCLUSIVE", Verdict.INCONCLUSIVE),
    ("OUT OF MODEL", Verdict.OUT_OF_MODEL),
    ("DORMANT", Verdict.DORMANT),
)


def _counts(summary: Summary) -> Iterator[str]:
    violated = len(summary.with_verdict(Verdict.VIOLATED))
    if violated:
        yield f"VIOLATED {violated}"
    for label, verdict in _LABELS:
        results = summary.with_verdict(verdict)
        needs = sorted({name for result in results for name in result.dormant_features})
        yield f"{label} {len(results)}" + (f" (needs {', '.join(needs)})" if needs else "")
    unasserted = [
        result for result in summary.invariants if result.standing.level is Level.UNASSERTED
    ]
    yield f"UNASSERTED {len(unasserted)}"
    yield f"DRAFT {len(summary.drafts)}"


def _named(summary: Summary) -> Iterator[tuple[str, list[str]]]:
    for label, verdict in _LABELS:
        results = summary.with_verdict(verdict)
        names = [quoted(result.message) for result in results if not _is_state(result.kind)]
        states = len(results) - len(names)
        # States have a list of their own; without a hint, the names would seem incomplete.
        if names and states:
            names.append(f"and {counted(states, 'state')} under SOMETIMES")
        if names:
            yield label, names
    unasserted = [r.entry.id for r in summary.invariants if r.standing.level is Level.UNASSERTED]
    if unasserted:
        yield "UNASSERTED", unasserted
    if summary.drafts:
        yield "DRAFT", [entry.id for entry in summary.drafts]


def _states(summary: Summary) -> list[State]:
    states = [
        State(
            _state_mark(result.verdict),
            quoted(result.message),
            _state_text(result),
            result.invariant or "",
        )
        for result in summary.assertions
        if _is_state(result.kind)
    ]
    return sorted(states, key=lambda state: (_MARKS.index(state.mark), state.message))


MISSED, REACHED = "MISSED", "reached"
_MARKS = (MISSED, Verdict.INCONCLUSIVE.value, Verdict.DORMANT.value, REACHED)


def _state_mark(verdict: Verdict) -> str:
    if verdict is Verdict.SATISFIED:
        return REACHED
    return verdict.value if verdict.value in _MARKS else MISSED


def _state_text(result: AssertionResult) -> str:
    if result.verdict is Verdict.SATISFIED:
        trials = f", in {counted(result.trials_true, 'trial')}" if result.trials_true else ""
        return f"{result.shown(result.true)} of {result.shown(result.hits)} true{trials}"
    if result.verdict in (Verdict.INCONCLUSIVE, Verdict.DORMANT):
        return f"evaluated {result.shown(result.hits)}×"
    return _shortfall(result)


def findings(summary: Summary) -> Iterator[str]:
    """Problems with the evidence itself, in sentences."""
    for message, reason, count in summary.troubles:
        yield f"{quoted(message)} could not be evaluated, {count:,}×: {reason}"
    for message in summary.undeclared:
        yield (
            f"{quoted(message)} was hit but is not in any scanned source; add its file to"
            " the target, or see `assertlib check`"
        )
    yield from summary.notes
