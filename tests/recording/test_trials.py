"""
Trials: which hits belong to which, across nesting, children and kills.
"""

import json
import signal
import textwrap

import pytest

from assertlib import Invariant, always, configure, lifecycle, reachable, sometimes, trial

from ..support import evidence_by_trial, features_of, trial_counts_of


def hits_by_trial(outcome):
    """True hits by trial and message, as evidence attributes them."""
    by_trial = evidence_by_trial(outcome.run_dir)
    return {(trial, message): n for (trial, message, true), n in by_trial.items() if true}


def assert_deltas_sum_up(shard):
    for name in ("true", "false"):
        total = [0] * len(shard.slots)
        for delta in shard.deltas:
            for number, count in enumerate(getattr(delta, name)):
                total[number] += count
        counted = getattr(shard, name)
        assert total == counted + [0] * (len(total) - len(counted))


def test_hits_belong_to_the_trial_in_which_they_were_made(children):
    def scenario():
        always(True, "claim")
        with trial("one"):
            for _ in range(3):
                always(True, "claim")
            sometimes(False, "not yet")
        always(True, "claim")
        with trial("two"):
            for _ in range(5):
                always(True, "claim")

    outcome = children.run(scenario)
    assert trial_counts_of(outcome.shards) == {
        (None, "claim", True): 2,
        ("one", "claim", True): 3,
        ("one", "not yet", False): 1,
        ("two", "claim", True): 5,
    }
    assert_deltas_sum_up(outcome.shard)


def test_the_inner_trial_gets_the_hits_and_names_the_outer_one(children):
    def scenario():
        with trial("outer"):
            always(True, "claim")
            with trial("inner"):
                always(True, "claim")
                always(False, "claim")
            always(True, "claim")

    outcome = children.run(scenario)
    assert trial_counts_of(outcome.shards) == {
        ("outer", "claim", True): 2,
        ("inner", "claim", True): 1,
        ("inner", "claim", False): 1,
    }
    trials = outcome.shard.trials
    assert (trials["outer"].trial.parent, trials["inner"].trial.parent) == (None, "outer")
    assert {hit.trial for hit in outcome.shard.hits if not hit.condition} == {"inner"}


def test_a_trial_tells_its_seed_population_and_sampler(children):
    def scenario():
        with trial("seeded", seed=7, population="three nodes, kills"):
            always(False, "claim")
        with trial("plain"):
            pass
        with trial("guided", seed=8, sampler="guided"):
            pass

    shard = children.run(scenario).shard
    seeded = shard.trials["seeded"].trial
    assert (seeded.seed, seeded.population, seeded.sampler) == (
        7,
        "three nodes, kills",
        "seed-random",
    )
    assert shard.trials["plain"].trial.sampler == "set"
    assert shard.trials["guided"].trial.sampler == "guided"
    assert [(hit.trial, hit.seed) for hit in shard.hits] == [("seeded", 7)]


def test_a_trial_has_a_beginning_and_an_end_in_time(children):
    def scenario():
        import time

        before = time.time_ns()
        with trial("one"):
            pass
        return before, time.time_ns()

    outcome = children.run(scenario)
    before, after = outcome.value
    one = outcome.shard.trials["one"]
    assert before <= one.begin <= after
    assert one.began <= one.ended


def test_each_trial_has_a_record_of_a_violation_of_its_own(children):
    def scenario():
        for number in range(50):
            with trial(f"trial {number}"):
                for _ in range(20):
                    always(False, "claim")

    shard = children.run(scenario, env={"ASSERTLIB_SINKS": ""}).shard
    assert {hit.trial for hit in shard.hits} == {f"trial {number}" for number in range(50)}
    assert len(shard.hits) < 200


def test_delta_lines_sum_up_to_the_counts(children, dice):
    def scenario(seed):
        import random

        dice = random.Random(seed)

        def play(depth):
            for number in range(dice.randrange(4)):
                always(dice.random() < 0.5, f"claim {number}")
                sometimes(dice.random() < 0.5, f"some {number}")
            for number in range(dice.randrange(3) if depth < 4 else 0):
                with trial(f"{depth} {number}"):
                    play(depth + 1)

        for _ in range(20):
            play(0)

    outcome = children.run(scenario, dice.getrandbits(32), env={"ASSERTLIB_SINKS": ""})
    assert_deltas_sum_up(outcome.shard)


