"""
Plays scenarios, each in a world of its own.
"""

import asyncio

from hypothesis import strategies as st

from assertlib import configure, lifecycle
from assertlib.sim import Options, Tape, run_trial

tapes = st.builds(
    lambda seed, given: (seed, tuple(given)),
    st.none() | st.integers(0, 1 << 32),
    st.lists(st.integers(0, 3) | st.integers(0, (1 << 20) - 1), max_size=60),
)
"""What a `Tape` is made of: any choices, the plainest ones, and some of both."""


def trial_of(scenario, tape=None, *, faults=(), policy="fifo"):
    """How *scenario* went; not recorded, as it says nothing about the session that it is tested in."""
    mode = lifecycle.mode()
    configure(mode="off")
    try:
        options = Options(policy, tuple(faults))
        return run_trial(scenario, tape or Tape(None), options, name="played")
    finally:
        configure(mode=mode)


def play(scenario, tape=None, **options):
    """What *scenario* returned; without a tape all choices are the plainest."""
    returned = []

    async def main(world):
        returned.append(await scenario(world))

    outcome = trial_of(main, tape, **options)
    assert not outcome.failures, outcome.failures[0].text
    return returned[0]


def outcomes(scenario, tapes=200, **options):
    """What *scenario* returned, over many tapes."""
    return {play(scenario, Tape(seed), **options) for seed in range(tapes)}


def faults_in(world):
    """Names of what really went wrong so far."""
    return [name for _, name in world.faults]


async def until(condition):
    """Wait for *condition*; virtual time costs nothing."""
    while not condition():  # noqa: ASYNC110 nobody else is to know that it is waited for
        await asyncio.sleep(0.01)


def booted(world, name, main=None, **options):
    """A new host that is up."""
    host = world.host(name, main, **options)
    host.boot()
    return host
