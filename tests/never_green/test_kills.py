"""
The short form of the campaign of kills; the long one is `make kills`.
"""

import os

from .kills import kill_many

SEED = int(os.environ.get("TEST_SEED") or 0)


def test_what_a_killed_program_did_is_counted_exactly():
    print(f"TEST_SEED={SEED}")
    assert kill_many(20, SEED) > 0
