"""
What a process declares about itself: how it records, in which trial it is, when
it is ready, which faults are injected.

`setup_complete` and `send_event` are those of the Antithesis SDKs.
"""

from __future__ import annotations

from .recording.recorder import recorder
from .recording.settings import split_list
from .recording.trials import Trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from .recording.loader import Subscriber

_RESERVED = ("assertlib_", "antithesis_")


def configure(
    *,
    mode: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    features: Mapping[str, bool] | None = None,
    sinks: Iterable[str | Subscriber] | None = None,
    redact: Iterable[str] | None = None,
    max_records_per_second: int | None = None,
    max_shard_bytes: int | None = None,
) -> None:
    """
    Change how this process records; what is not given stays as it is.

    Args:
        mode: ``record`` (never raises), ``raise`` (a violation raises
            `InvariantViolation`) or ``off``.  From the environment: ``ASSERTLIB``.
        run_dir: Directory to record into, from now on and with counts from
            zero; children inherit it.  From the environment: ``ASSERTLIB_RUN_DIR``.
        features: Which optional parts of the store are on; invariants that
            `requires` one that is off are dormant.  From the environment:
            ``ASSERTLIB_FEATURES=watch=on,auth=off``.
        sinks: Where violations and first hits are published: names of modules in
            ``assertlib.telemetry``, or objects with a ``handle(hit)``.  From the
            environment: ``ASSERTLIB_SINKS``; by default ``log``.
        redact: Patterns, as in a shell, of names whose values must not be shown
            when an assertion comes out false: variables, attributes, fields, keys
            of details.  From the environment: ``ASSERTLIB_REDACT=*token*,secret``.
        max_records_per_second: How many records of hits and events may be written each second,
            and passed to sinks; 0 is without limit.  What goes beyond is dropped and counted.  The
            first true and the first false hit of each assertion are always written.  From the
            environment: ``ASSERTLIB_MAX_RECORDS_PER_SECOND``.
        max_shard_bytes: How large the lines of this process may get on disk, from 65,536; 0 is
            without limit.  After that, hits are counted, and nothing more is written.  From the
            environment: ``ASSERTLIB_MAX_SHARD_BYTES``.

    Raises:
        ValueError: There is no such mode, one text stands where several are wanted, or a limit is
            none.
    """
    for name, given in (("sinks", sinks), ("redact", redact)):
        if isinstance(given, str | bytes):
            meant = split_list(str(given)) if isinstance(given, str) else [given]
            raise ValueError(f"{name} must be a list, not {given!r}: write {meant!r}")
    if isinstance(features, str):
        raise ValueError(f"features must be a mapping such as {{'watch': True}}, not {features!r}")
    patterns = None if redact is None else [str(pattern) for pattern in redact]
    recorder.configure(
        mode=mode,
        run_dir=run_dir,
        features=features,
        sinks=sinks,
        redacted=patterns,
        max_records_per_second=max_records_per_second,
        max_shard_bytes=max_shard_bytes,
    )


def mode() -> str:
    """The mode in force: ``record``, ``raise`` or ``off``."""
    return recorder.mode


class trial:
    """
    A unit inside a run: one test, one seed.  A context manager.

    It is process-wide; trials nest, and the inner one gets the hits.  Children
    started inside inherit it; one that outlives it belongs to no trial.

    Args:
        id: Its name, unique in the run.
        population: What it is a sample of: configuration and faults, in a few
            words.  Rates are reported only within a population.
        seed: What its randomness is made from.
        sampler: ``seed-random`` (the default with a seed), ``set`` (the default
            without) or ``guided``.
    """

    def __init__(
        self,
        id: str,
        *,
        population: str | None = None,
        seed: int | None = None,
        sampler: str | None = None,
    ) -> None:
        if not isinstance(seed, int | None):
            raise TypeError(f"the seed of a trial must be an integer, not {seed!r}")
        self._trial = Trial(
            str(id),
            population=None if population is None else str(population),
            # Not a bool, which JSON would keep as one.
            seed=None if seed is None else int(seed),
            sampler=None if sampler is None else str(sampler),
        )

    def __enter__(self) -> Self:
        try:
            recorder.begin_trial(self._trial)
            return self
        except BaseException:
            # Interrupted: the block is not entered, so nobody else will end it.
            recorder.end_trial(self._trial)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            recorder.end_trial(self._trial)
        except BaseException:
            recorder.end_trial(self._trial)
            raise

    @property
    def id(self) -> str:
        """Its name; begun a second time, with a number behind it."""
        return self._trial.id

    def __repr__(self) -> str:
        return f"<trial {self._trial.id!r}>"


def faults(active: Iterable[str], *, breaks: Iterable[str] = ()) -> None:
    """
    Say which faults are injected from now on; an empty *active* ends them.

    Args:
        active: Names of the faults, such as ``kill`` or ``power-cut``.
        breaks: The assumptions these faults break, in the split_list of the
            catalog's ``assumes``.  A violation after that, in the same trial, of
            an invariant that assumes one of them is *out of model*.
    """
    recorder.faults(active, breaks)


def setup_complete(details: Mapping[str, object] | None = None) -> None:
    """Say that the system is up and the workload may start."""
    body: dict[str, object] = {"status": "complete"}
    recorder.event("setup_complete", details, inside=("antithesis_setup", body))


def send_event(event_name: str, details: Mapping[str, object] | None = None) -> None:
    """Record that something happened, in order with the hits of this process."""
    name = str(event_name)
    if name.startswith(_RESERVED):
        name = f"event {name}"
    recorder.event(name, details, inside=None)
