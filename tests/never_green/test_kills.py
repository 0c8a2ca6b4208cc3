"""
The campaign of kills; with 1,000 of them it is `make kills`.
"""

import os

from ..forms import by_form, has_long_form
from .kills import kill_many

SEED = int(os.environ.get("TEST_SEED") or 0)


@has_long_form
def test_what_a_killed_program_did_is_counted_exactly():
    print(f"TEST_SEED={SEED}")
    assert kill_many(by_form(2, 20), SEED) > 0
