"""
The Antithesis platform: its library receives records and provides random numbers.

Source: ``VoidstarHandler`` of the Antithesis Python SDK 0.4.0: each record is passed to
``fuzz_json_data`` without a newline, followed by ``fuzz_flush``; ``fuzz_get_random`` returns
64 bits.
"""

from __future__ import annotations

import ctypes
import json


class Platform:
    """The library of the platform that this process runs on."""

    def __init__(self, path: str) -> None:
        """
        Args:
            path: Path of the shared library.

        Raises:
            OSError: The library does not exist or cannot be loaded.
            AttributeError: The library lacks one of the functions.
        """
        # By default ctypes passes and returns C ints, which truncate sizes and random numbers.
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
        self._reported: set[tuple[str, bool]] = set()

    def write(self, lines: list[str]) -> None:
        """Pass on those of *lines* that the SDK of Antithesis would: the first hit per outcome."""
        for line in lines:
            if self._is_wanted(line):
                data = line.rstrip("\n").encode("ascii", "backslashreplace")
                self._data(data, len(data))
                self._flush()

    def _is_wanted(self, line: str) -> bool:
        # The prefix identifies the record, so that others need not be parsed.
        if line.startswith('{"assertlib_'):
            return False
        if not line.startswith('{"antithesis_assert": '):
            return True
        record = json.loads(line)["antithesis_assert"]
        key = record["id"], record["condition"]
        # Declarations are no hits and always pass.
        if record["hit"] and key in self._reported:
            return False
        if record["hit"]:
            self._reported.add(key)
        return True

    def random(self) -> int:
        """Return a random integer of 64 bits."""
        return int(self._random())
