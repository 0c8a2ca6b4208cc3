"""
The platform of Antithesis: records go to its library, and random numbers come from it.

Source: ``VoidstarHandler`` of the Antithesis Python SDK 0.4.0: each record is given to
``fuzz_json_data`` without a newline, then ``fuzz_flush`` is called; ``fuzz_get_random`` gives
64 bits.
"""

from __future__ import annotations

import ctypes
import json


class Platform:
    """A process that runs inside of it."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            OSError: There is no such library, or it cannot be loaded.
            AttributeError: It lacks one of the functions.
        """
        library = ctypes.CDLL(path)
        self._data = library.fuzz_json_data
        self._data.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        self._data.restype = None
        self._flush = library.fuzz_flush
        self._flush.argtypes = []
        self._flush.restype = None
        self._random = library.fuzz_get_random
        self._random.argtypes = []
        self._random.restype = ctypes.c_uint64
        self._told: set[tuple[str, bool]] = set()

    def write(self, lines: list[str]) -> None:
        """Give it those of *lines* that its own SDK would: of each outcome, the first hit."""
        for line in lines:
            if self._is_wanted(line):
                data = line.rstrip("\n").encode("ascii", "backslashreplace")
                self._data(data, len(data))
                self._flush()

    def _is_wanted(self, line: str) -> bool:
        if line.startswith('{"assertlib_'):
            return False
        if not line.startswith('{"antithesis_assert": '):
            return True
        record = json.loads(line)["antithesis_assert"]
        key = record["id"], record["condition"]
        if record["hit"] and key in self._told:
            return False
        if record["hit"]:
            self._told.add(key)
        return True

    def random(self) -> int:
        """A random integer of 64 bits."""
        return int(self._random())
