"""
The real disk behind the small file protocol: what is written, what is synced.
"""

import os

import pytest

from assertlib.disk import RealDisk


@pytest.fixture
def disk():
    return RealDisk()


@pytest.fixture
def place(tmp_path):
    return str(tmp_path)


def at(place, name):
    return os.path.join(place, name)


def test_what_is_appended_is_written_and_can_be_read(disk, place):
    file = disk.open(at(place, "log"))
    file.append(b"one")
    file.append(memoryview(b"two"))
    file.append(b"")
    assert file.written == 6
    assert disk.read(at(place, "log")) == b"onetwo"
    file.close()


def test_only_a_sync_moves_what_is_synced(disk, place):
    file = disk.open(at(place, "log"))
    assert (file.written, file.synced) == (0, 0)
    file.append(b"12345")
    assert (file.written, file.synced) == (5, 0)
    file.sync()
    assert (file.written, file.synced) == (5, 5)
    file.append(b"6")
    assert (file.written, file.synced) == (6, 5)
    file.close()


def test_what_is_appended_during_a_sync_is_not_taken_for_synced(disk, place, monkeypatch):
    file = disk.open(at(place, "log"))
    file.append(b"before")
    fsync = os.fsync

    def slow(descriptor):
        fsync(descriptor)
        file.append(b"meanwhile")

    monkeypatch.setattr(os, "fsync", slow)
    file.sync()
    assert (file.written, file.synced) == (15, 6)
    file.close()


