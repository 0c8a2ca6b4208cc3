"""
Characters that control a terminal instead of being shown.
"""

from __future__ import annotations

_C0 = (number for number in range(0x20) if chr(number) not in "\t\n")
_OTHERS = (
    *range(0x7F, 0xA0),  # DEL, C1
    0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # direction of text
    0x2028, 0x2029,  # more line ends
)  # fmt: skip
_SHOWN = {
    **{number: f"\\x{number:02x}" for number in _C0},
    **{number: f"\\u{number:04x}" for number in _OTHERS},
}


def escaped(text: str) -> str:
    r"""
    Escape the characters of *text* that control a terminal, as ``\x1b`` or ``\u202e``.

    Newline and tab stay.  From DEL on an escape has four digits, so that JSON stays valid.  An
    unpaired surrogate, which some locales turn into a byte, is escaped as well.
    """
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode()
