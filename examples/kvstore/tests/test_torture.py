"""A real server process under load, killed at random moments."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from kvstore.client import Client
from kvstore.store import Options
from kvstore.torture import ServerProcess, main, run_trial


@pytest.mark.parametrize("number", range(3))
def test_no_acknowledged_write_is_missing_after_kill_9(tmp_path: Path, number: int) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}, trial {number}")
    outcome = run_trial(os.fspath(tmp_path), seed)
    assert outcome.complaints == ()
    assert outcome.writes > 0


def test_the_torture_command_sums_up_its_trials(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "1", "--seed", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("seed 7: revision ")
    assert lines[-1].startswith("torture: 1 trials, ")
    assert lines[-1].endswith(" 0 failed")


def test_a_server_that_is_asked_to_stop_ends_with_status_0(tmp_path: Path) -> None:
    with ServerProcess(os.fspath(tmp_path), Options(), seed=1) as server:
        server.port()
        server.terminate()
        assert server.wait() == 0


def test_a_server_that_finds_a_damaged_log_says_so_and_does_not_start(tmp_path: Path) -> None:
    with ServerProcess(os.fspath(tmp_path), Options(), seed=1) as server:
        asyncio.run(put_twice(server.port()))
    log = Path(tmp_path, "wal-0000000000000001.log")
    log.write_bytes(b"?" + log.read_bytes()[1:])
    command = [sys.executable, "-m", "kvstore", "serve", os.fspath(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert "a record before the last is broken, at byte 0" in done.stderr


async def put_twice(port: int) -> None:
    client = await Client.connect(port)
    for value in "12":
        await client.put("a", value)
    await client.close()
