"""
``eventually``: what must happen once faults have stopped.
"""

import json

import pytest

from assertlib import Invariant, configure, eventually


def details_of(hit):
    return json.loads(hit.details)


def test_a_condition_that_becomes_true_in_time_holds(children):
    def scenario():
        import asyncio

        async def main():
            turns = iter([0, 0, 1])
            found = await eventually(
                lambda: next(turns), "it recovers", {"note": "mine"}, after_faults_stop=60.0
            )
            assert found is True

        asyncio.run(main())

    outcome = children.run(scenario)
    assert outcome.counts == {"it recovers": (1, 0)}
    assert outcome.kinds == {"it recovers": "always"}
    (hit,) = outcome.shard.hits
    assert details_of(hit) == {"note": "mine", "after_faults_stop": 60.0}


def test_one_that_stays_false_is_a_violation_with_the_error_that_was_seen_last(children):
    def scenario():
        import asyncio

        async def refused():
            raise ConnectionRefusedError("nobody listens")

        async def main():
            lease = Invariant("a.b")
            assert not await lease.eventually(refused, "it recovers", after_faults_stop=0.2)

        asyncio.run(main())

    outcome = children.run(scenario)
    assert outcome.counts == {"it recovers": (0, 1)}
    (hit,) = outcome.shard.hits
    assert hit.invariant == "a.b"
    assert "nobody listens" in details_of(hit)["error"]


def test_a_coroutine_function_is_awaited_and_ended_when_the_time_is_over(children):
    def scenario():
        import asyncio

        async def never():
            await asyncio.sleep(3600)

        async def main():
            assert not await eventually(never, "it recovers", after_faults_stop=0.1)

        asyncio.run(main())

    assert children.run(scenario).counts == {"it recovers": (0, 1)}


def test_other_errors_of_the_condition_reach_the_caller(children):
    def scenario():
        import asyncio

        async def main():
            try:
                await eventually(lambda: 1 / 0, "it recovers", after_faults_stop=60.0)
            except ZeroDivisionError:
                return "raised"

        return asyncio.run(main())

    outcome = children.run(scenario)
    assert (outcome.value, outcome.counts) == ("raised", {})


def test_the_site_is_the_call_even_in_a_task_of_its_own(children):
    def scenario():
        import asyncio

        async def main():
            waits = eventually(lambda: True, "it recovers", after_faults_stop=60.0)
            await asyncio.create_task(waits)

        asyncio.run(main())

    (hit,) = children.run(scenario).shard.hits
    assert hit.location.function.endswith("main")


def test_off_it_still_waits_and_records_nothing(children):
    def scenario():
        import asyncio

        async def main():
            configure(mode="off")
            turns = iter([0, 1])
            assert await eventually(lambda: next(turns), "it recovers", after_faults_stop=60.0)

        asyncio.run(main())

    assert children.run(scenario).counts == {}


@pytest.mark.parametrize("is_repaired", [True, False])
def test_in_a_trial_all_faults_end_before_the_store_must_recover(children, is_repaired):
    def scenario(is_repaired):
        import asyncio

        from assertlib.sim import Options, Tape, run_trial
        from assertlib.sim.faults import DEFAULT

        async def serve(host):
            async def answer(reader, writer):
                writer.write(await reader.readline())
                writer.close()

            await (await asyncio.start_server(answer, port=7)).serve_forever()

        async def played(world):
            server, client = world.host("server", serve), world.host("client")
            client.boot()

            async def keep_up():
                while True:
                    server.boot()
                    await server.ended()
                    if not is_repaired:
                        return

            async def served():
                reader, writer = await asyncio.open_connection("server", 7)
                writer.write(b"x\n")
                return await reader.readline() == b"x\n"

            keeper = asyncio.create_task(keep_up())
            await asyncio.sleep(0)
            world.inject_faults(server)
            await asyncio.sleep(20)
            faults = len(world.faults)
            await client.run(eventually(served, "it recovers", after_faults_stop=5.0))
            assert len(world.faults) == faults
            keeper.cancel()

        for seed in range(20):
            failures = run_trial(
                played, Tape(seed), Options(faults=DEFAULT), name=f"trial {seed}"
            ).failures
            assert {each.name for each in failures} <= {"it recovers"}, failures[0].text

    true, false = children.run(scenario, is_repaired).counts["it recovers"]
    assert true + false == 20
    assert bool(false) != is_repaired
