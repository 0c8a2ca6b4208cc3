"""
A lock service with leases and five planted bugs, each of which has a scenario of its own.

The server keeps holder, token and end of the lease in a log, which it syncs before it answers.
Clients acquire the lock, renew their lease and release it.  ``sound`` is the service without a bug.
"""

import asyncio
import contextlib

from assertlib import always

TTL, PATIENCE = 1.0, 0.5
CLIENT_FAULTS = ("pause", "stall", "partition", "one-way", "reset")
ROUND_TRIP = 0.002
"""Seconds that the server waits for its replica, which confirms each change."""


class Server:
    def __init__(self, host, bug):
        self.host, self.bug, self.changing = host, bug, asyncio.Lock()
        self.owner, self.token, self.expires = "-", 0, 0.0
        lines = host.disk.read("log").split(b"\n") if host.disk.exists("log") else []
        # A torn line lacks its end, and spoils no other: each begins and ends with a newline.
        whole = [each.split() for each in lines if each.endswith(b".")]
        for owner, token, expires, _ in whole[-1:]:
            self.token = int(token)
            if bug != "leases-lost-at-restart":
                self.owner, self.expires = owner.decode(), float(expires)
        self.log = host.disk.open("log")
        host.disk.sync_directory("/")

    async def persist(self):
        try:
            self.log.append(f"\n{self.owner} {self.token} {self.expires} .\n".encode())
            if self.bug != "unsynced-token":
                self.log.sync()
        except OSError:
            self.host.stop()
        await asyncio.sleep(ROUND_TRIP)

    def is_held(self):
        return self.owner != "-" and self.host.wall_clock() < self.expires

    async def acquire(self, client):
        if self.bug == "check-then-act" and not self.is_held():
            await asyncio.sleep(ROUND_TRIP)
        elif self.is_held():
            return "busy"
        self.owner, self.token = client, self.token + 1
        self.expires = self.host.wall_clock() + TTL
        token = self.token
        await self.persist()
        return f"token {token}"

    async def renew(self, client, token):
        if self.owner != client or self.token != token or not self.is_held():
            return "lost"
        if self.bug == "renewal-window":
            await asyncio.sleep(ROUND_TRIP)
        always(self.token == token, "a renewal extends the lease that it has checked")
        self.owner, self.expires = client, self.host.wall_clock() + TTL
        await self.persist()
        return "renewed"

    async def release(self, client, token):
        is_own = self.owner == client and self.token == token
        if is_own or self.bug == "foreign-release":
            self.owner = "-"
            await self.persist()
        return "released"

    async def answer(self, request):
        verb, client, *token = request.split()
        is_racy = self.bug in ("check-then-act", "renewal-window")
        async with contextlib.nullcontext() if is_racy else self.changing:
            return await getattr(self, verb)(client, *map(int, token))

    async def serve(self, reader, writer):
        while line := await reader.readline():
            writer.write(f"{await self.answer(line.decode())}\n".encode())
        writer.close()


class Leases:
    """What the clients believe, judged by the clock of the world."""

    def __init__(self, world):
        self.world, self.ends, self.tokens = world, {}, set()

    def holds(self, client, end):
        now = self.world.now
        others = [each for each, until in self.ends.items() if each != client and now < until]
        if now < end:
            always(not others, "one client holds the lock", {"client": client, "others": others})
            self.ends[client] = end

    def granted(self, token):
        always(token not in self.tokens, "a token is granted once", {"token": token})
        self.tokens.add(token)


class Client:
    def __init__(self, name, world, leases):
        self.name, self.world, self.leases, self.streams = name, world, leases, None

    async def asked(self, *request):
        try:
            async with asyncio.timeout(PATIENCE):
                self.streams = self.streams or await asyncio.open_connection("server", 7)
                reader, writer = self.streams
                writer.write(f"{' '.join(map(str, request))}\n".encode())
                return (await reader.readuntil()).decode().split()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # An answer that comes late must not be taken for that to the next request.
            self.streams = None
            return ["no answer"]

    async def work(self, rounds):
        for _ in range(rounds):
            await asyncio.sleep(self.world.tape.between(0.02, 0.5))
            began = self.world.now
            match await self.asked("acquire", self.name):
                case ["token", token]:
                    self.leases.granted(token)
                    self.leases.holds(self.name, began + TTL)
                    await self.hold(token)

    async def hold(self, token):
        for _ in range(self.world.tape.choose(4)):
            await asyncio.sleep(TTL / 3)
            began = self.world.now
            if await self.asked("renew", self.name, token) == ["renewed"]:
                self.leases.holds(self.name, began + TTL)
        self.leases.ends.pop(self.name, None)
        await self.asked("release", self.name, token)


async def keep_up(host):
    while True:
        host.boot()
        await host.ended()
        await asyncio.sleep(0.1)


def scenario_of(bug):
    async def scenario(world):
        async def main(host):
            try:
                service = Server(host, bug)
            except OSError:
                host.stop()
                return
            async with await asyncio.start_server(service.serve, port=7) as server:
                await server.serve_forever()

        server = world.host("server", main, allow_failures=(ConnectionError,))
        leases, work = Leases(world), []
        keeper = asyncio.create_task(keep_up(server))
        await asyncio.sleep(0)
        faults = [world.inject_faults(server)]
        for name in ("ann", "bob"):
            host = world.host(name)
            host.boot()
            faults.append(world.inject_faults(host, CLIENT_FAULTS))
            work.append(host.run(Client(name, world, leases).work(12), name=name))
        await asyncio.wait(work)
        for task in [keeper, *faults]:
            task.cancel()
        world.stop_faults()

    return scenario


BUGS = (
    "check-then-act", "foreign-release", "leases-lost-at-restart", "unsynced-token",
    "renewal-window",
)  # fmt: skip
sound = scenario_of("")
globals().update((bug.replace("-", "_"), scenario_of(bug)) for bug in BUGS)
