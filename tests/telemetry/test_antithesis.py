"""
On the platform of Antithesis: a small library stands for its own, and gets the same from both SDKs.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ..test_antithesis import IMPORTS, PROGRAM, comparable

pytest.importorskip("antithesis.assertions")

SOURCE = Path(__file__).with_name("voidstar.c")
END = "\x1e\n"
"""What the library writes after a record that was followed by a flush."""

PATCH = """
import ctypes
library = ctypes.CDLL
ctypes.CDLL = lambda path: library({path!r} if path == "/usr/lib/libvoidstar.so" else path)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("voidstar") / "libvoidstar.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Werror", SOURCE, "-o", path], check=True
    )
    return path


@pytest.fixture
def given(children, library):
    """Runs a program on the platform; the records that its library is given."""

    def run(program, **variables):
        output = children.directory / "given"
        output.unlink(missing_ok=True)
        environment = {
            "ASSERTLIB_VOIDSTAR": str(library),
            "VOIDSTAR_OUTPUT": str(output),
            "ASSERTLIB_RUN_DIR": "",
            **variables,
        }
        run.outcome = children.run(program, env=environment)
        text = output.read_text(encoding="ascii") if output.exists() else ""
        assert text.count("\x1e") == text.count("\n") == text.count(END)
        return [json.loads(each) for each in text.split(END)[:-1]]

    return run


def same(records):
    """What both SDKs have to say: no declarations, which the other leaves to its catalog."""
    found = []
    for record in records:
        ((key, body),) = record.items()
        if key in ("antithesis_assert", "antithesis_guidance"):
            if body["hit"]:
                found.append({key: comparable(body)})
        elif key == "antithesis_sdk":
            found.append({key: body["protocol_version"]})
        elif key in ("antithesis_error", "antithesis_warning"):
            found.append({key: (body["code"], body["context"])})
        else:
            found.append(record)
    return found


def test_the_library_is_given_what_the_sdk_of_antithesis_gives_it(given, library):
    real = given(PATCH.format(path=str(library)) + IMPORTS.format(sdk="antithesis") + PROGRAM)
    ours = given(IMPORTS.format(sdk="assertlib") + PROGRAM)
    assert len(real) > 100
    assert same(ours) == same(real)


def test_each_assertion_is_declared_before_its_first_hit(given):
    records = given(IMPORTS.format(sdk="assertlib") + PROGRAM)
    declared = set()
    for record in records:
        body = record.get("antithesis_assert")
        if body is not None and not body["hit"]:
            declared.add(body["id"])
        elif body is not None:
            assert body["id"] in declared


def test_our_own_records_stay_with_us(given):
    records = given("from assertlib import *\nwith trial('t'):\n    always(True, 'claim')")
    assert [key for record in records for key in record if key.startswith("assertlib")] == []


def test_a_run_directory_is_recorded_as_well(given, children):
    program = "import assertlib\nassertlib.always(False, 'claim')"
    records = given(program, ASSERTLIB_RUN_DIR=str(children.run_dir))
    assert [body["condition"] for body in _hits(records)] == [False]
    assert given.outcome.counts == {"claim": (0, 1)}


def _hits(records):
    bodies = (record.get("antithesis_assert") for record in records)
    return [body for body in bodies if body is not None and body["hit"]]


def test_repeated_hits_are_given_once_for_each_outcome(given):
    records = given(
        "import assertlib\nfor number in range(9): assertlib.sometimes(number % 2, 'odd')"
    )
    assert [body["condition"] for body in _hits(records)] == [False, True]


def test_random_numbers_come_from_the_library(given):
    given("from assertlib.random import get_random\nprint([get_random() for _ in range(4)])")
    assert given.outcome.value == [2**64 - 3, 2**64 - 2, 2**64 - 1, 0]


def test_nothing_is_given_while_recording_is_off(given):
    records = given("import assertlib\nassertlib.always(True, 'claim')", ASSERTLIB="off")
    assert records == []


def test_recording_that_is_switched_on_later_is_given(given):
    program = """
        import assertlib
        assertlib.always(True, "early")
        assertlib.configure(mode="record")
        assertlib.always(True, "late")
    """
    assert [body["id"] for body in _hits(given(program, ASSERTLIB="off"))] == ["late"]


def test_a_forked_child_speaks_for_itself(given):
    records = given(
        """
        import os
        from assertlib import always
        always(True, "parent")
        if os.fork() == 0:
            always(True, "child")
            os._exit(0)
        os.wait()
        """
    )
    assert [body["id"] for body in _hits(records)] == ["parent", "child"]


@pytest.mark.parametrize("content", [None, b"", b"no library"], ids=["missing", "empty", "text"])
def test_a_library_that_is_none_is_said_once_and_the_store_goes_on(children, content):
    path = children.directory / "lib.so"
    if content is not None:
        path.write_bytes(content)
    program = "from assertlib import *\nfrom assertlib.random import get_random\nget_random()\n"
    outcome = children.run(
        program + "print(always(True, 'claim'))", env={"ASSERTLIB_VOIDSTAR": str(path)}
    )
    assert outcome.out == "True\n"
    (line,) = outcome.err.splitlines()
    assert "lib.so" in line
    assert outcome.counts == {"claim": (1, 0)}


def test_outside_of_the_platform_nothing_of_it_is_imported(children):
    program = """
        import sys
        import assertlib
        assertlib.always(True, "claim")
        print([name for name in ("ctypes", "assertlib.telemetry.antithesis") if name in sys.modules])
    """
    assert children.run(program, env={"ASSERTLIB_SINKS": ""}).value == []
