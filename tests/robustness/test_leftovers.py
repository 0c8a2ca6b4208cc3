"""
What a campaign has on the machine is gone after it, however it and its helpers were killed.

Over 500 lines, since all tests share the campaign that is killed and what looks for leftovers.
"""

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from assertlib.robustness import leftovers, netfilter, powercut, processes
from assertlib.robustness.cluster import HarnessError
from assertlib.robustness.leftovers import Ledger, LedgerError, sweep
from assertlib.robustness.removal import bring_home

from .. import support
from ..support import child_environment, heed_hangups
from .campaigns import command, robustness

SEED = int(os.environ.get("TEST_SEED") or secrets.randbelow(1 << 32))
KILLS = int(os.environ.get("TEST_KILLS") or 3)

# Answers come from the adapter: what matters here is what stands around the members.
ADAPTER = """
from assertlib.history.requests import Done, Get, Put, Swap, Swapped, Value
from assertlib.robustness.adapter import Connection, Store

class Idle(Store):
    name, model, profile = "idle", "kv", "registers"

    def command(self, member, members):
        return ["sh", "-c", 'echo up >"$0"; sleep 600 & wait', str(member.data / "file")]

    async def connect(self, member):
        return Values()

class Values(Connection):
    values = {}

    async def do(self, request):
        match request:
            case Get(key):
                return Value(self.values.get(key))
            case Put(key, value):
                self.values[key] = value
                return Done()
            case Swap(key, expected, value):
                is_expected = self.values.get(key) == expected
                if is_expected:
                    self.values[key] = value
                return Swapped(is_expected)

STORE = Idle()
"""
CAMPAIGN = ("run", "adapter", "--nodes", "2", "--faults", "kill,isolate,power-cut")
DIRECTORY = f"assertlib-campaigns-{os.geteuid()}"

works = pytest.mark.skipif(
    None not in (netfilter.unavailable(), powercut.unavailable()),
    reason=f"{netfilter.unavailable()}; {powercut.unavailable()}",
)


def why_no_pid_namespace():
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True
    )
    return done.stderr.strip() if done.returncode else None


in_pid_namespaces = pytest.mark.skipif(
    shutil.which("unshare") is None or why_no_pid_namespace() is not None,
    reason="pid namespaces are not permitted here",
)


