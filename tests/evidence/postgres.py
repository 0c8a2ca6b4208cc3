"""
A real PostgreSQL of the tests' own, on loopback, in a temporary directory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from ..leaks import SHARED_PROCESSES

HOW = "there is no PostgreSQL here; `make services` installs one, as root"


def binaries() -> Path | None:
    """Where its programs are."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in candidates if (each / "postgres").exists()), None)


def _user() -> str | None:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Postgres:
    """A server; `stop` and `start` it as often as you like."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = _user()
        self.directory = Path(tempfile.mkdtemp(prefix="assertlib-pg-"))
        if self._user is not None:
            shutil.chown(self.directory, self._user)
        self._run("initdb", "-D", str(self.directory / "data"), "-U", "tests", "-A", "trust", "-N")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], user=self._user, cwd=self.directory,
            check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                self._programs / "postgres", "-D", self.directory / "data", "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}",
                "-c", "fsync=off",
            ],
            user=self._user, cwd=self.directory, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        SHARED_PROCESSES.add(str(self._process.pid))
        end = time.monotonic() + 60
        while True:
            try:
                self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tests")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    raise
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.05)

    def stop(self) -> None:
        """At once, as when the machine goes down."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
            self._process = None

    def database(self) -> str:
        """The address of a fresh, empty database."""
        self._databases += 1
        name = f"db{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tests", name)
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
