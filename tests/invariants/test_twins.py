"""
assertlib held to its own catalog, by its own assertions: both twins.
"""

import itertools

import pytest

from assertlib import Invariant
from assertlib.recording.accelerator import speed

from ..accelerator.test_equivalence import Player

AGREE = Invariant("recording.twins-agree")

PROGRAM = [
    *["always(True, 'a')", "bound['always'](rev == 6)", "always_greater_than(rev, 1, 'g')"] * 20,
    *["sometimes(False, 's')", "sometimes_all({'x': True, 'y': rev > 7}, 'all')"] * 20,
    *("always(rev > 7, 'a', {'rev': rev})", "always_less_than(rev, 5, 'l')", "unreachable('u')"),
    *("always(named, 'a')", "always(lambda: rev > 5, 'a', every=2)", "always(True)"),
]


@pytest.mark.skipif(speed is None, reason="Python counts alone here")
@pytest.mark.parametrize("mode", ["record", "raise", "off"])
def test_the_accelerator_changes_no_result(mode):
    with Player() as accelerated, Player(ASSERTLIB_PURE="1") as pure:
        both = [player.play(mode, PROGRAM) for player in (accelerated, pure)]
    differences = [pair for pair in itertools.zip_longest(*both) if pair[0] != pair[1]]

    assert AGREE.always(
        not differences, "both twins answer and record the same", lambda: {"first": differences[0]}
    )
    AGREE.sometimes(
        any("InvariantViolation" in line for line in both[0]),
        "the twins play a violation that raises",
    )
