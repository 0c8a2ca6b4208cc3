"""
Failpoints: what is sent to a program built with gofail, and what is told when it has none.
"""

import asyncio
import os
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from assertlib.history.requests import Put, Range
from assertlib.robustness.adapter import Member
from assertlib.robustness.cluster import Cluster, free_ports
from assertlib.robustness.gofail import Failpoints, GofailError, terms

NAME = "etcdserver/raftBeforeSave"


# -- terms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "off",
        "panic",
        'return("hello")',
        "return()",
        "return(true)",
        "return(-7)",
        "sleep(1500)",
        'sleep("1m2.5s")',
        '2*return("abc")->1*return("def")',
        "3*off->1*panic",
        "40.0%return(true)",
        "50.%5*print",
        "break",
    ],
)
def test_terms_of_the_grammar_pass_unchanged(text):
    assert terms(text) == text


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "expected one of off"),
        ("explode", 1, "expected one of off, return, sleep, panic, break, print"),
        ("3*", 3, "expected one of off"),
        ("3panic", 1, "followed by"),
        ("40%panic", 1, "decimal point"),
        ("off->", 6, "expected one of off"),
        ("off panic", 4, "expected ->"),
        ("off;", 4, "expected ->"),
        (" off", 1, "expected one of off"),
        ("panic(oops)", 7, "double-quoted string"),
        ("return(1", 8, "followed by )"),
        ("return(007)", 8, "integer"),
        (r'return("\n")', 8, "without escapes"),
        ("1*off->return(TRUE)", 15, "true, false"),
        ("sleep", 6, "needs a time"),
        ("sleep()", 6, "needs a time"),
        ("sleep(true)", 6, "needs a time"),
        ('sleep("2 s")', 6, "needs a time"),
        ("sleep(10s)", 7, "integer"),
    ],
)
def test_wrong_terms_are_told_with_their_column(text, column, told):
    with pytest.raises(ValueError, match=f"at column {column}: .*{re.escape(told)}"):
        terms(text)


# -- a program as gofail's documentation tells ----------------------------------------------


