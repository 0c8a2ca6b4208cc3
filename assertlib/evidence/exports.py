"""
Parsing and validation of the lines that ``assertlib evidence export`` writes.

An export may come from anybody, so nothing in it is trusted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .._text.inputs import LATEST, MOST_COUNT, MOST_SLOTS, check_values
from ..recording.reprs import bounded_repr
from ..recording.tokens import is_token
from .record import PLAIN, SCHEMA, Identity, RunRecord, ShardRecord, Totals, TrialRow
from .revision import known_revision, not_a_revision


def from_json(data: bytes) -> RunRecord:
    """
    Parse a line written by `RunRecord.lines`.

    Args:
        data: The line, in UTF-8.

    Raises:
        ValueError: The line is not part of a run, or a newer assertlib wrote it.
    """
    # Bounds the memory that parsing takes, so it comes first.
    check_values(data)
    try:
        known = _Exported.model_validate_json(data)
    except ValidationError as error:
        # A newer schema fails validation in many ways; the version is the useful reason.
        _check_schema(data)
        raise ValueError(_problem(error)) from None
    plain = {name: getattr(known, name) for name in PLAIN}
    record = RunRecord(known.run, **plain)
    record.assertions = tuple(Identity(*each) for each in known.assertions)
    for name, (weight, totals) in known.shards.items():
        by_sample = {
            (population, sampler): Totals(true, false)
            for population, sampler, true, false in totals
        }
        record.shards[name] = ShardRecord(weight, by_sample)
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
            raise ValueError(
                f"schema {found}, but this version of assertlib reads {SCHEMA}; update assertlib"
            )


def _problem(error: ValidationError) -> str:
    # Without the input: it may be huge, or hold characters that control a terminal.
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"])
    return f"not a run: {place}: {first['msg']}" if place else f"not a run: {first['msg']}"


def _check_shown(record: RunRecord) -> None:
    """
    Raises:
        ValueError: The commit or a replay token is malformed.
    """
    # Commits become arguments of git, and tokens are shown as commands to copy: neither may be an
    # option or another command.
    if record.commit and known_revision(record.commit) is None:
        raise ValueError(not_a_revision(record.commit))
    for token in record.replays.values():
        if not is_token(token):
            raise ValueError(f"{bounded_repr(token, 80)} is not a replay token")


def _check_width(record: RunRecord) -> None:
    """
    Raises:
        ValueError: An assertion is listed twice, or totals or bits exceed the list.
    """
    # Validated types leave the references between the parts unchecked: totals and bits are indexes
    # into the list of assertions.
    width = len(record.assertions)
    if len(set(record.assertions)) < width:
        raise ValueError("not a run: assertions: duplicate entry")
    for name, shard in record.shards.items():
        if any(len(counts) > width for totals in shard.totals.values() for counts in totals):
            raise ValueError(f"not a run: shards.{name}: counts for more than {width} assertions")
    for name, trial in record.trials.items():
        if trial.hit.bit_length() > width:
            raise ValueError(f"not a run: trials.{name}: bits for more than {width} assertions")


_Text = Annotated[str, StringConstraints(pattern=r"\A[^\x00]*\z")]
"""Text that databases can store: no NUL; pydantic rejects unpaired surrogates in JSON itself."""

_Id = Annotated[str, StringConstraints(pattern=r"\A[^\x00]+\z")]
_Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
_Counts = Annotated[tuple[_Count, ...], Field(max_length=MOST_SLOTS)]
_Time = Annotated[int, Field(ge=0, le=LATEST)]
_Bits = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]+\z", max_length=MOST_SLOTS // 4 + 1)]
_KindName = Literal["always", "always_or_unreachable", "sometimes", "reachable", "unreachable"]


class _Version(BaseModel):
    # Ignores everything else, which a newer schema may have changed.
    model_config = ConfigDict(extra="ignore", strict=True)

    format: int = Field(alias="schema")


class _Exported(BaseModel):
    """A line of an export."""

    # Strict, or "1" would pass for a count and 1 for true.
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
