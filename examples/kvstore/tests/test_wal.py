"""The log on disk: what is written is read again, up to a torn tail and not beyond damage."""

import os
import zlib
from pathlib import Path

import pytest
from kvstore.model import Compare, DeleteRange, KeyRange, LeaseGrant, Put, Txn
from kvstore.wal import Entry, Wal, WalCorruptedError, open_log

from assertlib import disk

BATCHES = (
    (Entry(1, Put("a", "1")), Entry(2, LeaseGrant(7, 1.5))),
    (Entry(3, DeleteRange(KeyRange("a", "b"))),),
    (Entry(4, Txn((Compare("a", "mod", "=", 3),), (Put("b", "é"),))),),
)
ENTRIES = tuple(entry for batch in BATCHES for entry in batch)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return os.fspath(tmp_path)


def write_batches(directory: str) -> list[int]:
    """Write `BATCHES`; the size of the segment before and after each."""
    log = open_log(disk.RealDisk(), directory)
    sizes = [0]
    for batch in BATCHES:
        sizes.append(log.wal.append(batch).end)
        log.wal.sync()
    log.wal.close()
    return sizes


def segment(directory: str) -> Path:
    (path,) = Path(directory).glob("wal-*.log")
    return path


def reopen(directory: str) -> tuple[Wal, tuple[Entry, ...]]:
    log = open_log(disk.RealDisk(), directory)
    return log.wal, log.entries


def test_a_log_is_read_as_it_was_written(directory: str) -> None:
    write_batches(directory)
    wal, entries = reopen(directory)
    wal.close()
    assert (entries, wal.last_index) == (ENTRIES, 4)


def test_a_position_is_covered_only_after_the_sync(directory: str) -> None:
    wal = open_log(disk.RealDisk(), directory).wal
    position = wal.append(BATCHES[0])
    assert not wal.covers(position)
    wal.sync()
    assert wal.covers(position)
    wal.close()


def test_a_log_cut_at_any_byte_keeps_every_whole_batch_and_can_be_appended_to(
    directory: str,
) -> None:
    sizes = write_batches(directory)
    whole = segment(directory).read_bytes()
    for size in range(len(whole) + 1):
        segment(directory).write_bytes(whole[:size])
        wal, entries = reopen(directory)
        kept = sum(end <= size for end in sizes[1:])
        assert entries == tuple(entry for batch in BATCHES[:kept] for entry in batch)
        assert segment(directory).stat().st_size == sizes[kept]
        added = Entry(wal.last_index + 1, Put("after", "the cut"))
        wal.append((added,))
        wal.sync()
        wal.close()
        wal, entries = reopen(directory)
        wal.close()
        assert entries[-1] == added


def test_zeros_behind_the_last_record_are_a_torn_tail(directory: str) -> None:
    sizes = write_batches(directory)
    path = segment(directory)
    path.write_bytes(path.read_bytes() + bytes(4096))
    wal, entries = reopen(directory)
    wal.close()
    assert entries == ENTRIES
    assert path.stat().st_size == sizes[-1]


def test_a_flipped_bit_in_the_last_record_is_a_torn_tail(directory: str) -> None:
    write_batches(directory)
    path = segment(directory)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    wal, entries = reopen(directory)
    wal.close()
    assert entries == ENTRIES[:-1]


def test_a_flipped_bit_in_any_byte_before_the_last_record_is_corruption(directory: str) -> None:
    sizes = write_batches(directory)
    path = segment(directory)
    content = path.read_bytes()
    for position in range(sizes[-2]):
        flipped = bytearray(content)
        flipped[position] ^= 0x40
        path.write_bytes(flipped)
        with pytest.raises(WalCorruptedError, match="before the last is broken"):
            open_log(disk.RealDisk(), directory)


def test_a_record_of_something_else_is_corruption(directory: str) -> None:
    payload = b'{"type":"KeyRange","key":"a","end":""}'
    header = len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big")
    Path(directory, "wal-0000000000000001.log").write_bytes(header + payload)
    with pytest.raises(WalCorruptedError, match="a record is a KeyRange"):
        open_log(disk.RealDisk(), directory)


def test_a_new_segment_begins_with_the_snapshot_it_builds_on(directory: str) -> None:
    log = open_log(disk.RealDisk(), directory)
    log.wal.append(BATCHES[0])
    log.wal.sync()
    Path(directory, "snapshot").touch()
    log.wal.roll("snapshot")
    log.wal.append(BATCHES[1])
    log.wal.sync()
    log.wal.close()
    assert segment(directory).name == "wal-0000000000000003.log"
    log = open_log(disk.RealDisk(), directory)
    log.wal.close()
    assert log.marker is not None
    assert (log.marker.index, log.marker.snapshot) == (2, "snapshot")
    assert log.entries == BATCHES[1]


def test_a_segment_that_a_crash_has_left_empty_goes_on_behind_the_one_before(
    directory: str,
) -> None:
    write_batches(directory)
    Path(directory, "wal-0000000000000005.log").touch()
    wal, entries = reopen(directory)
    assert entries == ENTRIES
    wal.append((Entry(5, Put("a", "2")),))
    wal.sync()
    wal.close()
    wal, entries = reopen(directory)
    wal.close()
    assert entries == (*ENTRIES, Entry(5, Put("a", "2")))


def test_a_broken_segment_that_is_not_the_newest_is_corruption(directory: str) -> None:
    write_batches(directory)
    with segment(directory).open("ab") as file:
        file.write(b"torn")
    Path(directory, "wal-0000000000000005.log").touch()
    with pytest.raises(WalCorruptedError, match="is broken"):
        open_log(disk.RealDisk(), directory)
