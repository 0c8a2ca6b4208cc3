"""
The caller of an assertion: where it stands, and what its condition looked like.
"""

from __future__ import annotations

from .model import Location
from .recording import interrupts
from .recording.lock import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from .recording.hits import Captured


_importing = Lock()
# A child can never import what another thread was importing when it was forked.
_importing.hold_across_forks(lambda: None)


def _capturing() -> Callable[[FrameType], Captured | None]:
    """What captures, imported when the first assertion is false: stores start faster without."""
    from .condition import captured

    return captured


class Caller:
    """The code that called an assertion."""

    __slots__ = ("_capture", "_frame", "_root")

    def __init__(self, frame: FrameType, root: str, *, capture: bool = True) -> None:
        self._frame = frame
        self._root = root
        self._capture = capture

    def location(self) -> Location:
        """File (relative to the project if it is inside), function and line."""
        return location_of(self._frame, self._root)

    def captured(self) -> Captured | None:
        """Condition and values; None when the source is not at hand."""
        if not self._capture:
            return None
        try:
            return _importing.run(_capturing)(self._frame)
        except Exception as error:
            interrupts.reraise(error)
            # Source that changed on disk, exotic frames: the hit counts without it.
            return None


def location_of(frame: FrameType, root: str) -> Location:
    """Where *frame* stands now."""
    code = frame.f_code
    class_name, _, function = code.co_qualname.rpartition(".")
    if class_name.endswith("<locals>"):
        class_name = ""
    file = code.co_filename
    if file.startswith(root + "/"):
        file = file[len(root) + 1 :]
    return Location(file, function, class_name.rpartition(".")[2], frame.f_lineno or 0)