def test_a_failed_sync_promises_nothing(disk, place, monkeypatch):
    file = disk.open(at(place, "log"))
    file.append(b"data")

    def broken(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    assert file.synced == 0
    file.close()


def test_a_short_write_goes_on_until_everything_is_written(disk, place, monkeypatch):
    file = disk.open(at(place, "log"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    file.append(b"0123456789")
    assert file.written == 10
    assert disk.read(at(place, "log")) == b"0123456789"
    file.close()


def test_a_write_that_fails_halfway_counts_what_was_written(disk, place, monkeypatch):
    file = disk.open(at(place, "log"))
    write, calls = os.write, []

    def full_after_three(fd, data):
        if calls:
            raise OSError(28, "No space left on device")
        calls.append(1)
        return write(fd, data[:3])

    monkeypatch.setattr(os, "write", full_after_three)
    with pytest.raises(OSError, match="No space"):
        file.append(b"0123456789")
    assert file.written == 3
    file.close()


def test_a_file_that_is_opened_again_is_appended_to_and_promises_nothing(disk, place):
    first = disk.open(at(place, "log"))
    first.append(b"one")
    first.close()
    second = disk.open(at(place, "log"))
    assert (second.written, second.synced) == (3, 0)
    second.append(b"two")
    second.sync()
    assert (second.written, second.synced) == (6, 6)
    second.close()
    assert disk.read(at(place, "log")) == b"onetwo"


def test_a_truncated_file_is_shorter_in_every_account(disk, place):
    file = disk.open(at(place, "log"))
    file.append(b"0123456789")
    file.sync()
    file.truncate(4)
    assert (file.written, file.synced) == (4, 4)
    file.append(b"ab")
    assert (file.written, file.synced) == (6, 4)
    file.close()
    assert disk.read(at(place, "log")) == b"0123ab"


def test_a_closed_file_is_refused(disk, place):
    file = disk.open(at(place, "log"))
    file.close()
    with pytest.raises(OSError, match="descriptor"):
        file.append(b"late")


def test_names_are_listed_in_order(disk, place):
    for name in ("b", "a", "c"):
        disk.open(at(place, name)).close()
    disk.make_directory(at(place, "d/e"))
    disk.make_directory(at(place, "d/e"))
    assert disk.list(place) == ["a", "b", "c", "d"]
    assert disk.exists(at(place, "d"))
    assert not disk.exists(at(place, "x"))


def test_reading_what_is_not_there_is_an_error(disk, place):
    with pytest.raises(FileNotFoundError):
        disk.read(at(place, "nowhere"))


def test_a_rename_replaces_its_target(disk, place):
    for name, data in (("new", b"new"), ("old", b"old")):
        file = disk.open(at(place, name))
        file.append(data)
        file.close()
    disk.rename(at(place, "new"), at(place, "old"))
    assert disk.list(place) == ["old"]
    assert disk.read(at(place, "old")) == b"new"


def test_a_removed_file_is_gone(disk, place):
    disk.open(at(place, "log")).close()
    disk.remove(at(place, "log"))
    assert disk.list(place) == []


# -- names that are not durable yet --------------------------------------------------


def test_created_renamed_and_removed_names_are_unsynced_until_the_directory_is_synced(disk, place):
    disk.open(at(place, "log")).close()
    assert disk.unsynced_names(place) == {"log"}
    disk.sync_directory(place)
    assert disk.unsynced_names(place) == set()
    disk.rename(at(place, "log"), at(place, "log.old"))
    assert disk.unsynced_names(place) == {"log", "log.old"}
    disk.sync_directory(place)
    disk.remove(at(place, "log.old"))
    assert disk.unsynced_names(place) == {"log.old"}


def test_opening_a_file_that_is_there_makes_no_name(disk, place):
    disk.open(at(place, "log")).close()
    disk.sync_directory(place)
    disk.open(at(place, "log")).close()
    assert disk.unsynced_names(place) == set()


def test_a_file_that_could_not_be_made_makes_no_name(disk, place):
    with pytest.raises(OSError, match="not there"):
        disk.open(at(place, "not there/log"))
    assert disk.unsynced_names(at(place, "not there")) == set()


def test_a_directory_that_is_made_is_a_name_in_its_parent(disk, place):
    disk.make_directory(at(place, "data"))
    assert disk.unsynced_names(place) == {"data"}
    disk.sync_directory(place)
    disk.make_directory(at(place, "data"))
    assert disk.unsynced_names(place) == set()


def test_a_name_made_while_its_directory_is_synced_stays_unsynced(disk, place, monkeypatch):
    disk.open(at(place, "early")).close()
    fsync = os.fsync

    def slow(descriptor):
        fsync(descriptor)
        disk.open(at(place, "meanwhile")).close()

    monkeypatch.setattr(os, "fsync", slow)
    disk.sync_directory(place)
    assert disk.unsynced_names(place) == {"meanwhile"}


def test_a_directory_whose_sync_failed_stays_unsynced(disk, place, monkeypatch):
    disk.open(at(place, "log")).close()

    def broken(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        disk.sync_directory(place)
    assert disk.unsynced_names(place) == {"log"}


@pytest.mark.parametrize("spelling", ["{}/", "{}/.", "{}//"])
def test_a_directory_is_the_same_however_it_is_spelled(disk, place, spelling):
    disk.open(at(place, "log")).close()
    other = spelling.format(place)
    assert disk.unsynced_names(other) == {"log"}
    disk.sync_directory(other)
    assert disk.unsynced_names(place) == set()


def test_the_current_directory_has_several_names(disk, place, monkeypatch):
    monkeypatch.chdir(place)
    disk.open("log").close()
    assert disk.unsynced_names(".") == {"log"}
    disk.sync_directory(".")
    assert disk.unsynced_names(place) == set()


def test_reads_and_writes_at_an_offset_go_there_and_appends_to_the_end(disk, place):
    file = disk.open(at(place, "log"))
    file.append(b"0123456789")
    file.write_at(3, b"xyz")
    file.append(b"end")
    file.write_at(15, b"far")
    assert disk.read(at(place, "log")) == b"012xyz6789end\0\0far"
    assert file.read_at(2, 3) == b"2xy"
    assert file.read_at(16, 100) == b"ar"
    assert file.read_at(100, 1) == b""
    assert file.written == 18
    file.close()


def test_a_write_at_an_offset_makes_what_is_behind_it_unsynced(disk, place):
    file = disk.open(at(place, "log"))
    file.append(b"0123456789")
    file.sync()
    file.write_at(3, b"x")
    assert (file.written, file.synced) == (10, 3)
    file.sync()
    assert file.synced == 10
    file.close()


def test_a_write_at_an_offset_follows_a_file_that_was_renamed(disk, place):
    file = disk.open(at(place, "log"))
    file.append(b"0123456789")
    disk.rename(at(place, "log"), at(place, "old"))
    other = disk.open(at(place, "log"))
    file.write_at(0, b"x")
    assert disk.read(at(place, "old")) == b"x123456789"
    assert disk.read(at(place, "log")) == b""
    file.close()
    other.close()
