"""
The faults that a trial lets happen to hosts, and what they mean for its failures.
"""

import asyncio
import gc
import warnings
from itertools import permutations

import pytest

from assertlib import always
from assertlib.sim import Tape
from assertlib.sim.faults import DEFAULT, FAULTS, faults_named
from assertlib.sim.process import PAUSED

from .playing import booted, faults_in, outcomes, play, trial_of, until

PORT = 4000
BREAKING = {"clock-skew", "fsync-lies", "bit-rot"}


# -- what goes wrong -----------------------------------------------------------------


def test_faults_have_names_some_for_several():
    assert faults_named("kill") == ("kill",)
    assert faults_named("kill, pause,kill") == ("kill", "pause")
    assert faults_named("none") == ()
    assert faults_named("all") == tuple(FAULTS)
    assert faults_named("default") == DEFAULT
    assert set(DEFAULT) == set(FAULTS) - BREAKING
    assert faults_named("bit-rot,default") == ("bit-rot", *DEFAULT)
    with pytest.raises(ValueError, match=r"unknown fault 'gremlins'.*kill"):
        faults_named("kill,gremlins")


def mix_of(world):
    return frozenset(fault.name for fault in world.mix)


def mixes(faults, tapes=300):
    async def scenario(world):
        return mix_of(world)

    return outcomes(scenario, tapes, faults=faults)


def test_mixes_vary_and_some_have_nothing_and_some_have_all():
    found = mixes(FAULTS)
    assert len(found) > 100
    assert frozenset() in found
    assert frozenset(FAULTS) in found
    assert all(any(len(mix) == size for mix in found) for size in range(2, 12))


def test_a_mix_has_only_what_is_allowed():
    assert mixes(["kill", "loss"]) == {
        frozenset(mix) for mix in ([], ["kill"], ["loss"], ["kill", "loss"])
    }
    assert mixes([]) == {frozenset()}


def test_the_plainest_trial_has_no_faults():
    async def scenario(world):
        world.inject_faults(booted(world, "server"))
        await asyncio.sleep(100)
        return mix_of(world), world.faults

    assert play(scenario, faults=FAULTS) == (frozenset(), [])


async def store(host):
    """Write, sync, read and talk all the time, whatever goes wrong."""

    async def hear(reader, writer):
        while data := await reader.read(100):
            writer.write(data)

    await asyncio.start_server(hear, port=PORT)
    while True:
        try:
            file = host.disk.open("/log")
            file.append(b"data")
            file.sync()
            host.disk.read("/log")
        except OSError:
            pass
        await asyncio.sleep(0.05)


async def disturbed(world, only=FAULTS, seconds=20.0):
    """A world in which a host is disturbed that is booted again and again."""
    # Connections that break end the tasks that serve them.
    host = booted(world, "server", store, allow_failures=(OSError,))
    booted(world, "client").run(chat())
    nemesis = world.inject_faults(host, only)
    while world.now < seconds:
        await asyncio.sleep(0.1)
        if not host.is_up:
            host.boot()
    return nemesis


async def chat():
    while True:
        await asyncio.sleep(0.01)
        try:
            _, writer = await asyncio.open_connection("server", PORT)
        except OSError:
            continue
        try:
            while True:
                writer.write(b"hello")
                await writer.drain()
                await asyncio.sleep(0.05)
        except OSError:
            pass
        finally:
            writer.close()


KINDS = {"fsync-forgets": "fsync-error"}
"""What tells more than one name is told by."""


def kinds_in(faults):
    return {KINDS.get(name, name) for name in faults}


def test_every_fault_occurs_and_only_those_of_the_mix():
    async def scenario(world):
        await disturbed(world)
        return mix_of(world), frozenset(kinds_in(faults_in(world)))

    seen = set()
    for mix, told in outcomes(scenario, 25, faults=FAULTS):
        assert told <= mix
        seen |= told
    assert seen == set(FAULTS)


@pytest.mark.parametrize(
    "only", [["kill", "pause"], ["partition"], ["loss", "slow-fsync", "reset"], []]
)
def test_a_host_is_disturbed_only_by_what_the_caller_says(only):
    async def scenario(world):
        await disturbed(world, only)
        return frozenset(faults_in(world))

    told = outcomes(scenario, 10, faults=FAULTS)
    assert frozenset().union(*told) == set(only)


def test_nothing_strikes_after_the_nemesis_is_cancelled():
    async def scenario(world):
        host = booted(world, "server")
        nemesis = world.inject_faults(host)
        await asyncio.sleep(5)
        nemesis.cancel()
        before = len(world.faults)
        await asyncio.sleep(20)
        return before, len(world.faults)

    found = outcomes(scenario, 20, faults=["clock-skew"])
    assert all(before == after for before, after in found)
    assert len(found) > 3


