"""
Exceptions that arrive in the middle of recording and are not its own.

Recording drops its own failures.  A time limit or a Ctrl-C that a signal handler raises while a
record is written belongs to the store, and must reach it.  Such an exception can be recognised by
its traceback: whoever interrupts a frame is called with that frame, as signal handlers and trace
functions are.  An exception that another thread sent (``PyThreadState_SetAsyncExc``) has no such
caller; its class is one that nothing in the interrupted code raises.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_OWN_CLASSES = ("builtins", "assertlib")


def reraise(error: BaseException) -> None:
    """Raise the exception that interrupted the code that *error* was caught from, if one did."""
    interrupt = found_in(error)
    if interrupt is not None:
        raise interrupt


def found_in(error: BaseException) -> BaseException | None:
    """The exception that must reach the store; None if *error* is a failure of recording."""
    while isinstance(error, SystemError) and error.__cause__ is not None:
        # One that arrived in the C code of an import, which reports it as its own failure.
        error = error.__cause__
    return error if not isinstance(error, Exception) or _is_interrupt(error) else None


def _is_interrupt(error: Exception) -> bool:
    place = error.__traceback__
    while place is not None:
        if _received_caller(place.tb_frame):
            return True
        if place.tb_next is None:
            return _was_sent(error, place.tb_frame)
        place = place.tb_next
    return False


def _was_sent(error: Exception, frame: FrameType) -> bool:
    """Whether *error* was raised in code of ours, which raises no class like it."""
    own = type(error).__module__.partition(".")[0] in _OWN_CLASSES
    return not own and frame.f_code.co_filename.startswith(_PACKAGE)


def _received_caller(frame: FrameType) -> bool:
    """Whether the frame that *frame* was called from is among its arguments."""
    caller, code = frame.f_back, frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]
    values = (frame.f_locals.get(name) for name in names)
    return caller is not None and any(
        each is caller or (type(each) is tuple and any(one is caller for one in each))
        for each in values
    )
