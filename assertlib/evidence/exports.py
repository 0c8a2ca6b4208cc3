"""
Lines of ``assertlib evidence export``, read back and checked: they may come from anybody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..inputs import LATEST, MOST_COUNT, MOST_SLOTS, check_values
from ..recording.reprs import bounded_repr
from ..recording.tokens import is_token
from .record import PLAIN, SCHEMA, Identity, RunRecord, ShardRecord, Totals, TrialRow
from .revision import known_revision, not_a_revision


def from_json(data: bytes) -> RunRecord:
    """
    Read a line that `RunRecord.lines` gave.

    Raises:
        ValueError: It is none, or of a newer assertlib.
    """
    check_values(data)
    try:
        known = _Exported.model_validate_json(data)
    except ValidationError as error:
        _check_schema(data)
        raise ValueError(_problem(error)) from None
    plain = {name: getattr(known, name) for name in PLAIN}
    record = RunRecord(known.run, **plain)
    record.assertions = tuple(Identity(*each) for each in known.assertions)
    for name, (weight, totals) in known.shards.items():
        told = {
            (population, sampler): Totals(true, false)
            for population, sampler, true, false in totals
        }
        record.shards[name] = ShardRecord(weight, told)
    for name, (population, sampler, parent, seed, begin, end, true, false) in known.trials.items():
        record.trials[name] = TrialRow(
            (population, sampler), parent, seed, begin, end, int(true, 16), int(false, 16)
        )
    _check_width(record)
    _check_shown(record)
    return record


def _check_schema(data: bytes) -> None:
    """
    Raises:
        ValueError: A newer assertlib wrote the line.
    """
    with suppress(ValidationError):
        found = _Version.model_validate_json(data).format
        if found != SCHEMA:
            raise ValueError(f"schema {found}, this assertlib reads {SCHEMA}: update it")


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:_SHOWN] for part in first["loc"])
    return f"no run: {place}: {first['msg']}" if place else f"no run: {first['msg']}"


_SHOWN = 60


def _check_shown(record: RunRecord) -> None:
    """
    Raises:
        ValueError: What is given to git, or shown for copying, is not what it must be.
    """
    if record.commit and known_revision(record.commit) is None:
        raise ValueError(not_a_revision(record.commit))
    for token in record.replays.values():
        if not is_token(token):
            raise ValueError(f"{bounded_repr(token, 80)} is not a replay token")


def _check_width(record: RunRecord) -> None:
    """
    Raises:
        ValueError: Totals or bits are of more assertions than there are.
    """
    width = len(record.assertions)
    if len(set(record.assertions)) < width:
        raise ValueError("no run: assertions: one is there twice")
    for name, shard in record.shards.items():
        if any(len(counts) > width for totals in shard.totals.values() for counts in totals):
            raise ValueError(f"no run: shards.{name}: counts of more than {width} assertions")
    for name, trial in record.trials.items():
        if trial.hit.bit_length() > width:
            raise ValueError(f"no run: trials.{name}: bits of more than {width} assertions")


_Text = Annotated[str, StringConstraints(pattern=r"\A[^\x00]*\z")]
"""What databases can hold: no NUL, and no half of a surrogate, which is not JSON to pydantic."""

_Id = Annotated[str, StringConstraints(pattern=r"\A[^\x00]+\z")]
_Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
_Counts = Annotated[tuple[_Count, ...], Field(max_length=MOST_SLOTS)]
_Time = Annotated[int, Field(ge=0, le=LATEST)]
_Bits = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]+\z", max_length=MOST_SLOTS // 4 + 1)]
_KindName = Literal["always", "always_or_unreachable", "sometimes", "reachable", "unreachable"]


class _Version(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format: int = Field(alias="schema")


class _Exported(BaseModel):
    """A line of an export."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Annotated[int, Field(ge=SCHEMA, le=SCHEMA)] = Field(alias="schema")
    run: _Id
    target: _Text
    commit: _Text
    branch: _Text
    full: bool
    started: _Time
    command: _Text
    features: dict[_Text, bool]
    replays: dict[_Text, _Text]
    assertions: Annotated[
        tuple[tuple[_KindName, _Text, _Text, _Text], ...], Field(max_length=MOST_SLOTS)
    ]
    shards: dict[
        _Id,
        tuple[tuple[_Count, _Count, bool], tuple[tuple[_Text, _Text, _Counts, _Counts], ...]],
    ]
    trials: dict[
        _Id,
        tuple[
            _Text,
            _Text,
            _Text,
            _Text,
            _Time,
            Annotated[int, Field(ge=-1, le=MOST_COUNT)],
            _Bits,
            _Bits,
        ],
    ]
