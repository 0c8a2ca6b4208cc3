"""
Opening and bounding what others wrote.
"""

import json
import os
from contextlib import contextmanager

import orjson
import pytest

from assertlib._text import inputs
from assertlib._text.inputs import (
    DEEPEST,
    LongLineError,
    NotAFileError,
    TooLargeError,
    line_of,
    lines_in,
    open_found,
    open_named,
    parse_json,
    read_found,
)
from assertlib.catalog.positions import positions
from assertlib.catalog.toml import parse_toml

from .fuzz.mutating import bind_socket


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a FIFO"),
        (os.mkdir, "a directory"),
        (bind_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/null"), "a symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "a symbolic link"),
    ],
    ids=["fifo", "directory", "socket", "link", "dangling link"],
)
def test_only_regular_files_are_opened_and_others_are_named_at_once(tmp_path, make, kind):
    path = tmp_path / "it"
    make(path)
    with pytest.raises(NotAFileError) as caught:
        open_found(path)
    assert caught.value.strerror == f"is {kind}; only regular files are read"
    assert caught.value.filename == str(path)


def test_what_a_person_named_may_be_a_link_to_a_file_and_to_nothing_else(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    with open_named(tmp_path / "link") as file:
        assert file.read() == b"text"
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(NotAFileError, match="a device"):
        open_named(tmp_path / "device")


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_found(tmp_path / "nowhere")


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert read_found(path, 5) == b"12345"
    with pytest.raises(TooLargeError) as caught:
        read_found(path, 4)
    assert caught.value.strerror == "is larger than 4 bytes"


@contextmanager
def limit(name, value):
    """Change a limit for a moment: the session reads its own records at the end of each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, name, value)
        yield


def test_a_line_that_is_too_long_has_its_number(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"short\n1234567\n12345678\n")
    with (
        limit("LONGEST_LINE", 8),
        open_found(path) as file,
        pytest.raises(LongLineError) as caught,
    ):
        list(lines_in(file))
    assert caught.value.number == 3


def test_bounded_lines_are_the_lines_of_the_file(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"one\n\ntwo\nthree\nand 4")
    with limit("LONGEST_LINE", 8), open_found(path) as file:
        assert list(lines_in(file)) == path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("loads", [json.loads, orjson.loads], ids=["json", "orjson"])
@pytest.mark.parametrize("levels", [DEEPEST + 1, 900, 5_000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_json_that_nests_too_deeply_is_a_value_error(loads, levels, begin, end):
    text = begin * levels + "1" + end * levels
    with pytest.raises(ValueError, match="nested more than"):
        parse_json(text.encode(), loads)


@pytest.mark.parametrize("loads", [json.loads, orjson.loads], ids=["json", "orjson"])
def test_json_within_the_bounds_is_read(loads):
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deep.encode(), loads)) == deep
    wide = json.dumps([[]] * 1_000 + ["[[[{" * 1_000, 2**70, "\ud800"])
    assert json.dumps(parse_json(wide.encode(), loads)) == wide


def test_json_of_too_many_values_is_a_value_error():
    with limit("MOST_VALUES", 10):
        assert parse_json(b"[1, 2, 3, 4, 5, 6, 7, 8, 9]") == list(range(1, 10))
    with limit("MOST_VALUES", 10), pytest.raises(ValueError, match="more than 10 values"):
        parse_json(b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]")


def test_a_key_is_found_on_its_line():
    assert line_of(b'{\n "a": 1,\n "b": 2\n}', "b") == 3
    assert line_of(b"{}", "b") == 1


def test_a_toml_key_of_many_parts_is_refused_by_line():
    assert parse_toml("a." * 50 + "a = 1")
    with pytest.raises(ValueError, match=r"100 parts \(at line 2, column 1\)"):
        parse_toml("x = 1\n" + "a." * 200_000 + "a = 1")
    with pytest.raises(ValueError, match="nest too deeply"):
        parse_toml("x = " + "[" * 5_000 + "]" * 5_000)


def test_a_long_statement_and_many_keys_are_placed_without_delay():
    text = "first = " + " " * 2_000_000 + "1\n" + "".join(f"k{n} = {n}\n" for n in range(100_000))
    found = positions(text)
    assert found["k99999",] == (100_001, 1)
