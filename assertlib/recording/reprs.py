"""
Values as short texts, without what must not be told.
"""

from __future__ import annotations

import reprlib

from . import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

REDACTED = "<redacted>"
"""What is shown instead of a value whose name is redacted."""

_redacted: re.Pattern[str] | None = None


def redact(patterns: Iterable[str]) -> None:
    """
    Show no value, from now on, that has a name like one of the *patterns*.

    They are those of a shell (``*password*``), in any case.
    """
    global _redacted
    import fnmatch
    import re

    wanted = [fnmatch.translate(pattern) for pattern in patterns]
    _redacted = re.compile("|".join(wanted), re.IGNORECASE) if wanted else None


def is_redacted(name: object) -> bool:
    """Whether what has that *name* must not be shown."""
    return _redacted is not None and isinstance(name, str) and _redacted.match(name) is not None


def redacts() -> bool:
    """Whether anything is redacted."""
    return _redacted is not None


def bounded_repr(value: object, limit: int = 200) -> str:
    """``repr`` that never raises and is at most *limit* characters long."""
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
    """*text* in one line, and without what a terminal would obey."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class _Repr(reprlib.Repr):
    """Also bounds dataclasses and named tuples, and redacts by the names of fields and keys."""

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
            return super().repr_instance(x, level)
        if level <= 0:
            return f"{type(x).__qualname__}(...)"
        pieces = [f"{name}={self._named(name, getattr(x, name), level - 1)}" for name in fields]
        return f"{type(x).__qualname__}({', '.join(pieces)})"

    def _named(self, name: object, value: object, level: int) -> str:
        return REDACTED if is_redacted(name) else self.repr1(value, level)


def _fields(value: object) -> list[str] | None:
    """The fields that the ``repr`` of a dataclass or named tuple shows, if it is one's own."""
    cls = type(value)
    own = vars(cls).get("__repr__")
    fields = vars(cls).get("__dataclass_fields__")
    if isinstance(fields, dict) and hasattr(own, "__wrapped__"):
        # What `dataclasses` makes is wrapped; what a class writes itself is not.
        return [name for name, field in fields.items() if field.repr]
    names = vars(cls).get("_fields")
    if issubclass(cls, tuple) and isinstance(names, tuple) and own is not None:
        return list(names) if own.__code__.co_filename.endswith("collections/__init__.py") else None
    return None