class Place:
    """A project and a TMPDIR of its own, by which all that belongs to its campaigns is known."""

    def __init__(self, path):
        self.path = path
        self.tmp = path / "tmp"
        self.tmp.mkdir()
        self.chains = set()
        (path / "adapter.py").write_text(ADAPTER)

    def start(self, *arguments, before=(), seconds=60):
        return subprocess.Popen(
            [*before, *command(*CAMPAIGN, "--for", f"{seconds}s", *arguments)],
            cwd=self.path,
            env=child_environment(TMPDIR=str(self.tmp)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_hangups,
        )

    def run_another(self):
        """A short campaign after those that were killed."""
        done = subprocess.run(
            command("run", "adapter", "--faults", "none", "--for", "1s"),
            cwd=self.path,
            env=child_environment(TMPDIR=str(self.tmp)),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def ledgers(self):
        return sorted(self.tmp.glob(f"{DIRECTORY}/*.campaign"))

    def entries(self):
        """What is listed now; chains are kept for `left`."""
        lines = [line for path in self.ledgers() for line in path.read_text().splitlines()]
        found = [json.loads(line) for line in lines]
        self.chains |= {each["mark"] for each in found if each.get("kind") == "rules"}
        return found

    def marks(self, kind):
        return {each["mark"] for each in self.entries() if each.get("kind") == kind}

    def members(self):
        """The marks of those that live; faults give them new processes."""
        return {mark for mark in self.marks("process") if processes.find(mark)}

    def is_running(self):
        return len(self.members()) == 2

    def disks(self):
        """The processes of the disks."""
        return sorted(pid for mark in self.marks("disk") for pid in processes.find(mark))

    def guards(self):
        """The processes of the guards."""
        return [pid for pid, words in self.processes() if leftovers.__name__ in words]

    def sweep(self):
        """What a campaign does first that has our TMPDIR."""
        script = "from assertlib.robustness.leftovers import sweep; print(*sweep(), sep='\\n')"
        return subprocess.run(
            [sys.executable, "-c", script],
            env=child_environment(TMPDIR=str(self.tmp)),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def processes(self):
        """All that live and have our TMPDIR, with their command lines."""
        ours = f"TMPDIR={self.tmp}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if ours in (path / "environ").read_bytes().split(b"\0"):
                    words = (path / "cmdline").read_bytes().decode().split("\0")
                    yield int(path.name), words
            except OSError:
                pass

    def left(self):
        """All that is there."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *self.processes(),
            *(line for line in mounts if str(self.path) in line),
            *(rule for rule in rules() if any(name in rule for name in self.chains)),
            *(str(path) for path in self.tmp.iterdir() if path.name != DIRECTORY),
            *map(str, self.ledgers()),
        ]


def rules():
    if netfilter.unavailable() is not None:
        return []
    listing = ["iptables", "--wait", "--table", "mangle", "--list-rules"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()


def until(holds):
    """Wait, also on a machine that is busy with other campaigns."""
    support.until(holds, within=60)


def wait(harness, holds):
    """Wait for a state of a campaign that runs."""
    until(lambda: holds() or harness.poll() is not None)
    assert harness.poll() is None, harness.communicate()[1]


@contextmanager
def new_place():
    # Members are users of their own, who are not let into pytest's directories.
    path = Path(tempfile.mkdtemp(prefix="test-leftovers-"))
    path.chmod(0o755)
    place = Place(path)
    try:
        yield place
    finally:
        for pid, _ in place.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        place.sweep()
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def place():
    with new_place() as found:
        yield found


def at_once(act, plans):
    """Each plan in a thread of its own."""
    with ThreadPoolExecutor(len(plans)) as pool:
        list(pool.map(act, plans))


def kill_at_once(*pids):
    """Nobody can react to the end of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


# -- however it ends --------------------------------------------------------------------------


@works
def test_nothing_is_left_wherever_a_campaign_is_killed():
    rng = random.Random(SEED)
    print(f"TEST_SEED={SEED}")
    plans = [(number % 3, number % 2, rng.uniform(0, 2)) for number in range(KILLS)]

    def kill(plan):
        who, is_late, after = plan
        with new_place() as place:
            harness = place.start()
            wait(harness, place.is_running if is_late else place.ledgers)
            time.sleep(after)
            os.kill(harness.pid, signal.SIGSTOP)
            entries = place.entries()
            others = ([], place.disks(), place.guards())[who]
            print(f"killed after {after:.3f} s, with {others}: {len(entries)} entries")
            kill_at_once(harness.pid, *others)
            # The guard has stderr, too: this is when it has ended.
            _, errors = harness.communicate(timeout=60)
            assert "cannot remove" not in errors
            if who == 2:
                assert place.ledgers()
                print(place.sweep())
            until(lambda: not place.left())

    at_once(kill, plans)


@pytest.mark.long
@works
def test_nothing_is_left_when_a_signal_has_ended_a_campaign():
    rng = random.Random(SEED)
    print(f"TEST_SEED={SEED}")

    def end(plan):
        number, after = plan
        with new_place() as place:
            harness = place.start()
            wait(harness, place.ledgers)
            time.sleep(after)
            place.entries()
            harness.send_signal(number)
            _, errors = harness.communicate(timeout=60)
            assert harness.returncode == 128 + number, errors
            assert place.left() == []

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    at_once(end, [(number, rng.uniform(0, 2)) for number in numbers])


@pytest.mark.long
@works
def test_the_next_campaign_removes_what_is_left_when_the_guard_was_killed_too(place):
    harness = place.start()
    wait(harness, place.is_running)
    kill_at_once(harness.pid, *place.guards())
    harness.communicate()
    assert place.members()
    assert place.ledgers()
    told = place.run_another()
    assert f"removed leftovers of the campaign in {place.path}/.assertlib/runs/" in told
    assert "which was killed: process " in told
    if place.chains:
        assert f"the packet filter chain {min(place.chains)}-out" in told
        assert f"the directory {place.tmp}/assertlib-data-" in told
    assert place.left() == []
    # What members had is kept where it always is.
    assert list(place.path.glob(".assertlib/runs/*/campaign/data/m1.synced/file"))


@works
def test_a_campaign_whose_guard_was_killed_ends_and_names_it(place):
    harness = place.start()
    wait(harness, place.is_running)
    (guard,) = place.guards()
    os.kill(guard, signal.SIGKILL)
    _, errors = harness.communicate(timeout=60)
    assert harness.returncode == 3, errors
    assert f"this campaign's guard vanished: process {guard}" in errors
    assert place.left() == []


def test_members_end_when_the_campaign_is_killed_just_after_they_were_started(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, subprocess, sys
        from pathlib import Path
        from assertlib.robustness import processes
        from assertlib.robustness.leftovers import Ledger
        ledger = Ledger(Path("here"))
        ledger.start()
        ledger.add_processes(["m1-here"])
        environment = {**os.environ, processes.MARK: "m1-here"}
        subprocess.Popen(["setsid", "sleep", "600"], env=environment)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = child_environment(TMPDIR=str(tmp_path))
    harness = subprocess.run([sys.executable, "-c", script], env=environment)
    assert harness.returncode == -signal.SIGKILL
    until(lambda: not list(tmp_path.glob("*/*.campaign")))
    assert processes.find("m1-here") == set()


# -- pid namespaces ---------------------------------------------------------------------------


@pytest.mark.long
@works
@in_pid_namespaces
def test_what_a_campaign_in_a_killed_pid_namespace_left_is_removed_and_a_live_one_keeps_all(place):
    namespace = ["unshare", "--pid", "--fork", "--mount-proc"]
    # These faults kill no member.
    live = place.start("--faults", "pause,isolate", before=namespace)
    wait(live, place.is_running)
    members, chains = place.members(), set(place.chains)
    doomed = place.start(before=[*namespace, "--kill-child"])
    until(lambda: len(place.members()) == 2 * len(members))
    doomed.kill()
    doomed.communicate()
    # All processes of the namespace end with its first, the guard included.
    until(lambda: place.members() == members)
    assert place.sweep().count("removed leftovers") == (1 if chains else 0)
    assert place.members() == members
    assert {name for name in place.chains if any(name in rule for rule in rules())} == chains
    assert len(place.ledgers()) == 1
    ((harness, _),) = [each for each in place.processes() if "robustness" in each[1][2:3]]
    os.kill(harness, signal.SIGINT)
    _, errors = live.communicate(timeout=60)
    assert "interrupted by SIGINT; judging partial results" in errors
    assert "the harness failed" not in errors
    assert place.left() == []


@in_pid_namespaces
def test_where_proc_shows_another_pid_namespace_a_campaign_does_not_start(place):
    refused = place.start(before=["unshare", "--pid", "--fork"])
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "remount it, for example with `unshare --pid --fork --mount-proc`" in errors
    assert place.left() == []


@in_pid_namespaces
def test_a_process_with_the_number_of_one_that_is_gone_gets_no_signal():
    script = textwrap.dedent(
        """
        import signal, subprocess, sys, time
        from assertlib.robustness import processes

        def start():
            return subprocess.Popen(["sleep", "600"])

        old = start()
        (identity,) = processes.descendants(1)
        processes.send(identity, signal.SIGKILL)
        assert old.wait() == -signal.SIGKILL
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                file.write(str(old.pid - 1))
        except OSError as error:
            sys.exit(f"skip: {error}")
        # Starts are counted in ticks of 10 ms.
        time.sleep(0.05)
        new = start()
        assert new.pid == old.pid
        processes.send(identity, signal.SIGKILL)
        try:
            print(new.wait(0.5))
        except subprocess.TimeoutExpired:
            print("alive")
        """
    )
    before = ["unshare", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(
        [*before, sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    if done.stderr.startswith("skip"):
        pytest.skip(done.stderr)
    assert done.stdout == "alive\n", done.stderr


def test_a_process_that_started_at_another_time_gets_no_signal():
    with subprocess.Popen(["sleep", "600"]) as process:
        (found,) = (each for each in processes.descendants(os.getpid()) if each.pid == process.pid)
        processes.send(found._replace(started=found.started - 1), signal.SIGKILL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        processes.send(found, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


# -- ledgers ----------------------------------------------------------------------------------


@pytest.fixture
def ledgers(tmp_path, monkeypatch):
    """Where ledgers of this test lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = tmp_path / DIRECTORY
    directory.mkdir(mode=0o700)
    return directory


def dead(ledgers, *records, **header):
    """The ledger of a campaign that nobody has."""
    path = ledgers / "0123.campaign"
    lines = [{"campaign": "/there", **header}, *records]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_a_ledger_is_gone_after_its_campaign_and_lists_all_before(ledgers, tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.check()
        ledger.add_processes(["a", "b"])
        ledger.add_directory(tmp_path / "place", tmp_path / "home")
        (path,) = ledgers.iterdir()
        header, *entries = map(json.loads, path.read_text().splitlines())
        assert header["campaign"] == str(tmp_path)
        assert [entry["kind"] for entry in entries] == ["process", "process", "directory"]
        assert sweep() == []
        assert path.exists()
    assert list(ledgers.iterdir()) == []
    ledger.stop()


def test_what_was_not_written_as_a_whole_was_never_made(ledgers):
    path = dead(ledgers)
    path.write_text(path.read_text() + '{"kind": "pro')
    assert sweep() == []
    assert not path.exists()
    path.touch()
    assert sweep() == []
    assert not path.exists()


@pytest.mark.parametrize(
    "line", ["no JSON", "[]", '{"kind": "lie"}', '{"kind": [], "mark": "x"}', '{"kind": "disk"}']
)
def test_a_line_that_cannot_be_read_is_named_and_nothing_is_removed(ledgers, line):
    path = dead(ledgers)
    path.write_text(path.read_text() + line + "\n")
    (told,) = sweep()
    assert told.startswith(f"{path}:2: not a ledger entry")
    assert path.exists()


def test_a_ledger_is_kept_while_others_live_where_its_disks_or_rules_may_be(ledgers):
    here = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "net")}
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    before = ["unshare", "--user", "--map-root-user", "--mount"]
    with subprocess.Popen([*before, "cat"], stdin=subprocess.PIPE) as other:
        try:
            until(lambda: _mounts_of(other.pid) != here["mnt"] or other.poll() is not None)
            if other.poll() is not None:
                pytest.skip("mount namespaces are not permitted here")
            path = dead(ledgers, boot=boot, **{**here, "mnt": _mounts_of(other.pid)})
            assert sweep() == []
            assert path.exists()
        finally:
            other.kill()
    assert sweep() == []
    assert not path.exists()


def _mounts_of(pid):
    return os.readlink(f"/proc/{pid}/ns/mnt")


def test_what_cannot_be_removed_is_reported_and_tried_again(ledgers, tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    path = dead(ledgers, {"kind": "directory", "place": str(place), "home": str(tmp_path / "home")})

    def fail(*_):
        raise PermissionError(13, "Permission denied", str(place))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        (told,) = sweep()
    assert told.startswith("cannot remove leftovers of the campaign in /there, which was killed: ")
    assert "Permission denied" in told
    assert path.exists()
    assert sweep() == [
        f"removed leftovers of the campaign in /there, which was killed: the directory {place}"
    ]
    assert (tmp_path / "home").is_dir()


def test_a_campaign_that_leaves_something_behind_fails(ledgers, tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.start()
    ledger.add_processes(["m1"])
    with monkeypatch.context() as patch:
        patch.setattr(processes, "kill", lambda mark: False)
        patch.setattr(processes, "find", lambda mark: {4711})
        with pytest.raises(
            LedgerError, match="left something behind: 1 processes survived SIGKILL"
        ):
            ledger.stop()
    # The guard has tried again, and there is nothing.
    until(lambda: not list(ledgers.iterdir()))


def test_a_kernel_without_pidfd_open_is_named(ledgers, monkeypatch):
    def missing(_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    with pytest.raises(HarnessError, match=r"pidfd_open: Function not implemented; .* Linux 5\.3"):
        sweep()


def test_a_ledger_that_is_a_link_is_not_followed(ledgers, tmp_path):
    (tmp_path / "file").touch()
    (ledgers / "link.campaign").symlink_to(tmp_path / "file")
    (told,) = sweep()
    assert told.startswith(f"cannot open {ledgers}/link.campaign: ")
    assert (tmp_path / "file").exists()


def test_a_directory_that_others_can_write_to_is_turned_down(ledgers):
    ledgers.chmod(0o777)
    for use in (sweep, Ledger(Path("here")).start):
        with pytest.raises(HarnessError, match=f"other users can write to {ledgers}: remove it"):
            use()


def test_a_place_without_a_directory_for_ledgers_is_named(tmp_path):
    (tmp_path / DIRECTORY).touch()
    (tmp_path / "adapter.py").write_text(ADAPTER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path))
        done = robustness(tmp_path, "run", "adapter", "--for", "1s")
    assert done.returncode == 2
    assert (
        f"cannot create the directory {tmp_path / DIRECTORY}: File exists; set TMPDIR"
        in done.stderr
    )


@pytest.mark.parametrize("is_copied", [False, True])
def test_data_are_brought_home_as_a_whole(tmp_path, monkeypatch, is_copied):
    place, home = tmp_path / "place", tmp_path / "home"
    (place / "m1").mkdir(parents=True)
    (place / "m1" / "file").write_text("x")
    os.mkfifo(place / "m1" / "pipe")
    rename = Path.rename

    def across_devices(path, target):
        if path == place:
            raise OSError(18, "Invalid cross-device link")
        return rename(path, target)

    if is_copied:
        # What a copy that was killed has left.
        home.with_name("home.unfinished").mkdir()
        monkeypatch.setattr(Path, "rename", across_devices)
    assert bring_home(place, home)
    assert (home / "m1" / "file").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert not bring_home(place, home)


def test_data_are_removed_that_were_copied_before_or_have_no_home(tmp_path):
    for home in (tmp_path / "home", tmp_path / "gone" / "home"):
        place = tmp_path / "place"
        place.mkdir()
        (tmp_path / "home").mkdir(exist_ok=True)
        assert bring_home(place, home)
        assert [path.name for path in tmp_path.iterdir()] == ["home"]
