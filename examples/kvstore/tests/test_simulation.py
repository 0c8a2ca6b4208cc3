"""The store in a simulated world; `sim explore` does the same with more seeds."""

from kvstore.simulation import rounds

import assertlib.sim


@assertlib.sim.test(seeds=40)
async def test_the_store_keeps_its_promises_whatever_goes_wrong(world: assertlib.sim.World) -> None:
    await rounds(world)
