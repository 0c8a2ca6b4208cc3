"""
Tokens and tape files: what replays a trial.

A token is either that of a seed, ``MODULE:NAME@SEED,key=value,…``, which says it all, or the name
of a tape file, ``t1-`` and ten digits, which lies in a run directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..model import UsageError
from ..recording import private
from ..recording.tokens import TAPE_TOKEN
from .faults import faults_in_words, faults_named
from .target import Stamp
from .trial import Options

__all__ = ["DIRECTORY", "Recipe", "TokenError", "find", "parse", "stored_witness", "write"]

DIRECTORY = "sim"
"""Where in a run directory tapes lie."""

_SCHEMA = 1
_SUFFIX = ".tape.json"
_OPTIONS = ("policy", "faults", "seconds", "steps")


class TokenError(UsageError):
    """The token cannot be read, or its tape is not there."""


@dataclass(frozen=True)
class Recipe:
    """
    All that a trial is made of.

    Attributes:
        seed: What decides after `choices`; None for the plainest.
        choices: The choices to make first.
        stamp: Python, hash seed, addresses and source that it was recorded with; empty if unknown.
        shows: The message of the assertion, or the error, that it was kept for.
        fails: Whether that is a failure, not a state that is to be reached.
        whole: Seed and first choices of the whole trial, if the tape is shorter.
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
        """Whether a token alone does not say it all."""
        return bool(self.choices or self.shows) or self.seed is None

    def unshrunk(self) -> Recipe:
        """What replays the whole trial."""
        if self.whole is None:
            return self
        return replace(self, seed=self.whole[0], choices=self.whole[1], whole=None)

    @property
    def token(self) -> str:
        """What is typed to replay it; a tape has to be written, too."""
        if self.is_tape:
            return f"t1-{hashlib.sha256(self._text().encode()).hexdigest()[:10]}"
        given = {**self._differing_options(), **self.stamp}
        return ",".join(
            [f"{self.target}@{self.seed}", *(f"{key}={value}" for key, value in given.items())]
        )

    def _differing_options(self) -> dict[str, str]:
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
        """In what *now* is not what it was recorded with."""
        return [
            f"{key} was {was}, is {now.get(key)}"
            for key, was in self.stamp.items()
            if now.get(key) != was
        ]


def write(directory: Path, recipe: Recipe) -> str:
    """Put the tape of *recipe*, if it has one, into *directory*; its token."""
    if recipe.is_tape:
        private.make_directory(directory)
        private.write(directory / f"{recipe.token}{_SUFFIX}", recipe._text() + "\n")
    return recipe.token


def parse(token: str) -> Recipe:
    """
    The recipe that the token of a seed says.

    Raises:
        TokenError: It is none.
    """
    first, *rest = token.split(",")
    target, at, seed = first.rpartition("@")
    if not at or not seed.removeprefix("-").isdecimal():
        raise TokenError(
            f"{token!r} is no token: write MODULE:NAME@SEED, or the name of a tape, as in t1-0123456789"
        )
    given = dict(pair.partition("=")[::2] for pair in rest)
    options = _options({name: given.pop(name) for name in _OPTIONS if name in given})
    return Recipe(target, options, int(seed), stamp=given)


def _options(given: dict[str, object]) -> Options:
    values: dict[str, object] = dict(given)
    faults = values.get("faults", ())
    unknown = [name for name in values if name not in _OPTIONS]
    if unknown:
        raise TokenError(f"options that cannot be read: {', '.join(map(repr, unknown))}")
    try:
        if isinstance(faults, str):
            values["faults"] = faults_named(faults.replace("+", ","))
        elif isinstance(faults, list):
            values["faults"] = faults_named(",".join(faults) or "none")
        options = replace(Options(), **values)  # type: ignore[arg-type]
        return replace(options, seconds=float(options.seconds), steps=int(options.steps))
    except (TypeError, ValueError) as error:
        raise TokenError(f"options that cannot be read: {error}") from None


def find(token: str, directories: Iterator[Path]) -> Recipe:
    """
    The recipe behind *token*: of a seed, of a tape in one of *directories*, or of a file.

    Raises:
        TokenError: There is no such tape, or it cannot be read.
    """
    if token.endswith(".json"):
        return read(Path(token))
    if not TAPE_TOKEN.fullmatch(token):
        return parse(token)
    for directory in directories:
        path = directory / f"{token}{_SUFFIX}"
        if path.exists():
            return read(path)
    raise TokenError(f"there is no tape {token} here; it lies in the run directory that told of it")


def read(path: Path) -> Recipe:
    """
    The recipe in the tape file at *path*.

    Raises:
        TokenError: It is no tape.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != _SCHEMA:
            raise TokenError(f"{path}: schema {data['schema']!r}, this assertlib reads {_SCHEMA}")
        return Recipe(
            str(data["target"]),
            _options(data["options"]),
            data["seed"],
            _choices(data["choices"]),
            {str(key): str(value) for key, value in data["stamp"].items()},
            str(data["shows"]),
            data["fails"] is True,
            _whole(data["whole"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TokenError(f"{path} is no tape: {error!r}") from None


def _whole(data: list[Any] | None) -> tuple[int | None, tuple[int, ...]] | None:
    if data is None:
        return None
    seed, choices = data
    return seed, _choices(choices)


def _choices(data: list[Any]) -> tuple[int, ...]:
    if not all(isinstance(value, int) and value >= 0 for value in data):
        raise ValueError("a choice must be a natural number")
    return tuple(data)


def stored_witness(directories: Iterator[Path], messages: Collection[str]) -> Recipe | None:
    """The first tape in *directories* that was kept for the assertion of one of *messages*."""
    paths = (
        path for directory in directories for path in sorted(directory.glob(f"[!.#]*{_SUFFIX}"))
    )
    recipes = (recipe for recipe in map(read, paths) if not recipe.fails)
    return next((recipe for recipe in recipes if recipe.shows in messages), None)
