"""
Reports limited to an assertion, an invariant or a test.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..catalog.findings import did_you_mean
from ..errors import UsageError
from ..evidence.combine import Evidence
from ..evidence.summary import Summary
from ..evidence.text import counted, one_line
from ..evidence.trial_index import hits_by_trial
from ..evidence.verdicts import AssertionResult
from ..model import invariant_and_clause
from .content import quoted

_SHOWN = 20


def answer(
    evidence: Evidence,
    summary: Summary,
    assertion: str | None,
    invariant: str | None,
    test: str | None,
) -> str:
    """
    Report the hits of the selected assertions, or of the selected trials, or both.

    Args:
        evidence: The evidence of the runs.
        summary: The same evidence, judged.
        assertion: Message of the only assertion to report; None for all.
        invariant: Id of the only invariant to report; None for all.
        test: Text in the names of the trials to report; None to report by assertion.

    Raises:
        UsageError: The assertion, invariant or trial does not exist.
    """
    wanted = _wanted(summary, assertion, invariant)
    if test is not None:
        lines = _of_trials(evidence, summary, test, {each.message for each in wanted})
    else:
        lines = (line for each in wanted for line in _of_assertion(evidence, summary, each))
    return "".join(one_line(line) + "\n" for line in lines)


def _wanted(
    summary: Summary, assertion: str | None, invariant: str | None
) -> list[AssertionResult]:
    found = summary.assertions
    if assertion is not None:
        found = [each for each in found if each.message == assertion]
        if not found:
            hint = did_you_mean(assertion, [each.message for each in summary.assertions])
            raise UsageError(f"unknown assertion {assertion!r}; {hint}".rstrip("; "))
    if invariant is not None:
        found = [
            each for each in found if invariant_and_clause(each.invariant or "")[0] == invariant
        ]
        if not found:
            known = [each.entry.id for each in summary.invariants]
            hint = did_you_mean(invariant, known)
            raise UsageError(f"no assertion names {invariant!r}; {hint}".rstrip("; "))
    return found


def _of_assertion(evidence: Evidence, summary: Summary, result: AssertionResult) -> Iterator[str]:
    made: dict[str, list[str]] = {"true": [], "false": []}
    for trial, message, true, false in hits_by_trial(evidence, summary.renamed):
        if message == result.message:
            made["true"] += [trial] if true else []
            made["false"] += [trial] if false else []
    place = f"   {result.site.file}:{result.site.line}" if result.site else ""
    yield f"{result.verdict.value}  {result.kind.name} {quoted(result.message)}{place}"
    yield f"  true {result.shown(result.true)}, false {result.shown(result.false)}"
    for outcome, trials in made.items():
        names = sorted(set(trials))
        if names:
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            yield f"  {outcome} in {counted(len(names), 'trial')}: {', '.join(names[:_SHOWN])}{more}"
    every = sum(each.trials for each in summary.populations)
    if every and not result.trials_hit:
        yield f"  not hit in any of the {counted(every, 'trial')}"


def _of_trials(evidence: Evidence, summary: Summary, test: str, wanted: set[str]) -> Iterator[str]:
    names: set[str] = set()
    found: dict[str, list[bool]] = {}
    for trial, message, true, false in hits_by_trial(evidence, summary.renamed):
        if test in trial:
            names.add(trial)
            if message in wanted:
                row = found.setdefault(message, [False, False])
                row[0] |= true
                row[1] |= false
    known = {trial for (_, trial), _, _ in evidence.samples() if trial and test in trial}
    if not names | known:
        raise UsageError(f"no trial has {test!r} in its name; `assertlib debug` lists what ran")
    yield f"{counted(len(names | known), 'trial')} with {test!r} hit {counted(len(found), 'assertion')}"
    for message, (true, false) in sorted(found.items()):
        outcome = " and ".join(name for name, is_so in (("true", true), ("false", false)) if is_so)
        yield f"  {quoted(message)}: {outcome}"
