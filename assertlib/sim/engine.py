"""
Engines, which start the workers that run trials.

A worker may be lost during a trial, so an engine must be able to start another one at any time.
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


# The directory that contains this package comes last, so that nothing else in it hides a module of
# the project.
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
        """The environment that trials depend on besides their tapes."""

    def do(self, job: Job) -> Answer:
        """
        Run *job* and return its result.

        Raises:
            LostWorkerError: The worker ended before it answered.
        """

    def close(self) -> None:
        """Stop the worker."""


Engine = Callable[[], Worker]
"""A function that starts a worker."""


class LocalWorker:
    """A worker in a child process."""

    def __init__(
        self,
        target: str,
        options: Options,
        environment: Mapping[str, str],
        path: Sequence[str] = (),
    ) -> None:
        """
        Args:
            target: The scenario; see `target.load`.
            options: Inputs of all trials.
            environment: Environment variables, including those that control recording.
            path: Directories to search first for modules.

        Raises:
            TargetError: The scenario cannot be loaded.
            LostWorkerError: The process ended while it loaded the scenario.
        """
        with fixed():
            self._process = subprocess.Popen(
                # -P: without it, -c puts the working directory first on the module search path.
                [sys.executable, "-P", "-c", _WORKER, str(Path(__file__).parents[2])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**environment, "PYTHONHASHSEED": HASH_SEED},
                # Ctrl-C reaches the whole foreground process group, but must interrupt only the
                # exploration, which then closes its workers.
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
        # An answer without its newline was cut off by the end of the worker.
        if not line.endswith("\n"):
            raise LostWorkerError(f"worker {process.pid} ended with status {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        process = self._process
        # A worker ends at the end of its input, unless one of its trials hangs.
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
    """
    Return an engine of child processes.

    Args:
        target: The scenario; see `target.load`.
        options: Inputs of all trials.
        environment: Environment variables of the workers.
        path: Directories to search first for modules.
    """
    return lambda: LocalWorker(target, options, environment, path)


def unrecorded(target: str, options: Options, path: Sequence[str] = ()) -> LocalWorker:
    """
    Start a worker whose trials are not recorded in any run, for replaying and shrinking.

    Args:
        target: The scenario; see `target.load`.
        options: Inputs of all trials.
        path: Directories to search first for modules.

    Raises:
        TargetError: The scenario cannot be loaded.
        LostWorkerError: The process ended while it loaded the scenario.
    """
    # Inherited, these variables would add the replay to the run, or the trial, of the caller.
    environment = {k: v for k, v in os.environ.items() if k not in (RUN_DIR_ENV, TRIAL_ENV)}
    return LocalWorker(target, options, environment, path)


def as_plain(options: Options) -> dict[str, Any]:
    """Convert *options* to a dictionary that can be serialised as JSON."""
    return {**asdict(options), "assumes": dict(options.assumes)}


def import_path() -> list[str]:
    """Return the module search path, without the entry that stands for the working directory."""
    # An empty entry means whatever the working directory is, which differs between nodes.
    return [path for path in sys.path if path]