@pytest.mark.parametrize("fault", ["pause", "partition", "one-way"])
def test_what_lasts_is_over_after_a_second(fault):
    async def scenario(world):
        booted(world, "other")
        world.inject_faults(booted(world, "server"))
        longest = 0.0
        while world.now < 20:
            await asyncio.sleep(0.01)
            # Another one may follow at once.
            began = 0.0 if is_well(world) else world.faults[-1][0]
            longest = max(longest, world.now - began if began else 0.0)
        return longest

    found = outcomes(scenario, 20, faults=[fault])
    assert 0.5 < max(found) < 1.1


def is_well(world):
    """Whether all hosts run and reach each other."""
    ways = [(one, other) for one in world.hosts for other in world.hosts]
    states = {repr(host).split()[-1] for host in world.hosts.values()}
    return states == {"up>"} and not any(world.network.is_cut(*way) for way in ways)


def test_a_partition_cuts_both_ways_and_a_one_way_cut_only_one():
    def cuts(fault):
        async def scenario(world):
            booted(world, "other")
            world.inject_faults(booted(world, "server"))
            await until(lambda: faults_in(world) or not world.mix)
            network = world.network
            return network.is_cut("server", "other"), network.is_cut("other", "server")

        return outcomes(scenario, 40, faults=[fault]) - {(False, False)}

    assert cuts("partition") == {(True, True)}
    assert cuts("one-way") == {(True, False), (False, True)}


def test_what_happens_to_one_host_does_not_end_what_happens_to_another():
    async def scenario(world):
        world.host("a").boot()
        world.host("b").boot()
        world.network.cut("a", "b")
        world.inject_faults(booted(world, "c"), only=["pause"])
        await asyncio.sleep(20)
        return "pause" in faults_in(world), world.network.is_cut("a", "b")

    assert outcomes(scenario, 20, faults=["pause"]) == {(True, True), (False, True)}


@pytest.mark.parametrize("fault", ["pause", "partition"])
def test_a_fault_in_force_ends_when_its_injection_is_cancelled(fault):
    async def scenario(world):
        host, _ = booted(world, "a"), booted(world, "b")
        nemesis = world.inject_faults(host, only=[fault])
        for _ in range(200):
            await asyncio.sleep(0.01)
            if host.process.state == PAUSED or cut_ways(world):
                break
        else:
            return None
        nemesis.cancel()
        await asyncio.sleep(0)
        return host.process.state == PAUSED or bool(cut_ways(world))

    assert outcomes(scenario, 20, faults=[fault]) == {None, False}


def cut_ways(world):
    return {way for way in permutations(world.hosts, 2) if world.network.is_cut(*way)}


def struck(world, fault, name):
    """Strike the host called *name* and return what ends it."""
    return FAULTS[fault].strike(world, world.hosts[name])


@pytest.mark.parametrize("first", [0, 1])
def test_a_partition_that_ends_leaves_what_another_one_has_cut_as_well(first):
    async def scenario(world):
        for name in "abc":
            booted(world, name)
        ends = [struck(world, "partition", "a"), struck(world, "partition", "b")]
        every = cut_ways(world)
        ends.pop(first)()
        still = cut_ways(world)
        ends.pop()()
        return every, still, cut_ways(world)

    every, still, after = play(scenario)
    stricken = "ba"[first]
    assert every == set(permutations("abc", 2))
    assert still == {way for way in every if stricken in way}
    assert after == set()


def test_a_partition_that_ends_leaves_what_the_scenario_has_cut_meanwhile():
    async def scenario(world):
        booted(world, "a"), booted(world, "b")
        end = struck(world, "partition", "a")
        world.network.cut("a", "b")
        end()
        still = cut_ways(world)
        world.network.heal()
        return still, cut_ways(world)

    assert play(scenario) == ({("a", "b")}, set())


def test_a_partition_that_was_healed_does_not_end_a_later_one():
    async def scenario(world):
        booted(world, "a"), booted(world, "b")
        end = struck(world, "partition", "a")
        world.network.heal()
        struck(world, "partition", "b")
        end()
        return cut_ways(world)

    assert play(scenario) == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize("fault", ["partition", "one-way"])
def test_a_partition_that_ends_does_not_resume_a_paused_host(fault):
    async def scenario(world):
        booted(world, "other")
        host = booted(world, "host")
        end = struck(world, fault, "host")
        host.pause()
        end()
        return repr(host)

    assert play(scenario) == "<Host host paused>"


