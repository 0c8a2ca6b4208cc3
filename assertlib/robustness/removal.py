"""
Removal of everything that a campaign created on this machine.

Everything removed carries a random name given by its campaign, so nothing is mistaken for a
leftover because of its appearance.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import netfilter, powercut, processes
from .cluster import HarnessError

SETTLED_AFTER = 0.5
"""Seconds without a new process after a campaign was killed, which may just have started one."""
DISKS_END_WITHIN = 5.0
"""Seconds within which a disk has to end by itself, as it does once its campaign is gone."""
_POLL = 0.02

Entry = Mapping[str, str]
"""One thing that a campaign has created: its *kind*, and the fields that identify it."""


class RemovalError(HarnessError):
    """A leftover cannot be removed; the message names it and the reason."""


@dataclass(slots=True)
class Removal:
    """
    The result of removing leftovers.

    Attributes:
        removed: Leftovers that were removed.
        failed: Leftovers that could not be removed, with the reasons.
    """

    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def remove(entries: Sequence[Entry], settle: float) -> Removal:
    """
    Remove everything listed in *entries* that still exists.

    Args:
        entries: The entries of a ledger.
        settle: Seconds without a new process after which the processes count as gone.
    """
    by_kind: dict[str, list[Entry]] = {"process": [], "disk": [], "rules": [], "directory": []}
    for entry in entries:
        by_kind[entry["kind"]].append(entry)
    disks = [entry["mark"] for entry in by_kind["disk"]]
    # Commands that are changing rules end before the rules are removed.
    others = [entry["mark"] for kind in ("process", "rules") for entry in by_kind[kind]]
    removal = Removal()
    # The first attempt may fail: a process that is blocked by a hanging disk survives SIGKILL until
    # the disk is gone.  The second attempt, after the disks, is the one that counts.
    _try(removal, *(partial(_kill, [mark]) for mark in others), partial(_settled, others, settle))
    removal.failed.clear()
    _try(removal, partial(_end_disks, disks), partial(_kill, others))
    _try(removal, *(partial(_unmount, entry) for entry in by_kind["disk"]))
    _try(removal, *(partial(_remove_rules, entry) for entry in by_kind["rules"]))
    # Data are moved only once nothing can write to them anymore.
    if not removal.failed:
        _try(removal, *(partial(_bring_home, entry) for entry in by_kind["directory"]))
    return removal


def _try(removal: Removal, *steps: Callable[[], list[str]]) -> None:
    """Run all *steps*, also after one has failed."""
    for step in steps:
        try:
            removal.removed += step()
        except (HarnessError, OSError) as error:
            removal.failed.append(str(error))


def _settled(marks: Collection[str], seconds: float) -> list[str]:
    """
    Kill processes that carry one of *marks* until no new one has appeared for *seconds*.

    A child that was between fork and exec when the campaign was killed gets its mark only later.
    """
    killed: list[str] = []
    deadline = time.monotonic() + seconds
    while marks and time.monotonic() < deadline:
        if found := _kill(marks):
            killed += found
            deadline = time.monotonic() + seconds
        time.sleep(_POLL)
    return killed


def _kill(marks: Collection[str]) -> list[str]:
    # Most marks have no process left, and killing takes several scans each.
    found = {mark: pids for mark in marks if (pids := processes.find(mark))}
    rest = sorted(pid for mark in found if not processes.kill(mark) for pid in processes.find(mark))
    if rest:
        raise RemovalError(f"{len(rest)} processes survived SIGKILL, including {rest[:5]}")
    return [f"process {pid}" for pids in found.values() for pid in sorted(pids)]


def _end_disks(marks: Collection[str]) -> list[str]:
    """Wait until disks have ended, as they do by themselves, and kill those that have not."""
    # A disk syncs everything when it ends; killing it loses what members had written.
    deadline = time.monotonic() + DISKS_END_WITHIN
    while any(map(processes.find, marks)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return _kill(marks)


def _unmount(entry: Entry) -> list[str]:
    mountpoint, backing = Path(entry["mountpoint"]), Path(entry["backing"])
    return [f"the mount at {mountpoint}"] if powercut.remove(mountpoint, backing) else []


def _remove_rules(entry: Entry) -> list[str]:
    return [f"the packet filter chain {chain}" for chain in netfilter.remove(entry["mark"])]


def _bring_home(entry: Entry) -> list[str]:
    place, home = Path(entry["place"]), Path(entry["home"])
    return [f"the directory {place}"] if bring_home(place, home) else []


def bring_home(place: Path, home: Path) -> bool:
    """
    Move the directory *place* to *home*, so that *home* is complete or does not exist.

    *place* is removed instead if *home* exists already, or if its parent directory is gone.

    Returns:
        Whether *place* existed.

    Raises:
        RemovalError: *place* cannot be moved or removed.
    """
    if not place.exists():
        return False
    try:
        if not home.exists() and home.parent.is_dir():
            _move(place, home)
        if place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise RemovalError(f"cannot move {place} to {home}: {error}") from None
    return True


def _move(place: Path, home: Path) -> None:
    # The temporary directory is often a file system of its own, where a rename is impossible.
    try:
        place.rename(home)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(place, home)


def _copy(place: Path, home: Path) -> None:
    # Copied beside *home* and renamed at the end, so a killed copy leaves no partial *home*.
    unfinished = home.with_name(f"{home.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    # Sockets and pipes hold no data, and copytree cannot copy them.
    shutil.copytree(place, unfinished, symlinks=True, ignore=_special_files)
    unfinished.rename(home)


def _special_files(directory: str, names: list[str]) -> set[str]:
    modes = {name: os.lstat(os.path.join(directory, name)).st_mode for name in names}
    copied = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return {name for name, mode in modes.items() if not any(each(mode) for each in copied)}