def test_an_exception_ends_its_trials(children):
    def scenario():
        try:
            with trial("outer"), trial("inner"):
                always(True, "claim")
                raise KeyError
        except KeyError:
            always(True, "claim")

    outcome = children.run(scenario)
    assert trial_counts_of(outcome.shards) == {
        ("inner", "claim", True): 1,
        (None, "claim", True): 1,
    }
    assert all(record.ended is not None for record in outcome.shard.trials.values())


def test_the_open_trial_of_a_killed_process_gets_what_was_not_yet_told(children):
    def scenario():
        import os
        import signal

        always(True, "claim")
        with trial("outer"):
            for _ in range(2):
                always(True, "claim")
            with trial("inner"):
                for _ in range(100):
                    always(True, "claim")
                os.kill(os.getpid(), signal.SIGKILL)

    outcome = children.run(scenario, code=-signal.SIGKILL)
    assert trial_counts_of(outcome.shards) == {
        (None, "claim", True): 1,
        ("outer", "claim", True): 2,
        ("inner", "claim", True): 100,
    }
    assert outcome.shard.trials["inner"].ended is None
    assert_deltas_sum_up(outcome.shard)


def test_a_trial_that_is_run_again_gets_a_number_behind_its_name(children):
    def scenario():
        names = []
        for _ in range(3):
            with trial("flaky") as again:
                always(True, "claim")
                names.append(again.id)
        return names

    outcome = children.run(scenario)
    assert outcome.value[0] == "flaky"
    assert len(set(outcome.value)) == 3
    assert trial_counts_of(outcome.shards) == {(name, "claim", True): 1 for name in outcome.value}


def test_a_trial_of_a_thread_that_ends_late_takes_nothing_from_the_reader(children):
    def scenario():
        one, two = trial("one"), trial("two")
        one.__enter__()
        two.__enter__()
        always(True, "claim")
        one.__exit__(None, None, None)
        two.__exit__(None, None, None)
        always(True, "claim")

    outcome = children.run(scenario)
    assert trial_counts_of(outcome.shards) == {
        ("two", "claim", True): 1,
        (None, "claim", True): 1,
    }


# -- what goes wrong around a trial ------------------------------------------------


def test_a_run_directory_that_changes_in_an_open_trial_stays_readable(children):
    def scenario(second):
        with trial("outer"), trial("inner"):
            reachable("before")
            configure(run_dir=second)
            reachable("after")
        with trial("later"):
            reachable("later")

    second = children.directory / "second"
    first = children.run(scenario, str(second))
    assert trial_counts_of(first.shards) == {("inner", "before", True): 1}
    children.run_dir = second
    assert trial_counts_of(children.shards) == {
        ("inner", "after", True): 1,
        ("later", "later", True): 1,
    }


def test_a_trial_that_began_before_there_was_a_run_directory_stays_readable(children):
    def scenario(run_dir):
        with trial("one"):
            reachable("before")
            configure(run_dir=run_dir)
            reachable("after")

    outcome = children.run(scenario, str(children.run_dir), env={"ASSERTLIB_RUN_DIR": ""})
    assert trial_counts_of(outcome.shards) == {("one", "after", True): 1}


@pytest.mark.parametrize("switches", [("off", "record"), ("off", "off"), ("record", "off")])
def test_a_mode_that_changes_around_a_trial_leaves_a_readable_run(children, switches):
    def scenario(before, inside):
        reachable("early")
        configure(mode=before)
        with trial("one"):
            configure(mode=inside)
            reachable("inside")
        configure(mode="record")
        with trial("two"):
            reachable("late")

    outcome = children.run(scenario, *switches)
    assert trial_counts_of(outcome.shards)["two", "late", True] == 1
    assert outcome.counts["early"] == (1, 0)


def test_a_trial_that_was_begun_while_off_is_not_inherited_by_children(children):
    def scenario():
        import os

        configure(mode="off")
        with trial("one"):
            pass
        return os.environ.get("ASSERTLIB_TRIAL")

    assert children.run(scenario).value is None


@pytest.mark.parametrize("value", ["", "{", "[]", "null", '{"id": 5}', '{"seed": 1}', '"text"'])
def test_an_environment_that_tells_no_trial_is_no_trial(children, value):
    def scenario():
        always(True, "claim")

    outcome = children.run(scenario, env={"ASSERTLIB_TRIAL": value})
    assert trial_counts_of(outcome.shards) == {(None, "claim", True): 1}


# -- children ----------------------------------------------------------------------


