"""
Runs the command line without starting Python anew: a copy of a process that has imported it.

Of a command such as ``assertlib report``, most of the time goes into imports.  `run` takes the
arguments of `subprocess.run` and gives the same result: the copy has its own directory,
environment, standard streams, exit handlers and exit code.  What Python or assertlib reads from the
environment when it starts needs a real process, and so does a terminal; `run` starts one then.

``python -m pytest`` has a process of its own to copy, which the first test that needs it starts; with
plugins loaded by themselves, it is started anew.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ != "__main__":
    from .leaks import SHARED_PROCESSES, SHARED_SOCKETS

BIN = Path(sys.executable).parent
ASSERTLIB = BIN / "assertlib"
COMMAND, PYTEST = "command", "pytest"

_READ_AT_START = (
    *("PYTHON", "ASSERTLIB", "LC_", "LANG", "LD_", "COVERAGE"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"),
)
_NO_DIFFERENCE = (
    *("ASSERTLIB_EVIDENCE_URL", "ASSERTLIB_SHARED", "ASSERTLIB_COMMIT"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
)
_OPTIONS = {
    *("cwd", "env", "input", "timeout", "check", "text", "encoding"),
    *("capture_output", "stdin", "stdout", "stderr", "errors"),
}

_servers: dict[str, tuple[subprocess.Popen[bytes], socket.socket, dict[str, str]]] = {}


def run(command, **options):
    """Like `subprocess.run` with captured text; the first words decide whether a copy will do."""
    environment = options.get("env") or dict(os.environ)
    words = list(map(str, command))
    kind = _kind(words, environment)
    if kind is None or not _is_captured(options) or not _is_alike(kind, environment):
        return subprocess.run(words, **options)
    return _ask(kind, words, environment, options)


def _kind(words, environment):
    """Which process to copy; None if there is none."""
    if words[0] == str(ASSERTLIB):
        return COMMAND
    is_pytest = words[:3] == [sys.executable, "-m", "pytest"]
    return PYTEST if is_pytest and environment.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD") else None


def _is_captured(options):
    streams = options.get("stdout"), options.get("stderr")
    pipes = (subprocess.PIPE, subprocess.STDOUT)
    is_captured = options.get("capture_output") or all(each in pipes for each in streams)
    has_no_input = options.get("stdin") in (None, subprocess.DEVNULL)
    return is_captured and has_no_input and not set(options) - _OPTIONS


def _is_alike(kind, environment):
    """Whether a copy of the server starts as a process with *environment* would."""
    _, _, known = start(kind)
    return _relevant(environment) == _relevant(known)


def _relevant(environment):
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_START) and name not in _NO_DIFFERENCE
    }


def start(kind=COMMAND):
    """Start the server of a *kind*, unless it runs."""
    server = _servers.get(kind)
    # A test of supervision may end it with the other children of this process.
    if server is not None and server[0].poll() is not None:
        server[1].close()
        server = None
    if server is None:
        ours, theirs = socket.socketpair()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ASSERTLIB")}
        known = {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, __file__, kind, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=known, cwd="/", start_new_session=True,
        )  # fmt: skip
        theirs.close()
        SHARED_PROCESSES.add(str(process.pid))
        SHARED_SOCKETS.add(os.readlink(f"/proc/self/fd/{ours.fileno()}"))
        if not _servers:
            atexit.register(_stop)
        server = _servers[kind] = process, ours, known
    return server


def _stop():
    for process, ours, _ in _servers.values():
        ours.close()
        process.wait(10)


def _ask(kind, words, environment, options):
    _, ours, _ = start(kind)
    with tempfile.TemporaryDirectory(prefix="command-") as place:
        paths = [os.path.join(place, name) for name in ("stdin", "stdout", "stderr")]
        if options.get("stderr") is subprocess.STDOUT:
            paths[2] = paths[1]
        given = options.get("input") or ""
        Path(paths[0]).write_bytes(given.encode() if isinstance(given, str) else given)
        request = {
            "words": words, "env": environment, "paths": paths,
            "cwd": os.fspath(options.get("cwd") or os.getcwd()),
        }  # fmt: skip
        _send(ours, request)
        pid = _receive(ours)
        ours.settimeout(options.get("timeout"))
        try:
            code = _receive(ours)
        except TimeoutError:
            # Its children are in the session that it made, and would live on.
            os.killpg(pid, signal.SIGKILL)
            ours.settimeout(None)
            _receive(ours)
            raise subprocess.TimeoutExpired(words, options["timeout"]) from None
        finally:
            ours.settimeout(None)
        stdout, stderr = (Path(path).read_bytes() for path in paths[1:])
    if options.get("text") or options.get("encoding"):
        stdout, stderr = (_as_text(data, options) for data in (stdout, stderr))
    done = subprocess.CompletedProcess(words, code, stdout, stderr)
    if options.get("check"):
        done.check_returncode()
    return done


def _as_text(data, options):
    """As `subprocess` reads text: in the encoding of the locale, with universal newlines."""
    text = data.decode(options.get("encoding") or "utf-8", options.get("errors") or "strict")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _send(channel, message):
    data = json.dumps(message).encode()
    channel.sendall(len(data).to_bytes(8, "little") + data)


def _receive(channel):
    size = int.from_bytes(_exactly(channel, 8), "little")
    return json.loads(_exactly(channel, size))


def _exactly(channel, size):
    data = b""
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


# -- the server ------------------------------------------------------------------------------


def _preload_command():
    import assertlib.cli.app as app

    app.app_with()
    # What commands import when they run.
    import jinja2
    import orjson
    import rich.console
    import sqlalchemy

    import assertlib.evidence.store
    import assertlib.report.base

    return app, jinja2, orjson, rich.console, sqlalchemy, assertlib.evidence.store


def _preload_pytest():
    import pytest

    import assertlib.pytest_plugin.session

    return pytest, assertlib.pytest_plugin.session


def _serve(kind, channel):
    """Answer requests until the tests end; only copies return, with what they shall run."""
    import gc

    _preload_pytest() if kind == PYTEST else _preload_command()
    gc.freeze()
    while True:
        try:
            request = _receive(channel)
        except EOFError:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            channel.close()
            return request
        _send(channel, pid)
        _, status = os.waitpid(pid, 0)
        _send(channel, os.waitstatus_to_exitcode(status))


def _become(request):
    """Turn this copy into the process that was asked for."""
    import random

    os.setsid()
    for fd, path in enumerate(request["paths"]):
        flags = os.O_RDONLY if fd == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    random.seed()
    return request["words"]


def _run_command(words):
    from assertlib.cli.entry import main

    sys.argv[:] = words
    sys.path[0] = str(BIN)
    main()


def _run_pytest(words):
    import runpy

    sys.argv[:] = words[2:]
    sys.path[0] = os.getcwd()
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _kind_of_server, _number = sys.argv[1:]
    _words = _become(_serve(_kind_of_server, socket.socket(fileno=int(_number))))
    _run_pytest(_words) if _kind_of_server == PYTEST else _run_command(_words)
