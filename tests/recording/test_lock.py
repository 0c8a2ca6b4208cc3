"""
The lock, and directories that other processes make at the same time.
"""

import os

import pytest

from assertlib.recording.system import system


def test_a_fork_that_waited_in_vain_for_the_lock_goes_on_in_both_processes(children):
    outcome = children.run(
        """
        import os, threading
        from assertlib.recording.lock import Lock
        lock, held, free = Lock(), threading.Event(), threading.Event()
        lock.hold_across_forks(lambda: None, patience=0.01)
        def hold():
            lock.run(lambda: (held.set(), free.wait()))
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = os.fork()
        if pid == 0:
            lock.run(os._exit, 7)
        free.set()
        thread.join()
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), lock.run(lambda: "free"))
        """
    )
    assert outcome.out.split() == ["7", "free"]
    assert outcome.err == ""


@pytest.mark.parametrize("levels", [1, 3])
def test_a_directory_that_another_process_makes_meanwhile_is_no_error(
    tmp_path, monkeypatch, levels
):
    path = str(tmp_path.joinpath(*"abc"[:levels], "run"))
    mkdir = os.mkdir

    def mkdir_and_lose(*arguments):
        # Of two processes, the other one is always a little faster.
        mkdir(*arguments)
        raise FileExistsError(17, "File exists", arguments[0])

    monkeypatch.setattr(system, "mkdir", staticmethod(mkdir_and_lose))
    system.makedirs(path)
    assert os.path.isdir(path)
