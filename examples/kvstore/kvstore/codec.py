"""
Values of the store as JSON and back: a dataclass becomes an object that names its type.

What is decoded comes from a disk or a network, so every field is checked against its declared
type.
"""

import json
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Literal, Union, get_args, get_origin, get_type_hints

from .errors import BadRequestError

__all__ = ["Codec"]


class Codec:
    """Encodes and decodes the given dataclasses, nested as they like."""

    def __init__(self, *classes: type[object]) -> None:
        self._classes: dict[str, Callable[..., object]] = {cls.__name__: cls for cls in classes}

    def encode(self, value: object) -> bytes:
        """*value* as compact JSON."""
        return json.dumps(_plain(value), separators=(",", ":")).encode()

    def decode(self, data: bytes) -> object:
        """
        The value that `encode` was given.

        Raises:
            BadRequestError: *data* is no JSON, or does not fit the declared types.
        """
        try:
            parsed: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadRequestError(f"not JSON: {error}") from None
        return self._build(parsed)

    def _build(self, data: object) -> object:
        if isinstance(data, list):
            return tuple(self._build(item) for item in data)
        if not isinstance(data, dict):
            return data
        name = data.get("type")
        make = self._classes.get(name) if isinstance(name, str) else None
        if make is None:
            raise BadRequestError(f"unknown type {name!r}")
        arguments = {key: self._build(value) for key, value in data.items() if key != "type"}
        _check(make, arguments)
        try:
            return make(**arguments)
        except TypeError as error:
            raise BadRequestError(f"{name}: {error}") from None


def _plain(value: object) -> object:
    if is_dataclass(value):
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **named}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _check(make: Callable[..., object], arguments: dict[str, object]) -> None:
    hints = _hints(make)
    for name, value in arguments.items():
        if name in hints and not _fits(value, hints[name]):
            raise BadRequestError(f"field {name!r} is {value!r}")


@cache
def _hints(make: Callable[..., object]) -> dict[str, object]:
    return dict(get_type_hints(make))


def _fits(value: object, hint: object) -> bool:
    origin = get_origin(hint)
    if origin is Union or origin is types.UnionType:
        return any(_fits(value, choice) for choice in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
