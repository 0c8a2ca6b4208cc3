"""
Output of the gate: terminal text, job summary, JUnit XML, badge.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from ..evidence.gate import Gate, GateItem, Triage
from ..evidence.statistics import chance_of_something_new
from ..evidence.summary import InvariantResult, Summary
from ..evidence.text import counted, in_markdown, one_line, percent
from ..evidence.verdicts import Level
from ..model import REACHABLE, SOMETIMES
from ..recording.trials import SEED_RANDOM
from .content import quoted, title

_ROWS = 40
_BYTES = 900_000
"""GitHub silently drops a summary of more than 1 MiB."""
_EXERCISED = (Level.EXERCISED, Level.DEFECT_TESTED)


def in_text(gate: Gate, summary: Summary) -> str:
    """The result for a terminal, failures first."""
    lines = [title(summary)]
    for item in gate.items:
        label = "FAIL" if item.fails else "    "
        owner = f"   {item.invariant}" if item.invariant else ""
        lines.append(
            f"{label} {item.triage.value.upper():9} {item.outcome.value}: {quoted(item.message)}{owner}"
        )
        lines.append(f"     {item.text}")
    lines += [*gate.notes, *_next_trial(summary)]
    lines.append(_verdict(gate))
    return "".join(one_line(line) + "\n" for line in lines)


def _next_trial(summary: Summary) -> Iterator[str]:
    """Estimate how many further trials would reach a new state."""
    random = sum(each.trials for each in summary.populations if each.sampler == SEED_RANDOM)
    if random and len(summary.populations) == 1:
        states = [each for each in summary.assertions if each.kind in (SOMETIMES, REACHABLE)]
        chance = chance_of_something_new((each.trials_true for each in states), random)
        missing = sum(not each.trials_true for each in states)
        if missing and chance:
            yield (
                f"{missing:,} of {counted(len(states), 'state')} not seen; about"
                f" {percent(chance)} of further trials will reach a state that no trial has"
                " reached yet."
            )


def _verdict(gate: Gate) -> str:
    failing = sum(item.fails for item in gate.items)
    failures = f"{counted(failing, 'finding')} fail" + ("s" if failing == 1 else "")
    passed = f"failed: {failures}" if gate.fails else "passed"
    return (
        f"gate {passed}; {counted(gate.runs, 'run')} in the store,"
        f" {counted(gate.watched, 'rate')} watched, at most a 1% chance of a false alarm overall"
    )


def in_markdown_summary(gate: Gate, summary: Summary) -> str:
    """A job summary in Markdown, below the size limit of GitHub."""
    lines = [f"# Assertion gate: {'failed' if gate.fails else 'passed'}", ""]
    lines += [in_markdown(title(summary)), ""]
    for triage in Triage:
        mine = [item for item in gate.items if item.triage is triage]
        if mine:
            lines += [f"## {triage.value}", "", *_table(mine), ""]
    lines += [f"- {in_markdown(note)}" for note in [*gate.notes, *_next_trial(summary)]]
    lines += ["", in_markdown(_verdict(gate)), ""]
    text = "\n".join(lines)
    if len(text.encode()) > _BYTES:
        text = text.encode()[:_BYTES].decode(errors="ignore").rpartition("\n")[0] + "\n…\n"
    return text


def _table(items: list[GateItem]) -> Iterator[str]:
    yield "| | assertion | invariant | details |"
    yield "|---|---|---|---|"
    for item in items[:_ROWS]:
        mark = "✗" if item.fails else ""
        cells = (item.message, item.invariant, f"{item.outcome.value}: {item.text}")
        yield f"| {mark} | " + " | ".join(in_markdown(one_line(cell, 400)) for cell in cells) + " |"
    if len(items) > _ROWS:
        yield f"| | … and {len(items) - _ROWS:,} more | | |"


def in_junit(gate: Gate, summary: Summary) -> str:
    """
    JUnit XML with one test case per invariant: violated or failing the gate is a failure, never
    evaluated is skipped.
    """
    of_invariant: dict[str, list[GateItem]] = defaultdict(list)
    for item in gate.items:
        if item.fails:
            of_invariant[item.invariant.partition("#")[0]].append(item)
    suite = ET.Element("testsuite", name="assertlib")
    for result in summary.invariants:
        _case(suite, result, of_invariant.pop(result.entry.id, []))
    for owner, items in sorted(of_invariant.items()):
        case = ET.SubElement(
            suite, "testcase", classname="assertlib", name=_xml(owner or "no invariant")
        )
        _failures(case, items)
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("errors", "0")
    whole = ET.Element("testsuites")
    whole.append(suite)
    ET.indent(whole)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(whole, encoding="unicode") + "\n"
    )


def _case(suite: ET.Element, result: InvariantResult, items: list[GateItem]) -> None:
    area = result.entry.id.partition(".")[0]
    case = ET.SubElement(suite, "testcase", classname=f"invariant.{area}", name=result.entry.id)
    if items:
        _failures(case, items)
    elif result.standing.level is Level.VIOLATED:
        ET.SubElement(case, "failure", message="violated")
    elif result.standing.level in (Level.UNASSERTED, Level.ASSERTED):
        ET.SubElement(case, "skipped", message=f"never evaluated ({result.standing.level.value})")


def _failures(case: ET.Element, items: list[GateItem]) -> None:
    first = items[0]
    failure = ET.SubElement(
        case, "failure", message=_xml(f"{first.outcome.value}: {first.message}")
    )
    failure.text = "\n".join(
        _xml(f"{item.triage.value}: {item.message}: {item.outcome.value}; {item.text}")
        for item in items
    )


def _xml(text: str) -> str:
    """Escape characters that XML does not allow."""
    return one_line(text)


def in_badge(summary: Summary) -> str:
    """Badge data for shields.io.  Source: shields.io, "Endpoint Badge"."""
    exercised = sum(result.standing.level in _EXERCISED for result in summary.invariants)
    total = len(summary.invariants)
    color = "red" if summary.is_violated else "brightgreen" if exercised == total else "yellow"
    data = {
        "schemaVersion": 1,
        "label": "invariants",
        "message": f"{exercised}/{total}",
        "color": color,
    }
    return json.dumps(data) + "\n"
