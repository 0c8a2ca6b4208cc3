"""
Tokens and tape files, from which trials are replayed.

A token is either a seed token, ``MODULE:NAME@SEED,key=value,…``, which is self-contained, or the
name of a tape file in a run directory, ``t1-`` and ten digits.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from .._text.inputs import parse_json, read_found, read_named
from ..errors import UsageError
from ..recording import private
from ..recording.tokens import TAPE_TOKEN
from .faults import faults_in_words, faults_named
from .policy import policy_named
from .tape import Tape
from .target import Stamp
from .trial import Options

__all__ = ["DIRECTORY", "TokenError", "TrialSpec", "find", "parse", "stored_witness", "write"]

DIRECTORY = "sim"
"""The directory of tapes inside a run directory."""

_SCHEMA = 1
# Bounded, since int() raises an error for more than 4,300 digits.
_SEED = re.compile(r"-?[0-9]{1,1000}")
_SUFFIX = ".tape.json"
_OPTIONS = ("policy", "faults", "seconds", "steps")


class TokenError(UsageError):
    """A token is malformed, or its tape is missing or unreadable."""


@dataclass(frozen=True)
class TrialSpec:
    """
    Everything needed to run a trial again.

    Attributes:
        target: The scenario; see `target.load`.
        options: The inputs of the trial besides its tape.
        seed: Seed of the choices after `choices`; None for the simplest choices.
        choices: The first choices.
        stamp: Python, hash seed, addresses and source at recording time; empty if unknown.
        shows: The assertion message or error that the tape was kept for.
        fails: Whether that is a failure, as opposed to a state to reach.
        whole: Seed and first choices of the original trial, if the tape was shrunk.
    """

    target: str
    options: Options
    seed: int | None
    choices: tuple[int, ...] = ()
    stamp: Stamp = field(default_factory=dict)
    shows: str = ""
    fails: bool = False
    whole: tuple[int | None, tuple[int, ...]] | None = None

    @property
    def is_tape(self) -> bool:
        """Whether the trial needs a tape file besides its token."""
        return bool(self.choices or self.shows) or self.seed is None

    def unshrunk(self) -> TrialSpec:
        """Return the spec of the original trial, before shrinking."""
        if self.whole is None:
            return self
        return replace(self, seed=self.whole[0], choices=self.whole[1], whole=None)

    @property
    def token(self) -> str:
        """The token that replays the trial; the tape, if it needs one, must be written as well."""
        # A digest of the contents: writing the same tape twice yields the same file.
        if self.is_tape:
            return f"t1-{hashlib.sha256(self._text().encode()).hexdigest()[:10]}"
        # The stamp is part of the token, so that a replay can report what has changed.
        given = {**self._differing_options(), **self.stamp}
        return ",".join(
            [f"{self.target}@{self.seed}", *(f"{key}={value}" for key, value in given.items())]
        )

    def _differing_options(self) -> dict[str, str]:
        # Defaults are omitted to keep tokens short.
        plain = Options()
        values = {name: getattr(self.options, name) for name in _OPTIONS}
        return {
            name: faults_in_words(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
            if value != getattr(plain, name)
        }

    def _text(self) -> str:
        return json.dumps(
            {
                "schema": _SCHEMA,
                "target": self.target,
                "shows": self.shows,
                "fails": self.fails,
                "options": {name: getattr(self.options, name) for name in _OPTIONS},
                "stamp": self.stamp,
                "seed": self.seed,
                "choices": self.choices,
                "whole": self.whole,
            }
        )

    def differences(self, now: Stamp) -> list[str]:
        """Describe the differences between *now* and the stamp at recording time."""
        return [
            f"{key} was {was}, is {now.get(key)}"
            for key, was in self.stamp.items()
            if now.get(key) != was
        ]


def write(directory: Path, spec: TrialSpec) -> str:
    """Write the tape of *spec*, if it needs one, to *directory*; return its token."""
    if spec.is_tape:
        private.make_directory(directory)
        private.write(directory / f"{spec.token}{_SUFFIX}", spec._text() + "\n")
    return spec.token


def parse(token: str) -> TrialSpec:
    """
    Parse a seed token.

    Raises:
        TokenError: The token is malformed.
    """
    # The last "@" separates the seed: the path of a scenario may contain others.
    first, *rest = token.split(",")
    target, at, seed = first.rpartition("@")
    if not at or not _SEED.fullmatch(seed):
        raise TokenError(
            f"{token!r} is not a token: write MODULE:NAME@SEED, or the name of a tape, such as t1-0123456789"
        )
    given = dict(pair.partition("=")[::2] for pair in rest)
    options = _options({name: given.pop(name) for name in _OPTIONS if name in given})
    return TrialSpec(target, options, int(seed), stamp=given)


def _options(given: dict[str, object]) -> Options:
    plain = Options()
    try:
        if unknown := given.keys() - set(_OPTIONS):
            raise ValueError(
                f"unknown option {', '.join(map(repr, sorted(unknown)))}; known options: {', '.join(_OPTIONS)}"
            )
        policy = given.get("policy", plain.policy)
        if not isinstance(policy, str):
            raise ValueError("the policy must be a string")
        # For the error only: an unknown policy must be reported here, not by a worker.
        policy_named(policy, Tape(None))
        return replace(
            plain,
            policy=policy,
            faults=_faults(given.get("faults", ())),
            seconds=_positive(float, given.get("seconds", plain.seconds)),
            steps=_positive(int, given.get("steps", plain.steps)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise TokenError(f"cannot read the options: {error}") from None


def _faults(given: object) -> tuple[str, ...]:
    """Parse fault names, which a token joins with plus signs and a tape keeps in a list."""
    if isinstance(given, str):
        return faults_named(given.replace("+", ","))
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ValueError("faults must be a list of names")
    # An empty list means no faults; an empty string would be an unknown name.
    return faults_named(",".join(given) or "none")


_N = TypeVar("_N", int, float)
_MOST = 1_000_000_000_000


def _positive(kind: type[_N], given: object) -> _N:
    # bool is a subclass of int.  The bound excludes infinity and NaN as well.
    if isinstance(given, bool) or not isinstance(given, str | int | kind):
        raise ValueError(f"expected a number, not {given!r}")
    number = kind(given)
    if not 0 < number <= _MOST:
        raise ValueError(f"{number} must be greater than 0 and at most {_MOST}")
    return number


def find(token: str, directories: Iterator[Path]) -> TrialSpec:
    """
    Find the spec of *token*: a seed token, a tape in one of *directories*, or a tape file.

    Raises:
        TokenError: The token is malformed, or its tape is missing or unreadable.
    """
    if token.endswith(".json"):
        return read(Path(token), named=True)
    if not TAPE_TOKEN.fullmatch(token):
        return parse(token)
    # A run directory may come from someone else: links in it could point to any file.
    for directory in directories:
        if directory.is_symlink():
            raise TokenError(f"{directory}: is a symbolic link; remove it from the run")
        path = directory / f"{token}{_SUFFIX}"
        if path.exists() or path.is_symlink():
            return read(path)
    raise TokenError(
        f"no tape {token} here; look in the directory of the run that printed the token"
    )


def read(path: Path, *, named: bool = False) -> TrialSpec:
    """
    Read the tape file at *path*.

    Args:
        path: The tape file.
        named: Whether a user named it; files found in a directory must not be links.

    Raises:
        TokenError: The file is unreadable or not a tape.
    """
    try:
        text = read_named(path) if named else read_found(path)
        return _spec(parse_json(text))
    except OSError as error:
        raise TokenError(f"{path}: {error.strerror}") from None
    except (ValueError, TokenError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise TokenError(f"{path}:{line}: not a tape: {error}; explore again") from None


def _spec(data: object) -> TrialSpec:
    # Every field is checked, as a tape may come from an untrusted source.
    if not isinstance(data, dict):
        raise ValueError("not an object")
    # Not isinstance: True equals 1.
    if type(data.get("schema")) is not int or data["schema"] != _SCHEMA:
        raise ValueError(
            f"schema {data.get('schema')!r}, but this version of assertlib reads {_SCHEMA}"
        )
    for name, kind in _FIELDS.items():
        if name not in data or not isinstance(data[name], kind):
            raise ValueError(f"{name} is missing, or not {_NAMES[kind]}")
    stamp: Stamp = data["stamp"]
    if not all(isinstance(value, str) for value in stamp.values()):
        raise ValueError("all values of stamp must be strings")
    return TrialSpec(
        data["target"],
        _options(data["options"]),
        _seed(data.get("seed")),
        _choices(data["choices"]),
        stamp,
        data["shows"],
        data["fails"],
        _whole(data.get("whole")),
    )


_FIELDS: dict[str, type] = {
    "target": str,
    "options": dict,
    "stamp": dict,
    "choices": list,
    "shows": str,
    "fails": bool,
}
_NAMES = {str: "a string", dict: "an object", list: "a list", bool: "true or false"}


def _seed(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError("a seed must be an integer or null")
    return value


def _whole(data: object) -> tuple[int | None, tuple[int, ...]] | None:
    if data is None:
        return None
    if not isinstance(data, list) or len(data) != 2:
        raise ValueError("whole must consist of a seed and choices")
    return _seed(data[0]), _choices(data[1])


def _choices(data: object) -> tuple[int, ...]:
    if not isinstance(data, list) or not all(type(each) is int and each >= 0 for each in data):
        raise ValueError("choices must be a list of non-negative integers")
    return tuple(data)


def stored_witness(directories: Iterator[Path], messages: Collection[str]) -> TrialSpec | None:
    """Find the first tape in *directories* that was kept for an assertion in *messages*."""
    # A leading dot or number sign marks locks and autosaves of editors.  Sorted, since the order of
    # a listing is undefined.
    paths = (
        path for directory in directories for path in sorted(directory.glob(f"[!.#]*{_SUFFIX}"))
    )
    # Lazily, so that reading stops at the first match.
    specs = (spec for spec in map(read, paths) if not spec.fails)
    return next((spec for spec in specs if spec.shows in messages), None)
