"""
Ranges of keys.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assertlib.history.requests import NO_END, covers, prefix_end

LAST = "\U0010ffff"
KEYS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(["a", "\ud7ff", LAST]))


@given(KEYS, KEYS)
@example("\ud7ff", "")
@example(LAST, LAST)
@example(f"a{LAST}{LAST}", "b")
def test_a_range_by_prefix_holds_just_the_keys_that_begin_with_it(prefix, rest):
    end = prefix_end(prefix)
    end.encode()
    assert covers(prefix, end, prefix + rest)
    assert covers(prefix, end, rest) == (
        rest.startswith(prefix) if end != NO_END else rest >= prefix
    )


@pytest.mark.parametrize("prefix", ["", LAST, LAST * 3])
def test_a_prefix_that_no_key_follows_has_no_end(prefix):
    assert prefix_end(prefix) == NO_END
