"""
Command lines are recorded without their secrets.
"""

import sys
import time

import pytest

from assertlib.recording import reprs
from assertlib.recording.reprs import REDACTED, redact, redacted_command

from ..evidence.projects import Project

X = REDACTED


@pytest.fixture(autouse=True)
def patterns():
    redact(["*iban*", "pin-code", "k"])
    yield
    redact([])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--password=a b", "c"], [f"--password={X}", "c"]),
        (["--password", "a b", "c"], ["--password", X, "c"]),
        (["-password", "-a"], ["-password", X]),
        (["PGPASSWORD=a b"], [f"PGPASSWORD={X}"]),
        (["AWS_SECRET_ACCESS_KEY=a=b"], [f"AWS_SECRET_ACCESS_KEY={X}"]),
        (["--api-key", "a"], ["--api-key", X]),
        (["--API_KEY=a"], [f"--API_KEY={X}"]),
        (["-H", "X-Api-Key: a"], ["-H", f"X-Api-Key: {X}"]),
        (["--iban", "a", "--my-iban=b", "IBAN=c"], ["--iban", X, f"--my-iban={X}", f"IBAN={X}"]),
        (["--pin-code", "a", "--pin", "b"], ["--pin-code", X, "--pin", "b"]),
        (["-k", "a", "-v"], ["-k", X, "-v"]),
        (["postgresql://me:p@w:d@host:1/db"], [f"postgresql://me:{X}@host:1/db"]),
        (["--db=redis://:a@host/0"], [f"--db=redis://:{X}@host/0"]),
        (["http://host/?a=1&password=b&c=2"], [f"http://host/?a=1&password={X}&c=2"]),
        (["host=h password=a user=u"], [f"host=h password={X} user=u"]),
        (["host=h password='a b' user=u"], [f"host=h password={X} user=u"]),
        (['{"token": "a b", "n": 1}'], [f'{{"token": {X}, "n": 1}}']),
        (["exec psql --password a db"], [f"exec psql --password {X} db"]),
        (["exec env TOKEN=a psql"], [f"exec env TOKEN={X} psql"]),
    ],
)
def test_a_secret_is_not_shown(given, shown):
    assert redacted_command(given) == shown


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "kvstore.torture", "--seconds", "20"],
        ["sim", "explore", "kvstore.simulation:rounds", "--for=60s"],
        ["http://host:2379/a@b", "user@host", "a=b", "--x=y", "C:D", "", "-", "--", "x" * 5000],
        ["postgresql://me@host/db", "--user", "me"],
    ],
)
def test_everything_else_is_shown_as_it_is(words):
    assert redacted_command(words) == words


def test_what_is_no_text_is_shown_as_its_repr():
    assert redacted_command([7, b"x"]) == ["7", "b'x'"]


@pytest.mark.parametrize("piece", ["a", "-", "://", "a=", 'a="', "a: ", "--a ", "'", " "])
def test_the_time_grows_with_the_length_alone(piece):
    began = time.process_time()
    redacted_command([piece * (100_000 // len(piece))])
    assert time.process_time() - began < 10


def test_without_patterns_the_names_of_secrets_are_redacted_all_the_same():
    redact([])
    assert not reprs.redacts()
    assert redacted_command(["--token", "a", "--iban", "b"]) == ["--token", X, "--iban", "b"]


def test_neither_run_nor_shard_nor_output_holds_a_secret_of_the_command_line(tmp_path):
    project = Project(tmp_path)
    script = project.write(
        "job.py",
        """
        import os, store, subprocess, sys
        store.put(1)
        if "--nested" not in sys.argv:
            words = ["exec", "--", sys.executable, *sys.argv, "--nested"]
            code = "from assertlib.cli.entry import main; main()"
            subprocess.run([sys.executable, "-c", code, *words], check=True)
        """,
    )
    secrets = ("hunter1", "hunter2", "hunter3", "hunter4")
    words = ["--password=hunter1", "--password", "hunter2", "IBAN=hunter3", "db://u:hunter4@h/d"]
    done = project.cli(
        "run", "--", sys.executable, script, *words, PYTHONPATH=".", ASSERTLIB_REDACT="*iban*"
    )
    assert done.returncode == 0, done.stderr
    (run,) = project.runs()
    texts = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert sum(REDACTED.encode() in text for text in texts.values()) >= 3
    for path, text in texts.items():
        assert not any(secret.encode() in text for secret in secrets), path
