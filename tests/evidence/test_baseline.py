"""
What the file of a baseline holds can be read back.
"""

import pytest

from assertlib.evidence.baseline import Baseline, read_baseline, write_baseline

MESSAGES = ["", " ", "m", " m", '"m"', "? m", "a\0b", "one\ntwo", "ü"]


@pytest.mark.parametrize("message", MESSAGES)
def test_any_message_is_read_back(tmp_path, message):
    path = tmp_path / "baseline.txt"
    for baseline in (
        Baseline(frozenset([message])),
        Baseline(frozenset(["other"]), frozenset([message])),
    ):
        write_baseline(path, baseline)
        assert read_baseline(path) == baseline
