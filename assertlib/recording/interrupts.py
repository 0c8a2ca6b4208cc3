"""
Exceptions that arrive during recording and are not failures of recording.

Recording drops its own failures.  A time limit or a Ctrl-C that a signal handler raises while a
record is written belongs to the store, and must reach it.  Its traceback identifies it: a signal
handler is called with the number of the signal and the frame that it interrupts, a trace function
with that frame and the name of an event.  An exception sent by another thread
(``PyThreadState_SetAsyncExc``) has no such caller; it is identified by a class that nothing in the
interrupted code raises.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

_HERE = os.path.dirname(__file__)
_CALLING_NOBODY = {
    os.path.join(_HERE, f"{name}.py")
    for name in (
        "counters",
        "evaluation",
        "lock",
        "recorder",
        "session",
        "shard",
        "slots",
        "system",
    )
}
"""Our files that call no code of the store, which could raise a class of its own."""

# Events of trace functions.
_EVENTS = {"call", "line", "return", "exception", "opcode"}
_VARARGS, _KEYWORDS = 4, 8
_SIGNALS = 65
_OWN_CLASSES = ("builtins", "assertlib")


def reraise(error: BaseException) -> None:
    """Raise the exception that interrupted recording, if *error* is or hides one."""
    interrupt = found_in(error)
    if interrupt is not None:
        raise interrupt


def found_in(error: BaseException) -> BaseException | None:
    """The exception that must reach the store; None if *error* is a failure of recording."""
    if isinstance(error, SystemError) and error.__cause__ is not None:
        # An exception that arrived in the C code of an import, which reports it as its own failure.
        error = error.__cause__
    return error if not isinstance(error, Exception) or _is_interrupt(error) else None


def _is_interrupt(error: Exception) -> bool:
    handlers = set(_handlers())
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code in handlers or _was_called_with_its_caller(place.tb_frame):
            return True
        if place.tb_next is None:
            return _was_sent(error, place.tb_frame)
        place = place.tb_next
    return False


def _handlers() -> Iterator[CodeType]:
    """The code of all installed signal handlers that are written in Python."""
    # Handlers exist only if the module was imported.  Importing it here could fail for want of
    # descriptors, and that error would reach the store.
    signal = sys.modules.get("signal")
    if signal is None:
        return
    for number in range(1, _SIGNALS):
        handler = signal.getsignal(number)
        # A `functools.partial` hides a function, a bound method hides one as well.
        handler = getattr(handler, "func", handler)
        code = getattr(getattr(handler, "__func__", handler), "__code__", None)
        if code is not None:
            yield code


def _was_sent(error: Exception, frame: FrameType) -> bool:
    """Whether *error* was raised in code of ours that calls none of the store's."""
    is_own = type(error).__module__.partition(".")[0] in _OWN_CLASSES
    return not is_own and frame.f_code.co_filename in _CALLING_NOBODY


def _was_called_with_its_caller(frame: FrameType) -> bool:
    """Whether *frame* was passed its caller, as a handler is, and a signal or an event."""
    caller, code = frame.f_back, frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & _VARARGS) + bool(code.co_flags & _KEYWORDS)
    given = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
    # Of a handler with ``*args``, number and frame are inside one tuple.
    for each in tuple(given):
        given += each if type(each) is tuple else ()
    return (
        caller is not None
        and any(each is caller for each in given)
        and any(_is_reason(each) for each in given)
    )


def _is_reason(value: object) -> bool:
    is_signal = isinstance(value, int) and 0 < value < _SIGNALS
    return is_signal or (isinstance(value, str) and value in _EVENTS)
