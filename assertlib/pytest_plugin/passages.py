"""
``pytest --assertlib-context``: which functions each test runs, for `assertlib context`.

Each process writes one file into the run directory.  Functions that a test's child processes run
are not seen.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from ..knowledge.passages import PREFIX
from ..recording.private import replacing


class Passages:
    """
    Records the functions that each test runs.

    Args:
        root: Directory of the project; functions elsewhere are left out.
        run_dir: The run that the file is written to.
    """

    def __init__(self, root: Path, run_dir: Path) -> None:
        self._root = f"{root}{os.sep}"
        self._run_dir = run_dir
        self._tests: dict[str, set[CodeType]] = {}
        self._seen: set[CodeType] = set()
        self._tracer = _Tracer(self._seen.add)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Collect the functions that run during a test."""
        self._seen.clear()
        self._tracer.start()
        try:
            return (yield)
        finally:
            self._tracer.stop()
            self._tests[item.nodeid] = set(self._seen)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the file of this process."""
        if not self._tests:
            return
        numbers: dict[tuple[str, str], int] = {}
        tests = {
            test: sorted({numbers.setdefault(place, len(numbers)) for place in self._places(codes)})
            for test, codes in self._tests.items()
        }
        data = {"schema": 1, "functions": list(numbers), "tests": tests}
        path = self._run_dir / f"{PREFIX}{os.getpid()}.json"
        with replacing(path, mode=0o600, errors="backslashreplace") as file:
            file.write(json.dumps(data))

    def _places(self, codes: set[CodeType]) -> Generator[tuple[str, str]]:
        for code in codes:
            file = os.path.abspath(code.co_filename)
            if file.startswith(self._root):
                # Lambdas and comprehensions belong to the function around them.
                name = code.co_qualname.replace(".<locals>", "").partition(".<")[0]
                yield file.removeprefix(self._root).replace(os.sep, "/"), name


if sys.version_info >= (3, 12):

    class _Tracer:
        """Calls back once for each function between two starts, which costs next to nothing."""

        def __init__(self, take: Callable[[CodeType], object]) -> None:
            self._take = take
            self._tool = -1

        def start(self) -> None:
            # The low numbers are reserved for debuggers, coverage and profilers.
            free = [number for number in (3, 4) if sys.monitoring.get_tool(number) is None]
            if not free:
                raise pytest.UsageError(
                    "--assertlib-context: other tools use all of sys.monitoring"
                )
            self._tool = free[0]
            started = sys.monitoring.events.PY_START
            sys.monitoring.use_tool_id(self._tool, "assertlib")
            sys.monitoring.register_callback(self._tool, started, self._started)
            sys.monitoring.set_events(self._tool, started)
            # Functions that were seen in the test before call back again.
            sys.monitoring.restart_events()

        def stop(self) -> None:
            sys.monitoring.set_events(self._tool, 0)
            sys.monitoring.register_callback(self._tool, sys.monitoring.events.PY_START, None)
            sys.monitoring.free_tool_id(self._tool)

        def _started(self, code: CodeType, offset: int) -> object:
            self._take(code)
            return sys.monitoring.DISABLE

else:

    class _Tracer:
        """Calls back for each call of a function, through the profiling hook of all threads."""

        def __init__(self, take: Callable[[CodeType], object]) -> None:
            self._take = take
            self._before: Any = None

        def start(self) -> None:
            self._before = sys.getprofile()
            threading.setprofile(self._profile)
            sys.setprofile(self._profile)

        def stop(self) -> None:
            sys.setprofile(self._before)
            threading.setprofile(self._before)

        def _profile(self, frame: FrameType, event: str, argument: object) -> None:
            if event == "call":
                self._take(frame.f_code)
