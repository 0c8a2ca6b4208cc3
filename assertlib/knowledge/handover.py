"""
A handover: what somebody who leaves should write down or show to others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..catalog.config import Config
from ..evidence.text import in_markdown
from ..model import invariant_and_clause
from .credit import FUNCTION, Part, shares_of
from .facts import MODULE, Function
from .status import Known, Status
from .survey import Survey, without

_SHOWN = 12
_ALONE = 0.8
"""Share of the lines of a function from which somebody wrote it alone."""


def handover(config: Config, survey: Survey, name: str) -> str:
    """
    Return the list for a person's last weeks, in Markdown.

    Args:
        config: The configuration of the project.
        survey: Who knows what.
        name: The person, as the history names them.
    """
    survey, rest = without(survey, name, config)
    after = {each.entry.id: each for each in rest.known}
    mine = [each for each in survey.known if name in (*each.knowers, *each.fading)]
    alone = [each for each in mine if after[each.entry.id].status is Status.LOST]
    thin = [
        each
        for each in mine
        if after[each.entry.id].status is Status.AT_RISK and each.status is not Status.AT_RISK
    ]
    lines = [f"# Handover of {in_markdown(name)}", ""]
    if not mine:
        lines += [
            "Nothing in the catalog depends on this person alone, as far as git can show.",
            "",
        ]
    lines += list(_promises(survey, alone, "Promises that only you know about", name))
    lines += list(
        _promises(survey, thin, "Promises that you and one other person know about", name)
    )
    lines += list(_unwritten(config, survey, name))
    lines += [
        "## How to use this",
        "",
        "- Go through the first list with the person named under each promise.",
        "- Answer the open questions in the catalog, or write down why they stay open.",
        "- Turn what is not written down into drafts: `assertlib catalog new ID`.",
        "",
    ]
    return "\n".join(lines)


def _promises(survey: Survey, known: Sequence[Known], heading: str, name: str) -> Iterator[str]:
    if not known:
        return
    yield f"## {heading}"
    yield ""
    for each in known:
        invariant = each.entry.invariant
        yield f"- [ ] **{each.entry.id}**: {in_markdown(invariant.title)}"
        yield f"  - evidence: {each.level or 'no run'}"
        partner = _partner(survey, each, name)
        yield f"  - pair with: {in_markdown(partner) if partner else 'nobody, no active contributor knows this area'}"
        for question in invariant.open_questions:
            yield f"  - open question: {in_markdown(question)}"
        for incident in invariant.incident:
            how = "reproduced" if incident.reproduce else "not reproduced here"
            yield f"  - incident: {in_markdown(f'{incident.ref}, {incident.title}')} ({how})"
    yield ""


def _partner(survey: Survey, known: Known, name: str) -> str:
    """The active person who knows most of the invariant, or else of its area."""
    others = [each for each in (*known.knowers, *known.fading) if each != name]
    if others:
        return others[0]
    count: Counter[str] = Counter()
    for each in survey.known:
        if each.entry.area == known.entry.area:
            count.update(person for person in each.knowers if person != name)
    return min(count, key=lambda person: (-count[person], person), default="")


def _unwritten(config: Config, survey: Survey, name: str) -> Iterator[str]:
    """The functions that somebody wrote alone and whose assertions name no invariant."""
    index = survey.index
    functions: dict[tuple[str, str], Function] = {}
    for site in index.sites:
        entry = invariant_and_clause(site.invariant or "")[0]
        if entry in index.entries:
            continue
        function = index.function_at(site.file, site.line)
        if function is not None and function.qualname != MODULE:
            functions[function.place] = function
    covered = {(site.file, site.qualname) for site in index.sites if site.invariant}
    for defect in index.defects():
        for place in defect.places - covered:
            for function in index.functions(place[0]):
                if function.place == place and place[1] != MODULE:
                    functions[place] = function
    alone = [each for each in functions.values() if _wrote_alone(config, survey, name, each)]
    if not alone:
        return
    yield "## Not written down yet"
    yield ""
    yield "Functions that you wrote alone, with an assertion or an incident and without an invariant:"
    yield ""
    for function in sorted(alone, key=lambda each: each.place)[:_SHOWN]:
        yield f"- [ ] `{function.qualname}` in {in_markdown(function.file)}:{function.first}"
    if len(alone) > _SHOWN:
        yield f"- and {len(alone) - _SHOWN} more"
    yield ""


def _wrote_alone(config: Config, survey: Survey, name: str, function: Function) -> bool:
    part = Part(FUNCTION, function.file, function.first, function.last)
    shares = shares_of(part, survey.repository, config.root)
    alone = [person for person, share in shares.items() if share >= _ALONE]
    return alone == [name]
