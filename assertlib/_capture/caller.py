"""
The caller of an assertion: its location, and its condition with the values in it.
"""

from __future__ import annotations

from ..model import Location
from ..recording import interrupts
from ..recording.lock import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..recording.hits import Captured


_importing = Lock()
# A child that was forked while another thread held the import lock could never import.  A fork
# waits for the import instead.
_importing.hold_across_forks(lambda: None)


def _capturing() -> Callable[[FrameType], Captured | None]:
    """Return the function that captures, imported at the first false hit: stores start faster."""
    from .condition import captured

    return captured


class Caller:
    """
    The code that called an assertion.

    Args:
        frame: The frame that the assertion was called from.
        root: Directory of the project; paths of files in it are relative to it.
        capture: Whether `captured` looks for the condition at all.
    """

    __slots__ = ("_capture", "_frame", "_root")

    def __init__(self, frame: FrameType, root: str, *, capture: bool = True) -> None:
        self._frame = frame
        self._root = root
        self._capture = capture

    def location(self) -> Location:
        """File (relative to the project if inside it), function and line."""
        return location_of(self._frame, self._root)

    def captured(self) -> Captured | None:
        """The condition and its values; None without source."""
        if not self._capture:
            return None
        try:
            return _importing.run(_capturing)(self._frame)
        except Exception as error:
            interrupts.reraise(error)
            # An unusual frame or an unreadable file must not lose the hit, which counts without it.
            return None


def location_of(frame: FrameType, root: str) -> Location:
    """The current location of *frame*; its file is relative to *root* if inside."""
    code = frame.f_code
    class_name, _, function = code.co_qualname.rpartition(".")
    # The enclosing scope of a nested function is another function, not a class.
    if class_name.endswith("<locals>"):
        class_name = ""
    file = code.co_filename
    if file.startswith(root + "/"):
        file = file[len(root) + 1 :]
    return Location(file, function, class_name.rpartition(".")[2], frame.f_lineno or 0)