def test_a_host_is_paused_until_every_pause_has_ended():
    async def scenario(world):
        host = booted(world, "host")
        ends = [struck(world, "pause", "host"), struck(world, "pause", "host")]
        states = []
        for end in ends:
            end()
            states.append(repr(host))
        return states, faults_in(world)

    assert play(scenario) == (["<Host host paused>", "<Host host up>"], ["pause"])


def test_a_pause_of_a_host_that_went_down_does_not_end_one_of_its_next_life():
    async def scenario(world):
        host = booted(world, "host")
        end = struck(world, "pause", "host")
        host.kill()
        host.boot()
        host.pause()
        end()
        return repr(host)

    assert play(scenario) == "<Host host paused>"


async def mailed(world):
    """How 50 messages fared: whether some were lost, doubled or late."""
    one, two = booted(world, "one"), booted(world, "two")
    world.inject_faults(one)
    box, out = two.mailbox(1), one.mailbox(1)
    got = []

    async def collect():
        while True:
            (number, sent), _ = await box.receive()
            got.append((number, world.now - sent))

    two.run(collect())
    for number in range(50):
        out.send(box.address, (number, world.now))
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    numbers = [number for number, _ in got]
    return {
        "loss": len(set(numbers)) < 50,
        "duplication": len(numbers) > len(set(numbers)),
        "slow-network": max(time for _, time in got) > 0.005,
    }


@pytest.mark.parametrize("fault", ["loss", "duplication", "slow-network"])
def test_what_lies_in_wait_in_the_network_happens_if_the_mix_has_it(fault):
    async def scenario(world):
        signs = await mailed(world)
        return bool(world.mix), frozenset(name for name, is_there in signs.items() if is_there)

    found = outcomes(scenario, 20, faults=[fault])
    assert {signs for is_wrong, signs in found if not is_wrong} == {frozenset()}
    assert frozenset([fault]) in {signs for is_wrong, signs in found if is_wrong}
    assert frozenset().union(*(signs for _, signs in found)) == {fault}


def test_who_writes_into_a_narrow_network_has_to_wait_soon():
    async def scenario(world):
        host = booted(world, "server")
        world.inject_faults(host)
        await host.run(asyncio.start_server(lambda *_: None, port=PORT, limit=64))
        _, writer = await asyncio.open_connection("server", PORT)
        for _ in range(4):
            writer.write(b"x" * 5000)
        _, waits = await asyncio.wait([asyncio.ensure_future(writer.drain())], timeout=5)
        writer.close()
        return bool(world.mix), bool(waits)

    assert outcomes(scenario, 20, faults=["narrow-network"]) == {(False, False), (True, True)}


def test_calm_ends_everything_that_goes_wrong():
    async def scenario(world):
        nemesis = await disturbed(world, seconds=3.0)
        nemesis.cancel()
        world.stop_faults()
        before = len(world.faults)
        assert is_well(world)
        host = world.hosts["server"]
        if not host.is_up:
            host.boot()
        end = world.now + 5
        while world.now < end:
            await asyncio.sleep(0.01)
            host.disk.open("/calm").sync()
            host.disk.read("/calm")
        assert len(world.faults) == before
        conditions = world.network.conditions
        assert (conditions.loss, conditions.duplication, conditions.fragmentation) == (0, 0, 0)
        return before > 0

    assert outcomes(scenario, 25, faults=FAULTS) == {True, False}


def test_calm_leaves_what_the_scenario_has_set():
    async def scenario(world):
        host = booted(world, "server")
        world.network.conditions.latency = (0.05, 0.05)
        host.disk.faults.sync_takes = (0.01, 0.01)
        world.stop_faults()
        return world.network.conditions.latency, host.disk.faults.sync_takes

    assert play(scenario) == ((0.05, 0.05), (0.01, 0.01))


def test_a_fault_is_told_with_its_time():
    async def scenario(world):
        host = booted(world, "server")
        await asyncio.sleep(1)
        host.pause()
        await asyncio.sleep(1)
        host.crash()
        host.boot()
        await asyncio.sleep(1)
        host.kill()
        host.boot()
        host.stop()
        world.injected("home-made", ("clock-synchronised",))
        assert world.breaks == {"clock-synchronised"}
        return world.faults

    assert play(scenario) == [(1, "pause"), (2, "power-cut"), (3, "kill"), (3, "home-made")]


def test_a_skewed_clock_breaks_the_assumption_that_clocks_agree():
    async def scenario(world):
        host = booted(world, "server")
        world.inject_faults(host)
        await until(lambda: faults_in(world) or not world.mix)
        assert abs(host.skew) <= 60 * len(faults_in(world))
        return bool(host.skew), frozenset(world.breaks)

    assert outcomes(scenario, 20, faults=["clock-skew"]) == {
        (True, frozenset(["clock-synchronised"])),
        (False, frozenset()),
    }


