"""
Engines: they start the workers that run trials.  A worker may be lost during a trial.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ..errors import AssertlibError
from ..recording.settings import RUN_DIR_ENV
from ..recording.trials import ENVIRONMENT as TRIAL_ENV
from .addresses import fixed
from .target import HASH_SEED, Stamp, TargetError
from .trial import Options
from .worker import Answer, Job, answer_from

__all__ = ["Engine", "LocalWorker", "LostWorkerError", "Worker", "local", "unrecorded"]


_WORKER = """
import sys
sys.path.append(sys.argv.pop())
from assertlib.sim.worker import main
sys.exit(main())
"""


class LostWorkerError(AssertlibError):
    """A worker ended unexpectedly, losing the trial it was running."""


class Worker(Protocol):
    """A process that runs trials, local or remote."""

    @property
    def stamp(self) -> Stamp:
        """The environment that its trials depend on besides their tapes."""

    def do(self, job: Job) -> Answer:
        """
        Run *job*.

        Raises:
            LostWorkerError: The worker ended.
        """

    def close(self) -> None:
        """End it."""


Engine = Callable[[], Worker]
"""Starts a worker."""


class LocalWorker:
    """A child process."""

    def __init__(
        self,
        target: str,
        options: Options,
        environment: Mapping[str, str],
        path: Sequence[str] = (),
    ) -> None:
        """
        Args:
            environment: Its environment variables, including those that control recording.
            path: Directories to search first for modules.

        Raises:
            TargetError: The scenario cannot be loaded.
        """
        with fixed():
            self._process = subprocess.Popen(
                # -P: never import modules from the working directory by accident.
                [sys.executable, "-P", "-c", _WORKER, str(Path(__file__).parents[2])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**environment, "PYTHONHASHSEED": HASH_SEED},
                # Ctrl-C is the campaign's to handle.
                start_new_session=True,
                text=True,
                encoding="utf-8",
            )
        first = {"target": target, "options": as_plain(options), "path": [*path, *import_path()]}
        reply = self._ask(first)
        if "error" in reply:
            self.close()
            raise TargetError(reply["error"])
        self._stamp: Stamp = reply["stamp"]

    @property
    def stamp(self) -> Stamp:
        return self._stamp

    def do(self, job: Job) -> Answer:
        return answer_from(self._ask(asdict(job)))

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line.endswith("\n"):
            raise LostWorkerError(f"worker {process.pid} ended with status {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process immediately."""
        self._process.kill()
        self._process.wait()

    def __repr__(self) -> str:
        return f"<LocalWorker {self._process.pid}>"


def local(
    target: str, options: Options, environment: Mapping[str, str], path: Sequence[str] = ()
) -> Engine:
    """An engine of child processes; see `LocalWorker`."""
    return lambda: LocalWorker(target, options, environment, path)


def unrecorded(target: str, options: Options, path: Sequence[str] = ()) -> LocalWorker:
    """A worker whose trials are not recorded in any run, for replaying and shrinking."""
    environment = {k: v for k, v in os.environ.items() if k not in (RUN_DIR_ENV, TRIAL_ENV)}
    return LocalWorker(target, options, environment, path)


def as_plain(options: Options) -> dict[str, Any]:
    """*options* as a JSON-serialisable dictionary."""
    return {**asdict(options), "assumes": dict(options.assumes)}


def import_path() -> list[str]:
    """The module search path; it includes the working directory only if named explicitly."""
    return [path for path in sys.path if path]
