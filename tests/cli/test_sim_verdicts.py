"""
What an exploration and a replay end with: never a pass over a failure, or over nothing.
"""

import json
import re

import pytest

from assertlib.sim.replay import replay
from assertlib.sim.tapes import find

from .. import zygote
from ..forms import sampled
from ..support import child_environment

PROJECT = """
[tool.assertlib.targets.store]
source = ["store.py"]
catalog = []
scenario = "store:several"
"""
STORE = """
import asyncio
import os
import sqlite3
from assertlib import always, sometimes

async def swallowing(host):
    try:
        os.system("true")
    except Exception:
        pass

async def refused(world):
    world.host("server", swallowing).boot()
    await asyncio.sleep(1)
    always(True, "it went well")

async def writing(host):
    sqlite3.connect("log").close()

async def bypassing(world):
    server = world.host("server", writing)
    server.boot()
    await asyncio.sleep(1)
    server.crash()
    always(True, "it went well, too")

async def dying(host):
    raise KeyError("key")

async def dead(world):
    world.host("server", dying).boot()
    await asyncio.sleep(1)
    always(True, "it went well again")

async def empty(world):
    await asyncio.sleep(1)

trials = 0

async def forgetful(world):
    global trials
    trials += 1
    always(trials != 7, "the seventh is well")

async def counting(world):
    global trials
    trials += 1
    await asyncio.sleep(trials)
    always(True, "it is counted")

async def several(world):
    async def main(host):
        raise ValueError("late")

    kind = world.tape.choose(6)
    await asyncio.sleep(world.tape.between(0, 1))
    sometimes(kind == 5, "a five is thrown")
    always(kind not in (1, 2), "it is neither one nor two")
    always(kind != 2, "it is not two")
    if kind == 3:
        raise KeyError("three")
    if kind == 4:
        world.host("server", main).boot()
        await asyncio.sleep(1)

async def ending(world):
    kind = world.tape.choose(4)
    always(kind != 1, "it is not one")
    if kind == 2:
        os._exit(7)
"""


@pytest.fixture
def store(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "store.py").write_text(STORE)
    return tmp_path


def sim(directory, *arguments):
    return zygote.run(
        [zygote.ASSERTLIB, "sim", *map(str, arguments)],
        cwd=directory,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def replays(directory):
    """By message, the tokens of the newest run."""
    newest = max((directory / ".assertlib" / "runs").iterdir())
    return json.loads((newest / "replays.json").read_text())


def endings(done):
    """By name, the token that the end of an exploration prints for each failure."""
    pattern = r"(?:FAILED|FLAKY) in .*?\): (.*)\n(?:  .*\n)*?  replay: assertlib sim replay (\S+)"
    return dict(re.findall(pattern, done.stdout))


# -- what fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "name", "story"),
    [
        (
            "refused",
            "NotSimulatedError: store.py:9: os.system starts a process",
            "make it a host of the world",
        ),
        (
            "bypassing",
            "NotSimulatedError: store.py:19: sqlite3.connect writes a real file",
            "write through open(), os or assertlib.disk, which use the disk of the host",
        ),
        ("dead", "KeyError in dying on server: 'key'", "Traceback (most recent call last):"),
    ],
)
def test_what_a_host_loses_fails_every_trial(store, scenario, name, story):
    done = sim(store, "explore", f"store:{scenario}", "--seeds", "20")
    assert done.returncode == 1, done.stdout
    assert f"FAILED in 20 of 20 trials (first: trial 1): {name}" in done.stdout
    assert story in done.stdout
    (token,) = endings(done).values()
    again = sim(store, "replay", token)
    assert again.returncode == 1
    assert f"reproduced: {name}" in again.stdout
    assert not (store / "log").exists()


def test_an_exploration_that_evaluates_no_assertion_ends_with_exit_code_3(store):
    done = sim(store, "explore", "store:empty", "--seeds", "3")
    assert done.returncode == 3
    assert "no assertion of target 'store' was evaluated in 3 trials" in done.stderr


