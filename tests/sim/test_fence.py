"""
What a trial must not ask raises and says where; afterwards all is as it was.
"""
# ruff: noqa: ASYNC251, DTZ001, DTZ002, DTZ003, DTZ005, DTZ007, DTZ011, DTZ012

import asyncio
import contextlib
import copy
import datetime as dt
import inspect
import io
import itertools
import logging
import multiprocessing
import os
import pickle
import queue
import random
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from datetime import datetime as moment
from functools import partial
from os import urandom as entropy
from pathlib import Path
from random import Random, SystemRandom, randint
from random import random as chance
from time import monotonic, perf_counter_ns
from time import sleep as nap
from time import time as now

import pytest

import assertlib.random
from assertlib import within
from assertlib.random import AntithesisRandom, get_random, random_choice
from assertlib.sim import NotSimulatedError, Options, Tape, run_trial
from assertlib.sim.fence import fenced
from assertlib.sim.files import Files
from assertlib.sim.machines import Machines
from assertlib.sim.names import Names
from assertlib.sim.process import Process
from assertlib.sim.threads import Threads

from .running import failure_of, outcome_of, result_of, results_of

PAST = moment(2020, 2, 3, 4, 5, 6)


class Holder:
    """Names that classes and functions hold a clock by."""

    clock = staticmethod(time.monotonic)

    def __init__(self, clock=time.monotonic, *, wall=time.time):
        self.given = clock
        self.wall = wall


def reseeded(generator):
    generator.seed()
    return generator


def shuffled(values):
    mixed = list(values)
    random.shuffle(mixed)
    return mixed


def in_trial(function):
    """What *function* returns when it is called in a trial."""

    async def scenario(world):
        return function()

    return result_of(scenario)


def refused(function):
    """What the refusal of *function* says; it must be refused, and fail the trial that swallows it."""

    async def scenario(world):
        with pytest.raises(NotSimulatedError) as caught:
            await _result(function())
        texts.append(str(caught.value))

    texts = []
    failure = failure_of(scenario)
    assert failure.name.startswith("NotSimulatedError: ")
    assert failure.text.startswith(texts[0])
    return texts[0]


async def _result(value):
    return await value if asyncio.iscoroutine(value) else value


def place_of(function, offset=0):
    return f"{__file__}:{function.__code__.co_firstlineno + offset}: "


