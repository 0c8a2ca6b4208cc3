"""
What a test may not leave behind is found.
"""

import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from . import leaks


def an_open_socket():
    opened = socket.socket()
    return opened.close


def a_running_thread():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    return lambda: (end.set(), thread.join())


def a_child_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    return lambda: child.communicate(b"\n")


@pytest.mark.parametrize(
    ("leave", "kind"),
    [(an_open_socket, "socket"), (a_running_thread, "thread"), (a_child_process, "child process")],
)
def test_what_is_left_is_found_until_it_is_gone(leave, kind):
    before = leaks.standing()
    close = leave()
    try:
        assert kind in leaks.leaks(before)
    finally:
        close()
    assert kind not in leaks.leaks(before)


def test_a_directory_is_found_in_the_directory_of_the_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "OWN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = leaks.standing()
    left = Path(tempfile.mkdtemp())
    assert leaks.leaks(before) == {"directory": {left.name}}
    left.rmdir()
    assert leaks.leaks(before) == {}