def test_a_single_trial_is_counted_in_the_singular(store):
    done = sim(store, "explore", "store:empty", "--seeds", "1")
    assert "1 trial, " in done.stderr
    assert "1 trials" not in done.stdout + done.stderr


# -- what does not replay -----------------------------------------------------------------------


def test_a_failure_that_does_not_replay_is_flaky_and_fails(store):
    done = sim(store, "explore", "store:forgetful", "--seeds", "10")
    assert done.returncode == 1
    assert "FLAKY in 1 of 10 trials (first: trial 7): the seventh is well" in done.stdout
    assert "module globals" in done.stdout
    assert replays(store) == {}, "what replays nothing is no replay"
    (token,) = endings(done).values()
    again = sim(store, "replay", token)
    assert again.returncode == 1
    assert "FLAKY, not reproduced: the seventh is well" in again.stdout
    assert "module globals" in again.stdout
    assert "STALE" not in again.stdout


def test_a_failure_that_a_change_has_mended_is_not_flaky(store):
    token = endings(sim(store, "explore", "store:dead", "--seeds", "1"))[
        "KeyError in dying on server: 'key'"
    ]
    (store / "store.py").write_text(STORE.replace('raise KeyError("key")', "pass"))
    done = sim(store, "replay", token)
    assert done.returncode == 0
    assert "not reproduced: KeyError in dying on server" in done.stdout
    assert "changed since it was recorded: source was " in done.stdout
    assert "FLAKY" not in done.stdout


def test_a_change_after_which_it_fails_otherwise_is_no_pass(store):
    token = endings(sim(store, "explore", "store:dead", "--seeds", "1"))[
        "KeyError in dying on server: 'key'"
    ]
    (store / "store.py").write_text(STORE.replace('KeyError("key")', 'OSError("disk")'))
    done = sim(store, "replay", token)
    assert done.returncode == 1
    assert "not reproduced: KeyError in dying on server" in done.stdout
    assert "OSError: disk" in done.stdout


# -- which token --------------------------------------------------------------------------------

SEVERAL = {
    "it is neither one nor two",
    "it is not two",
    "KeyError in several: 'three'",
    "ValueError in main on server: late",
}


def assert_reproduced(store, token, name):
    directories = (store / ".assertlib" / "runs").glob("*/sim")
    done = replay(find(token, directories), trace=False, path=[str(store)])
    assert done.shows
    assert name in done.answer.failed
    assert all("replay" not in failure.text for failure in done.answer.failures)


@pytest.mark.parametrize(
    "options", sampled([[], ["--guided", "--jobs", "2"]], every=2), ids=" ".join
)
def test_every_failure_has_one_token_which_reproduces_it(store, options):
    done = sim(store, "explore", "--seeds", "60", *options)
    assert done.returncode == 1
    found = endings(done)
    assert set(found) == SEVERAL
    witnesses = {"a five is thrown"}
    assert {name: token for name, token in replays(store).items() if name in SEVERAL} == found
    assert set(replays(store)) == SEVERAL | witnesses
    assert set(re.findall(r"sim replay (t1-\w+)", done.stdout)) == set(found.values())
    for name, token in found.items():
        assert_reproduced(store, token, name)


def test_the_first_failure_that_stops_an_exploration_has_its_own_token(store):
    done = sim(store, "explore", "--seeds", "60", "--exitfirst", "--jobs", "2")
    assert done.returncode == 1
    assert endings(done)
    for name, token in endings(done).items():
        assert replays(store)[name] == token
        assert_reproduced(store, token, name)


def test_the_token_of_a_trial_that_ends_its_process_does_so_again(store):
    done = sim(store, "explore", "store:ending", "--seeds", "20")
    assert done.returncode == 1
    found = endings(done)
    assert set(found) == {"it is not one", "a trial terminates its process, or hangs"}
    assert found == replays(store)
    for name, token in found.items():
        assert_reproduced(store, token, name)


