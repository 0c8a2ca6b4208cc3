"""
Bounded texts of values, without secrets.
"""

from __future__ import annotations

import reprlib

from . import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

REDACTED = "<redacted>"
"""Replaces a value whose name is redacted."""

_SECRETS = (
    "*password*",
    "*passwd*",
    "*secret*",
    "*token*",
    "*credential*",
    "*api_key*",
    "*apikey*",
)
"""Names whose values are redacted in command lines, even if no patterns are configured."""

# Bounded, so that a search takes time linear in the length of the text.
_NAME = r"([\w.-]{1,100})"
_VALUE = r"(\"[^\"]*\"|'[^']*'|[^\s&]+)"

_redacted: re.Pattern[str] | None = None


def redact(patterns: Iterable[str]) -> None:
    """
    Redact the values of all names that match one of the *patterns*, which replace earlier ones.

    The patterns are those of a shell, such as ``*password*``, and ignore case.
    """
    global _redacted
    wanted = tuple(patterns)
    # Compiled only if needed: importing `fnmatch` and `re` takes a quarter of the import time of
    # assertlib.
    _redacted = _compiled(wanted) if wanted else None


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    import fnmatch
    import re

    return re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE)


def is_redacted(name: object) -> bool:
    """Whether the value called *name* is redacted."""
    return _redacted is not None and isinstance(name, str) and _redacted.match(name) is not None


def redacts() -> bool:
    """Whether any names are redacted."""
    return _redacted is not None


def redacted_command(words: Sequence[str]) -> list[str]:
    """
    The command line *words* without secrets.

    Secrets are the values of names that are redacted or listed in `_SECRETS`, as in
    ``--password x``, ``--password=x``, ``PGPASSWORD=x`` or ``{"token": "x"}``, and passwords in
    URLs.
    """
    import re

    whole = re.compile(rf"-{{0,2}}{_NAME}=")
    within = re.compile(rf"{_NAME}(\"?'?\s{{0,3}}[=:]\s{{0,3}}){_VALUE}")
    option = re.compile(rf"--{_NAME}(\s{{1,3}}){_VALUE}")
    # Digits before a slash are the port of a URL without a password.
    url = re.compile(r"(://[^/\s:@]{0,200}:)(?!\d{1,5}/)\S{0,1000}@")

    def without_value(found: re.Match[str]) -> str:
        return found[0].removesuffix(found[3]) + REDACTED if _is_secret(found[1]) else found[0]

    def without_secrets(word: str) -> str:
        # If the whole word is an assignment, its value may contain spaces.
        begin = whole.match(word)
        if begin is not None and _is_secret(begin[1]):
            return begin[0] + REDACTED
        word = option.sub(without_value, within.sub(without_value, word))
        return url.sub(rf"\g<1>{REDACTED}@", word)

    shown: list[str] = []
    is_value = False
    for word in (each if isinstance(each, str) else bounded_repr(each) for each in words):
        shown.append(REDACTED if is_value else without_secrets(word))
        # The value of an option may be the next word, which is never taken for an option itself.
        is_option = word.startswith("-") and "=" not in word
        is_value = is_option and not is_value and _is_secret(word.lstrip("-"))
    return shown


def _is_secret(name: str) -> bool:
    import fnmatch

    plain = name.replace("-", "_")
    is_known = any(fnmatch.fnmatch(plain.lower(), pattern) for pattern in _SECRETS)
    return is_known or is_redacted(name) or is_redacted(plain)


def bounded_repr(value: object, limit: int = 200) -> str:
    """The ``repr`` of *value* in at most *limit* printable characters; errors become a text."""
    shortener = _Repr()
    shortener.maxstring = shortener.maxother = shortener.maxlong = limit
    shortener.maxdict = shortener.maxlist = shortener.maxtuple = shortener.maxset = 20
    try:
        text = shortener.repr(value)
    except Exception as error:
        interrupts.reraise(error)
        text = f"<{type(value).__name__}, repr failed: {type(error).__name__}>"
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text if text.isprintable() else _printable(text)[:limit]


def _printable(text: str) -> str:
    """*text* on one line, with control characters escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class _Repr(reprlib.Repr):
    """Also bounds dataclasses and named tuples, and redacts the values of fields and keys."""

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        if level <= 0:
            return "{...}" if x else "{}"
        pieces = [
            f"{self.repr1(key, level - 1)}: {self._named(key, value, level - 1)}"
            for key, value in list(x.items())[: self.maxdict]
        ]
        return f"{{{', '.join(pieces + ['...'] * (len(x) > self.maxdict))}}}"

    def repr_instance(self, x: object, level: int) -> str:
        fields = _fields(x)
        if fields is None:
            return self._own(x)
        if level <= 0:
            return f"{type(x).__qualname__}(...)"
        pieces = [f"{name}={self._named(name, getattr(x, name), level - 1)}" for name in fields]
        return f"{type(x).__qualname__}({', '.join(pieces)})"

    def _own(self, x: object) -> str:
        # A copy of `Repr.repr_instance`, which would also drop the exception of a signal handler.
        try:
            text = repr(x)
        except Exception as error:
            interrupts.reraise(error)
            return f"<{type(x).__name__} instance at {id(x):#x}>"
        if len(text) > self.maxother:
            head = max(0, (self.maxother - 3) // 2)
            tail = max(0, self.maxother - 3 - head)
            text = text[:head] + self.fillvalue + text[len(text) - tail :]
        return text

    def _named(self, name: object, value: object, level: int) -> str:
        return REDACTED if is_redacted(name) else self.repr1(value, level)


def _fields(value: object) -> list[str] | None:
    """The fields in the generated ``repr`` of a dataclass or named tuple; None for other values."""
    cls = type(value)
    own = vars(cls).get("__repr__")
    fields = vars(cls).get("__dataclass_fields__")
    if isinstance(fields, dict) and hasattr(own, "__wrapped__"):
        # The method that `dataclasses` generates is wrapped (``recursive_repr``); one that a class
        # defines is not, and is called instead, since it may hide fields.
        return [name for name, field in fields.items() if field.repr]
    names = vars(cls).get("_fields")
    if issubclass(cls, tuple) and isinstance(names, tuple) and own is not None:
        return list(names) if own.__code__.co_filename.endswith("collections/__init__.py") else None
    return None
