"""
Programs of the package index, unchanged: each as a server and a client host.

``python -m tests.sim.real_programs NAME SEED...`` prints the failure and the digest of each trial.
"""

import asyncio
import importlib
import sys

from assertlib.sim import Options, Tape, run_trial

SECONDS = 60.0


async def serve_and_call(world, serve, call):
    server, client = world.host("server", serve), world.host("client")
    server.boot()
    client.boot()
    await asyncio.sleep(0.5)
    return await asyncio.wait_for(client.run(call()), SECONDS)


async def aiohttp_(world):
    from aiohttp import ClientSession, web

    async def serve(host):
        async def hello(request):
            return web.json_response({"path": request.path, "body": await request.text()})

        app = web.Application()
        app.router.add_route("*", "/{x}", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 8080).start()
        await asyncio.Event().wait()

    async def call():
        async with ClientSession() as session:
            for n in range(3):
                async with session.post(f"http://server:8080/{n}", data=f"b{n}") as r:
                    assert (await r.json()) == {"path": f"/{n}", "body": f"b{n}"}

    await serve_and_call(world, serve, call)


async def uvicorn_httpx(world):
    import httpx
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def serve(host):
        async def hello(request):
            return JSONResponse({"n": request.path_params["n"]})

        app = Starlette(routes=[Route("/{n}", hello)])
        await uvicorn.Server(
            uvicorn.Config(app, host="0.0.0.0", port=8000, log_level="warning")
        ).serve()

    async def call():
        async with httpx.AsyncClient() as c:
            for n in range(3):
                assert (await c.get(f"http://server:8000/{n}")).json() == {"n": str(n)}

    await serve_and_call(world, serve, call)


async def hypercorn_httpx(world):
    import httpx
    import hypercorn.asyncio
    import hypercorn.config

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                m = await receive()
                await send({"type": m["type"] + ".complete"})
                if m["type"] == "lifespan.shutdown":
                    return
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})

    async def serve(host):
        c = hypercorn.config.Config()
        c.bind = ["0.0.0.0:8000"]
        await hypercorn.asyncio.serve(app, c, shutdown_trigger=asyncio.Event().wait)

    async def call():
        async with httpx.AsyncClient() as c:
            assert (await c.get("http://server:8000/")).text == "ok"

    await serve_and_call(world, serve, call)


async def grpclib_(world):
    import grpclib.client
    import grpclib.const
    import grpclib.server
    from google.protobuf.wrappers_pb2 import StringValue

    class Echo:
        async def Say(self, stream):
            m = await stream.recv_message()
            await stream.send_message(StringValue(value=m.value * 2))

        def __mapping__(self):
            return {
                "/Echo/Say": grpclib.const.Handler(
                    self.Say, grpclib.const.Cardinality.UNARY_UNARY, StringValue, StringValue
                )
            }

    async def serve(host):
        s = grpclib.server.Server([Echo()])
        await s.start("0.0.0.0", 50051)
        await s.wait_closed()

    async def call():
        ch = grpclib.client.Channel("server", 50051)
        m = grpclib.client.UnaryUnaryMethod(ch, "/Echo/Say", StringValue, StringValue)
        assert (await m(StringValue(value="ab"))).value == "abab"
        ch.close()

    await serve_and_call(world, serve, call)


async def websockets_(world):
    import websockets

    async def serve(host):
        async def echo(ws):
            async for m in ws:
                await ws.send(m[::-1])

        async with websockets.serve(echo, "0.0.0.0", 8765):
            await asyncio.Event().wait()

    async def call():
        async with websockets.connect("ws://server:8765") as ws:
            for n in range(3):
                await ws.send(f"ab{n}")
                assert await ws.recv() == f"{n}ba"

    await serve_and_call(world, serve, call)


async def redis_(world):
    import redis.asyncio

    async def serve(host):
        data = {}

        async def handle(r, w):
            while line := await r.readline():
                n = int(line[1:])
                args = []
                for _ in range(n):
                    size = int((await r.readline())[1:])
                    args.append((await r.readexactly(size + 2))[:-2])
                cmd = args[0].upper()
                if cmd == b"SET":
                    data[args[1]] = args[2]
                    w.write(b"+OK\r\n")
                elif cmd == b"GET":
                    v = data.get(args[1])
                    w.write(b"$-1\r\n" if v is None else b"$%d\r\n%s\r\n" % (len(v), v))
                elif cmd == b"HELLO":
                    w.write(b"-ERR unknown command\r\n")
                else:
                    w.write(b"+OK\r\n")
                await w.drain()

        s = await asyncio.start_server(handle, "0.0.0.0", 6379)
        await s.serve_forever()

    async def call():
        c = redis.asyncio.Redis(host="server", protocol=2)
        for n in range(3):
            await c.set(f"k{n}", n)
            assert await c.get(f"k{n}") == b"%d" % n
        await c.aclose()

    await serve_and_call(world, serve, call)


