"""
The order of faults and hits.

Within a process, the lines of its shard determine the order; across processes, the boot-time clock
does if both read the same one.  Otherwise the order is unknown, and the stricter verdict holds.
The wall clock is displayed and decides nothing.
"""

from __future__ import annotations

from ..recording.hits import Hit
from ..recording.records import FaultRecord
from .digest import Digest


def comes_before(fault: FaultRecord, injecting: Digest, hit: Hit, hitting: Digest) -> bool:
    """Whether *fault*, recorded by *injecting*, is known to precede *hit*, evaluated by *hitting*."""
    # False also means "unknown": an excuse for a violation has to be proved.
    if fault.clock is None or hit.clock is None:
        return injecting is hitting and fault.line < hit.line
    if injecting is hitting:
        # A hit of another thread may have been evaluated first and written last.
        return fault.line < hit.line and fault.clock <= hit.clock
    # Boot-time clocks of two boots, or two machines, are not comparable.  A tie proves nothing.
    is_one_clock = bool(hitting.clock_id) and injecting.clock_id == hitting.clock_id
    return is_one_clock and fault.clock < hit.clock
