"""
Which members the comparison between two rounds has to name as not compared.
"""

import pytest

from assertlib.robustness.adapter import Status
from assertlib.robustness.campaign import uncompared

WHOLE, BARE = Status(revision=4, hash=1), Status(revision=4)


@pytest.mark.parametrize(
    ("statuses", "missing"),
    [
        ({"m1": WHOLE, "m2": WHOLE, "m3": WHOLE}, []),
        ({"m1": WHOLE, "m3": WHOLE}, ["m2"]),
        ({}, ["m1", "m2", "m3"]),
        ({"m1": WHOLE, "m2": WHOLE, "m3": BARE}, ["m3"]),
        # A store without hashes is compared by what it has.
        ({"m1": BARE, "m2": BARE, "m3": BARE}, []),
    ],
)
def test_a_member_without_a_whole_status_is_not_compared(statuses, missing):
    assert uncompared(["m1", "m2", "m3"], statuses) == missing