async def nats_(world):
    import nats

    async def serve(host):
        subs = []

        async def handle(r, w):
            w.write(
                b'INFO {"server_id":"x","version":"2.10","max_payload":1048576,"proto":1,"headers":true}\r\n'
            )
            while line := await r.readline():
                p = line.split()
                if p[0] == b"PING":
                    w.write(b"PONG\r\n")
                elif p[0] == b"SUB":
                    subs.append((p[1], p[-1], w))
                elif p[0] == b"PUB":
                    size = int(p[-1])
                    body = await r.readexactly(size + 2)
                    for subject, sid, to in subs:
                        if subject == p[1]:
                            to.write(b"MSG %s %s %d\r\n" % (subject, sid, size) + body)

        s = await asyncio.start_server(handle, "0.0.0.0", 4222)
        await s.serve_forever()

    async def call():
        nc = await nats.connect("nats://server:4222")
        sub = await nc.subscribe("a")
        await nc.publish("a", b"hello")
        assert (await sub.next_msg(timeout=5)).data == b"hello"
        await nc.close()

    await serve_and_call(world, serve, call)


async def asyncssh_(world):
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")

    async def serve(host):
        class S(asyncssh.SSHServer):
            def begin_auth(self, username):
                return False

        async def process(p):
            p.stdout.write("hi " + (p.command or ""))
            p.exit(0)

        await asyncssh.create_server(S, "", 8022, server_host_keys=[key], process_factory=process)
        await asyncio.Event().wait()

    async def call():
        async with asyncssh.connect(
            "server",
            8022,
            known_hosts=None,
            username="u",
            config=None,
            client_keys=None,
            agent_path=None,
        ) as c:
            assert (await c.run("there")).stdout == "hi there"

    await serve_and_call(world, serve, call)


async def aiorpcx_(world):
    import aiorpcx

    class S(aiorpcx.RPCSession):
        async def handle_request(self, request):
            return await aiorpcx.handler_invocation(add, request)()

    async def add(a, b):
        return a + b

    async def serve(host):
        await aiorpcx.serve_rs(S, "0.0.0.0", 8888)
        await asyncio.Event().wait()

    async def call():
        async with aiorpcx.connect_rs("server", 8888) as s:
            assert await s.send_request("add", [1, 2]) == 3

    await serve_and_call(world, serve, call)


async def amqtt_(world):
    from amqtt.broker import Broker
    from amqtt.client import MQTTClient

    async def serve(host):
        b = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": "0.0.0.0:1883"}},
                "plugins": {
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
                },
            }
        )
        await b.start()
        await asyncio.Event().wait()

    async def call():
        c = MQTTClient(config={"auto_reconnect": False})
        await c.connect("mqtt://server:1883/")
        await c.subscribe([("a/b", 1)])
        await c.publish("a/b", b"hello", qos=1)
        m = await c.deliver_message(timeout_duration=10)
        assert m.publish_packet.payload.data == b"hello"
        await c.disconnect()

    await serve_and_call(world, serve, call)


async def kademlia_(world):
    from kademlia.network import Server

    async def serve(host):
        s = Server()
        await s.listen(8468)
        await asyncio.Event().wait()

    async def call():
        s = Server()
        await s.listen(8469)
        await s.bootstrap([("server", 8468)])
        await s.set("k", "v")
        assert await s.get("k") == "v"
        s.stop()

    await serve_and_call(world, serve, call)


async def aiocoap_(world):
    import aiocoap
    import aiocoap.resource as resource

    class R(resource.Resource):
        async def render_get(self, request):
            return aiocoap.Message(payload=b"hello")

    async def serve(host):
        root = resource.Site()
        root.add_resource(["x"], R())
        await aiocoap.Context.create_server_context(root, bind=("0.0.0.0", 5683))
        await asyncio.Event().wait()

    async def call():
        c = await aiocoap.Context.create_client_context()
        r = await c.request(aiocoap.Message(code=aiocoap.GET, uri="coap://server/x")).response
        assert r.payload == b"hello"
        await c.shutdown()

    await serve_and_call(world, serve, call)


async def aiosqlite_(world):
    import aiosqlite

    async def serve(host):
        async with aiosqlite.connect(":memory:") as db:
            await db.execute("create table t (x)")
            await db.execute("insert into t values (1)")
            await db.commit()
            async with db.execute("select x from t") as c:
                assert await c.fetchone() == (1,)

    h = world.host("server", serve)
    h.boot()
    await h.ended()


async def aiofiles_(world):
    import aiofiles

    async def serve(host):
        async with aiofiles.open("/data.txt", "w") as f:
            await f.write("hello")
        async with aiofiles.open("/data.txt") as f:
            assert await f.read() == "hello"

    h = world.host("server", serve)
    h.boot()
    await h.ended()
    assert h.disk.read("/data.txt") == b"hello"


