"""
Addresses of the evidence store: no password is shown, no malformed one is a traceback, and no
PostgreSQL keeps a command waiting for ever.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from assertlib.evidence import store as module
from assertlib.evidence.address import Address
from assertlib.evidence.store import Store, StoreError

from ..support import child_environment

NOBODY = "127.0.0.1:1"
"""Where nothing listens."""

SECRET = "s3cr:t/%20 #?ü"
QUOTED = "s3cr%3At%2F%2520%20%23%3F%C3%BC"
HINTS = ("s3cr", "%2520", "%C3%BC", "ü")
"""Parts that betray the password in each of its forms."""

ADDRESSES = {
    "a password": f"postgresql://u:{QUOTED}@{NOBODY}/db",
    "a password, with the driver": f"postgresql+psycopg://u:{QUOTED}@{NOBODY}/db",
    "a password that is not quoted": f"postgresql://u:{SECRET}@{NOBODY}/db",
    "an @ that is not quoted": f"postgresql://u:x@s3cr@{NOBODY}/db",
    "a password in the query": f"postgresql://u@{NOBODY}/db?password={QUOTED}",
    "two passwords in the query": f"postgresql://{NOBODY}/db?password={QUOTED}&password=s3cr",
    "the password of a key": f"postgresql://u@{NOBODY}/db?sslpassword={QUOTED}",
    "a misspelt option": f"postgresql://u@{NOBODY}/db?pasword={QUOTED}",
    "an option twice": f"postgresql://u:{QUOTED}@/db?host=127.0.0.1&port=abc",
    "a port that is no number": f"postgresql://u:{QUOTED}@127.0.0.1:none/db",
    "a port out of range": f"postgresql://u:{QUOTED}@127.0.0.1:99999/db",
    "a negative port": f"postgresql://u:{QUOTED}@127.0.0.1:-1/db",
    "a bracket that stays open": f"postgresql://u:{QUOTED}@[::1/db",
    "no host": "postgresql://u:s3cr",
    "no such host": f"postgresql://u:{QUOTED}@no-such-host.invalid/db",
    "no such service": f"postgresql://u:{QUOTED}@/db?service=none",
    "keywords": f"host=127.0.0.1 port=1 password='{SECRET}'",
    "keywords with a scheme": f"postgresql:host=127.0.0.1 password='{SECRET}'",
    "an old scheme": f"postgres://u:{QUOTED}@{NOBODY}/db",
    "another database": f"mysql://u:{QUOTED}@{NOBODY}/db",
    "a driver that is missing": f"postgresql+asyncpg://u:{QUOTED}@{NOBODY}/db",
    "a driver that does not exist": f"postgresql+none://u:{QUOTED}@{NOBODY}/db",
    "SQLite with a password": f"sqlite://u:{QUOTED}@host/db",
    "SQLite with an option": f"sqlite:////tmp/x?timeout=abc&password={QUOTED}",
    "a line break": f"postgresql://u:s3cr\n@{NOBODY}/db",
    "half a character": f"postgresql://u:s3cr\udcff@{NOBODY}/db",
}
any_address = pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)


@any_address
def test_an_error_is_one_line_without_the_password(address):
    with pytest.raises(StoreError) as caught:
        Store(address)
    shown = f"{caught.value!s} {caught.value!r}"
    assert [hint for hint in HINTS if hint in shown] == []
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "kind", ["a password in the query", "a port that is no number", "keywords", "half a character"]
)
def test_a_command_ends_with_a_usage_error(tmp_path, kind):
    done = subprocess.run(
        [Path(sys.executable).with_name("assertlib"), "evidence", "list"], cwd=tmp_path,
        env=child_environment(ASSERTLIB_EVIDENCE_URL=ADDRESSES[kind]), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("assertlib: ")
    assert len(done.stderr.splitlines()) == 1
    assert [hint for hint in HINTS if hint in done.stderr] == []


def test_what_a_driver_repeats_is_hidden_in_every_form():
    address = Address(f"postgresql://u:{QUOTED}@h/db?sslpassword=k%26y")
    told = f"bad: {SECRET} {QUOTED} s3cr%3At/%2520%20%23%3F%C3%BC k&y k%26y"
    hidden = address.without_secrets(told)
    assert [hint for hint in (*HINTS, "k&y", "k%26y") if hint in hidden] == []
    assert hidden.startswith("bad: ***")


def test_the_address_is_shown_without_its_options(postgres):
    address = f"{postgres.database()}?password=s3cr"
    with Store(address) as store:
        assert "s3cr" not in repr(store)
        assert f":{postgres.port}/" in repr(store)


def test_a_file_may_be_called_as_it_likes(tmp_path):
    path = tmp_path / "a ?b=c#d%20@e\n\udcff.db"
    with Store(path) as store:
        assert store.runs() == []
    assert path.exists()


# -- waiting ---------------------------------------------------------------------------------


def limits(store):
    with store._reading() as connection:
        names = ("statement_timeout", "lock_timeout")
        return [connection.execute(sa.text(f"SHOW {name}")).scalar() for name in names]


def test_statements_and_locks_have_limits(postgres):
    with Store(postgres.database()) as store:
        assert limits(store) == ["2min", "1min"]


def test_limits_in_the_address_come_first(postgres):
    with Store(f"{postgres.database()}?options=-c%20lock_timeout%3D7s") as store:
        assert limits(store) == ["2min", "7s"]


def test_a_statement_that_takes_too_long_is_an_error(postgres, monkeypatch):
    monkeypatch.setitem(module._LIMITS, "statement_timeout", "100ms")
    too_long = pytest.raises(StoreError, match="statement timeout")
    with Store(postgres.database()) as store, too_long, store._reading() as connection:
        connection.execute(sa.text("SELECT pg_sleep(60)"))


def test_a_lock_that_is_never_given_back_is_an_error(postgres, monkeypatch):
    monkeypatch.setitem(module._LIMITS, "lock_timeout", "100ms")
    url = postgres.database()
    with Store(url) as store, Store(url) as other, store._writing() as held:
        held.execute(sa.text(f"LOCK TABLE {module.runs.name}"))
        with pytest.raises(StoreError, match="lock timeout"):
            other.runs()


def test_a_server_that_never_answers_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(StoreError, match="timeout"):
            Store(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db")
        assert time.monotonic() - begin < 30