def test_a_child_started_in_a_trial_belongs_to_it(children):
    def scenario():
        import subprocess
        import sys

        script = "import assertlib; assertlib.always(True, 'in the child')"
        with trial("outer"), trial("inner", seed=5):
            subprocess.run([sys.executable, "-c", script], check=True)
        subprocess.run([sys.executable, "-c", script], check=True)

    outcome = children.run(scenario)
    assert hits_by_trial(outcome) == {
        ("inner", "in the child"): 1,
        (None, "in the child"): 1,
    }
    assert sorted(str(shard.base) for shard in outcome.shards if shard.slots) == [
        "<Trial 'inner'>",
        "None",
    ]


def test_a_violation_in_a_child_tells_the_trial_and_its_seed(children):
    def scenario():
        import subprocess
        import sys

        script = "import assertlib; assertlib.always(False, 'claim')"
        with trial("one", seed=5):
            subprocess.run([sys.executable, "-c", script], check=True)

    hits = [hit for shard in children.run(scenario).shards for hit in shard.hits]
    assert [(hit.trial, hit.seed) for hit in hits] == [("one", 5)]


def test_a_child_forked_in_a_trial_belongs_to_it_until_it_leaves_the_block(children):
    def scenario():
        import os

        with trial("one"):
            always(True, "parent")
            child = os.fork()
            if child == 0:
                always(True, "child")
        always(True, "child" if child == 0 else "parent")
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    assert trial_counts_of(children.run(scenario).shards) == {
        ("one", "parent", True): 1,
        (None, "parent", True): 1,
        ("one", "child", True): 1,
        (None, "child", True): 1,
    }


def test_a_forked_child_that_leaves_the_inner_block_is_in_the_outer_trial(children):
    def scenario():
        import os

        with trial("outer"):
            with trial("inner"):
                child = os.fork()
                always(True, "child" if child == 0 else "parent")
            always(True, "child" if child == 0 else "parent")
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)

    assert trial_counts_of(children.run(scenario).shards) == {
        ("inner", "parent", True): 1,
        ("outer", "parent", True): 1,
        ("inner", "child", True): 1,
        ("outer", "child", True): 1,
    }


def test_a_forked_child_that_left_the_block_hands_no_trial_on(children):
    def scenario():
        import os

        with trial("one"):
            child = os.fork()
            if child == 0:
                reachable("child")
        if child == 0:
            os.write(1, (str(os.environ.get("ASSERTLIB_TRIAL")) + "\n").encode())
            os._exit(0)
        os.waitpid(child, 0)

    assert children.run(scenario).out.splitlines()[0] == "None"


def test_a_trial_of_a_child_is_inside_the_trial_it_was_born_in(children):
    def scenario():
        import subprocess
        import sys

        script = (
            "import assertlib\n"
            "with assertlib.trial('of the child'):\n"
            "    assertlib.reachable('inside')\n"
            "assertlib.reachable('after')\n"
        )
        with trial("one"):
            subprocess.run([sys.executable, "-c", script], check=True)

    outcome = children.run(scenario)
    assert hits_by_trial(outcome) == {("of the child", "inside"): 1, ("one", "after"): 1}
    trials = {name: record for shard in outcome.shards for name, record in shard.trials.items()}
    assert trials["of the child"].trial.parent == "one"


OBEDIENT_CHILD = """
    import sys, assertlib
    for word in sys.stdin:
        if word.strip() == "hit":
            assertlib.reachable("of the child")
        print("done", flush=True)
"""


def raise_child(before, after, ends_inside):
    """Start a child inside a trial, and have it hit *before* and *after* the trial's end."""
    import subprocess
    import sys

    def order(word):
        child.stdin.write(word + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"

    def end():
        child.stdin.close()
        assert child.wait() == 0

    with trial("one"):
        command = [sys.executable, "obedient.py"]
        child = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
        order("wait")
        for _ in range(before):
            order("hit")
        if ends_inside:
            end()
    for _ in range(after):
        order("hit")
    if not ends_inside:
        end()


@pytest.mark.parametrize(
    ("before", "after", "ends_inside", "expected"),
    [
        (2, 0, True, {("one", "of the child"): 2}),
        (2, 0, False, {(None, "of the child"): 2}),
        (2, 3, False, {(None, "of the child"): 5}),
        (0, 3, False, {(None, "of the child"): 3}),
    ],
)
def test_a_child_that_outlives_its_trial_belongs_to_none(
    children, before, after, ends_inside, expected
):
    (children.directory / "obedient.py").write_text(textwrap.dedent(OBEDIENT_CHILD))
    assert hits_by_trial(children.run(raise_child, before, after, ends_inside)) == expected


def test_a_child_that_was_killed_in_its_trial_belongs_to_it(children):
    def scenario():
        import os
        import signal

        with trial("one"):
            child = os.fork()
            if child == 0:
                reachable("of the child")
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)

    assert hits_by_trial(children.run(scenario)) == {("one", "of the child"): 1}