async def tenacity_(world):
    import tenacity

    n = []

    @tenacity.retry(
        wait=tenacity.wait_random_exponential(multiplier=1, max=10),
        stop=tenacity.stop_after_delay(60),
    )
    async def flaky():
        n.append(asyncio.get_running_loop().time())
        if len(n) < 4:
            raise ValueError
        return len(n)

    async def main(host):
        assert await flaky() == 4

    h = world.host("a", main)
    h.boot()
    await h.ended()


async def anyio_(world):
    import anyio

    async def serve(host):
        async def handle(stream):
            async with stream:
                async for chunk in stream:
                    await stream.send(chunk.upper())

        listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=9000)
        await listener.serve(handle)

    async def call():
        async with await anyio.connect_tcp("server", 9000) as s:
            await s.send(b"hello")
            assert await s.receive() == b"HELLO"
        assert await anyio.to_thread.run_sync(lambda: 5) == 5

    await serve_and_call(world, serve, call)


async def aiosmtpd_(world):
    from aiosmtpd.smtp import SMTP

    async def serve(host):
        class H:
            async def handle_DATA(self, server, session, envelope):
                return "250 OK"

        loop = asyncio.get_running_loop()
        s = await loop.create_server(lambda: SMTP(H(), hostname="server"), "0.0.0.0", 25)
        await s.serve_forever()

    async def call():
        r, w = await asyncio.open_connection("server", 25)
        assert (await r.readline()).startswith(b"220")
        w.write(b"EHLO x\r\n")
        while (await r.readline())[3:4] == b"-":
            pass
        w.close()

    await serve_and_call(world, serve, call)


async def aiomcache_(world):
    import aiomcache

    async def serve(host):
        data = {}

        async def handle(r, w):
            while line := await r.readline():
                p = line.split()
                if p[0] == b"set":
                    data[p[1]] = (await r.readexactly(int(p[4]) + 2))[:-2]
                    w.write(b"STORED\r\n")
                elif p[0] == b"get":
                    if p[1] in data:
                        w.write(b"VALUE %s 0 %d\r\n%s\r\n" % (p[1], len(data[p[1]]), data[p[1]]))
                    w.write(b"END\r\n")

        s = await asyncio.start_server(handle, "0.0.0.0", 11211)
        await s.serve_forever()

    async def call():
        c = aiomcache.Client("server", 11211)
        await c.set(b"k", b"v")
        assert await c.get(b"k") == b"v"
        await c.close()

    await serve_and_call(world, serve, call)


PROGRAMS = {
    "aiohttp": (aiohttp_, ["aiohttp.web"]),
    "uvicorn": (uvicorn_httpx, ["uvicorn", "starlette.applications", "httpx", "httpcore", "anyio"]),
    "hypercorn": (hypercorn_httpx, ["hypercorn.asyncio", "httpx", "httpcore", "anyio"]),
    "grpclib": (grpclib_, ["grpclib.server", "grpclib.client", "google.protobuf.wrappers_pb2"]),
    "websockets": (websockets_, ["websockets.asyncio.server", "websockets.asyncio.client"]),
    "redis": (redis_, ["redis.asyncio"]),
    "nats-py": (nats_, ["nats"]),
    "asyncssh": (asyncssh_, ["asyncssh"]),
    "aiorpcx": (aiorpcx_, ["aiorpcx"]),
    "amqtt": (amqtt_, ["amqtt.broker", "amqtt.client"]),
    "kademlia": (kademlia_, ["kademlia.network"]),
    "aiocoap": (aiocoap_, ["aiocoap.resource"]),
    "aiosqlite": (aiosqlite_, ["aiosqlite"]),
    "aiofiles": (aiofiles_, ["aiofiles"]),
    "tenacity": (tenacity_, ["tenacity"]),
    "anyio": (anyio_, ["anyio"]),
    "aiosmtpd": (aiosmtpd_, ["aiosmtpd.smtp"]),
    "aiomcache": (aiomcache_, ["aiomcache"]),
}
"""By name, the scenario and the modules that it imports."""


def main(name, seeds):
    scenario, modules = PROGRAMS[name]
    for module in modules:
        importlib.import_module(module)
    # What a library caches when it is first used outlives a trial, and so belongs to none.
    trial(scenario, 0)
    for seed in seeds:
        outcome = trial(scenario, seed)
        failed = outcome.failure.name if outcome.failure else ""
        print(seed, outcome.digest(), failed, flush=True)


def trial(scenario, seed):
    return run_trial(scenario, Tape(seed), Options(), name=f"seed {seed}", keep_log=True)


if __name__ == "__main__":
    main(sys.argv[1], map(int, sys.argv[2:]))
