"""
The files of a host are on its disk; one that gets past it fails the trial, since no power cut of
the world would touch it.
"""
# ruff: noqa: ASYNC240, SIM115

import asyncio
import contextvars
import dbm.dumb
import io
import mmap
import os
import shutil
import sqlite3
import sys
import tempfile
import types
from contextlib import suppress
from pathlib import Path

import pytest

from assertlib import lifecycle
from assertlib.disk import RealDisk

from .running import outcome_of, result_of

REMEDY = "writes a real file, which a simulated power cut does not affect"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory with a file, a second name and a directory in it; the working directory, too."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "directory").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_text() if path.is_file() else None
        for path in directory.rglob("*")
    }


def outcome_in_host(function):
    """The outcome of a trial in which a host calls *function* and swallows what it raises."""

    async def main(host):
        with suppress(Exception):
            function()

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        await asyncio.sleep(1)
        host.crash()

    return outcome_of(scenario)


def named(functions):
    """Functions of one line, each with its text as the name of the case."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    texts = [lines[each.__code__.co_firstlineno - 1].strip(" ,") for each in functions]
    return [
        pytest.param(each, id=text.removeprefix("lambda: "))
        for each, text in zip(functions, texts, strict=True)
    ]


WRITES = [
    lambda: open("new", "w").close(),
    lambda: open("file", "a").close(),
    lambda: open("file", "r+").close(),
    lambda: open("new", "xb").close(),
    lambda: os.open("new", os.O_WRONLY | os.O_CREAT),
    lambda: os.open("file", os.O_RDWR),
    lambda: os.open("file", os.O_RDONLY | os.O_TRUNC),
    lambda: os.open("new", os.O_RDONLY | os.O_CREAT),
    lambda: Path("new").write_text("new"),
    lambda: Path("new").touch(),
    lambda: Path("file").unlink(),
    lambda: Path("new/directory").mkdir(parents=True),
    lambda: os.makedirs("new/directory"),
    lambda: os.rename("file", "new"),
    lambda: os.replace("file", "new"),
    lambda: os.remove("file"),
    lambda: os.unlink("file"),
    lambda: os.rmdir("directory"),
    lambda: os.truncate("file", 1),
    lambda: shutil.copy("file", "new"),
    lambda: shutil.move("file", "new"),
    lambda: shutil.rmtree("directory"),
    lambda: tempfile.mkdtemp(dir=".", prefix="new"),
    lambda: dbm.dumb.open("new", "c"),
    lambda: RealDisk().open("new"),
    lambda: RealDisk().rename("file", "new"),
    lambda: RealDisk().make_directory("new"),
]


@pytest.mark.parametrize("function", named(WRITES))
def test_what_a_host_writes_is_on_its_disk_and_not_on_the_real_one(here, function):
    before = contents(here)
    changed = []

    async def main(host):
        os.mkdir("directory")
        Path("file").write_text("old")
        begun = listing(host.disk, here)
        function()
        changed.append(
            begun != listing(host.disk, here) or "r+" in str(function.__code__.co_consts)
        )

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        await host.ended()
        return True

    (here / "directory").rmdir()
    before.pop("directory")
    assert result_of(scenario)
    assert contents(here) == before
    assert changed == [True] or function.__code__.co_names[-1] in ("O_RDWR", "close")


def listing(disk, directory):
    """Names and contents on *disk* below *directory*."""
    found = {}
    for name in disk.list(str(directory)):
        path = f"{directory}/{name}"
        found[name] = listing(disk, path) if disk.is_directory(path) else disk.read(path)
    return found


REFUSED = [
    lambda: io.FileIO("new", "w").close(),
    lambda: os.link("file", "new"),
    lambda: os.symlink("file", "new"),
    lambda: sqlite3.connect("new"),
    lambda: sqlite3.connect("file:new?mode=rwc", uri=True),
]


@pytest.mark.parametrize("function", named(REFUSED))
def test_what_gets_past_the_disk_fails_the_trial_and_nothing_is_written(here, function):
    before = contents(here)
    (failure,) = outcome_in_host(function).failures
    assert failure.text.startswith(f"{__file__}:{function.__code__.co_firstlineno}: ")
    assert REMEDY in failure.text
    assert contents(here) == before


def test_a_file_of_the_disk_cannot_be_mapped(here):
    def mapped():
        mmap.mmap(os.open("mapped", os.O_RDWR | os.O_CREAT), 10)

    (failure,) = outcome_in_host(mapped).failures
    assert "maps a file of the simulated disk" in failure.text


def test_a_thread_of_the_loop_is_the_hosts(here):
    async def main(host):
        await asyncio.to_thread(Path("new").write_text, "new")
        return host.disk.read(str(here / "new"))

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        return await host.ended()

    assert result_of(scenario) == b"new"
    assert not Path("new").exists()


READS = [
    lambda: open(__file__).close(),
    lambda: Path(__file__).read_bytes(),
    lambda: os.close(os.open(__file__, os.O_RDONLY)),
    lambda: os.close(os.open("directory", os.O_RDONLY | os.O_DIRECTORY)),
    lambda: os.listdir("directory") == [] and os.stat("directory"),
    lambda: list(Path().rglob("*")),
    lambda: sqlite3.connect(":memory:").execute("create table t (x)"),
    lambda: sqlite3.connect("file:shared?mode=memory", uri=True).execute("create table t (x)"),
    lambda: open(os.devnull, "w").close(),
    lambda: os.close(os.open(os.devnull, os.O_WRONLY)),
    lambda: print("printed", flush=True),
]


@pytest.mark.parametrize("function", named(READS))
def test_a_host_may_read_what_is_installed_and_write_what_is_no_file(here, function):
    before = contents(here)

    async def main(host):
        function()

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        await host.ended()
        return True

    assert result_of(scenario)
    assert contents(here) == before


def test_a_scenario_may_write_outside_of_its_hosts(here):
    async def scenario(world):
        Path("new").write_text("report")
        os.replace("new", "newer")
        return Path("newer").read_text()

    assert result_of(scenario) == "report"


def test_blocks_of_a_host_that_are_thrown_away_write_nothing(here):
    async def main(host):
        try:
            await asyncio.Event().wait()
        finally:
            Path("new").write_text("new")

    async def scenario(world):
        world.host("store", main).boot()
        await asyncio.sleep(1)

    assert outcome_of(scenario).failures == []
    assert not Path("new").exists()


def test_logs_records_and_compiled_modules_are_not_the_stores(children):
    (children.directory / "lazy.py").write_text("VALUE = 7\n")

    def scenario():
        import logging
        import pathlib
        import sys

        from assertlib import always
        from assertlib.sim import Options, Tape, run_trial

        sys.dont_write_bytecode = False
        logger = logging.getLogger("store")
        logger.addHandler(logging.FileHandler("open.log"))
        logger.addHandler(logging.FileHandler("late.log", delay=True))

        async def main(host):
            import lazy

            logger.warning("it works")
            always(lazy.VALUE == 7, "the first hit opens the shard")

        async def trial(world):
            host = world.host("store", main)
            host.boot()
            await host.ended()

        outcome = run_trial(trial, Tape(1), Options(), name="trial")
        logs = [pathlib.Path(name).read_text() for name in ("open.log", "late.log")]
        return outcome.failures, logs, len(list(pathlib.Path("__pycache__").glob("lazy.*")))

    outcome = children.run(scenario, env={"PYTHONDONTWRITEBYTECODE": ""})
    assert outcome.value == ([], ["it works\n"] * 2, 1)
    assert any(shard.hits for shard in children.shards)


def test_permissions_and_times_of_installed_files_stay_as_they_are(here, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    before = os.stat("file")

    async def main(host):
        os.chmod("file", 0o600)
        os.utime("file")
        Path("file").touch()
        os.chown("file", 2, 2)

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        await host.ended()
        return True

    assert result_of(scenario)
    after = os.stat("file")
    assert (after.st_mode, after.st_mtime_ns, after.st_uid) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_uid,
    )


def test_code_in_a_context_of_its_own_is_still_the_hosts(here):
    async def main(host):
        contextvars.Context().run(Path("new").write_text, "new")
        return host.disk.read(str(here / "new"))

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        return await host.ended()

    assert result_of(scenario) == b"new"
    assert not Path("new").exists()


def test_functions_that_wrap_those_of_os_reach_the_disk_as_well(here):
    def wrapped(function):
        return lambda *args: function(*args)

    module = types.ModuleType("wrapping")
    module.listed, module.made = wrapped(os.listdir), wrapped(os.mkdir)
    sys.modules["wrapping"] = module

    async def main(host):
        module.made("new")
        return module.listed(".")

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        return await host.ended()

    try:
        assert result_of(scenario) == ["new"]
    finally:
        del sys.modules["wrapping"]
    assert not Path("new").exists()


def test_an_interrupted_trial_leaves_no_file_and_the_mode_as_it_was(here):
    async def main(host):
        try:
            await asyncio.sleep(100)
        finally:
            Path("new").write_text("new")

    async def interrupted(world):
        world.host("store", main).boot()
        await asyncio.sleep(1)
        raise KeyboardInterrupt

    mode = lifecycle.mode()
    with pytest.raises(KeyboardInterrupt):
        outcome_of(interrupted)
    assert not Path("new").exists()
    assert lifecycle.mode() == mode


REFUSED_FOR_ALL = [
    lambda: os.mkfifo("new"),
    lambda: os.mknod("new"),
    lambda: os.chdir("directory"),
    lambda: io.FileIO("file").read(),
    lambda: os.dup(os.open("new", os.O_RDWR | os.O_CREAT)),
]


@pytest.mark.parametrize("function", named(REFUSED_FOR_ALL))
def test_what_is_not_simulated_fails_the_trial(here, function):
    before = contents(here)
    failures = outcome_in_host(function).failures
    assert [each.name.split(":")[0] for each in failures] == ["NotSimulatedError"]
    assert contents(here) == before


def test_an_empty_directory_that_a_host_has_made_is_its_own(here, monkeypatch):
    # The directory that modules are imported from, as for most stores in development.
    monkeypatch.syspath_prepend(str(here))

    async def main(host):
        os.makedirs("data")
        return os.path.isdir("data"), os.listdir("data"), sorted(os.listdir("."))

    async def scenario(world):
        host = world.host("store", main)
        host.boot()
        return await host.ended()

    assert result_of(scenario) == (True, [], ["data"])
    assert not Path("data").exists()
