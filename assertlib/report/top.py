"""
Live view of a run: a picture for the terminal, and plain data.
"""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..evidence.live import Look
from ..evidence.summary import InvariantResult
from ..evidence.text import counted, one_line
from ..evidence.verdicts import AssertionResult, Level
from ..model import REACHABLE, SOMETIMES, invariant_and_clause
from ..recording.hits import Hit
from .content import title

_LADDER = (Level.ASSERTED, Level.EVALUATED, Level.EXERCISED, Level.DEFECT_TESTED)
_COLOURS = {
    Level.VIOLATED: "bold red",
    Level.UNASSERTED: "magenta",
    Level.ASSERTED: "yellow",
    Level.EVALUATED: "cyan",
    Level.EXERCISED: "green",
    Level.DEFECT_TESTED: "bold green",
}
_PARTS = 3
_HEADINGS = 7
"""Lines without rows: title, pace, headings, the count of omitted rows, and one spare."""


def picture(look: Look, height: int) -> RenderableType:
    """
    Render *look* in *height* lines: level of each invariant, violations, missing states.

    Rows that do not fit are counted.
    """
    violations = list(look.violations)
    missing = _missing(look)
    free = max(height - _HEADINGS, _PARTS)
    below = [min(len(part), max(1, free // 4)) for part in (violations, missing)]
    parts: list[RenderableType] = [
        Text(
            one_line(title(look.summary, is_running=look.processes > 0)),
            style="bold",
            no_wrap=True,
            overflow="ellipsis",
        ),
        Text(_pace(look)),
        _ladder(look, max(1, free - sum(below))),
    ]
    if violations:
        parts += [_heading("newest violations", len(violations), below[0])]
        parts += [_violation(hit) for hit in violations[: below[0]]]
    if missing:
        parts += [_heading("sometimes still missing", len(missing), below[1])]
        parts += [_line(f"  {_shortfall(each)}") for each in missing[: below[1]]]
    return Group(*parts)


def _pace(look: Look) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(look.time / 1e9))
    alive = f"{look.processes:,} of {look.shards:,} processes alive"
    return f"{clock}  {alive}  {counted(look.summary.hits, 'evaluation')}, {_pace_of(look.rate)}/s"


def _pace_of(rate: float | None) -> str:
    return "…" if rate is None else f"{rate:,.0f}"


def _heading(text: str, count: int, shown: int) -> Text:
    more = f" ({shown} of {count:,})" if shown < count else ""
    return Text(f"{text}{more}", style="bold underline")


def _line(text: str, style: str = "") -> Text:
    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")


def _violation(hit: Hit) -> Text:
    clock = time.strftime("%H:%M:%S", time.localtime(hit.time / 1e9))
    values = ", ".join(f"{name} = {value}" for name, value in hit.values.items())
    text = values or hit.details or ""
    return _line(f"  {clock}  {hit.message}   {text}   {hit.location}", style="red")


def _missing(look: Look) -> list[AssertionResult]:
    """Sometimes and reachable assertions not yet satisfied, most evaluated first."""
    found = [
        each
        for each in look.summary.assertions
        if each.kind in (SOMETIMES, REACHABLE) and not each.true
    ]
    return sorted(found, key=lambda each: (-each.hits, each.message))


def _shortfall(result: AssertionResult) -> str:
    hits = f"evaluated {result.shown(result.hits)}×" if result.hits else "never reached"
    near = f", nearest {result.nearest}" if result.nearest else ""
    return f"{result.message}   {hits}{near}"


def _ladder(look: Look, most: int) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, expand=True)
    table.add_column("invariant", ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column("", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("hits", justify="right", no_wrap=True)
    table.add_column("/s", justify="right", no_wrap=True)
    table.add_column("missing", ratio=3, no_wrap=True, overflow="ellipsis")
    results = sorted(look.summary.invariants, key=lambda each: _place(look, each))
    for result in results[:most]:
        level = result.standing.level
        table.add_row(
            escape(result.entry.id),
            _rungs(level),
            Text(level.value, style=_COLOURS[level]),
            f"{_hits(result):,}",
            _pace_of(_rate(look, result)),
            escape(", ".join(result.standing.missing)),
        )
    if len(results) > most:
        table.add_row(Text(f"… and {len(results) - most:,} more", style="dim"))
    return table


def _place(look: Look, result: InvariantResult) -> tuple[int, float, str]:
    """Sort key: violated first, then lowest level, then highest rate."""
    rate = _rate(look, result) or 0.0
    return list(Level).index(result.standing.level), -rate, result.entry.id


def _rungs(level: Level) -> Text:
    """The ladder: one rung per level reached."""
    if level is Level.VIOLATED:
        return Text("✗" * len(_LADDER), style=_COLOURS[level])
    reached = _LADDER.index(level) + 1 if level in _LADDER else 0
    return Text("■" * reached + "·" * (len(_LADDER) - reached), style=_COLOURS[level])


def _hits(result: InvariantResult) -> int:
    return sum(each.hits for each in result.assertions)


def _rate(look: Look, result: InvariantResult) -> float | None:
    return look.rate_of(each.message for each in result.assertions)


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def as_dict(look: Look) -> dict[str, object]:
    """The look as plain data."""
    summary = look.summary
    return {
        "time": look.time,
        "runs": summary.runs,
        "target": summary.target,
        "processes": look.processes,
        "shards": look.shards,
        "evaluations": summary.hits,
        "rate": _rounded(look.rate),
        "invariants": [
            {
                "id": result.entry.id,
                "level": result.standing.level.value,
                "hits": _hits(result),
                "rate": _rounded(_rate(look, result)),
                "missing": list(result.standing.missing),
            }
            for result in summary.invariants
        ],
        "assertions": [_assertion(look, each) for each in summary.assertions],
        "violations": [_hit(hit) for hit in look.violations],
        "missing": [each.message for each in _missing(look)],
    }


def _assertion(look: Look, result: AssertionResult) -> dict[str, object]:
    return {
        "message": result.message,
        "kind": result.kind.name,
        "invariant": result.invariant and invariant_and_clause(result.invariant)[0],
        "verdict": result.verdict.value,
        "true": result.true,
        "false": result.false,
        "at_least": result.at_least,
        "rate": _rounded(look.rate_of([result.message])),
        "nearest": result.nearest,
    }


def _hit(hit: Hit) -> dict[str, object]:
    return {
        "time": hit.time,
        "message": hit.message,
        "invariant": hit.invariant,
        "place": str(hit.location),
        "values": hit.values,
        "details": hit.details,
        "trial": hit.trial,
        "count": hit.count,
    }
