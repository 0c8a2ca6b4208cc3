"""
Signal handlers, time limits and forks that arrive while an assertion is being recorded.
"""

import json
import signal
import sys

import pytest

from assertlib.recording import interrupts
from assertlib.recording.session import Session

SEEDED = """
    import os, random, signal, sys, threading, time
    from assertlib import *
    configure(sinks=[])
    seed = int(os.environ.get("TEST_SEED") or int.from_bytes(os.urandom(3)))
    print(f"TEST_SEED={seed}", file=sys.stderr)
    random.seed(seed)
"""


def test_time_limits_reach_the_job_and_leave_the_recorder_free(children):
    script = f"""{SEEDED}
    class TimeLimit(Exception):
        pass

    armed = False

    def limit(number, frame):
        global armed
        if armed:
            armed = False
            raise TimeLimit

    signal.signal(signal.SIGALRM, limit)
    least = limits = 0
    for job in range(400):
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.random() * 0.0005 + 1e-6)
            for number in range(8):
                always(job < 0, "violated", {{"job": job}})
                least += 1
                always(True, f"new {{job}} {{number}}")
            while armed:
                pass
        except TimeLimit:
            limits += 1
    thread = threading.Thread(target=lambda: always(True, "of a thread"), daemon=True)
    thread.start()
    thread.join(20)
    print((limits, least, thread.is_alive()))
    """
    outcome = children.run(script)
    limits, least, hangs = outcome.value
    assert limits == 400
    assert not hangs
    counted = outcome.counts["violated"][1]
    assert least <= counted <= least + limits
    assert outcome.counts["of a thread"] == (1, 0)
    assert not outcome.shard.damage


def test_forks_in_a_handler_that_interrupts_forks_wait_for_nobody(children):
    script = f"""{SEEDED}
    always(True, "up")
    left, slowest = 100, 0.0

    def fork():
        global slowest
        begun = time.monotonic()
        if os.fork() == 0:
            os._exit(0)
        slowest = max(slowest, time.monotonic() - begun)

    def respawn(number, frame):
        global left
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                if left:
                    left -= 1
                    fork()
        except ChildProcessError:
            pass

    signal.signal(signal.SIGCHLD, respawn)
    for _ in range(300):
        fork()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    fork()
    print(slowest)
    """
    assert children.run(script).value < 8


def test_a_child_forked_in_a_handler_leaves_the_counts_of_its_parent_alone(children):
    script = f"""{SEEDED}
    children = []

    def fork(number, frame):
        child = os.fork()
        if child:
            children.append(child)
        else:
            # Forked between two jobs, it would set a timer of its own and fork a grandchild.
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

    signal.signal(signal.SIGALRM, fork)
    parent = os.getpid()
    for job in range(30):
        signal.setitimer(signal.ITIMER_REAL, random.random() * 0.001 + 1e-6)
        for number in range(20):
            always(number < 0, "violated", {{"job": job}})
            if os.getpid() != parent:
                always(True, "of a child")
                os._exit(0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for child in children:
        os.waitpid(child, 0)
    print((os.getpid(), len(children)))
    """
    outcome = children.run(script)
    pid, forks = outcome.value
    of_parent = [shard for shard in outcome.shards if shard.header.get("pid") == pid]
    assert [sum(shard.false) for shard in of_parent] == [600]
    assert forks > 0
    of_children = sum(sum(shard.true) for shard in outcome.shards if shard.header.get("pid") != pid)
    assert of_children == forks


def test_hits_of_finalisers_at_the_exit_of_the_interpreter_are_counted(children):
    script = """
    from assertlib import *
    configure(sinks=[])

    class Connection:
        def __init__(self):
            self.me = self

        def __del__(self):
            always(False, "closed before it is dropped")

    pool = [Connection() for _ in range(100)]
    always(True, "works")
    """
    assert children.run(script).counts["closed before it is dropped"] == (0, 100)


# -- which exceptions are interrupts -------------------------------------------------------------


def caught(function, *args):
    try:
        function(*args)
    except Exception as error:
        return interrupts.found_in(error)


class TimeLimit(Exception):
    pass


def handler(number, frame):
    raise TimeLimit


def interrupted(call=handler):
    call(14, sys._getframe())


def varying(*arguments):
    raise TimeLimit


class Callable:
    def __call__(self, number, frame):
        raise TimeLimit


@pytest.mark.parametrize("call", [handler, varying, Callable(), lambda n, frame: handler(n, frame)])
def test_an_exception_of_a_function_called_with_its_callers_frame_is_an_interrupt(call):
    assert isinstance(caught(interrupted, call), TimeLimit)


def raises():
    raise TimeLimit


def looks_at_its_caller():
    frame = sys._getframe(1)
    raise TimeLimit(frame.f_lineno)


