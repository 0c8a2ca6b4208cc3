"""
The functions that the tests which hit an assertion ran, as ``pytest --assertlib-context`` records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..evidence.bits import numbers_in
from ..evidence.gather import read_evidence
from ..evidence.record import record_of
from ..evidence.runs import runs_in_order
from ..recording.reader import UnreadableRunError
from .cache import digest, keep, kept, state_of
from .facts import Place
from .index import Index
from .relevance import Passage

PREFIX = "passages-"
"""Begins the name of each file in a run directory; the process id and ``.json`` follow."""


@dataclass
class _Tests:
    """The functions and the hit assertions of each test, as numbers in the two lists of names."""

    functions: dict[Place, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    ran: dict[str, list[int]] = field(default_factory=dict)
    hit: dict[str, list[int]] = field(default_factory=dict)


def passages_of(index: Index, places: Collection[Place]) -> Mapping[Place, dict[str, Passage]]:
    """
    Relate functions to the assertions that tests of them hit.

    Args:
        index: The source.
        places: The functions.

    Returns:
        For each function, the messages that its tests hit more often than other tests do; empty
        if no run was recorded with ``--assertlib-context``.
    """
    for path in reversed(runs_in_order(index.config)):
        files = sorted(path.glob(f"{PREFIX}*.json"))
        if files:
            with suppress(UnreadableRunError, OSError):
                return _related(_tests(index.config.root, path, files), places)
    return {}


def tests_by_message(index: Index) -> Mapping[str, list[str]]:
    """
    Return the tests that hit each assertion, by message, as node ids of pytest.

    The newest run counts that recorded tests; empty without one.
    """
    for path in reversed(runs_in_order(index.config)):
        with suppress(UnreadableRunError, OSError):
            tests = _tests(index.config.root, path, sorted(path.glob(f"{PREFIX}*.json")))
            found: dict[str, list[str]] = defaultdict(list)
            names = list(tests.messages)
            for test, hits in sorted(tests.hit.items()):
                if "::" in test:
                    for at in hits:
                        found[names[at]].append(test)
            if found:
                return found
    return {}


def _tests(root: Path, run: Path, files: list[Path]) -> _Tests:
    key, name = digest(state_of(run)), f"passages-{digest([str(run)])}"
    known = kept(root, name, key)
    with suppress(TypeError, KeyError, ValueError):
        if known is not None:
            functions = {(str(file), str(name)): at for at, (file, name) in enumerate(known["f"])}
            messages = {str(message): at for at, message in enumerate(known["m"])}
            return _Tests(functions, messages, known["ran"], known["hit"])
    tests = _read(run, files)
    data = {
        "f": list(tests.functions), "m": list(tests.messages), "ran": tests.ran, "hit": tests.hit,
    }  # fmt: skip
    keep(root, name, key, data)
    return tests


def _read(run: Path, files: list[Path]) -> _Tests:
    tests = _Tests()
    for file in files:
        # A file that is damaged is left out: it is a hint, and decides no verdict.
        with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            _take(tests, orjson.loads(file.read_bytes()))
    record = record_of(read_evidence([run]), run.name)
    for each in record.assertions:
        tests.messages.setdefault(each.message, len(tests.messages))
    numbers = [tests.messages[each.message] for each in record.assertions]
    hit: dict[str, set[int]] = defaultdict(set)
    for test, row in record.trials.items():
        # Examples of Hypothesis are trials inside their test.
        inner = row.parent if "::" in row.parent else test
        hit[inner].update(numbers[at] for at in numbers_in(row.hit))
    tests.hit = {test: sorted(found) for test, found in hit.items()}
    return tests


def _take(tests: _Tests, data: Any) -> None:
    numbers = [
        tests.functions.setdefault((str(file), str(name)), len(tests.functions))
        for file, name in data["functions"]
    ]
    for test, found in data["tests"].items():
        tests.ran[test] = [numbers[at] for at in found]


def _related(tests: _Tests, places: Collection[Place]) -> dict[Place, dict[str, Passage]]:
    usual = Counter(at for test in tests.ran for at in tests.hit.get(test, ()))
    found: dict[Place, dict[str, Passage]] = defaultdict(dict)
    messages = list(tests.messages)
    for place in places:
        number = tests.functions.get(place, -1)
        mine = [test for test, ran in tests.ran.items() if number in ran]
        both = Counter(at for test in mine for at in tests.hit.get(test, ()))
        for at, count in both.items():
            share, others = count / len(mine), usual[at] / len(tests.ran)
            # What every test does says nothing about a function.
            if share > others:
                weight = share * (1 - others / share)
                found[place][messages[at]] = Passage(count, len(mine), weight)
    return found
