"""
Disks of a world, for tests.
"""

import pytest

from .playing import outcomes, play


def on_disk(steps, tape=None):
    """What *steps* returned, done on the disk of a host."""
    return play(as_scenario(steps), tape)


def over_tapes(steps):
    """What *steps* may return."""
    return outcomes(as_scenario(steps))


def as_scenario(steps):
    async def scenario(world):
        return steps(world.host("server").disk)

    return scenario


def named(disk, path):
    """A new file whose name is durable."""
    file = disk.open(path)
    disk.sync_directory("/")
    return file


def put(disk, path, data):
    """A file with a durable name and durable contents."""
    file = named(disk, path)
    file.append(data)
    file.sync()
    return file


def contents(disk):
    """All files, as something that can be put into a set."""
    return tuple((name, disk.read(f"/{name}")) for name in disk.list("/"))


def refused(code):
    return pytest.raises(OSError, check=lambda error: error.errno == code)