def describes(frame):
    raise TimeLimit(frame.f_lineno)


def its_own_frame_described():
    describes(sys._getframe())


def caused_by_itself():
    error = SystemError("x")
    raise error from error


@pytest.mark.parametrize(
    "call", [raises, looks_at_its_caller, its_own_frame_described, caused_by_itself]
)
def test_an_exception_of_the_stores_own_code_is_not_an_interrupt(call):
    assert caught(call) is None


def test_a_handler_that_has_dropped_its_arguments_interrupts_all_the_same():
    def dropping(number, frame):
        del number, frame
        raise TimeLimit

    before = signal.signal(signal.SIGUSR1, dropping)
    try:
        assert isinstance(caught(signal.raise_signal, signal.SIGUSR1), TimeLimit)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_error_of_a_compiled_class_in_a_comparison_is_the_assertions(children):
    script = """
    from decimal import Decimal
    from assertlib import *
    configure(sinks=[])
    print(always_greater_than(Decimal("NaN"), Decimal(1), "balance stays positive"))
    """
    outcome = children.run(script)
    assert outcome.value is False
    assert outcome.shard.error_count == 1


def test_an_interrupt_of_an_import_in_c_is_found_behind_the_error_of_the_import():
    def imports():
        try:
            interrupted()
        except TimeLimit as error:
            raise SystemError("initialization of _x raised unreported exception") from error

    assert isinstance(caught(imports), TimeLimit)


@pytest.mark.parametrize("where", ["captured", "detail"])
def test_a_time_limit_in_a_slow_repr_reaches_the_job(children, where):
    call = {
        "captured": 'always(slow is None, "broken")',
        "detail": 'always(False, "broken", {"x": slow})',
    }[where]
    script = f"""
    import signal
    from assertlib import *
    configure(sinks=[])

    class Slow:
        def __repr__(self):
            signal.raise_signal(signal.SIGALRM)
            return "never seen"

    def limit(number, frame):
        raise TimeoutError

    signal.signal(signal.SIGALRM, limit)
    slow, seen = Slow(), 0
    try:
        {call}
    except TimeoutError:
        seen += 1
    print(seen)
    """
    outcome = children.run(script)
    assert outcome.value == 1
    assert outcome.counts["broken"] == (0, 1)


def test_no_violation_is_lost_while_the_run_directory_changes(children):
    script = """
    import threading
    from assertlib import *
    configure(sinks=[])
    here = os.environ["ASSERTLIB_RUN_DIR"]

    def violate(name):
        for _ in range(500):
            always(False, name)

    threads = [threading.Thread(target=violate, args=(f"broken {n}",)) for n in range(3)]
    for each in threads:
        each.start()
    turn = 0
    while any(each.is_alive() for each in threads):
        turn += 1
        configure(run_dir=f"{here}{turn % 2}")
    configure(run_dir=here)
    print(sorted(false for _, message, _, _, false in recorder.snapshot() if "broken" in message))
    """
    script = script.replace("import threading", "import os, threading").replace(
        "configure(sinks=[])",
        "from assertlib.recording.recorder import recorder\n    configure(sinks=[])",
    )
    assert children.run(script).value == [500, 500, 500]


def test_a_time_limit_in_details_reaches_the_job_and_the_violation_is_recorded(children):
    script = """
    import signal
    from assertlib import *
    configure(sinks=[])

    class TimeLimit(Exception):
        pass

    def limit(number, frame):
        raise TimeLimit

    def details():
        signal.raise_signal(signal.SIGALRM)
        return {"never": "seen"}

    signal.signal(signal.SIGALRM, limit)
    seen = 0
    try:
        always(False, "broken", details)
    except TimeLimit:
        seen += 1
    print(seen)
    """
    outcome = children.run(script)
    assert outcome.value == 1
    assert outcome.counts["broken"] == (0, 1)
    (hit,) = outcome.shard.hits
    assert (hit.message, hit.nth) == ("broken", 1)


@pytest.mark.parametrize("interrupted", ["_put", "_open", "_append"])
def test_the_platform_gets_one_header_though_the_attempt_to_begin_is_interrupted(
    tmp_path, monkeypatch, interrupted
):
    class Platform:
        def __init__(self):
            self.passed = []

        def write(self, lines):
            self.passed += lines

    platform = Platform()
    session = Session(str(tmp_path / "run"), {}, lambda: None, 0, platform, [])
    with monkeypatch.context() as patched:
        patched.setattr(Session, interrupted, interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.begin()
    session.begin()
    session.drop()
    kinds = [next(iter(json.loads(line))) for line in platform.passed]
    assert kinds == ["antithesis_sdk", "assertlib_shard"]


def interrupt(*_, **__):
    raise KeyboardInterrupt
