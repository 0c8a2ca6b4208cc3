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
"""So that a node of one has room for the successor of a worker that was lost elsewhere."""


class _Actor:
    """The part of a worker that runs on a node of the cluster."""

    def __init__(
        self, target: str, options: Options, environment: Mapping[str, str], path: Sequence[str]
    ) -> None:
        self._records = tempfile.TemporaryDirectory(prefix="assertlib-")
        self._sent: dict[str, int] = {}
        here = {**os.environ, **environment, RUN_DIR_ENV: self._records.name}
        self._worker = LocalWorker(target, options, here, path)

    def stamp(self) -> Stamp:
        return self._worker.stamp

    def do(self, job: Job) -> tuple[Answer, dict[str, bytes]]:
        """The answer, and what was recorded since the last one, by file."""
        return self._worker.do(job), self._news()

    def _news(self) -> dict[str, bytes]:
        news = {}
        for path in sorted(Path(self._records.name).glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._sent.get(path.name, 0))
                news[path.name] = file.read()
                self._sent[path.name] = file.tell()
        return news


class RayWorker:
    """The local handle of an actor."""

    def __init__(self, actor: Any, run_dir: Path) -> None:
        """
        Raises:
            TargetError: The scenario cannot be loaded there.
            LostWorkerError: The actor did not start.
        """
        self._actor = actor
        self._run_dir = run_dir
        try:
            self._stamp: Stamp = ray.get(actor.stamp.remote(), timeout=_START_SECONDS)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, TargetError) or "TargetError" in str(error):
                raise TargetError(_last_line(error)) from None
            raise LostWorkerError(_last_line(error)) from None

    @property
    def stamp(self) -> Stamp:
        return self._stamp

    def do(self, job: Job) -> Answer:
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
    An engine of actors on the cluster that RAY_ADDRESS names, or on one of its own.

    Raises:
        LostWorkerError: There is no cluster.
    """
    run_dir = Path(environment[RUN_DIR_ENV])
    variables = {name: value for name, value in environment.items() if name.startswith("ASSERTLIB")}
    if not ray.is_initialized():
        try:
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
