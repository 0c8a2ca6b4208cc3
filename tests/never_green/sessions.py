"""
Ways in which a test session may end green over a violation, in pytest and its plugins.
"""

from typing import NamedTuple

RED = "red"


class Session(NamedTuple):
    """
    One test module.

    Attributes:
        promise: What assertlib promises.
        source: The module.
        plugins: Those that are loaded, besides assertlib's.
        options: For pytest.
    """

    promise: str
    source: str
    plugins: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


SERVER = """
import subprocess, sys, pytest, store
SOURCE = "import sys, store\\nfor line in sys.stdin: store.put(int(line)); print(flush=True)"

@pytest.fixture(scope="session")
def server():
    process = subprocess.Popen(
        [sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.communicate()

def ask(server, value):
    server.stdin.write(f"{value}\\n")
    server.stdin.flush()
    server.stdout.readline()

def test_first(server): ask(server, 1)
def test_second(server): ask(server, -1)
"""

SESSIONS = {
    "a rerun passes": Session(
        "`--reruns` does not forgive a violation.",
        """
        import store
        VALUES = iter([-1, 1])
        def test_flaky(): store.put(next(VALUES))
        """,
        ("pytest_rerunfailures",),
        ("--reruns", "1"),
    ),
    "the test is skipped after it": Session(
        "Skipping a test does not excuse an earlier violation.",
        """
        import pytest, store
        def test_skips():
            try:
                store.put(-1)
            except AssertionError:
                pass
            pytest.skip("not today")
        """,
    ),
    "pytest.raises swallows it": Session(
        "`pytest.raises` is not `expect_violation`.",
        """
        import pytest, store
        def test_raises():
            with pytest.raises(AssertionError):
                store.put(-1)
        """,
    ),
    "in a fixture, before the test": Session(
        "A violation in a fixture's setup fails its test.",
        """
        import pytest, store
        @pytest.fixture
        def filled():
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_it(filled): pass
        """,
    ),
    "in a fixture, after the test": Session(
        "A violation in a fixture's teardown fails its test.",
        """
        import pytest, store
        @pytest.fixture
        def filled():
            yield
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_it(filled): pass
        """,
    ),
    "while modules are collected": Session(
        "A violation that belongs to no test fails the session.",
        """
        import store
        try:
            store.put(-1)
        except AssertionError:
            pass
        def test_it(): store.put(1)
        """,
    ),
    "in a server that outlives the test it was started in": Session(
        "A violation in a process that several tests share fails the session.", SERVER
    ),
    "after its test has ended, in a thread": Session(
        "A violation that comes after its test has ended fails the session.",
        """
        import pytest, threading, store
        go, done = threading.Event(), threading.Event()
        def late():
            go.wait()
            store.put(-1)
            done.set()
        def test_first():
            threading.Thread(target=late, daemon=True).start()
        def test_second():
            pass
        @pytest.fixture(scope="session", autouse=True)
        def last():
            yield
            go.set()
            assert done.wait(10)
        """,
    ),
    "a writer thread that its caller waits for": Session(
        "A violation in a thread other than the test's is recorded and does not kill that thread.",
        """
        import queue, threading, store
        class Writer(threading.Thread):
            def __init__(self):
                super().__init__(daemon=True)
                self.requests = queue.Queue()
                self.start()
            def run(self):
                while True:
                    value, done = self.requests.get()
                    store.put(value)
                    done.put(value)
            def write(self, value):
                done = queue.Queue()
                self.requests.put((value, done))
                return done.get()
        def test_write():
            writer = Writer()
            assert [writer.write(n) for n in (1, -1, 2)] == [1, -1, 2]
        """,
    ),
    "a pool of eviction threads": Session(
        "Pool workers carry on after a violation.",
        """
        import store
        from concurrent.futures import ThreadPoolExecutor
        def evict(value):
            store.put(value)
            return value
        def test_evict():
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(evict, [3, -1, 2])) == [3, -1, 2]
        """,
    ),
    "freezegun, for the whole session": Session(
        "A frozen clock cannot hide a violation.",
        """
        import freezegun
        freezer = freezegun.freeze_time("2099-01-01")
        freezer.start()
        """
        + SERVER.replace("\n", "\n        "),
    ),
    "pyfakefs": Session(
        "A fake file system cannot hide a violation and changes no outcome.",
        """
        import store
        def test_fake(fs):
            try:
                store.put(-1)
            except AssertionError:
                pass
        """,
        ("pyfakefs.pytest_plugin",),
    ),
    "open and os.write are patched for the whole session": Session(
        "Patches that stay in place hide nothing.",
        """
        import builtins, os, pytest, store
        def no(*_, **__): raise OSError(28, "No space left on device")
        @pytest.fixture(autouse=True)
        def full(monkeypatch):
            for name in ("write", "listdir", "rename", "fsync", "ftruncate"):
                monkeypatch.setattr(os, name, no)
            monkeypatch.setattr(builtins, "open", no)
        def test_full():
            try:
                store.put(-1)
            except AssertionError:
                pass
        """,
    ),
    "an xdist worker crashes": Session(
        "A violation in a worker that later crashes is still reported.",
        """
        import os, store
        def test_crashes():
            try:
                store.put(-1)
            except AssertionError:
                pass
            os._exit(0)
        def test_other(): store.put(1)
        """,
        ("xdist.plugin",),
        ("-n", "2"),
    ),
    "in an xdist worker, swallowed": Session(
        "Workers record into their controller's run.",
        """
        import store
        def test_swallows():
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_other(): store.put(1)
        """,
        ("xdist.plugin",),
        ("-n", "2"),
    ),
    "in a multiprocessing worker": Session(
        "Multiprocessing workers are judged like other child processes.",
        """
        import multiprocessing, store
        def test_pool():
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(store.put, [1, -1])
        """,
    ),
    "in one Hypothesis example that is not replayed": Session(
        "An example that failed once fails its test, flaky or not.",
        """
        import store
        from hypothesis import given, settings, strategies as st
        SEEN = []
        @settings(database=None, max_examples=10, deadline=None)
        @given(st.integers())
        def test_examples(value):
            SEEN.append(value)
            if len(SEEN) == 3:
                try:
                    store.put(-1)
                except AssertionError:
                    pass
        """,
    ),
    "its condition cannot be evaluated": Session(
        "A condition without a truth value fails its test.",
        """
        import store
        from assertlib import always
        def test_refused():
            store.put(1)
            always(store.put, "values are not negative (not called)")
        """,
    ),
}
