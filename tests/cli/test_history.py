"""
``assertlib history`` as users type it.
"""

from pathlib import Path

import pytest

from assertlib.history.operations import Outcome
from assertlib.history.records import Call, Header, Return, line
from assertlib.history.requests import (
    Committed,
    Done,
    Get,
    Put,
    Range,
    Ranged,
    Value,
)

from .. import zygote
from ..support import child_environment


def history(directory, *arguments):
    return zygote.run(
        [zygote.ASSERTLIB, "history", *map(str, arguments)],
        cwd=directory,
        env=child_environment(),
        capture_output=True,
        text=True,
    )


def written(directory, *seen, model="kv"):
    """A file in which a value is written, overwritten, and then *seen* by reads."""
    lines = [line(Header(model))]
    steps = [(Put("x", "old"), Done()), (Put("x", "new"), Done())]
    steps += [(Get("x"), Value(value)) for value in seen]
    for number, (request, answer) in enumerate(steps, 1):
        lines.append(line(Call(number, "c", 10 * number, request)))
        lines.append(line(Return(number, 10 * number + 5, Outcome.OK, answer)))
    file = directory / "history.jsonl"
    file.write_bytes(b"".join(lines))
    return file


def test_a_good_history_is_a_success(tmp_path):
    done = history(tmp_path, "check", written(tmp_path, "new"))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "SUCCESS"
    assert "linearizable  success           3 judged" in done.stdout


def test_a_stale_read_is_a_failure_and_explained(tmp_path):
    done = history(tmp_path, "check", written(tmp_path, "new", "old"))
    assert done.returncode == 1
    assert "#4 client c: get x → old" in done.stdout
    assert "the smallest illegal part:" in done.stdout
    assert done.stdout.splitlines()[-1] == "FAILURE"


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_APPLIED])
def test_a_history_without_any_answer_is_no_success(tmp_path, outcome):
    file = tmp_path / "history.jsonl"
    lines = [line(Header("kv"))]
    for number in range(5):
        lines.append(line(Call(number, "c", 10 * number, Get("x"))))
        lines.append(line(Return(number, 10 * number + 5, outcome, error="timeout")))
    file.write_bytes(b"".join(lines))
    done = history(tmp_path, "check", file)
    assert done.returncode == 3
    assert "linearizable  nothing to judge  none of the 5 operations was answered" in done.stdout
    assert done.stdout.splitlines()[-1] == "UNKNOWN"


def test_keys_that_a_register_does_not_have_name_the_model_that_has_them(tmp_path):
    file = written(tmp_path, "new", model="register")
    call = Call(9, "d", 100, Put("y", "1"))
    file.write_bytes(file.read_bytes() + line(call))
    done = history(tmp_path, "check", file)
    assert done.returncode == 2
    assert "the keys 'x' and 'y'; use the model 'kv'" in done.stderr
    assert history(tmp_path, "check", file, "--model", "kv").returncode == 0


def test_the_model_can_be_another_one_than_the_file_says(tmp_path):
    file = written(tmp_path, "new", model="something")
    assert history(tmp_path, "check", file, "--model", "register").returncode == 0
    done = history(tmp_path, "check", file)
    assert done.returncode == 2
    assert "unknown model 'something'; available: register, cas-register, kv, etcd" in (done.stderr)


def test_what_takes_too_many_steps_is_unknown(tmp_path):
    done = history(tmp_path, "check", written(tmp_path, "new"), "--budget", "1")
    assert done.returncode == 3
    assert "not decided within 1 steps" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"not json\n", "history.jsonl:1: not a history record"),
        (line(Header("kv")), "history contains no operations"),
        (b"\xff\n", "history.jsonl:1: not a history record"),
        (b"\xff\xfe\n", "history.jsonl: is UTF-16; save it as UTF-8"),
    ],
)
def test_files_that_are_no_history_end_in_one_line(tmp_path, text, message):
    file = tmp_path / "history.jsonl"
    file.write_bytes(text)
    done = history(tmp_path, "check", file)
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (2, 3)


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = history(tmp_path, "check", "nowhere.jsonl")
    assert done.returncode == 2
    assert "nowhere.jsonl: No such file" in done.stderr


def test_a_timeline_is_written_beside_the_history(tmp_path):
    file = written(tmp_path, "new", "old")
    done = history(tmp_path, "timeline", file)
    assert done.returncode == 0
    assert Path(done.stdout.strip()) == file.with_suffix(".html")
    assert "<html" in file.with_suffix(".html").read_text()


def test_checks_that_share_a_reason_share_an_entry(tmp_path):
    lines = [line(Header("etcd"))]
    steps = [
        (Range("\0", "\0"), Ranged(1, (), 0)),
        (Put("x", "1"), Committed(2, results=(Done(),))),
        (Range("x"), Ranged(2, (), 0)),
    ]
    for number, (request, answer) in enumerate(steps, 1):
        lines.append(line(Call(number, "c", 10 * number, request, "m1")))
        lines.append(line(Return(number, 10 * number + 5, Outcome.OK, answer)))
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"".join(lines))
    done = history(tmp_path, "check", file)
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("there is no single order to check against") == 1
    assert "10 checks         not checked  " in done.stdout
    names = " ".join(done.stdout.split())
    assert "filter, ordered, unique, atomic" in names
    assert "prev-kv, historical reads" in names