def named(functions):
    """Functions of one line, each with its text as the name of the case."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    texts = [lines[each.__code__.co_firstlineno - 1].strip(" ,") for each in functions]
    return [
        pytest.param(each, id=text.removeprefix("lambda: "))
        for each, text in zip(functions, texts, strict=True)
    ]


# -- what is replaced ---------------------------------------------------------------------------

CLOCKS = [
    lambda: time.time(),
    lambda: time.time_ns(),
    lambda: time.monotonic(),
    lambda: time.monotonic_ns(),
    lambda: time.perf_counter(),
    lambda: time.perf_counter_ns(),
    lambda: time.process_time(),
    lambda: time.process_time_ns(),
    lambda: time.thread_time(),
    lambda: time.thread_time_ns(),
    lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    lambda: time.clock_gettime_ns(time.CLOCK_REALTIME),
    lambda: time.localtime(),
    lambda: time.localtime(None),
    lambda: time.gmtime(),
    lambda: time.gmtime(None),
    lambda: time.ctime(),
    lambda: time.ctime(None),
    lambda: time.asctime(),
    lambda: time.strftime("%Y"),
    lambda: os.times(),
    lambda: dt.datetime.now(),
    lambda: dt.datetime.now(dt.UTC),
    lambda: dt.datetime.now(tz=dt.UTC),
    lambda: dt.datetime.utcnow(),
    lambda: dt.datetime.today(),
    lambda: dt.date.today(),
    lambda: monotonic(),
    lambda: perf_counter_ns(),
    lambda: now(),
    lambda: moment.now(),
    lambda: moment.utcnow(),
    lambda: date.today(),
    lambda: getattr(time, "mono" + "tonic")(),
    lambda: partial(time.time)(),
    lambda: Holder.clock(),
    lambda: Holder().given(),
    lambda: Holder().wall(),
    lambda: uuid.uuid1(),
]
DICE = [
    lambda: random.random(),
    lambda: random.randint(1, 1000),
    lambda: random.choice(range(1000)),
    lambda: random.choices(range(1000)),
    lambda: shuffled(range(1000)),
    lambda: random.sample(range(1000), 1),
    lambda: random.uniform(0, 1),
    lambda: random.gauss(),
    lambda: random.getrandbits(32),
    lambda: random.randbytes(8),
    lambda: random.randrange(1000),
    lambda: random.Random().random(),
    lambda: random.Random(None).random(),
    lambda: reseeded(random.Random(5)).random(),
    lambda: random.seed() or random.random(),
    lambda: random.seed(None) or random.random(),
    lambda: random.SystemRandom().random(),
    lambda: random.SystemRandom().randrange(1000),
    lambda: os.urandom(8),
    lambda: os.getrandom(8),
    lambda: os.getrandom(8, os.GRND_NONBLOCK),
    lambda: uuid.uuid4(),
    lambda: secrets.token_bytes(),
    lambda: secrets.token_hex(8),
    lambda: secrets.randbelow(8),
    lambda: secrets.choice(range(1000)),
    lambda: randint(1, 1000),
    lambda: chance(),
    lambda: entropy(8),
    lambda: Random().random(),
    lambda: ssl.RAND_bytes(8),
    lambda: tempfile._RandomNameSequence().rng.random(),
    lambda: SystemRandom().getrandbits(32),
]
OUTSIDE = [
    lambda: socket.socketpair(),
    lambda: socket.create_connection(("127.0.0.1", 1)),
    lambda: socket.gethostbyaddr("127.0.0.1"),
    lambda: subprocess.run(["true"]),
    lambda: subprocess.Popen(["true"]),
    lambda: subprocess.check_output(["true"]),
    lambda: os.system("true"),
    lambda: os.popen("true"),
    lambda: os.fork() or os._exit(0),
    lambda: os.forkpty()[0] or os._exit(0),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.spawnlp(os.P_WAIT, "true", "true"),
    lambda: os.execv("/there/is/none", ["none"]),
    lambda: multiprocessing.Process(target=print).start(),
    lambda: queue.Queue().get(),
    lambda: queue.SimpleQueue().get(),
    lambda: threading.Event().wait(1),
    lambda: time.sleep(0.1),
    lambda: nap(0),
]


def on_hosts(function, seed):
    """What *function* returns on two hosts: at the start, and one hour of virtual time later."""

    async def scenario(world):
        async def main(host):
            return [function(), await asyncio.sleep(3600), function()]

        hosts = [world.host(name, main) for name in ("a", "b")]
        for host in hosts:
            host.boot()
        return [await host.ended() for host in hosts]

    return result_of(scenario, seed)


@pytest.mark.parametrize("function", named(CLOCKS))
def test_a_clock_shows_virtual_time(function):
    (a_before, _, a_after), (b_before, _, b_after) = shown = on_hosts(function, 0)

    assert on_hosts(function, 0) == shown
    assert (
        a_before != a_after or "%Y" in inspect.getsource(function) or "date" in str(type(a_after))
    )
    if not isinstance(a_before, uuid.UUID):
        assert (a_before, a_after) == (b_before, b_after)


@pytest.mark.parametrize("function", named(DICE))
def test_random_numbers_come_from_the_tape_and_differ_between_hosts(function):
    (a_before, _, a_after), (b_before, _, b_after) = drawn = on_hosts(function, 0)

    assert on_hosts(function, 0) == drawn
    # Two of a thousand values may be equal; all of them hardly ever are.
    assert len({*map(repr, (a_before, a_after, b_before, b_after))}) > 1
    assert on_hosts(function, 1) != drawn


def test_the_clocks_of_a_host_agree_and_its_wall_clock_is_off_by_its_skew():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(1.5)
            wall = time.time()
            assert (
                time.monotonic() == time.perf_counter() == asyncio.get_running_loop().time() == 1.5
            )
            assert time.time_ns() == round(wall * 10**9)
            assert dt.datetime.now(dt.UTC).timestamp() == wall == host.wall_clock()
            assert dt.date.today() == dt.date.fromtimestamp(wall)
            assert time.gmtime() == time.gmtime(wall)
            assert time.strftime("%c") == time.strftime("%c", time.localtime(wall))
            assert time.asctime() == time.ctime() == time.ctime(wall)
            return wall

        right, wrong = world.host("right", main), world.host("wrong", main)
        wrong.skew = 20.0
        right.boot()
        wrong.boot()
        assert await wrong.ended() - await right.ended() == 20.0
        assert time.monotonic() == world.now

    outcome_of(scenario)
    result_of(scenario)


def test_a_host_has_a_name_and_a_new_process_id_at_each_boot():
    async def scenario(world):
        async def main(host):
            identities.append(
                (socket.gethostname(), os.uname().nodename, os.getpid(), uuid.getnode())
            )

        identities = []
        for name in ("a", "a", "b"):
            host = world.hosts.get(name) or world.host(name, main)
            host.boot()
            await host.ended()
            host.stop()
        (one, again, other) = identities
        assert one[:2] == again[:2] == ("a", "a")
        assert other[:2] == ("b", "b")
        assert len({one[2], again[2], other[2], real}) == 4
        assert one[3] == again[3] != other[3]

    real = os.getpid()
    result_of(scenario)


def test_a_deadline_inside_the_store_is_one_of_virtual_time():
    async def scenario(world):
        with within(5, "the request is answered"):
            await asyncio.sleep(4)

    assert outcome_of(scenario, log=False).failure is None


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("function", named(OUTSIDE))
def test_sockets_processes_and_threads_are_refused_and_the_place_is_named(function):
    text = refused(function)
    assert text.startswith(place_of(function))
    assert ";" in text, "it names no remedy"


AWAITED = [
    lambda _: asyncio.create_subprocess_exec("true"),
    lambda _: asyncio.create_subprocess_shell("true"),
    lambda loop: loop.sock_sendfile(None, None),
    lambda loop: loop.sendfile(None, None),
    lambda loop: loop.subprocess_exec(None, "true"),
    lambda loop: loop.subprocess_shell(None, "true"),
    lambda loop: loop.connect_read_pipe(None, None),
    lambda loop: loop.connect_write_pipe(None, None),
    lambda loop: loop.add_reader(0, print),
    lambda loop: loop.add_writer(0, print),
]


@pytest.mark.parametrize("function", named(AWAITED))
def test_what_the_loop_does_not_simulate_is_refused_and_the_place_is_named(function):
    text = refused(lambda: function(asyncio.get_running_loop()))
    # A coroutine runs where it is awaited.
    assert text.startswith((place_of(function), f"{__file__}:"))


def test_a_loop_has_everything_that_a_loop_must_have():
    async def scenario(world):
        missing = []
        for name in vars(asyncio.AbstractEventLoop):
            inherited = getattr(asyncio.AbstractEventLoop, name)
            if not name.startswith("_") and getattr(type(world.loop), name) is inherited:
                missing.append(name)
        return missing

    assert result_of(scenario) == []


def test_a_refusal_that_nobody_catches_fails_the_trial_and_names_the_place():
    async def scenario(world):
        async def main(host):
            await asyncio.sleep(1)
            time.sleep(1)

        host = world.host("host", main)
        host.boot()
        await host.ended()

    failure = failure_of(scenario)
    assert failure.name.startswith("NotSimulatedError: ")
    assert place_of(scenario, 3) in failure.text
    assert failure.at == 1.0


def test_a_thread_of_the_loop_is_inside_the_fence_too():
    assert result_of(lambda world: asyncio.to_thread(time.monotonic)) < 1


def test_a_thread_of_the_loop_may_sleep_while_others_go_on():
    async def scenario(world):
        def work():
            began = time.monotonic()
            time.sleep(5)
            return time.monotonic() - began

        sleeping = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(1)
        assert 1 <= world.now < 2
        assert await sleeping == 5
        assert 5 <= world.now < 6

    outcome = outcome_of(scenario)
    assert outcome.failure is None, outcome.failure


# -- what is not refused ------------------------------------------------------------------------


def test_a_trial_may_log():
    stream = io.StringIO()
    logger = logging.getLogger("a store")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(threadName)s %(message)s"))

    async def scenario(world):
        logger.warning("it %s", "works")
        try:
            raise ValueError("on purpose")
        except ValueError:
            logger.exception("it failed")
        warnings.warn("careful", UserWarning, stacklevel=1)

    logger.addHandler(handler)
    try:
        with pytest.warns(UserWarning, match="careful"):
            result_of(scenario)
    finally:
        logger.removeHandler(handler)
    assert "it works" in stream.getvalue()
    assert "ValueError: on purpose" in stream.getvalue()


def test_times_that_are_given_are_no_clocks():
    def convert():
        assert time.gmtime(0).tm_year == 1970
        assert time.strftime("%Y", time.gmtime(0)) == "1970"
        assert time.asctime(time.gmtime(0)).endswith("1970")
        assert time.ctime(10**9).endswith("2001")
        assert time.mktime(time.localtime(10**9)) == 10**9
        return True

    assert in_trial(convert)


def test_dates_can_be_made_compared_and_taken_apart():
    def work():
        made = moment(2020, 2, 3, 4, 5, 6)
        assert made == PAST
        assert hash(made) == hash(PAST)
        assert isinstance(made, moment)
        assert isinstance(PAST, moment)
        assert isinstance(PAST, dt.date)
        assert not isinstance(date(2020, 1, 1), moment)
        assert issubclass(moment, date)
        assert moment.fromisoformat(made.isoformat()) == PAST
        assert moment.strptime("2020", "%Y").year == 2020
        assert moment.fromtimestamp(0, dt.UTC) == moment(1970, 1, 1, tzinfo=dt.UTC)
        assert made + dt.timedelta(1) - PAST == dt.timedelta(1)
        assert copy.deepcopy(made) == PAST
        assert moment.combine(made.date(), made.time()) == made
        return made

    kept = in_trial(work)
    assert kept == PAST
    assert isinstance(kept, moment)
    assert kept.replace(year=2021).year == 2021


@pytest.mark.parametrize("made", ["before", "inside"])
def test_dates_can_be_pickled(made):
    def work():
        return pickle.dumps(PAST if made == "before" else moment(2020, 2, 3, 4, 5, 6))

    assert pickle.loads(in_trial(work)) == PAST


def test_a_date_of_a_trial_can_be_pickled_afterwards():
    kept = in_trial(lambda: moment(2020, 2, 3, 4, 5, 6))
    assert pickle.loads(pickle.dumps(kept)) == PAST


def test_a_generator_with_a_seed_gives_what_it_always_does():
    expected = [Random(5).random(), Random("text").randint(1, 100), Random(5).sample(range(9), 3)]

    def draw():
        again = Random(1)
        again.seed(5)
        assert again.random() == expected[0]
        return [
            random.Random(5).random(),
            Random("text").randint(1, 100),
            random.Random(x=5).sample(range(9), 3),
        ]

    assert in_trial(draw) == expected


def test_a_generator_with_a_seed_can_be_copied():
    def draw():
        first = Random(5)
        first.random()
        second = copy.copy(first)
        return first.random() == second.random()

    assert in_trial(draw)


@pytest.mark.parametrize("seed", [5, "text", b"bytes", 0.5])
def test_a_host_that_seeds_the_shared_generator_gets_what_it_always_gives(seed):
    def draw():
        random.seed(seed)
        return random.random(), randint(1, 10**9), random.sample(range(100), 5)

    before = random.getstate()
    first = in_trial(draw)
    assert in_trial(draw) == first
    assert random.getstate() == before
    random.seed(seed)
    try:
        assert (random.random(), randint(1, 10**9), random.sample(range(100), 5)) == first
    finally:
        random.setstate(before)


def test_a_trial_leaves_the_shared_generator_of_the_process_alone():
    before = random.getstate()
    results_of(lambda world: asyncio.sleep(1))
    in_trial(lambda: [Random(5).random(), AntithesisRandom().random(), random.random()])
    assert random.getstate() == before


# -- whose choices they are ---------------------------------------------------------------------


async def choices(world):
    dice = AntithesisRandom()
    return [get_random(), random_choice([1, 2, 3]), dice.random(), dice.sample(range(1000), 5)]


def test_the_tape_decides_what_assertlib_draws():
    assert result_of(choices, seed=1) == result_of(choices, seed=1)
    assert result_of(choices, seed=1) != result_of(choices, seed=2)


def test_what_assertlib_draws_is_on_the_tape():
    words = []

    async def scenario(world):
        words.append(get_random())
        await choices(world)
        words.append(get_random())

    outcome = outcome_of(scenario, seed=7)
    made = outcome.choices
    assert words[0] in [high << 32 | low for high, low in itertools.pairwise(made)]
    assert words[1] == made[-2] << 32 | made[-1]
    again = run_trial(scenario, Tape(None, made), Options("random"), name="again")
    assert again.choices == made
    assert words[2:] == words[:2]


def test_outside_of_trials_nobody_decides_what_assertlib_draws():
    inside = result_of(choices, seed=1)
    source = assertlib.random._source
    state = random.getstate()
    outside = [asyncio.run(choices(None)) for _ in range(2)]
    assert outside[0] != outside[1]
    assert inside not in outside
    assert source is assertlib.random._usual
    random.setstate(state)


# -- afterwards ---------------------------------------------------------------------------------


def surroundings():
    """All that the fence may have replaced, here and in the standard library."""
    modules = (time, os, random, dt, threading, socket, subprocess, uuid, secrets, asyncio)
    found = {}
    for owner in (*modules, threading.Thread, random.Random, sys.modules[__name__], Holder):
        for name, value in list(vars(owner).items()):
            found[owner.__name__, name] = value
    return found, Holder.__init__.__defaults__, Holder.__init__.__kwdefaults__


AS_IT_WAS = surroundings()


def changed():
    """What is not as it was when this module was imported."""
    (before, *defaults), (after, *others) = AS_IT_WAS, surroundings()
    names = [name for name in before if before[name] != after.get(name)]
    return names + [each for each in others if each not in defaults]


async def peaceful(world):
    await asyncio.sleep(1)


async def failing(world):
    await asyncio.sleep(1)
    raise ValueError


async def refused_one(world):
    time.sleep(1)


async def deadlocked(world):
    await asyncio.Event().wait()


@pytest.mark.parametrize("scenario", [peaceful, failing, refused_one, deadlocked])
def test_after_a_trial_all_is_as_it_was(scenario):
    hooks = sys.get_asyncgen_hooks()
    outcome_of(scenario)
    assert changed() == []
    assert sys.get_asyncgen_hooks() == hooks
    assert asyncio._get_running_loop() is None
    assert time.monotonic() <= monotonic()
    assert moment.now() >= PAST
    assert Random().random() < 1
    assert not threading.Thread(target=print).is_alive()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_after_a_trial_that_was_interrupted_all_is_as_it_was(error):
    async def scenario(world):
        await asyncio.sleep(1)
        raise error

    with contextlib.suppress(error):
        outcome_of(scenario)
    assert changed() == []
    assert asyncio._get_running_loop() is None
    assert assertlib.random._source is assertlib.random._usual
    assert outcome_of(peaceful).failure is None


def test_a_fence_within_a_fence_stands_until_the_outer_one_falls():
    def machines(elapsed):
        return Machines(lambda: elapsed, lambda: 7, Process("outside"), Names(), Threads(None))

    files = Files(Process("outside"), lambda: 1)
    with fenced(machines(1.0), files):
        with fenced(machines(2.0), files):
            assert time.monotonic() == 2.0
        assert time.monotonic() == 1.0
    assert changed() == []
    assert time.time() > 0


def test_what_the_project_puts_in_the_place_of_a_clock_stays_there(monkeypatch):
    outcome_of(peaceful)
    monkeypatch.setattr(sys.modules[__name__], "monotonic", lambda: "mine")
    assert in_trial(lambda: monotonic()) == "mine"
    assert monotonic() == "mine"


async def real_work():
    task = asyncio.create_task(asyncio.sleep(0))
    assert len(asyncio.all_tasks()) == 2
    assert len({asyncio.Future(), asyncio.Future()}) == 2
    for each in asyncio.as_completed([task, asyncio.to_thread(int, "1")]):
        await each
    return True


ELSEWHERE = [
    lambda: time.monotonic() > 0,
    lambda: now() > 0,
    lambda: moment.now() > PAST,
    lambda: moment.utcnow() > PAST,
    lambda: moment.today() > PAST,
    lambda: random.random() < 1,
    lambda: Random().random() < 1,
    lambda: uuid.uuid1() != uuid.uuid4(),
    lambda: secrets.token_bytes(1) in map(bytes, zip(range(256))),
    lambda: nap(0) is None,
    lambda: ThreadPoolExecutor(1).submit(int, "1").result() == 1,
    lambda: subprocess.run(["true"], check=True).returncode == 0,
    lambda: asyncio.run(real_work()),
]


@pytest.mark.parametrize("function", named(ELSEWHERE))
def test_other_threads_go_on_as_ever(function):
    may_look, looked, seen = threading.Event(), threading.Event(), []

    def look():
        may_look.wait(10)
        try:
            seen.append(function())
        except Exception as error:
            seen.append(repr(error))
        looked.set()

    async def scenario(world):
        may_look.set()
        # The scenario must not block; the other thread goes on whenever this one is interrupted.
        while not looked.is_set():
            os.sched_yield()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        result_of(scenario)
    finally:
        may_look.set()
        thread.join()
    assert seen == [True]


def test_a_module_that_is_imported_during_a_trial_is_fenced_and_free_afterwards(children):
    (children.directory / "lazy.py").write_text(
        "from asyncio import Future, all_tasks, as_completed\n"
        "from datetime import datetime\n"
        "from random import random\n"
        "from time import monotonic\n"
    )

    def scenario():
        import asyncio
        import sys

        from assertlib.sim import Options, Tape, run_trial

        for name in ("queue", "sched", "timeit", "lazy"):
            sys.modules.pop(name, None)
        shown = []

        async def use(world):
            import queue
            import sched
            import timeit

            import lazy

            assert queue and sched and timeit
            shown.append([lazy.monotonic(), lazy.datetime.now(), lazy.random()])

        for _ in range(2):
            outcome = run_trial(use, Tape(1), Options(), name="trial")
            assert outcome.failure is None, outcome.failure
        import queue
        import timeit

        import lazy

        assert shown[0] == shown[1]
        assert shown[0][0] == 0.0
        assert lazy.monotonic() > 0
        assert lazy.random() < 1
        assert timeit.timeit("1", number=1) >= 0
        try:
            queue.Queue().get(timeout=0.001)
        except queue.Empty:
            pass

        async def main():
            assert len(lazy.all_tasks()) == len({lazy.Future()}) == 1
            return [await each for each in lazy.as_completed([asyncio.sleep(0, "done")])]

        assert asyncio.run(main()) == ["done"]
        clocks = (lazy.datetime.now, lazy.datetime.utcnow, lazy.datetime.today)
        return [clock() > lazy.datetime(2020, 1, 1) for clock in clocks]

    assert children.run(scenario).value == [True] * 3


def test_a_scenario_from_a_file_of_the_same_name_is_fenced_too(children):
    for name in ("one", "two"):
        (children.directory / name).mkdir()
        (children.directory / name / "scenario.py").write_text(
            "from time import sleep\nasync def main(world):\n    sleep(1)\n"
        )

    def scenario():
        from assertlib.sim import Options, Tape, run_trial
        from assertlib.sim.target import load

        texts = []
        for name in ("one", "two"):
            main = load(f"{name}/scenario.py:main")
            failure = run_trial(main, Tape(1), Options(), name=name).failure
            texts.append("" if failure is None else failure.text)
        return ["one/scenario.py:3: " in texts[0], "two/scenario.py:3: " in texts[1]]

    assert children.run(scenario).value == [True, True]
