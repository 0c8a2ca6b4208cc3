"""
The history of a campaign on a full disk.
"""

import os

import pytest

from assertlib.history.records import Header, Note, line
from assertlib.robustness.journal import FILE, Journal


def test_a_record_that_does_not_fit_the_disk_is_an_error(tmp_path, monkeypatch):
    journal = Journal(tmp_path, Header("kv"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    with pytest.raises(OSError, match=FILE):
        journal.write(Note(1, "end"))
    monkeypatch.undo()
    assert (tmp_path / FILE).read_bytes().startswith(line(Header("kv"))[:20])
    journal.close()
