"""
``assertlib sim`` on a small store: what it finds, what replays it, and what it says.
"""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assertlib.evidence.gather import read_evidence

from .. import zygote
from ..support import child_environment

PROJECT = """
[tool.assertlib.targets.store]
source = ["bank.py"]
catalog = ["catalog"]
scenario = "bank:scenario"
"""
CATALOG = """
schema = 1

[total]
title = "Money is neither made nor lost"
kind = "safety"
status = "active"
statement = "The sum of all accounts stays."
why = "It is a bank."
debug = "Look for a read, a pause, and a write."
expects = ["always"]
assumes = ["disk-honest"]
owners = ["bank"]
[[total.source]]
ref = "common sense"
"""
BANK = """
import asyncio
from assertlib import Invariant, sometimes

TOTAL = Invariant("bank.total")
CAREFUL = True

async def transfer(accounts, lock, amount):
    async with lock if CAREFUL else asyncio.Semaphore(9):
        have = accounts["a"]
        await asyncio.sleep(0)
        accounts["a"] = have - amount
        accounts["b"] += amount

async def scenario(world):
    accounts, lock = {"a": 100, "b": 0}, asyncio.Lock()
    host = world.host("bank")
    host.boot()
    amounts = [world.tape.choose(50) for _ in range(3)]
    await asyncio.gather(*(host.run(transfer(accounts, lock, each)) for each in amounts))
    TOTAL.always(sum(accounts.values()) == 100, "the sum stays", {"accounts": accounts})
    sometimes(accounts["a"] < 0, "an account is overdrawn")
    sometimes(accounts["b"] > 1000, "somebody is rich")
"""


@pytest.fixture
def bank(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "bank.toml").write_text(CATALOG)
    (tmp_path / "bank.py").write_text(BANK)
    return tmp_path


def careless(bank):
    (bank / "bank.py").write_text(BANK.replace("CAREFUL = True", "CAREFUL = False"))


