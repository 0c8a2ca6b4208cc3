"""
Programs for asyncio that give the same result in whatever order their tasks run, for hypothesis.
"""

import asyncio
import contextvars
import random
import selectors

from hypothesis import strategies as st

NEVER = 1e5
"""Seconds after which nothing of a program still runs."""

FEW = st.integers(1, 3)
SIMPLE = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 9)),
    st.tuples(st.just("turns"), FEW),
    st.tuples(st.just("sleep")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("queue"), FEW, FEW, st.integers(0, 2)),
    st.tuples(st.just("lock"), FEW, FEW),
    st.tuples(st.just("semaphore"), FEW, FEW),
    st.tuples(st.just("event"), FEW),
    st.tuples(st.just("condition"), FEW, st.booleans()),
    st.tuples(st.just("barrier"), FEW),
    st.tuples(st.just("cancel"), st.integers(0, 2)),
    st.tuples(st.just("late"), st.sampled_from(["timeout", "wait_for"])),
    st.tuples(st.just("soon"), FEW),
    st.tuples(st.just("later"), FEW),
    st.tuples(st.just("generator"), FEW),
    st.tuples(st.just("variable"), FEW),
)
OUTSIDE = st.one_of(
    st.tuples(st.just("echo"), FEW, FEW),
    st.tuples(st.just("thread"), FEW),
    st.tuples(st.just("executor"), st.booleans()),
)


def _composed(parts, group=3):
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("all"), several),
        st.tuples(st.just("gather"), several, st.booleans()),
        st.tuples(st.just("group"), st.lists(parts, min_size=1, max_size=group)),
        st.tuples(st.just("wait"), several),
        st.tuples(st.just("first"), several),
        st.tuples(st.just("completed"), several),
        st.tuples(
            st.sampled_from(["in_time", "waited_for", "shielded", "task", "caught", "cleaned"]),
            parts,
        ),
    )


ANY = st.recursive(SIMPLE | OUTSIDE, _composed, max_leaves=8)
ORDERED = st.recursive(SIMPLE, lambda parts: _composed(parts, group=1), max_leaves=8)
"""
Programs whose order is asyncio's alone: nothing comes from outside of the loop, and no group has
tasks that it cancels in the order of their addresses.
"""


class Boom(Exception):
    """The one way to fail."""


