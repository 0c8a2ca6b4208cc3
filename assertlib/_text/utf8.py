"""
Text files of users: UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REFUSED = (
    # UTF-32 first, since its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
REMEDY = "save it as UTF-8"


class EncodingError(ValueError):
    """
    A text is not UTF-8.

    Attributes:
        found: The encoding or the first invalid byte, without the remedy.
    """

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}; {REMEDY}")
        self.found = found


def unmarked(data: bytes) -> bytes:
    """
    Strip the byte order mark of UTF-8 from *data*, a text or its beginning.

    Raises:
        EncodingError: The text is UTF-16 or UTF-32.
    """
    for mark, name in _REFUSED:
        if data.startswith(mark):
            raise EncodingError(f"is {name}")
    even, odd = data[:4:2], data[1:4:2]
    # UTF-16 without a mark: the texts that are read here begin with ASCII, so every other byte of
    # the first four is zero.
    if len(data) > 3 and (all(even) > any(odd) or all(odd) > any(even)):
        raise EncodingError("is UTF-16")
    return data.removeprefix(codecs.BOM_UTF8)


def unmarked_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield *lines*, all of a text, the first without a byte order mark.

    Raises:
        EncodingError: The text is UTF-16 or UTF-32.
    """
    for number, line in enumerate(lines):
        yield line if number else unmarked(line)


def decoded(data: bytes) -> str:
    """
    Decode *data*, a whole text, without its byte order mark.

    Raises:
        EncodingError: It is not UTF-8; the message names the encoding or the first bad line.
    """
    text = unmarked(data)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        bad = f"byte 0x{text[error.start]:02x} on line {line}"
        raise EncodingError(f"is not UTF-8 ({bad})") from None
