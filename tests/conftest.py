import os
import random

import pytest

from .support import Children


@pytest.fixture
def children(tmp_path):
    return Children(tmp_path)


@pytest.fixture
def dice():
    """Randomness whose seed is printed when the test fails; TEST_SEED repeats it."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)