class Program(BaseHTTPRequestHandler):
    """Answers as gofail 0.2.0 does."""

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, body))
        if self.path[1:] not in self.server.failpoints or body == self.server.rejects:
            self._answer(400, f"failed to set failpoint {self.path[1:]}\n")
        else:
            self.server.failpoints[self.path[1:]] = body
            self._answer(204)

    def do_DELETE(self):
        told = self.server.failpoints.get(self.path[1:])
        if not told:
            self._answer(400, f"failed to delete failpoint {_why(told)}\n")
        else:
            self.server.failpoints[self.path[1:]] = ""
            self._answer(204)

    def do_GET(self):
        name, slash, what = self.path[1:].rpartition("/")
        if self.path == "/":
            lines = [f"{name}={told}" for name, told in sorted(self.server.failpoints.items())]
            self._answer(self.server.status, "\n".join(lines) + "\n")
        elif slash and what == "count" and self.server.counts is not None:
            told = self.server.failpoints.get(name)
            if told:
                self._answer(200, str(self.server.counts))
            else:
                self._answer(404 if told is None else 500, f"failed to GET: {_why(told)}\n")
        else:
            self._answer(404, f"failed to GET: {_why(None)}\n")

    def _answer(self, status, text=""):
        self.server.answers.wait()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Nothing: a client may give up."""


def _why(told):
    return f"failpoint: failpoint {'does not exist' if told is None else 'is disabled'}"


@contextmanager
def serving(failpoints):
    server = Server(("127.0.0.1", 0), Program)
    server.failpoints = failpoints
    server.asked = []
    server.status = 200
    server.counts = 7
    server.rejects = None
    server.answers = threading.Event()
    server.answers.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def program():
    with serving({NAME: "", "backend/beforeCommit": "sleep(10)"}) as server:
        yield server


@pytest.fixture
def failpoints(program):
    return Failpoints(f"127.0.0.1:{program.server_port}")


def test_failpoints_are_listed_with_their_terms(failpoints):
    assert failpoints.names() == {"backend/beforeCommit": "sleep(10)", NAME: ""}


def test_what_is_enabled_is_listed_and_counted_until_it_is_disabled(failpoints):
    failpoints.enable(NAME, "3*off->panic")
    assert failpoints.names()[NAME] == "3*off->panic"
    assert failpoints.count(NAME) == 7
    failpoints.disable(NAME)
    assert failpoints.names()[NAME] == ""
    assert failpoints.count(NAME) == 0


def test_disabling_what_is_disabled_is_no_error(failpoints):
    failpoints.disable(NAME)
    assert failpoints.names()[NAME] == ""


def test_wrong_terms_are_not_sent(failpoints, program):
    with pytest.raises(ValueError, match="column 6: sleep needs a time"):
        failpoints.enable(NAME, "sleep")
    assert program.asked == []


@pytest.mark.parametrize(
    "ask", [lambda f, n: f.enable(n, "off"), Failpoints.disable, Failpoints.count]
)
def test_an_unknown_failpoint_is_told_with_those_there_are(failpoints, ask):
    with pytest.raises(GofailError) as told:
        ask(failpoints, "raftBeforeSave")
    assert "'raftBeforeSave' at 127.0.0.1:" in str(told.value)
    assert "it has: backend/beforeCommit, etcdserver/raftBeforeSave" in str(told.value)


def test_a_program_without_failpoints_is_told_to_be_built_with_them():
    with serving({}) as server, pytest.raises(GofailError, match="run gofail enable"):
        Failpoints(f"127.0.0.1:{server.server_port}").enable(NAME, "off")


def test_terms_that_the_program_turns_down_are_told_with_its_words(failpoints, program):
    program.rejects = "panic"
    with pytest.raises(GofailError, match="HTTP 400: failed to set failpoint etcdserver/raft"):
        failpoints.enable(NAME, "panic")


def test_a_gofail_that_does_not_count_is_told_by_its_age(failpoints, program):
    program.counts = None
    with pytest.raises(GofailError, match=r"0\.2\.0 or later"):
        failpoints.count(NAME)


def test_what_is_no_gofail_is_told(failpoints, program):
    program.status = 500
    with pytest.raises(GofailError, match=r"is not gofail \(HTTP 500\): give the address"):
        failpoints.names()


def test_where_nobody_listens_the_remedy_is_told():
    (port,) = free_ports(1)
    with pytest.raises(GofailError) as told:
        Failpoints(f"127.0.0.1:{port}").enable(NAME, "off")
    assert f"'{NAME}' at 127.0.0.1:{port}" in str(told.value)
    assert "GOFAIL_HTTP" in str(told.value)


def test_a_program_that_is_asleep_is_not_waited_for(program):
    program.answers.clear()
    with pytest.raises(GofailError, match=r"no answer in 0\.1 s"):
        Failpoints(f"127.0.0.1:{program.server_port}", within=0.1).names()


@pytest.mark.parametrize("address", ["", "1234", ":1234", "127.0.0.1:", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(GofailError, match="is not the address of a gofail server"):
        Failpoints(address)


@pytest.mark.parametrize("name", ["raft before", "raftÜber", "raft\r\nBefore"])
def test_a_name_that_cannot_be_sent_is_told(failpoints, program, name):
    with pytest.raises(GofailError, match="cannot PUT the failpoint"):
        failpoints.enable(name, "off")
    assert program.asked == []


# -- a real etcd ----------------------------------------------------------------------------

real = pytest.mark.skipif(
    "GOFAIL_ETCD" not in os.environ, reason="GOFAIL_ETCD does not name an etcd built with gofail"
)


@pytest.fixture
def etcd(tmp_path, monkeypatch):
    """One etcd and the address of its failpoints."""
    Etcd = pytest.importorskip("assertlib.robustness.etcd").Etcd
    port, peer_port, http = free_ports(3)
    monkeypatch.setenv("GOFAIL_HTTP", f"127.0.0.1:{http}")
    member = Member("n0", tmp_path / "n0", port, peer_port, f"127.0.0.1:{peer_port}")
    cluster = Cluster(Etcd(os.environ["GOFAIL_ETCD"]), [member], tmp_path / "logs")
    yield cluster, Failpoints(f"127.0.0.1:{http}")
    cluster.stop()


def called(failpoints, *names):
    """The first of *names* that there is; older gofails put the package before it."""
    found = {name.rpartition("/")[2]: name for name in failpoints.names()}
    return next(found[name] for name in names if name in found)


async def ask(cluster, request):
    connection = await cluster.store.connect(cluster.members[0])
    try:
        return await connection.do(request)
    finally:
        await connection.close()


@real
def test_a_real_etcd_sleeps_while_its_failpoint_says_so(etcd):
    cluster, failpoints = etcd

    async def seconds():
        begin = time.monotonic()
        await ask(cluster, Put("k", "v"))
        return time.monotonic() - begin

    async def check():
        await cluster.start()
        # Which of them a cluster of one passes depends on the version.
        name = called(failpoints, "raftBeforeSaveWaitWalSync", "raftBeforeSave")
        assert failpoints.names()[name] == ""
        failpoints.enable(name, "1*sleep(1500)")
        assert failpoints.names()[name] == "1*sleep(1500)"
        assert 1.5 <= await seconds() < 10
        failpoints.disable(name)
        assert failpoints.names()[name] == ""
        assert await seconds() < 1.5

    asyncio.run(check())


@real
def test_a_real_etcd_panics_at_its_failpoint_and_starts_again_with_what_it_acknowledged(etcd):
    cluster, failpoints = etcd
    process = cluster.process(cluster.members[0])

    async def check():
        await cluster.start()
        await ask(cluster, Put("k", "v"))
        failpoints.enable(called(failpoints, "beforeCommit"), "panic")
        async with asyncio.timeout(20):
            while process.is_running:
                await asyncio.gather(ask(cluster, Put("other", "v")), return_exceptions=True)
        assert "failpoint panic" in process.log.read_text()
        process.start()
        await cluster.ready()
        found = await ask(cluster, Range("k"))
        assert [kv.value for kv in found.kvs] == ["v"]

    asyncio.run(check())


@real
def test_a_real_etcd_tells_its_failpoints_when_asked_for_another(etcd):
    cluster, failpoints = etcd

    async def check():
        await cluster.start()
        with pytest.raises(GofailError, match=r"it has: .*beforeCommit"):
            failpoints.enable("raftBeforeEverything", "panic")

    asyncio.run(check())
