"""
Liveness: what must happen once faults have stopped.

Source: the liveness mode of TigerBeetle's simulator, which ends all faults and then requires that
the cluster makes progress.
"""

from __future__ import annotations

from ..model import ALWAYS
from ..recording import fast_path
from ..recording.recorder import recorder
from ..recording.reprs import bounded_repr
from ..recording.settings import OFF
from . import primitives
from .primitives import caller, merged, record_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from .._capture.caller import Caller
    from .primitives import Details

primitives.internal(__file__)

_PAUSE = 0.05
"""Seconds between two evaluations of a condition."""


def eventually(
    condition: Callable[[], object],
    message: str,
    details: Details | None = None,
    *,
    after_faults_stop: float,
    invariant: str | None = None,
) -> Coroutine[object, object, bool]:
    """
    Assert that *condition* becomes true in time once faults have stopped.

    In a simulated trial, the call ends all injected faults: partitions heal, hosts resume, and
    nothing more is injected.  Elsewhere the caller ends them first.  Hosts that are down stay down:
    whatever boots them belongs to the scenario.

    Args:
        condition: A function without arguments, which may be a coroutine function; called every few
            milliseconds until its result is true.  An OSError, such as a refused connection or a
            timeout, counts as false.
        message: The name of the assertion: a string literal used only at this call site.
        details: As for `always`; ``after_faults_stop`` and the last ``error`` are added to them.
        after_faults_stop: Time limit in seconds.
        invariant: Id of the catalog entry that the assertion protects, or None to cite no entry.

    Returns:
        A coroutine that returns whether the condition became true in time.

    Raises:
        InvariantViolation: From the coroutine, if the time is over, in mode ``raise``.
    """
    # Found here: the coroutine may run in a task of its own, which has no caller.
    return _eventually(
        caller(captures=False), condition, message, details, after_faults_stop, invariant
    )


async def _eventually(
    where: Caller,
    condition: Callable[[], object],
    message: str,
    details: Details | None,
    seconds: float,
    invariant: str | None,
) -> bool:
    # A store that awaits this has imported it already; floors 0 to 2 do without.
    import asyncio

    loop = asyncio.get_running_loop()
    stop_faults = getattr(loop, "stop_faults", None)
    if stop_faults is not None:
        stop_faults()
    facts: dict[str, object] = {"after_faults_stop": seconds}
    holds = False
    try:
        async with asyncio.timeout(seconds):
            # Polled, since nobody announces that the condition has become true.
            while not (holds := await _evaluated(condition, facts)):  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        pass
    if recorder.mode == OFF or (holds and fast_path.counted(ALWAYS, True, message)):
        return holds
    return record_at(where, ALWAYS, holds, message, lambda: merged(details, facts), invariant)


async def _evaluated(condition: Callable[[], object], facts: dict[str, object]) -> bool:
    """Evaluate *condition*; the error that keeps it from being true is noted in *facts*."""
    try:
        found = condition()
        if hasattr(found, "__await__"):
            awaitable: Awaitable[object] = found
            found = await awaitable
        return bool(found)
    except OSError as error:
        facts["error"] = bounded_repr(error)
        return False