def sim(directory, *arguments):
    return zygote.run(
        [zygote.ASSERTLIB, "sim", *map(str, arguments)],
        cwd=directory,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def runs(directory):
    return sorted((directory / ".assertlib" / "runs").iterdir())


def trials(*paths):
    return sorted(name for _, name in read_evidence(list(paths)).trials())


def tokens(done):
    return re.findall(r"assertlib sim replay (\S+)", done.stdout)


def test_a_store_that_does_nothing_wrong_passes(bank):
    done = sim(bank, "explore", "--seeds", "30")
    assert done.returncode == 0, done.stderr
    assert "30 random trials of bank:scenario" in done.stdout
    assert "sometimes 1 of 2" in done.stdout
    assert 'never true: "somebody is rich"' in done.stdout
    assert "new: an account is overdrawn" in done.stderr


def test_a_race_is_found_and_its_token_replays_it_and_the_whole_trial(bank):
    careless(bank)
    done = sim(bank, "explore", "--seeds", "50", "--exitfirst")
    assert done.returncode == 1, done.stderr
    assert "VIOLATED  bank.total" in done.stdout
    (token,) = set(tokens(done))
    for arguments in ((token,), (token, "--whole")):
        again = sim(bank, "replay", *arguments)
        assert again.returncode == 1, again.stderr
        assert "failed after" in again.stdout
        assert "reproduced: the sum stays" in again.stdout
        assert again.stderr == ""


def test_a_shrunk_tape_needs_the_race_and_nothing_else(bank):
    careless(bank)
    done = sim(bank, "explore", "--seeds", "50", "--exitfirst")
    (tape,) = [
        data
        for path in (runs(bank)[0] / "sim").glob("*.json")
        if (data := json.loads(path.read_text()))["shows"] == "the sum stays"
    ]
    # Two transfers, one of which is of more than nothing, and some of the scheduling.
    assert len(tape["choices"]) < 30, done.stdout


def test_the_same_seed_is_the_same_trial_each_time(bank):
    logs = {sim(bank, "replay", "bank:scenario@7").stdout.rsplit(maxsplit=1)[1] for _ in range(3)}
    assert len(logs) == 1
    assert logs != {sim(bank, "replay", "bank:scenario@8").stdout.rsplit(maxsplit=1)[1]}


def test_a_trace_tells_who_ran_and_what_was_asserted(bank):
    done = sim(bank, "replay", "bank:scenario@7", "--trace")
    assert "run task-" in done.stdout
    assert "transfer" in done.stdout
    assert "* always 'the sum stays' is True" in done.stdout


def test_a_witness_shows_how_a_state_comes_about(bank):
    sim(bank, "explore", "--seeds", "30")
    done = sim(bank, "replay", "--assertion", "an account is overdrawn")
    assert done.returncode == 0, done.stderr
    assert "reached: an account is overdrawn" in done.stdout


def test_a_witness_that_no_longer_shows_it_is_stale(bank):
    sim(bank, "explore", "--seeds", "30")
    source = (bank / "bank.py").read_text()
    (bank / "bank.py").write_text(source.replace('accounts["a"] < 0', 'accounts["a"] < -900'))
    done = sim(bank, "replay", "--assertion", "an account is overdrawn")
    assert done.returncode == 1
    assert "STALE" in done.stdout
    assert "changed since it was recorded: source was" in done.stderr


def test_parts_together_run_every_seed_once(bank):
    for part in ("1/3", "2/3", "3/3"):
        assert sim(bank, "explore", "--seeds", "20", "--shard", part).returncode == 0
    assert trials(*runs(bank)) == sorted(f"seed {seed}" for seed in range(20))


def test_two_jobs_run_every_seed_once(bank):
    assert sim(bank, "explore", "--seeds", "40", "--jobs", "2").returncode == 0
    assert trials(*runs(bank)) == sorted(f"seed {seed}" for seed in range(40))


def test_a_guided_search_gives_no_rates(bank):
    done = sim(bank, "explore", "--seeds", "60", "--guided")
    assert done.returncode == 0, done.stderr
    assert "random trial" not in done.stdout
    assert "rate" not in done.stdout


def test_a_guided_search_finds_the_race_too(bank):
    careless(bank)
    done = sim(bank, "explore", "--seeds", "100", "--guided", "-x")
    assert done.returncode == 1


@pytest.mark.long
def test_the_token_of_what_a_guided_search_found_replays_it_and_the_whole_trial(bank):
    # It takes a state that comes up late, after the search has begun to follow tapes.
    rare = BANK.replace("TOTAL.always(sum", "TOTAL.always(amounts[0] != 23 or sum")
    (bank / "bank.py").write_text(rare.replace("CAREFUL = True", "CAREFUL = False"))
    for first in range(0, 20_000, 1000):
        done = sim(bank, "explore", "--seeds", "1000", "--first", str(first), "--guided", "-x")
        if done.returncode == 1 and "in trial 'guided " in done.stderr:
            break
    else:
        pytest.fail("it was always found by a random trial; make it rarer")
    (token,) = set(tokens(done))
    for arguments in ((token,), (token, "--whole")):
        again = sim(bank, "replay", *arguments)
        assert again.returncode == 1
        assert "reproduced: the sum stays" in again.stdout


def test_a_violation_that_the_invariant_assumes_away_is_out_of_model(bank):
    careless(bank)
    source = (bank / "bank.py").read_text()
    source = source.replace(
        "    amounts", '    world.injected("bit-rot", ("disk-honest",))\n    amounts'
    )
    (bank / "bank.py").write_text(source)
    done = sim(bank, "explore", "--seeds", "50")
    assert done.returncode == 0, done.stdout
    assert "OUT OF MODEL bank.total" in done.stdout
    replayed = [sim(bank, "replay", f"bank:scenario@{seed}") for seed in range(4)]
    assert any("out of model after" in each.stdout for each in replayed)
    assert [each.returncode for each in replayed] == [0] * 4


ERROR = 'scenario(world):\n    raise ValueError("no such bank")'


def test_an_error_of_the_scenario_is_a_failure_with_a_token(bank):
    (bank / "bank.py").write_text(BANK.replace("scenario(world):", ERROR))
    done = sim(bank, "explore", "--seeds", "5")
    assert done.returncode == 1
    assert (
        "FAILED in 5 of 5 trials (first: trial 1): ValueError in scenario: no such bank"
        in done.stdout
    )
    assert "no such bank" in sim(bank, "replay", tokens(done)[0]).stdout


def test_a_worker_that_is_lost_costs_no_seed(bank):
    dying = (
        "scenario(world):\n"
        "    import os\n"
        "    if world.tape.choose(10) == 3 and not os.path.exists('died'):\n"
        "        open('died', 'w').close()\n"
        "        os._exit(7)"
    )
    (bank / "bank.py").write_text(BANK.replace("scenario(world):", dying))
    done = sim(bank, "explore", "--seeds", "40")
    assert done.returncode == 0, done.stdout
    assert "ended with status 7; repeating its trial" in done.stderr
    assert trials(*runs(bank)) == sorted(f"seed {seed}" for seed in range(40))


def test_a_trial_that_always_ends_its_process_is_a_failure(bank):
    (bank / "bank.py").write_text(
        BANK.replace("scenario(world):", "scenario(world):\n    import os; os._exit(7)")
    )
    done = sim(bank, "explore", "--seeds", "1", "--first", "1")
    assert done.returncode == 1, done.stderr
    assert "a trial terminates its process, or hangs" in done.stdout


def test_what_a_scenario_prints_does_not_get_between(bank):
    (bank / "bank.py").write_text(
        BANK.replace("scenario(world):", "scenario(world):\n    print('hello')")
    )
    done = sim(bank, "explore", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stderr
    assert "hello" not in done.stdout


def test_ctrl_c_judges_what_there_is(bank):
    command = [str(Path(sys.executable).with_name("assertlib")), "sim", "explore", "--for", "60s"]
    with subprocess.Popen(
        command,
        cwd=bank,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if " trials, " in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 130, err
    assert "(partial)" in out
    assert "interrupted" in err
    assert "Traceback" not in err


def test_time_limits_an_exploration(bank):
    began = time.monotonic()
    done = sim(bank, "explore", "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explore", "--faults", "earthquake"], "unknown fault 'earthquake'; known faults: "),
        (["explore", "--policy", "nice"], "unknown policy 'nice'; known policies: swarm, "),
        (["explore", "--shard", "4/3"], "--shard 4/3: expected K/N with K from 1 to N"),
        (["explore", "--for", "60"], "--for 60: expected a number followed by s, m or h"),
        (["explore", "--engine", "abacus"], "--engine abacus: must be local or ray"),
        (["explore", "bank"], "bank: write MODULE:NAME or FILE.py:NAME"),
        (["explore", "nowhere:scenario"], "No module named 'nowhere'"),
        (["explore", "bank:nothing"], "has no attribute 'nothing'"),
        (["explore", "nowhere.py:scenario"], "no such file: nowhere.py"),
        (["explore", "bank:CAREFUL"], "True is not a function"),
        (["replay"], "pass either a token or --assertion MESSAGE"),
        (["replay", "nonsense"], "'nonsense' is not a token"),
        (["replay", "t1-0123456789"], "no tape t1-0123456789 here"),
        (["replay", "pyproject.toml.json"], "No such file"),
        (["replay", "bank:scenario@7,steps=many"], "cannot read the options"),
        (["challenge"], "no seeded defects: set `defects` of target"),
    ],
)
def test_what_cannot_be_done_is_reported_in_one_line(bank, arguments, message):
    done = sim(bank, *arguments)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list((bank / ".assertlib" / "runs").glob("*/run.json"))