class Player:
    """
    Runs one program, once.

    Attributes:
        told: What happened, in order, with the time.
    """

    def __init__(self):
        self.told = []
        self._dice = random.Random(1)
        self._tasks = []

    async def whole(self, program):
        """Its result, and what happened until then."""
        try:
            result = await self.play(program)
        except Boom:
            result = "failed"
        while self._tasks:
            await asyncio.wait([self._tasks.pop()])
        return result, list(self.told)

    async def play(self, program):
        name, *args = program
        self._tell(program, "begins")
        try:
            result = await getattr(self, f"_{name}")(*args)
        except BaseException as error:
            self._tell(name, type(error).__name__)
            raise
        self._tell(name, result)
        return result

    def _tell(self, *what):
        self.told.append((round(asyncio.get_running_loop().time(), 6), *what))

    def _start(self, work):
        """A task that the program does not end before."""
        self._tasks.append(asyncio.create_task(work))
        return self._tasks[-1]

    def _started(self, parts):
        return [self._start(self.play(part)) for part in parts]

    def _moment(self):
        """A delay that no sum of others equals."""
        return 0.001 + self._dice.random()

    # -- what needs nothing else ----------------------------------------------------------------

    async def _value(self, value):
        return value

    async def _turns(self, count):
        for _ in range(count):
            await asyncio.sleep(0)
            self._tell("turn")
        return count

    async def _sleep(self):
        return await asyncio.sleep(self._moment(), "slept")

    async def _fail(self):
        raise Boom

    async def _queue(self, producers, items, size):
        queue = asyncio.Queue(size)
        taken = []

        async def produce(name):
            for number in range(items):
                await queue.put((name, number))

        async def consume():
            while True:
                taken.append(await queue.get())
                await asyncio.sleep(0)
                queue.task_done()

        consumers = [asyncio.create_task(consume()) for _ in range(2)]
        await asyncio.gather(*(produce(name) for name in range(producers)))
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        ends = await asyncio.gather(*consumers, return_exceptions=True)
        return sorted(taken), [type(end).__name__ for end in ends], queue.empty()

    async def _lock(self, tasks, rounds):
        lock, count = asyncio.Lock(), 0

        async def work():
            nonlocal count
            for _ in range(rounds):
                async with lock:
                    before = count
                    await asyncio.sleep(0)
                    count = before + 1

        await asyncio.gather(*(work() for _ in range(tasks)))
        return count, lock.locked()

    async def _semaphore(self, tasks, limit):
        semaphore, inside, most = asyncio.BoundedSemaphore(limit), 0, 0

        async def work():
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(tasks)))
        return inside, most <= limit

    async def _event(self, tasks):
        event = asyncio.Event()
        waiting = [asyncio.create_task(event.wait()) for _ in range(tasks)]
        await asyncio.sleep(0)
        event.set()
        return await asyncio.gather(*waiting)

    async def _condition(self, tasks, one_by_one):
        condition, tickets, served = asyncio.Condition(), 0, 0

        async def work():
            nonlocal tickets, served
            async with condition:
                await condition.wait_for(lambda: tickets > 0)
                tickets -= 1
                served += 1

        async def serve(count):
            nonlocal tickets
            async with condition:
                tickets += count
                condition.notify(count)

        workers = [asyncio.create_task(work()) for _ in range(tasks)]
        for count in [1] * tasks if one_by_one else [tasks]:
            await serve(count)
        await asyncio.gather(*workers)
        return tickets, served

    async def _barrier(self, parties):
        barrier = asyncio.Barrier(parties)
        return sorted(await asyncio.gather(*(barrier.wait() for _ in range(parties))))

    async def _cancel(self, turns):
        caught = []

        async def endure():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                caught.append(str(error))
                raise

        task = asyncio.create_task(endure())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel("enough")
        await asyncio.wait([task])
        # Whether it had begun at all is up to the order.
        return task.cancelled(), len(caught) <= 1, set(caught) <= {"enough"}

    async def _late(self, how):
        try:
            if how == "timeout":
                async with asyncio.timeout(self._moment()):
                    await asyncio.Event().wait()
            else:
                await asyncio.wait_for(asyncio.Event().wait(), self._moment())
        except TimeoutError:
            return "late"

    async def _soon(self, count):
        loop, seen = asyncio.get_running_loop(), []
        done = loop.create_future()
        for number in range(count):
            loop.call_soon(seen.append, number)
        loop.call_soon(loop.call_soon, _finish, done)
        loop.call_soon(seen.append, "last")
        await done
        return seen

    async def _later(self, count):
        loop, seen = asyncio.get_running_loop(), []
        done = loop.create_future()
        moments = sorted(self._moment() for _ in range(count))
        for moment in reversed(moments):
            loop.call_later(moment, seen.append, moments.index(moment))
        loop.call_later(moments[0] / 2, seen.append, "never").cancel()
        loop.call_later(1.01 + self._moment(), _finish, done)
        await done
        return seen

    async def _generator(self, count):
        closed = []

        async def numbers():
            try:
                for number in range(10):
                    await asyncio.sleep(0)
                    yield number
            finally:
                closed.append("closed")

        made = numbers()
        taken = [await anext(made) for _ in range(count)]
        await made.aclose()
        return taken, closed

    async def _variable(self, tasks):
        variable = contextvars.ContextVar("variable", default="unset")

        async def work(number):
            before = variable.get()
            variable.set(number)
            await asyncio.sleep(0)
            return before, variable.get()

        variable.set("set")
        return await asyncio.gather(*map(work, range(tasks))), variable.get()

    # -- what needs the outside -----------------------------------------------------------------

    async def _undisturbed(self, work):
        """Real sockets and threads are not left half-way."""
        return await asyncio.shield(self._start(_watched(work)))

    async def _echo(self, clients, lines):
        async def serve(reader, writer):
            async for line in reader:
                writer.write(line.upper())
                await writer.drain()
            writer.close()

        async def ask(port, name):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(lines):
                writer.write(f"{name} {number}\n".encode())
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer.decode()

        async def meet():
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                return await asyncio.gather(*(ask(port, f"c{name}") for name in range(clients)))

        return await self._undisturbed(meet())

    async def _thread(self, count):
        sums = (asyncio.to_thread(sum, range(number)) for number in range(count))
        return await self._undisturbed(_gathered(sums))

    async def _executor(self, fails):
        def work():
            if fails:
                raise Boom
            return "worked"

        loop = asyncio.get_running_loop()
        return await self._undisturbed(_gathered([loop.run_in_executor(None, work)]))

    # -- what is made of others -----------------------------------------------------------------

    async def _all(self, parts):
        return [await self.play(part) for part in parts]

    async def _gather(self, parts, return_exceptions):
        tasks = self._started(parts)
        try:
            results = await asyncio.gather(*tasks, return_exceptions=return_exceptions)
        except Boom:
            await asyncio.wait(tasks)
            raise
        return ["failed" if isinstance(each, Boom) else each for each in results]

    async def _group(self, parts):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.play(part)) for part in parts]
        except* Boom:
            tasks = []
        if not tasks:
            raise Boom
        return [task.result() for task in tasks]

    async def _wait(self, parts):
        done, pending = await asyncio.wait(self._started(parts))
        return sorted(_shown(task) for task in done), len(pending)

    async def _first(self, parts):
        tasks = self._started(parts)
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in pending:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(done) > 0, len(done) + len(pending)

    async def _completed(self, parts):
        results = []
        for each in asyncio.as_completed(self._started(parts)):
            try:
                results.append(repr(await each))
            except Boom:
                results.append("failed")
        return sorted(results)

    async def _in_time(self, part):
        async with asyncio.timeout(NEVER):
            return await self.play(part)

    async def _waited_for(self, part):
        return await asyncio.wait_for(self.play(part), NEVER)

    async def _shielded(self, part):
        (inner,) = self._started([part])
        outer = self._start(_shield(inner))
        await asyncio.sleep(0)
        outer.cancel()
        await asyncio.wait([outer])
        return await inner

    async def _task(self, part):
        return await self._started([part])[0]

    async def _caught(self, part):
        try:
            return await self.play(part)
        except Boom:
            return "caught"

    async def _cleaned(self, part):
        try:
            return await self.play(part)
        finally:
            await asyncio.sleep(0)


async def _shield(inner):
    return await asyncio.shield(inner)


async def _gathered(parts):
    return await asyncio.gather(*parts)


async def _watched(work):
    """Wait for real sockets and threads, with no timer overtaking them."""
    clock = getattr(asyncio.get_running_loop(), "clock", _Clock)
    clock.outside += 1
    try:
        return await work
    finally:
        clock.outside -= 1


def _finish(future):
    if not future.done():
        future.set_result(None)


def _shown(task):
    return "failed" if task.exception() else repr(task.result())


# -- asyncio itself, without the wall clock -----------------------------------------------------


class _Clock(selectors.DefaultSelector):
    """Lets time jump while nothing is awaited from outside."""

    now = 0.0
    outside = 0

    def select(self, timeout=None):
        if self.outside and timeout:
            return super().select(1.0)
        if not timeout:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """The real loop of asyncio, whose timers do not take their time."""

    def __init__(self):
        self.clock = _Clock()
        super().__init__(self.clock)

    def time(self):
        return self.clock.now


def on_asyncio(program):
    """Result and story of *program* on the real loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(Player().whole(program))
