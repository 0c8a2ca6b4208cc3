"""
Declarations of a process about itself: how it records, which trial it is in, when it is ready,
and which faults are injected.

`setup_complete` and `send_event` have the names and arguments of the Antithesis SDKs.
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

# The first key of a record determines its type, so an event must not start like the SDK's own.
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
    Change how this process records.  An argument that is None leaves its setting unchanged.

    Args:
        mode: ``record`` (the default; never raises), ``raise`` (a violation raises
            `InvariantViolation`) or ``off``.  Environment: ``ASSERTLIB``.
        run_dir: Directory to record into from now on, with counters that start at zero; child
            processes inherit it.  Environment: ``ASSERTLIB_RUN_DIR``.
        features: Optional parts of the store by name, True for enabled.  An invariant that
            `requires` a disabled one is dormant.  Environment:
            ``ASSERTLIB_FEATURES=watch=on,auth=off``.
        sinks: Where violations and first true hits are published: names of modules in
            ``assertlib.telemetry``, or objects with a method ``handle(hit)``.  Environment:
            ``ASSERTLIB_SINKS``; initially ``log``.
        redact: Shell patterns of names whose values must not be shown when an assertion is false:
            variables, attributes, fields and keys of details.  Environment:
            ``ASSERTLIB_REDACT=*token*,secret``.
        max_records_per_second: Number of records of hits and events that may be written, and
            passed to sinks, per second; 0 for no limit.  Records that exceed it are dropped and
            counted.  The first true and the first false hit of each assertion are always written.
            Environment: ``ASSERTLIB_MAX_RECORDS_PER_SECOND``.
        max_shard_bytes: Size limit for the records of this process on disk, in bytes, at least
            65,536; 0 for no limit.  Beyond it, hits are still counted, but nothing more is written.
            Environment: ``ASSERTLIB_MAX_SHARD_BYTES``.

    Raises:
        ValueError: The mode is unknown, a single string was passed for a collection, or a limit is
            not an integer in its range.
    """
    # Iterating a string would take each of its characters for a sink or a pattern.
    for name, given in (("sinks", sinks), ("redact", redact)):
        if isinstance(given, str | bytes):
            meant = split_list(str(given)) if isinstance(given, str) else [given]
            raise ValueError(f"{name} must be a list, not {given!r}: write {meant!r}")
    if isinstance(features, str):
        raise ValueError(f"features must be a mapping such as {{'watch': True}}, not {features!r}")
    # A list, since the recorder reads the patterns twice: to compile them, and for child processes.
    # Made first, so that a pattern that fails leaves the whole configuration as it was.
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
    """Return the current mode: ``record``, ``raise`` or ``off``."""
    return recorder.mode


class trial:
    """
    A unit inside a run, such as one test or one seed.  A context manager.

    A trial is process-wide.  Trials can be nested; the innermost one receives the hits.  Child
    processes that are started inside inherit the trial; hits of a child that outlives it belong to
    no trial.

    Args:
        id: Name of the trial, unique in the run.  A name that this process used before gets a
            number appended.
        population: The group of comparable trials that this one is drawn from, such as a
            configuration and its faults, in a few words.  Rates are reported only within a
            population.
        seed: Seed of the random choices of the trial; None if it has none.
        sampler: How trials are drawn: ``seed-random`` (the default with a seed), ``set`` (the
            default without) or ``guided``.

    Raises:
        TypeError: The seed is not an integer.
    """

    def __init__(
        self,
        id: str,
        *,
        population: str | None = None,
        seed: int | None = None,
        sampler: str | None = None,
    ) -> None:
        # Rejected here, since readers reject the record of a trial with any other seed.
        if not isinstance(seed, int | None):
            raise TypeError(f"the seed of a trial must be an integer, not {seed!r}")
        self._trial = Trial(
            str(id),
            population=None if population is None else str(population),
            # A bool is an integer to Python, but stays a bool in JSON.
            seed=None if seed is None else int(seed),
            sampler=None if sampler is None else str(sampler),
        )

    def __enter__(self) -> Self:
        try:
            recorder.begin_trial(self._trial)
            return self
        except BaseException:
            # An exception of a signal handler: the block is not entered, and so never exited.
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
            # A signal handler may have raised before or after the end took effect.  Ending a trial
            # twice is harmless; one that stays open would receive the hits that follow.
            recorder.end_trial(self._trial)
            raise

    @property
    def id(self) -> str:
        """Name of the trial, with a number appended if this process used it before."""
        return self._trial.id

    def __repr__(self) -> str:
        return f"<trial {self._trial.id!r}>"


def faults(active: Iterable[str], *, breaks: Iterable[str] = ()) -> None:
    """
    Declare the faults that are injected from now on.

    Args:
        active: Names of the faults, such as ``kill`` or ``power-cut``; empty when they end.
        breaks: The assumptions that these faults break, in the words of ``assumes`` in the
            catalog.  A later violation, in the same trial, of an invariant that assumes one of
            them is *out of model*.
    """
    recorder.faults(active, breaks)


def setup_complete(details: Mapping[str, object] | None = None) -> None:
    """Record that the system is up and the workload may start, with optional *details*."""
    body: dict[str, object] = {"status": "complete"}
    recorder.event("setup_complete", details, inside=("antithesis_setup", body))


def send_event(event_name: str, details: Mapping[str, object] | None = None) -> None:
    """
    Record an event of the store, in order with the hits of this process.

    Args:
        event_name: What happened.  A name that starts like a record of the SDK, with
            ``assertlib_`` or ``antithesis_``, is recorded as ``event NAME``.
        details: A mapping with context; None for none.
    """
    name = str(event_name)
    if name.startswith(_RESERVED):
        name = f"event {name}"
    recorder.event(name, details, inside=None)