def test_a_witness_that_nobody_has_is_no_data(bank):
    done = sim(bank, "replay", "--assertion", "never heard of")
    assert done.returncode == 3
    assert "no run has a witness of 'never heard of'" in done.stderr


def test_what_there_is_is_listed(tmp_path):
    done = sim(tmp_path, "list")
    assert done.returncode == 0
    for word in ("power-cut", "bit-rot         *", "slow-fsync", "swarm", "pct3"):
        assert f"  {word}" in done.stdout


def gate(directory, *arguments):
    return zygote.run(
        [zygote.ASSERTLIB, "gate", *arguments],
        cwd=directory, env=child_environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_new_state_that_no_run_shows_passes_the_gate_with_a_witness_that_still_replays(bank):
    state = '    sometimes(accounts["a"] < 0, "an account is overdrawn")\n'
    (bank / "bank.py").write_text(BANK.replace(state, ""))
    sim(bank, "explore", "--seeds", "1", "--first", "1")
    assert gate(bank, "--update").returncode == 0
    (bank / "bank.py").write_text(BANK)
    sim(bank, "explore", "--seeds", "60")
    (tape,) = [
        path
        for path in runs(bank)[-1].glob("sim/*.tape.json")
        if json.loads(path.read_text())["shows"] == "an account is overdrawn"
    ]
    kept = tape.read_bytes()
    sim(bank, "explore", "--seeds", "1", "--first", "1")
    done = gate(bank)
    assert done.returncode == 1
    assert 'never true yet: "an account is overdrawn"' in done.stdout
    (bank / "witnesses").mkdir()
    (bank / "witnesses" / tape.name).write_bytes(kept)
    assert gate(bank).returncode == 0, gate(bank).stdout
    (bank / "bank.py").write_text(BANK.replace("choose(50)", "choose(5)"))
    sim(bank, "explore", "--seeds", "1", "--first", "1")
    done = gate(bank)
    assert done.returncode == 1
    assert "its witness no longer reaches it" in done.stdout
