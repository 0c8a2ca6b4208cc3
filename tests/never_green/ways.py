"""
Ways to lose, hide, delay, misdate or fake a violation while a program or a test session records.
"""

from typing import NamedTuple

RED, NOTHING = "red", "3"


class Way(NamedTuple):
    """
    One way.

    Attributes:
        promise: What assertlib promises, in a sentence for the documentation.
        body: The program; it violates the promise of the store, and then does its worst.
        expected: What `run`, `report` and `gate` end with.
        run: What `run` ends with, if with something else.
        in_test: What pytest ends with if a test does it in its own process; a reason if it cannot.
        in_child: What pytest ends with if a child of a test does it; a reason if it cannot.
        variables: Of the environment.
    """

    promise: str
    body: str
    expected: str = RED
    in_test: str = RED
    in_child: str = RED
    variables: tuple[tuple[str, str], ...] = ()
    run: str = ""


_ENDS = "because the case would end the test session itself"
WAYS = {
    "a violation and nothing else": Way("A violation is reported.", "store.put(-1)"),
    "a violation that is swallowed": Way(
        "An `except` around an assertion cannot hide a violation.",
        """
        try:
            store.put(-1)
        except BaseException:
            pass
        """,
    ),
    "in a thread": Way(
        "A violation in any thread counts, and does not kill the thread.",
        """
        thread = threading.Thread(target=store.put, args=(-1,))
        thread.start()
        thread.join()
        """,
    ),
    "in a pool whose results are dropped": Way(
        "A dropped future cannot hide a violation.",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as pool:
            pool.submit(store.put, -1)
        """,
    ),
    "in an asyncio task that is dropped": Way(
        "A task that is dropped cannot hide a violation.",
        """
        import asyncio
        async def violate():
            store.put(-1)
        async def main():
            task = asyncio.create_task(violate())
            await asyncio.wait([task])
        asyncio.run(main())
        """,
    ),
    "in a forked child": Way(
        "A forked child records into its own shard.",
        """
        child = os.fork()
        if child == 0:
            try:
                store.put(-1)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        """,
    ),
    "in a subprocess": Way(
        "Children record into their parent's run.",
        """
        source = "import sys; sys.path.insert(0, '.'); import store; store.put(-1)"
        subprocess.run([sys.executable, "-c", source], check=False)
        """,
    ),
    "in a daemon that closed all descriptors": Way(
        "A daemon that closes all descriptors still counts its hits; its records may be missing.",
        """
        store.put(1)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.closerange(3, 256)
            grandchild = os.fork()
            if grandchild == 0:
                try:
                    store.put(-1)
                finally:
                    os._exit(0)
            os.waitpid(grandchild, 0)
            os._exit(0)
        os.waitpid(child, 0)
        """,
    ),
    "kill -9 right after it": Way(
        "A counted hit survives `kill -9`.",
        """
        child = os.fork()
        if child == 0:
            try:
                store.put(-1)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        """,
    ),
    "kill -9 in an open trial": Way(
        "Hits in an open trial still belong to it after a kill.",
        """
        child = os.fork()
        if child == 0:
            with trial("open"), trial("inner"):
                try:
                    store.put(-1)
                finally:
                    os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        """,
    ),
    "os._exit right after it": Way(
        "Exiting without cleanup loses nothing.",
        """
        store.put(1)
        try:
            store.put(-1)
        finally:
            os._exit(0)
        """,
        in_test=_ENDS,
    ),
    "exec right after it": Way(
        "A process that replaces itself with another program keeps its counts.",
        """
        try:
            store.put(-1)
        finally:
            os.execv(sys.executable, [sys.executable, "-c", "pass"])
        """,
        in_test=_ENDS,
    ),
    "in a finaliser at interpreter exit": Way(
        "First hits in finalisers at interpreter exit are kept.",
        """
        class Connection:
            def __init__(self): self.me = self
            def __del__(self): store.put(-1)
        kept = Connection()
        store.put(1)
        """,
        in_test=_ENDS,
    ),
    "in an exit handler": Way(
        "Violations in exit handlers that run after assertlib's own are recorded.",
        """
        import atexit
        atexit.register(store.put, -1)
        """,
        in_test=_ENDS,
    ),
    "in a signal handler": Way(
        "A violation in a signal handler is deferred, never dropped.",
        """
        signal.signal(signal.SIGUSR1, lambda *_: store.put(-1))
        os.kill(os.getpid(), signal.SIGUSR1)
        """,
    ),
    "the wall clock stands still": Way(
        "The wall clock decides nothing.",
        """
        real = time.time_ns, time.time
        time.time_ns, time.time = (lambda: 4070908800 * 10**9), (lambda: 4070908800.0)
        try:
            store.put(-1)
        finally:
            time.time_ns, time.time = real
        """,
    ),
    "the clock jumps a century ahead before it": Way(
        "A clock that jumps ahead does not change when a violation is considered to have happened.",
        """
        real = time.time_ns
        with trial("t"):
            lifecycle.faults(["kill"])
            time.time_ns = lambda: real() + 100 * 365 * 86400 * 10**9
            try:
                store.put(-1)
            finally:
                time.time_ns = real
        """,
    ),
    "the clock steps back between the violation and a later fault": Way(
        "Whether a fault came first is decided by position and the boot-time clock.",
        """
        real = time.time_ns
        with trial("t"):
            try:
                store.put(-1)
            except AssertionError:
                pass
            time.time_ns = lambda: real() - 100 * 365 * 86400 * 10**9
            lifecycle.faults(["lying-disk"], breaks=["fsync-honest"])
            time.time_ns = real
        """,
    ),
    "a fault follows within the same millisecond": Way(
        "Equal timestamps do not excuse a violation.",
        """
        real = time.time_ns
        time.time_ns = lambda: real() // 10**6 * 10**6
        with trial("t"):
            try:
                store.put(-1)
            except AssertionError:
                pass
            lifecycle.faults(["lying-disk"], breaks=["fsync-honest"])
        time.time_ns = real
        """,
    ),
    "another process injects the fault later": Way(
        "Across processes, the boot-time clock decides what came first.",
        """
        source = (
            "from assertlib import lifecycle;"
            "lifecycle.faults(['lying-disk'], breaks=['fsync-honest'])"
        )
        with trial("t"):
            try:
                store.put(-1)
            except AssertionError:
                pass
            subprocess.run([sys.executable, "-c", source], check=True)
        """,
    ),
    "os.write and open are patched": Way(
        "The recorder calls the operating system functions that it saved at import time.",
        """
        import builtins
        def full(*_, **__): raise OSError(28, "No space left on device")
        real = os.write, os.open, os.fstat, builtins.open, os.rename, os.mkdir
        os.write = os.open = os.fstat = builtins.open = os.rename = os.mkdir = full
        try:
            store.put(-1)
        finally:
            os.write, os.open, os.fstat, builtins.open, os.rename, os.mkdir = real
        """,
    ),
    "no record can be written": Way(
        "If a record is lost, the count is still exact.",
        """
        import resource
        store.put(1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            store.put(-1)
        except AssertionError:
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        """,
    ),
    "no file can be created, and the process is killed": Way(
        "Counts that existed only in memory are treated as damage, never as a pass.",
        """
        import resource
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            try:
                store.put(-1)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        store.put(1)
        """,
    ),
    "descriptors run out before the first hit": Way(
        "A shard that could not be opened is opened as soon as it can be.",
        """
        import resource
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            store.put(-1)
        except AssertionError:
            pass
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        """,
        in_test="because the session has opened its shard before the test begins",
    ),
    "one record a second is allowed": Way(
        "A limit on records drops examples, never a verdict.",
        """
        from assertlib import configure
        configure(max_records_per_second=1)
        for number in range(50):
            with trial(f"t{number}"):
                store.put(number)
        store.put(-1)
        """,
    ),
    "the byte limit is reached": Way(
        "A full shard still counts hits.",
        """
        from assertlib import configure
        configure(max_shard_bytes=65536)
        for number in range(2000):
            lifecycle.send_event("filler", {"text": "x" * 100})
        store.put(1)
        store.put(-1)
        """,
    ),
    "details that raise": Way(
        "No count is lost if details cannot be written.",
        """
        def broken(): raise RuntimeError("no details")
        store.PROMISE.always(False, "values are not negative", broken)
        """,
    ),
    "a value that cannot be shown": Way(
        "No count is lost if a `repr` raises.",
        """
        class Odd(int):
            def __repr__(self): raise RuntimeError("no repr")
            __str__ = __repr__
        store.put(Odd(-1))
        """,
    ),
    "another assertion was expected to fail": Way(
        "An expected violation excuses the assertion it names and no other.",
        """
        from assertlib.testing import expect_violation
        from assertlib import always
        with expect_violation("something else"):
            try:
                store.put(-1)
            except AssertionError:
                pass
            try:
                always(False, "something else")
            except AssertionError:
                pass
        """,
    ),
    "a child outlives the trial that expected it": Way(
        "A trial's expected violation does not cover what a child does after the trial has ended.",
        """
        from assertlib.testing import expect_violation
        source = (
            "import sys; sys.path.insert(0, '.'); import store; store.put(1);"
            "print('up', flush=True); input(); store.put(-1)"
        )
        try:
            with expect_violation("values are not negative"):
                child = subprocess.Popen(
                    [sys.executable, "-c", source],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
                child.stdout.readline()
                store.put(-1)
        except AssertionError:
            pass
        child.communicate("go on\\n")
        """,
    ),
    "a trial that ran twice under one name": Way(
        "A second pass under the same name does not replace the first.",
        """
        for value in (-1, 1):
            with trial("t"):
                try:
                    store.put(value)
                except AssertionError:
                    pass
        """,
    ),
    "the source is edited during the run": Way(
        "A source file that changes during the run changes no verdict, and its new text is not"
        " shown as the failing condition.",
        """
        from pathlib import Path
        text = Path("store.py").read_text()
        Path("store.py").write_text(text.replace(">= 0", "<= 0"))
        try:
            store.put(-1)
        finally:
            Path("store.py").write_text(text)
        """,
    ),
    "its shard's `.jsonl` file is emptied": Way(
        "A shard of which only the counts are left is still evidence.",
        """
        from pathlib import Path
        try:
            store.put(-1)
        except AssertionError:
            pass
        for path in Path(os.environ["ASSERTLIB_RUN_DIR"]).glob(f"{os.getpid()}-*.jsonl"):
            os.truncate(path, 0)
        """,
        in_test="because the session reads its own violations from memory",
    ),
    "its shard's `.jsonl` file is deleted": Way(
        "A shard of which only the counts are left is still evidence.",
        """
        from pathlib import Path
        try:
            store.put(-1)
        except AssertionError:
            pass
        for path in Path(os.environ["ASSERTLIB_RUN_DIR"]).glob(f"{os.getpid()}-*.jsonl"):
            path.unlink()
        """,
        in_test="because the session reads its own violations from memory",
    ),
    "its counters are deleted": Way(
        "Missing counters are damage; the records then give a lower bound.",
        """
        from pathlib import Path
        try:
            store.put(-1)
        except AssertionError:
            pass
        for path in Path(os.environ["ASSERTLIB_RUN_DIR"]).glob(f"{os.getpid()}-*.counts"):
            path.unlink()
        """,
        in_test="because the session reads its own violations from memory",
    ),
    "the mode is off": Way(
        "A run with recording turned off is not a pass.",
        "store.put(-1)",
        NOTHING,
        NOTHING,
        NOTHING,
        (("ASSERTLIB", "off"),),
    ),
    "nothing is evaluated": Way(
        "A run that evaluates nothing is not a pass.", "pass", NOTHING, NOTHING, NOTHING
    ),
    "only assertions in other code are evaluated": Way(
        "Assertions that are not part of the target are not evidence for it.",
        """
        from assertlib import always
        always(True, "something of another project")
        """,
        NOTHING,
        NOTHING,
        NOTHING,
    ),
    "the run directory is removed": Way(
        "Evidence that is gone is not a pass.",
        """
        import shutil
        try:
            store.put(-1)
        except AssertionError:
            pass
        shutil.rmtree(os.environ["ASSERTLIB_RUN_DIR"])
        """,
        NOTHING,
        "because the session ends with an error: its run directory is gone",
        "because the session ends with an error: its run directory is gone",
        run=RED,
    ),
    "the program fails, too": Way(
        "A program that fails keeps its own exit code and output, and its violation is reported.",
        """
        try:
            store.put(-1)
        except AssertionError:
            pass
        sys.exit(7)
        """,
        in_test=_ENDS,
    ),
}