def test_a_power_cut_may_strike_between_two_steps_or_in_the_middle_of_one():
    async def scenario(world):
        where = []

        async def main(host):
            while True:
                where.append("in a step")
                host.disk.open("/log").append(b"data")
                where.append("between steps")
                await asyncio.sleep(0.01)

        host = booted(world, "server", main)
        world.inject_faults(host)
        await asyncio.wait([asyncio.ensure_future(host.ended())], timeout=10)
        return "up" if host.is_up else where[-1]

    assert outcomes(scenario, 40, faults=["power-cut"]) == {"up", "in a step", "between steps"}


def test_a_reset_is_told_only_if_there_was_a_connection():
    async def scenario(world):
        world.inject_faults(booted(world, "server"))
        await asyncio.sleep(10)
        return faults_in(world)

    assert play(scenario, Tape(5), faults=["reset"]) == []


# -- what it means for failures ------------------------------------------------------


def test_a_violation_after_a_fault_that_breaks_what_it_assumes_is_out_of_model(children):
    def scenario():
        from assertlib.sim import Options, Tape, run_trial

        async def main(world):
            always(False, "before the fault", invariant="store.durable")
            world.injected("slow-fsync", ())
            always(False, "after another fault", invariant="store.durable")
            world.injected("fsync-lies", ("fsync-honest",))
            always(False, "after the fault", invariant="store.durable#part")
            always(False, "assumes something else", invariant="store.timely")
            always(False, "assumes nothing", invariant="store.ordered")

        assumes = {"store.durable": ("fsync-honest",), "store.timely": ("clock-synchronised",)}
        outcome = run_trial(main, Tape(None), Options(assumes=assumes), name="one")
        failures = [(failure.name, failure.out_of_model) for failure in outcome.failures]
        return failures, outcome.failure.name

    assert children.run(scenario).value == (
        [
            ("before the fault", False),
            ("after another fault", False),
            ("after the fault", True),
            ("assumes something else", False),
            ("assumes nothing", False),
        ],
        "before the fault",
    )


def test_a_trial_whose_only_violation_is_out_of_model_has_not_failed(children):
    def scenario():
        from assertlib.sim import Options, Tape, run_trial

        async def main(world):
            world.injected("bit-rot", ("disk-honest",))
            always(False, "claim", invariant="store.durable")

        options = Options(assumes={"store.durable": ("disk-honest",)})
        outcome = run_trial(main, Tape(None), options, name="one")
        return [failure.out_of_model for failure in outcome.failures], outcome.failure

    assert children.run(scenario).value == ([True], None)


def test_a_failure_knows_how_long_after_the_last_fault_it_was():
    async def scenario(world):
        host = booted(world, "server")
        await asyncio.sleep(1)
        host.kill()
        await asyncio.sleep(2)
        raise KeyError("late")

    (failure,) = trial_of(scenario).failures
    assert (failure.at, failure.after) == (3.0, 2.0)


def test_a_trial_leaves_no_warning_about_connections_of_hosts_that_crashed():
    async def scenario(world):
        host, client = booted(world, "server", store), booted(world, "client")
        client.run(chat())
        await asyncio.sleep(1)
        host.crash()
        client.crash()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        play(scenario)
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_a_stalled_task_goes_on_later_while_the_others_of_its_host_go_on():
    async def scenario(world):
        host = booted(world, "server")
        world.inject_faults(host)
        begun = world.now
        late = []

        async def work():
            for _ in range(20):
                await asyncio.sleep(0)
            late.append(world.now - begun)

        await asyncio.gather(*(host.run(work()) for _ in range(3)))
        return bool(world.mix), len(set(late)), bool(faults_in(world)), 0 <= max(late) < 20 * 2.0

    found = outcomes(scenario, 30, faults=["stall"])
    assert {times for has_mix, times, _, _ in found if not has_mix} == {1}
    assert {times for has_mix, times, _, _ in found if has_mix} >= {3}
    # A stall is recorded if there was one, and only then.
    assert all(is_noted == (times > 1) for _, times, is_noted, _ in found)
    assert all(is_bounded for *_, is_bounded in found)


def test_a_rebooted_host_is_still_stalled_until_faults_stop():
    async def scenario(world):
        host = booted(world, "server")
        host.stall(1.0)
        host.kill()
        host.boot()
        await host.run(asyncio.sleep(0))
        stalled = world.now
        world.stop_faults()
        await host.run(asyncio.sleep(0))
        return stalled > 0, world.now > stalled

    assert {play(scenario, Tape(seed)) for seed in range(5)} == {(True, False)}