def test_every_child_that_outlives_its_trial_is_noticed_however_fast_trials_follow(children):
    def scenario():
        import os

        born, stay = os.pipe(), os.pipe()
        for number in range(40):
            with trial(f"empty {number}"):
                pass
            with trial(f"trial {number}"):
                if os.fork() == 0:
                    os.close(stay[1])
                    reachable("of a child")
                    os.write(born[1], b"x")
                    os.read(stay[0], 1)
                    os._exit(0)
                os.read(born[0], 1)
        os.close(stay[1])
        for _ in range(40):
            os.wait()

    outcome = children.run(scenario)
    assert hits_by_trial(outcome) == {(None, "of a child"): 40}


# -- faults and features -------------------------------------------------------------


def test_faults_are_recorded_with_the_trial_they_were_injected_in(children):
    def scenario():
        reachable("early")
        lifecycle.faults(["early"])
        with trial("one"):
            lifecycle.faults(["kill", "drop"], breaks=["synced disks", "clocks"])
            lifecycle.faults([])

    early, injected, ended = children.run(scenario).shard.faults
    assert (early.trial, early.active, early.breaks) == (None, ["early"], [])
    assert (injected.trial, injected.active) == ("one", ["drop", "kill"])
    assert injected.breaks == ["clocks", "synced disks"]
    assert (ended.trial, ended.active, ended.breaks) == ("one", [], [])
    assert early.clock <= injected.clock <= ended.clock
    assert early.line < injected.line < ended.line


def test_faults_injected_by_a_child_belong_to_the_trial_it_was_born_in(children):
    def scenario():
        import subprocess
        import sys

        script = "import assertlib; assertlib.lifecycle.faults(['kill'], breaks=['no kills'])"
        with trial("one"):
            subprocess.run([sys.executable, "-c", script], check=True)

    (fault,) = [fault for shard in children.run(scenario).shards for fault in shard.faults]
    assert (fault.trial, fault.active, fault.breaks) == ("one", ["kill"], ["no kills"])


def test_features_declared_before_the_first_hit_are_in_the_shard(children):
    def scenario():
        configure(features={"watch": False})
        with trial("one"):
            reachable("here")

    assert features_of(children.run(scenario).shard) == {"watch": False}


def test_a_child_inherits_the_features(children):
    def scenario():
        import subprocess
        import sys

        configure(features={"watch": False})
        subprocess.run([sys.executable, "-c", "import assertlib; assertlib.reachable('m')"])

    assert features_of(children.run(scenario).shard) == {"watch": False}


def test_the_trial_in_the_environment_is_json_that_other_languages_can_read(children):
    def scenario():
        import os

        with trial("one", seed=5, population="small"):
            return os.environ["ASSERTLIB_TRIAL"]

    told = json.loads(children.run(scenario).value)
    assert (told["id"], told["seed"], told["population"]) == ("one", 5, "small")


def test_a_trial_that_ends_hands_its_children_over_to_the_one_around_it(children):
    def scenario():
        import json
        import os

        def told():
            text = os.environ.get("ASSERTLIB_TRIAL")
            return text and json.loads(text)["id"]

        seen = [told()]
        with trial("one"):
            with trial("two"):
                seen.append(told())
            seen.append(told())
        return [*seen, told()]

    outer = json.dumps({"id": "outer", "seed": None})
    assert children.run(scenario).value == [None, "two", "one", None]
    inherited = children.run(scenario, env={"ASSERTLIB_TRIAL": outer})
    assert inherited.value == ["outer", "two", "one", "outer"]


def test_a_bound_assertion_in_trials_is_told_apart(children):
    def scenario():
        bound = Invariant("a.b").declare_always("claim")
        for number in range(3):
            with trial(f"trial {number}"):
                for _ in range(number):
                    bound(True)

    assert trial_counts_of(children.run(scenario).shards) == {
        ("trial 1", "claim", True): 1,
        ("trial 2", "claim", True): 2,
    }
