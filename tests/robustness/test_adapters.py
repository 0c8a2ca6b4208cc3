"""
Adapters and stores that do not do what they should, in campaigns as users run them.
"""

import textwrap

import pytest

from ..forms import sampled
from .campaigns import robustness, violated

STORE = """
import asyncio, json, os, sys, time

async def main(path, port, how):
    if how == "once" and os.path.exists(path):
        sys.exit("the log is there already")
    log = open(path, "a+")
    log.seek(0)
    values = dict(json.loads(line) for line in log)

    async def serve(reader, writer):
        async for line in reader:
            kind, key, *rest = json.loads(line)
            answer = values.get(key)
            if kind == "swap":
                answer = answer == rest[0]
            if kind == "put" or (kind == "swap" and answer):
                values[key] = rest[-1]
                if how != "forgetful":
                    log.write(json.dumps([key, rest[-1]]) + "\\n")
                    log.flush()
            writer.write(json.dumps(answer).encode() + b"\\n")

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    if how == "tired":
        await asyncio.sleep(0.4)
        print("enough", flush=True)
        os._exit(2)
    await server.serve_forever()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
"""

ADAPTER = """
import asyncio, json, sys
from assertlib.history.requests import Done, Get, Put, Swap, Swapped, Value
from assertlib.robustness.adapter import Connection, NotAppliedError, Store

class Small(Store):
    name, model, profile = "small", "kv", "registers"

    def __init__(self, how="well", wrap=(), connection=None):
        self.how, self.wrap, self.connection = how, wrap, connection or Lines

    def command(self, member, members):
        start = [sys.executable, "store.py", str(member.data / "log"), str(member.port), self.how]
        return [*self.wrap, *start]

    async def connect(self, member):
        return self.connection(*await asyncio.open_connection("127.0.0.1", member.port))

class Lines(Connection):
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def do(self, request):
        match request:
            case Get(key):
                return Value(await self.ask("get", key))
            case Put(key, value):
                await self.ask("put", key, value)
                return Done()
            case Swap(key, expected, value):
                return Swapped(await self.ask("swap", key, expected, value))

    async def ask(self, *words):
        self.writer.write(json.dumps(words).encode() + b"\\n")
        line = await self.reader.readline()
        if not line:
            raise ConnectionError("the connection broke")
        return json.loads(line)

    async def close(self):
        self.writer.close()

class Mute(Lines):
    async def do(self, request):
        return None

class Bytes(Lines):
    async def do(self, request):
        return Value(b"\\xff")

class Clumsy(Lines):
    async def do(self, request):
        raise ZeroDivisionError("boom")

WELL = Small()
FORGETFUL = Small("forgetful", ["sh", "-c", '"$@" & wait', "sh"])
TIRED = Small("tired")
ONCE = Small("once")
MUTE = Small(connection=Mute)
BYTES = Small(connection=Bytes)
CLUMSY = Small(connection=Clumsy)
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "store.py").write_text(textwrap.dedent(STORE))
    (tmp_path / "adapter.py").write_text(textwrap.dedent(ADAPTER))
    return tmp_path


def campaign(project, name, *arguments, seconds=3):
    return robustness(project, "run", f"adapter:{name}", "--for", f"{seconds}s", *arguments)


@pytest.mark.long
def test_a_store_that_does_well_passes(project):
    done = campaign(project, "WELL", "--faults", "kill,pause", seconds=5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert violated(done.stdout) == set()


@pytest.mark.long
def test_a_store_behind_a_script_is_killed_with_the_script(project):
    done = campaign(project, "FORGETFUL", seconds=10)
    assert done.returncode == 1, done.stdout + done.stderr
    assert violated(done.stdout) == {"kv.linearizable"}


def test_a_store_that_ends_by_itself_is_a_failure(project):
    done = campaign(project, "TIRED", "--faults", "none")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "m1 of small exited on its own with exit code 2" in done.stdout
    assert "enough" in done.stdout
    assert "kv.recovers" in violated(done.stdout)


@pytest.mark.long
def test_a_store_that_does_not_come_back_is_a_failure(project):
    done = campaign(project, "ONCE")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the log is there already" in done.stdout
    assert "kv.recovers" in violated(done.stdout)


@pytest.mark.parametrize("name", sampled(["MUTE", "BYTES"], every=2))
def test_an_adapter_that_gives_no_answer_is_named_at_once(project, name):
    done = campaign(project, name, seconds=60)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the adapter of small answered" in done.stderr
    assert "which is not one of the responses" in done.stderr


@pytest.mark.long
def test_an_adapter_that_always_fails_is_no_pass_and_its_error_is_told(project):
    done = campaign(project, "CLUMSY")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "operations ended with ZeroDivisionError: boom" in done.stdout


@pytest.mark.long
def test_the_seed_repeats_the_faults(project):
    arguments = ("--faults", "kill,pause", "--seed", "7")

    def rounds():
        told = campaign(project, "WELL", *arguments, seconds=6).stderr
        return [line.rpartition(", ")[2] for line in told.splitlines() if "  round " in line]

    first, again = rounds(), rounds()
    common = min(len(first), len(again))
    assert common > 1
    assert first[:common] == again[:common]
