"""
How messages share the range of latencies.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.sim import Tape
from assertlib.sim.pace import Pace

from .playing import booted, play, tapes

LINKS = st.sampled_from([("a", "b"), ("b", "a"), ("a", "c")])
# The position of each kind among those that `Pace` picks from.
EACH, RANKED, LEVELS = 0, 2, 3
# A range does not include its end.
LOWEST = 1 - 2**-20


@given(tapes, st.lists(LINKS, max_size=50), st.floats(0, 1), st.floats(0, 1))
def test_every_latency_is_in_its_range(tape, links, low, width):
    pace = Pace(Tape(*tape))
    for link in links:
        assert low <= pace.latency(low, low + width, link) <= low + width


def test_the_simplest_latencies_are_the_shortest_of_each_message():
    tape = Tape(None)
    pace = Pace(tape)
    assert pace.is_each
    assert [pace.latency(0.1, 0.2, ("a", "b")) for _ in range(3)] == [0.1] * 3


@pytest.mark.parametrize("seed", range(20))
def test_a_ranked_link_keeps_its_latency_until_it_drops_below_all_others(seed):
    pace = Pace(Tape(seed, (RANKED,)))
    links = [("a", "b"), ("b", "a"), ("a", "c")]
    drawn = {link: [] for link in links}
    for _ in range(100):
        for link in links:
            drawn[link].append(pace.latency(0.0, 1.0, link))
    dropped = 0
    for latencies in drawn.values():
        counts = Counter(latencies)
        assert set(counts) <= {latencies[0], LOWEST}
        dropped += latencies[-1] == LOWEST
    # Two changes at most, of which a late one may lie beyond these messages.
    assert dropped <= 2


def test_at_few_levels_messages_arrive_at_the_same_time():
    pace = Pace(Tape(1, (LEVELS,)))
    drawn = Counter(pace.latency(0.0, 1.0, ("a", "b")) for _ in range(300))
    assert set(drawn) == {0.0, 1 / 3, 2 / 3}
    assert min(drawn.values()) > 60


def test_a_slow_link_lets_all_messages_of_the_other_overtake():
    """Ranks hold for several messages in a row, which single draws seldom do."""

    async def scenario(world):
        boxes = {}
        for name in ("slow", "fast", "server"):
            host = booted(world, name)

            async def open_box(host=host):
                return host.mailbox(1)

            boxes[name] = await host.run(open_box())
        for number in range(10):
            for name in ("slow", "fast"):
                boxes[name].send(("server", 1), (name, number))
        order = [(await boxes["server"].receive())[0][0] for _ in range(20)]
        return order == sorted(order) or order == sorted(order, reverse=True)

    def separate(kind):
        # Under `fifo`, the pace is the first choice of a trial.
        return sum(play(scenario, Tape(seed, (kind,))) for seed in range(50))

    assert separate(RANKED) > 30
    assert separate(EACH) < 5
