"""
Workers on a Ray cluster.

Each worker is an actor that keeps a child process on its node, like the local engine's, so that
hash seed, recording and answers are the same.  The child's recordings come back with each answer
and are written to the local run directory: a lost node loses only the trial it was running.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from ..recording import private
from ..recording.settings import RUN_DIR_ENV
from .engine import Engine, LocalWorker, LostWorkerError
from .target import Stamp, TargetError
from .trial import Options
from .worker import Answer, Job

__all__ = ["ray_engine"]

_START_SECONDS = 120.0
_HALF_A_CPU = 0.5
"""CPUs of an actor: a node with one CPU has room for the successor of a lost worker, too."""


class _Actor:
    """The part of a worker that runs on a node of the cluster."""

    def __init__(
        self, target: str, options: Options, environment: Mapping[str, str], path: Sequence[str]
    ) -> None:
        # The node need not share a file system with the caller.
        self._records = tempfile.TemporaryDirectory(prefix="assertlib-")
        self._sent: dict[str, int] = {}
        # *environment* holds only the settings of assertlib; everything else is the node's own.
        here = {**os.environ, **environment, RUN_DIR_ENV: self._records.name}
        self._worker = LocalWorker(target, options, here, path)

    def stamp(self) -> Stamp:
        return self._worker.stamp

    def do(self, job: Job) -> tuple[Answer, dict[str, bytes]]:
        """Run *job*; return the answer and what was recorded since the last one, by file name."""
        return self._worker.do(job), self._news()

    def _news(self) -> dict[str, bytes]:
        # Shards are append-only, so an offset per file is enough.  They are read between two jobs,
        # when the child writes nothing.
        news = {}
        for path in sorted(Path(self._records.name).glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._sent.get(path.name, 0))
                news[path.name] = file.read()
                self._sent[path.name] = file.tell()
        return news


class RayWorker:
    """The worker that stands for an actor in this process."""

    def __init__(self, actor: Any, run_dir: Path) -> None:
        """
        Args:
            actor: The handle of the actor.
            run_dir: The local run directory.

        Raises:
            TargetError: The scenario cannot be loaded on the node.
            LostWorkerError: The actor did not start.
        """
        self._actor = actor
        self._run_dir = run_dir
        try:
            self._stamp: Stamp = ray.get(actor.stamp.remote(), timeout=_START_SECONDS)
        except RayError as error:
            # An exception of the constructor may arrive only as text.  A scenario that cannot be
            # loaded fails on every node, so starting another worker would not help.
            cause = getattr(error, "cause", None)
            if isinstance(cause, TargetError) or "TargetError" in str(error):
                raise TargetError(_last_line(error)) from None
            raise LostWorkerError(_last_line(error)) from None

    @property
    def stamp(self) -> Stamp:
        return self._stamp

    def do(self, job: Job) -> Answer:
        """
        Run *job* on the node and store its recordings locally.

        Raises:
            LostWorkerError: The actor, its child process or its node ended.
        """
        try:
            answer, records = ray.get(self._actor.do.remote(job))
        except RayError as error:
            raise LostWorkerError(f"{type(error).__name__}: {_last_line(error)}") from None
        for name, data in records.items():
            with open(self._run_dir / name, "ab", opener=private.opener) as file:
                file.write(data)
        result: Answer = answer
        return result

    def close(self) -> None:
        ray.kill(self._actor)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def ray_engine(
    target: str, options: Options, environment: Mapping[str, str], path: Sequence[str], jobs: int
) -> Engine:
    """
    Return an engine of actors on the cluster that RAY_ADDRESS names, or on a new local one.

    Args:
        target: The scenario; see `target.load`.
        options: Inputs of all trials.
        environment: Environment variables, including the local run directory.
        path: Directories to search first for modules, on the nodes.
        jobs: Number of CPUs of a new local cluster.

    Raises:
        LostWorkerError: No cluster can be reached or started.
    """
    run_dir = Path(environment[RUN_DIR_ENV])
    # Variables such as PATH and HOME would be wrong on another machine.
    variables = {name: value for name, value in environment.items() if name.startswith("ASSERTLIB")}
    if not ray.is_initialized():
        try:
            # Ray rejects a number of CPUs when it connects to an existing cluster.
            is_given = bool(os.environ.get("RAY_ADDRESS"))
            ray.init(
                num_cpus=None if is_given else jobs,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (RayError, ConnectionError, RuntimeError) as error:
            raise LostWorkerError(f"cannot connect to a Ray cluster: {_last_line(error)}") from None
    remote = ray.remote(_Actor)

    def start() -> RayWorker:
        placed = remote.options(num_cpus=_HALF_A_CPU, scheduling_strategy="SPREAD")
        return RayWorker(placed.remote(target, options, variables, tuple(path)), run_dir)

    return start
