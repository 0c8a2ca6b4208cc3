"""
Values of the store as JSON and back: a dataclass becomes an object that names its type.

What is decoded comes from a disk or a network, so every field is checked against its declared
type.
"""

import json
import types
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Literal, Union, get_args, get_origin, get_type_hints

from .errors import BadRequestError

__all__ = ["Codec"]

Fits = Callable[[object], bool]


class Codec:
    """Encodes and decodes the given dataclasses, nested as they like."""

    def __init__(self, *classes: type[object]) -> None:
        self._classes: dict[object, type[object]] = {cls.__name__: cls for cls in classes}

    def encode(self, value: object) -> bytes:
        """*value* as compact JSON."""
        return _ENCODER.encode(value).encode()

    def decode(self, data: bytes) -> object:
        """
        The value that `encode` was given.

        Raises:
            BadRequestError: *data* is no JSON, or does not fit the declared types.
        """
        try:
            parsed: object = json.loads(data, object_hook=self._build)
        except (ValueError, RecursionError) as error:
            raise BadRequestError(f"not JSON: {error}") from None
        return tuple(parsed) if isinstance(parsed, list) else parsed

    def _build(self, data: dict[str, object]) -> object:
        name = data.pop("type", None)
        cls = self._classes.get(name) if isinstance(name, str) else None
        if cls is None:
            raise BadRequestError(f"unknown type {name!r}")
        checks = _checks(cls)  # type: ignore[arg-type]
        for field, value in data.items():
            if isinstance(value, list):
                data[field] = value = _frozen(value)
            if field in checks and not checks[field](value):
                raise BadRequestError(f"field {field!r} is {value!r}")
        try:
            return cls(**data)
        except TypeError as error:
            raise BadRequestError(f"{name}: {error}") from None


def _frozen(items: list[object]) -> tuple[object, ...]:
    return tuple(_frozen(item) if isinstance(item, list) else item for item in items)


def _as_object(value: object) -> dict[str, object]:
    names, values = _fields(type(value))  # type: ignore[arg-type]
    return {"type": type(value).__name__, **dict(zip(names, values(value), strict=True))}


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_as_object)


@cache
def _fields(cls: type) -> tuple[list[str], Callable[[object], tuple[object, ...]]]:
    names = [field.name for field in fields(cls)]
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda value: tuple(getattr(value, name) for name in names)


@cache
def _checks(cls: type) -> dict[str, Fits]:
    return {name: _check(hint) for name, hint in get_type_hints(cls).items()}


def _check(hint: object) -> Fits:
    """What tells whether a value is of type *hint*."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union or origin is types.UnionType:
        choices = [_check(choice) for choice in arguments]
        return lambda value: any(fits(value) for fits in choices)
    if origin is Literal:
        return lambda value: value in arguments
    if origin is tuple:
        each = _check(arguments[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if hint is float:
        return lambda value: type(value) in (int, float)
    return lambda value: type(value) is hint