def test_the_explanation_of_a_violation_has_no_other_token(store):
    done = sim(store, "explore", "--seeds", "60", "--exitfirst")
    (token,) = {*endings(done).values()}
    report = zygote.run(
        [zygote.ASSERTLIB, "report"],
        cwd=store, env=child_environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    tokens = re.findall(r"sim replay (\S+)", report.stdout)
    assert set(tokens) <= {token}


# -- determinism --------------------------------------------------------------------------------


def test_an_exploration_of_trials_that_depend_on_each_other_fails_and_names_the_first_event(store):
    done = sim(store, "explore", "store:counting", "--seeds", 3)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT DETERMINISTIC: trial 'seed 0' ran differently in another process" in done.stdout
    assert " counting at store.py:" in done.stdout
    assert "state that outlives a trial (module globals" in done.stdout
    unchecked = sim(store, "explore", "store:counting", "--seeds", 3, "--check-determinism", 0)
    assert unchecked.returncode == 0, unchecked.stdout + unchecked.stderr


# -- why ----------------------------------------------------------------------------------------


def test_why_draws_the_curve_and_marks_the_step(store):
    sim(store, "explore", "store:several", "--seeds", 100)
    token = replays(store)["it is neither one nor two"]
    done = sim(store, "why", token, "--repeats", 20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("it is neither one nor two\n")
    assert re.search(r"^ +0  +\d+% \(\d+% to \d+%\)", done.stdout, re.MULTILINE)
    assert "100% (83% to 100%)  ##############################" in done.stdout
    assert re.search(r"^> .*several at store.py:", done.stdout, re.MULTILINE)
    assert sim(store, "why", token, "--repeats", 20).stdout == done.stdout


def test_why_and_replay_write_the_trace_as_a_page(store):
    sim(store, "explore", "store:several", "--seeds", 100)
    token = replays(store)["it is neither one nor two"]
    for command in (["why", token, "--repeats", 5], ["replay", token]):
        page = store / f"{command[0]}.html"
        done = sim(store, *command, "--html", page)
        assert f"the trace as a page is in {page}" in done.stderr
        assert "it is neither one nor two" in page.read_text()
        # The page does not replace what is printed, and adds nothing to it.
        assert done.stdout == sim(store, *command).stdout


def test_why_needs_the_token_of_a_failure(store):
    sim(store, "explore", "store:several", "--seeds", 100)
    done = sim(store, "why", replays(store)["a five is thrown"])
    assert done.returncode == 2
    assert "the token does not identify a failure" in done.stderr
    assert "Traceback" not in done.stderr


# -- traces -------------------------------------------------------------------------------------


def test_a_trace_can_be_filtered_by_kind_host_and_time(store):
    seed = next(
        number
        for number in range(50)
        if "boots" in sim(store, "replay", f"store:several@{number}", "--trace").stdout
    )

    def lines(*options):
        done = sim(store, "replay", f"store:several@{seed}", *options)
        return [line for line in done.stdout.splitlines() if re.match(r" +[0-9.]+  ", line)]

    whole = lines("--trace")
    assert all("  run " in each or "  call " in each for each in lines("--only", "steps"))
    assert [each for each in whole if "  * " in each] == lines("--only", "hits")
    (boot,) = lines("--only", "world")
    assert "server boots" in boot
    assert {each.split()[1] for each in lines("--host", "server", "--only", "steps")} == {"server"}
    late = lines("--from", 0.5)
    assert late == [each for each in whole if float(each.split()[0]) >= 0.5]
    refused = sim(store, "replay", f"store:several@{seed}", "--only", "nothing")
    assert refused.returncode == 2
    assert (
        "--only nothing: must be one of loop, steps, network, disk, hits, world" in refused.stderr
    )


# -- until quiet --------------------------------------------------------------------------------


def test_an_exploration_ends_by_itself_once_nothing_new_is_seen(store):
    done = sim(store, "explore", "store:several", "--until-quiet", 60)
    assert "quiet: nothing new in 60 trials" in done.stderr
    (trials,) = re.findall(r"(\d+) random trials", done.stdout)
    assert 60 < int(trials) < 1000
    # It came to an end of its own: what it did not reach is missing.
    assert "(partial)" not in done.stdout
