"""
Assertions in data stores that cite the invariants they protect.

The public names of the SDK; everything else is reached through the command line.
"""

from . import lifecycle
from ._calls.comparisons import Rich as _Rich
from ._calls.derived import always_if, sometimes_both, sometimes_each, within
from ._calls.invariant import Invariant
from ._calls.liveness import eventually
from ._calls.primitives import (
    InvariantViolation,
    always,
    always_or_unreachable,
    reachable,
    sometimes,
    unreachable,
    wrapper,
)
from .lifecycle import configure, mode, trial
from .recording.session import VERSION as __version__

always_equal_to = _Rich.always_equal_to
always_greater_than = _Rich.always_greater_than
always_greater_than_or_equal_to = _Rich.always_greater_than_or_equal_to
always_less_than = _Rich.always_less_than
always_less_than_or_equal_to = _Rich.always_less_than_or_equal_to
always_some = _Rich.always_some
sometimes_all = _Rich.sometimes_all
sometimes_equal_to = _Rich.sometimes_equal_to
sometimes_greater_than = _Rich.sometimes_greater_than
sometimes_greater_than_or_equal_to = _Rich.sometimes_greater_than_or_equal_to
sometimes_less_than = _Rich.sometimes_less_than
sometimes_less_than_or_equal_to = _Rich.sometimes_less_than_or_equal_to

__all__ = [
    "Invariant",
    "InvariantViolation",
    "__version__",
    "always",
    "always_equal_to",
    "always_greater_than",
    "always_greater_than_or_equal_to",
    "always_if",
    "always_less_than",
    "always_less_than_or_equal_to",
    "always_or_unreachable",
    "always_some",
    "configure",
    "eventually",
    "lifecycle",
    "mode",
    "reachable",
    "sometimes",
    "sometimes_all",
    "sometimes_both",
    "sometimes_each",
    "sometimes_equal_to",
    "sometimes_greater_than",
    "sometimes_greater_than_or_equal_to",
    "sometimes_less_than",
    "sometimes_less_than_or_equal_to",
    "trial",
    "unreachable",
    "within",
    "wrapper",
]
