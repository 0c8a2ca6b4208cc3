"""
No text from outside controls a terminal, in whichever field it is and whichever command prints it.

Over 500 lines, since the table is of all commands, and all read the same hostile project.
"""

import contextlib
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from assertlib.cli.app import command_line
from assertlib.history.operations import Outcome
from assertlib.history.records import Call, Fault, Header, Return, line
from assertlib.history.requests import Done, Get, Put, Value
from assertlib.report.screen import Screen

from .. import zygote
from ..evidence import foreign
from ..forms import sampled
from ..support import child_environment

BIN = Path(sys.executable).parent
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FORGED = "!forged"


def hostile(name):
    """A text that colours, retitles, erases, turns and breaks lines; *name* finds it again."""
    return f"{steering(name)}\n{FORGED}"


def steering(name):
    """The same on one line, for the prose of catalogs, which has lines."""
    return (
        f"{name}\x1b[31m\x1b]0;owned\x07\x1b]8;;x:\x1b\\ \x9b2J\x08\x7f\r"
        f"\u202egpj\u2066\u200f\u061c"
    )


def check_harmless(output):
    """*output* as text, once it was seen to hold nothing that steers, and no line of its own."""
    text = output.decode("utf-8")
    assert STEERING.findall(text) == []
    assert [each for each in text.splitlines() if each.startswith((FORGED, "Traceback"))] == []
    return text


@contextlib.contextmanager
def _streams():
    before = sys.stdout, sys.stderr
    written = io.BytesIO()
    sys.stdout = sys.stderr = io.TextIOWrapper(written, "utf-8", write_through=True)
    try:
        yield written
    finally:
        sys.stdout, sys.stderr = before


@pytest.fixture
def typed(monkeypatch):
    """Runs a command line in this process; its exit code, and all that it printed, as bytes."""

    def run(directory, *words):
        monkeypatch.chdir(directory)
        monkeypatch.setattr(sys, "argv", ["assertlib", *words])
        for name in [name for name in os.environ if name.startswith("ASSERTLIB_")]:
            monkeypatch.delenv(name)
        with _streams() as written:
            return command_line()(), written.getvalue()

    return run


def child(directory, *words, **more):
    done = zygote.run(
        [BIN / "assertlib", *words], cwd=directory, env=child_environment(**more), timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


# -- a project whose every text is hostile ------------------------------------------------------

TARGET, FILE = hostile("target"), hostile("file") + ".py"
STATE, BROKEN, TROUBLE = hostile("state"), hostile("broken"), hostile("trouble")


def _toml(text):
    return json.dumps(text).replace("\x7f", "\\u007f")


PROJECT = f"""
[tool.assertlib.targets.{_toml(TARGET)}]
source = [{_toml(FILE)}]
catalog = ["catalog"]
"""
CATALOG = f"""
schema = 1

[positive]
title = {_toml(steering("title"))}
kind = "safety"
status = "active"
statement = {_toml(steering("statement"))}
why = {_toml(steering("why"))}
debug = {_toml(steering("debug"))}
expects = ["always"]
owners = [{_toml(steering("owner"))}]
[[positive.incident]]
ref = {_toml(hostile("incident"))}
status = "confirmed"
title = {_toml(hostile("disaster"))}
[[positive.source]]
ref = {_toml(hostile("source"))}
"""
STORE = f"""
from assertlib import always, lifecycle, sometimes

value = {hostile("value")!a}

class Odd:
    __repr__ = lambda self: value

with lifecycle.trial({hostile("trial")!a}, population={hostile("population")!a}):
    odd = Odd()
    always(odd is None, {BROKEN!a}, {{{hostile("key")!a}: {hostile("detail")!a}}},
           invariant="kv.positive")
    sometimes(False, {STATE!a})
    always(object, {TROUBLE!a})
"""


def _edited(text):
    """The records of a shard with what the SDK itself would not write."""
    for record in text.splitlines():
        ((name, body),) = json.loads(record).items()
        if "location" in body:
            body["location"].update(function=hostile("function"))
        if name == "assertlib_violation":
            body["source"] = hostile("condition")
            body["values"] = {hostile("variable"): hostile("value")}
        if name == "assertlib_error":
            body["reason"] = hostile("reason")
        if name == "assertlib_shard":
            body["features"] = {hostile("feature"): False}
        yield json.dumps({name: body}) + "\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("screens") / hostile("directory")
    (root / "catalog").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "catalog" / "kv.toml").write_text(CATALOG)
    (root / FILE).write_text(STORE)
    # What the store itself prints is its own.
    command = "import sys, runpy; sys.stderr = open('log', 'w'); runpy.run_path(sys.argv[1])"
    code, output = child(root, "run", "--full", "--", sys.executable, "-c", command, FILE)
    assert code == 1, output
    assert "assertlib: run" in check_harmless(output)
    (run,) = (root / ".assertlib" / "runs").iterdir()
    for shard in run.glob("*.jsonl"):
        shard.write_text("".join(_edited(shard.read_text())))
    return root


@pytest.fixture
def project(recorded, tmp_path):
    """A copy; a command may write into it."""
    root = tmp_path / recorded.name
    shutil.copytree(recorded, root)
    return root


SHOWN = {
    "report": ("target", "broken", "condition", "variable", "value", "file", "trouble"),
    "report -v": ("target", "broken", "state", "trouble", "trial", "population", "condition",
               "variable", "value", "key", "detail", "reason", "file", "title", "statement",
               "why", "debug", "owner", "incident", "disaster", "function"),
    "report -f markdown": ("target", "broken", "state", "trouble", "trial", "title"),
    "report -f json": ("target", "broken", "state", "variable", "value"),
    "report -f html": ("target", "broken", "statement"),
    "report --invariant kv.positive": ("broken", "trial"),
    "report --test trial": ("broken", "state", "trial"),
    "gate": ("target", "broken"),
    "gate --junit -": ("broken",),
    "debug": ("directory", "target", "file"),
    "top -n 1 -i 0.1": ("target", "broken", "state"),
    "top -n 1 --json": ("target", "broken", "state"),
    "check": ("target", "file"),
    "check -f json": ("target", "file"),
    "check -f github": ("file",),
    "check -f sarif": ("file",),
    "check -f gitlab": ("file",),
    "docs": ("directory",),
    "docs -o pages": (),
    "docs -o pages --check": (),
    "catalog list": (),
    "catalog show kv.positive": ("title", "statement", "why", "owner", "file"),
    "catalog export --antithesis": (),
    "catalog review": (),
    "evidence add": (),
    "explain AL101": (),
}  # fmt: skip
"""Of each command, the fields that have to appear in what it prints."""


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_shows_hostile_texts_and_obeys_none(project, typed, command):
    code, output = typed(project, *command.split())
    text = check_harmless(output)
    assert [name for name in SHOWN[command] if name not in text] == []
    assert code in (0, 1), text


def test_a_run_in_the_store_shows_hostile_texts_and_obeys_none(project, typed):
    assert typed(project, "evidence", "add")[0] == 0
    (run,) = (project / ".assertlib" / "runs").iterdir()
    for words, shown in (
        (("list",), ("target",)),
        (("show", run.name), ("broken", "state")),
        (("diff", run.name, run.name), ()),
        (("cooccurrence", BROKEN, STATE), ("broken", "state")),
        (("export", "-"), ("broken", "trial")),
        (("export", str(project / hostile("export"))), ()),
        (("import", hostile("export")), ()),
        (("prune", "--keep", "0"), ()),
    ):
        code, output = typed(project, "evidence", *words)
        text = check_harmless(output)
        assert [name for name in shown if name not in text] == []
        assert code in (0, 1), text


def test_what_a_store_logs_steers_nothing(project):
    log = (project / "log").read_text()
    assert STEERING.findall(log) == []
    for name in ("broken", "value", "detail", "trial", "trouble", "file"):
        assert name in log


def test_machine_formats_read_back_as_they_were_recorded(project, typed):
    report = json.loads(typed(project, "report", "-f", "json")[1])
    assert {each["message"] for each in report["assertions"]} == {STATE, BROKEN, TROUBLE}
    for form in ("json", "sarif", "gitlab"):
        assert json.loads(typed(project, "check", "-f", form)[1])
    assert typed(project, "gate", "--junit", "gate.xml", "--badge", "badge.json")[0] == 1
    found = ET.parse(project / "gate.xml").find(".//failure")
    assert "broken\\x1b[31m" in found.get("message")
    assert json.loads((project / "badge.json").read_text())


JSON_WITH_DEL = '{"a": "\\\\\x7f\u202e"}'


def test_json_stays_the_same_json_on_a_screen():
    raw = io.StringIO()
    print(JSON_WITH_DEL, file=Screen(raw))
    assert json.loads(raw.getvalue()) == json.loads(JSON_WITH_DEL)
    assert STEERING.findall(raw.getvalue()) == []


# -- errors, and what is named on the command line --------------------------------------------

H = hostile("word")
WRONG_WORDS = [
    (H,), (f"--{H}",), ("report", H), ("report", "--assertion", H), ("report", "--invariant", H),
    ("report", "--test", H), ("report", "--target", H), ("report", "--format", H),
    ("report", "-f", "html", "--compare-to", H), ("report", "--project", H), ("report", "-o", f"no/{H}"),
    ("gate", H), ("gate", "--since", H), ("gate", "--junit", f"no/{H}"),
    ("check", "--target", H), ("check", "--baseline-findings", H), ("check", "-o", f"no/{H}"),
    ("docs", "--target", H), ("docs", "--project", H), ("debug", "--project", H), ("top", H),
    ("top", "--target", H), ("explain", H), ("ingest", H), ("init", f"no/{H}/{H}"),
    ("run", "--feature", H, "--", "true"), ("run", "--", H), ("run", "--target", H, "--", "true"),
    ("exec", "--", H), ("catalog", H), ("catalog", "show", H), ("catalog", "new", H),
    ("catalog", "rename", H, H), ("catalog", "list", "--target", H),
    ("catalog", "review", "--target", H), ("evidence", "add", H), ("evidence", "show", H),
    ("evidence", "diff", H, H), ("evidence", "import", H),
    ("evidence", "export", f"no/{H}"),     ("history", "check", H), ("history", "timeline", H),
    ("sim", "explore", H), ("sim", "explore", f"{H}:{H}"), ("sim", "explore", "json:loads", "--faults", H),
    ("sim", "explore", "json:loads", "--for", H), ("sim", "explore", "json:loads", "--shard", H), ("sim", "explore", "json:loads", "--engine", H),
    ("sim", "replay", H), ("sim", "replay", "--assertion", H),
    ("robustness", "run", H), ("robustness", "run", f"json:{H}"), ("robustness", "validate", H),
    ("robustness", "etcd", "--faults", H), ("robustness", "etcd", "--traffic", H),
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG_WORDS, ids=lambda words: " ".join(words).replace(H, "H"))
def test_an_error_shows_hostile_words_and_obeys_none(project, typed, words):
    code, output = typed(project, *words)
    text = check_harmless(output)
    assert code in (2, 3), text
    assert "word" in text


# -- histories, foreign records, simulations, pytest, a terminal --------------------------------


def _history(path, *, fault=False):
    """A stale read: the value that was overwritten is read again."""
    key, old, new = hostile("key"), hostile("old"), hostile("new")
    steps = [(Put(key, old), Done()), (Put(key, new), Done()), (Get(key), Value(old))]
    lines = [line(Header("kv", {hostile("about"): hostile("store")}))]
    for number, (request, answer) in enumerate(steps, 1):
        lines.append(line(Call(number, hostile("client"), 10 * number, request, hostile("member"))))
        lines.append(line(Return(number, 10 * number + 5, Outcome.OK, answer)))
    if fault:
        for time, phase in ((90, "begin"), (91, "end")):
            lines.append(line(Fault(time, hostile("fault"), phase, (hostile("victim"),))))
    path.write_bytes(b"".join(lines))
    return path


@pytest.mark.parametrize("fault", [False, True])
def test_a_history_is_explained_without_being_obeyed(project, typed, fault):
    file = _history(project / hostile("history"), fault=fault)
    code, output = typed(project, "history", "check", file.name)
    text = check_harmless(output)
    assert code == 1, text
    assert [name for name in ("client", "key", "old") if name not in text] == []
    code, output = typed(project, "history", "timeline", file.name)
    assert code == 0, check_harmless(output)
    check_harmless(output)
    file.write_bytes(file.read_bytes() + json.dumps({"type": hostile("type")}).encode() + b"\n")
    code, output = typed(project, "history", "check", file.name)
    assert code == 2
    assert "history" in check_harmless(output)


def test_a_campaign_is_validated_without_being_obeyed(project):
    campaign = project / hostile("campaign")
    campaign.mkdir()
    _history(campaign / "history.jsonl", fault=True)
    words = ("robustness", "validate", campaign.name, "--target", TARGET)
    code, output = child(project, *words)
    text = check_harmless(output)
    assert code in (1, 3), text
    assert [name for name in ("campaign", "target", "key") if name not in text] == []


def test_foreign_records_are_accounted_for_without_being_obeyed(project, typed):
    language = {"name": hostile("language"), "version": hostile("version")}
    odd = foreign.assertion(hostile("odd"))
    odd["antithesis_assert"]["display_type"] = hostile("kind")
    records = [
        foreign.sdk(language),
        foreign.assertion(
            hostile("message"), condition=False, details={hostile("k"): hostile("v")}
        ),
        odd,
        {hostile("event"): {"a": 1}},
        {"antithesis_" + hostile("unknown"): {}},
        {"antithesis_guidance": hostile("guidance")},
    ]
    text = "".join(json.dumps(each) + "\n" for each in records)
    (project / hostile("sdk")).write_text(f"{text}{hostile('no JSON')}\n")
    code, output = typed(project, "ingest", hostile("sdk"))
    text = check_harmless(output)
    assert code in (1, 2), text
    assert [name for name in ("language", "event", "sdk") if name not in text] == []
    code, output = typed(project, "report", "-f", "text")
    assert "message" in check_harmless(output)


def test_a_damaged_run_is_reported_without_being_obeyed(project, typed):
    (run,) = (project / ".assertlib" / "runs").iterdir()
    (shard,) = run.glob("*.jsonl")
    for suffix in (".jsonl", ".counts"):
        shard.with_suffix(suffix).rename(run / f"{hostile('shard')}{suffix}")
    with (run / f"{hostile('shard')}.jsonl").open("a") as file:
        file.write(hostile("not JSON") + "\n")
    run.rename(run.with_name(hostile("20991231-run")))
    for words in (("report",), ("gate",), ("debug",), ("top", "-n", "1"), ("evidence", "add")):
        code, output = typed(project, *words)
        text = check_harmless(output)
        assert code in (0, 2), text
        assert "shard" in text or "20991231" in text
    (project / ".assertlib" / "runs" / hostile("20991231-run") / "run.json").write_text(
        json.dumps({"schema": hostile("schema")})
    )
    assert "20991231" in check_harmless(typed(project, "report")[1])


def test_broken_source_and_catalogs_are_found_without_being_obeyed(project, typed):
    (project / FILE).write_text(STORE + f"\nsometimes(True, {STATE!a})\ndef (\n")
    (project / "catalog" / f"{hostile('area')}.toml").write_text(
        f"schema = 1\n[{_toml(hostile('id'))}]\n{_toml(hostile('unknown'))} = 1\n"
    )
    (project / "catalog" / "renames.toml").write_text(f"{_toml(hostile('rename'))} = 1\n")
    for form in ("text", "json", "github", "sarif", "gitlab"):
        code, output = typed(project, "check", "-f", form)
        text = check_harmless(output)
        assert code == 1, text
        assert "file" in text
    for words in (("report",), ("docs",), ("catalog", "list"), ("run", "--", "true")):
        code, output = typed(project, *words)
        assert code != 0, check_harmless(output)
    (project / "pyproject.toml").write_text(f"[tool.assertlib]\n{_toml(hostile('table'))} = 1\n")
    for words in (("check",), ("report",), ("debug",)):
        code, output = typed(project, *words)
        assert code == 2
        assert "table" in check_harmless(output)


SCENARIO = f"""
import asyncio
from assertlib import always, sometimes

async def scenario(world):
    host = world.host({hostile("host")!a})
    host.boot()
    async def told():
        sometimes(True, {hostile("seen")!a})
        always(world.tape.choose(2) == 0, {hostile("broken")!a}, {{"k": {hostile("detail")!a}}})
        if world.tape.choose(2):
            raise RuntimeError({hostile("error")!a})
    await host.run(told())
"""
DEFECT = f"""{hostile("about").replace(chr(10), " ")}

Issue: {hostile("issue").replace(chr(10), " ")}
Invariant: kv.positive

--- a/bank.py
+++ b/bank.py
@@ -2,1 +2,1 @@
-import asyncio
+import asyncio, sys
"""


@pytest.fixture
def simulated(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "defects").mkdir()
    (tmp_path / "catalog" / "kv.toml").write_text(CATALOG)
    (tmp_path / "bank.py").write_text(SCENARIO)
    (tmp_path / "defects" / f"{hostile('defect')}.patch").write_text(DEFECT)
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.assertlib.targets.{_toml(TARGET)}]\n"
        'source = ["bank.py"]\ncatalog = ["catalog"]\nscenario = "bank:scenario"\n'
        'defects = "defects"\n'
    )
    return tmp_path


def test_simulations_show_hostile_texts_and_obey_none(simulated):
    code, output = child(simulated, "sim", "explore", "--seeds", "6")
    text = check_harmless(output)
    assert code == 1, text
    assert [name for name in ("seen", "broken", "error", "target") if name not in text] == []
    tapes = list((simulated / ".assertlib" / "runs").glob("*/sim/*.tape.json"))
    failing = next(each for each in tapes if json.loads(each.read_text())["fails"])
    tape = json.loads(failing.read_text())
    tape["stamp"] = {hostile("stamp"): hostile("was")}
    edited = simulated / f"{hostile('tape')}.json"
    edited.write_text(json.dumps(tape))
    code, output = child(simulated, "sim", "replay", edited.name, "--trace")
    text = check_harmless(output)
    assert code == 1, text
    assert [name for name in ("host", "stamp", "was") if name not in text] == []
    for wrong in (
        tape | {"schema": hostile("schema")},
        tape | {"options": {hostile("o"): 1}},
        tape | {"target": hostile("target")},
        tape | {"choices": hostile("choices")},
    ):
        edited.write_text(json.dumps(wrong))
        code, output = child(simulated, "sim", "replay", edited.name)
        assert code == 2, check_harmless(output)
        check_harmless(output)


def test_a_challenge_shows_hostile_texts_and_obeys_none(simulated):
    code, output = child(simulated, "sim", "challenge", "--repeats", "1", "--for", "1s")
    text = check_harmless(output)
    assert code in (0, 1, 2), text
    assert "defect" in text


TESTS = f"""
import subprocess, sys
import pytest
from assertlib import always, lifecycle

CHILD = "from assertlib import always; always(1 < 0, " + ascii({hostile("child")!a}) + ")"

def test_it():
    value = {hostile("value")!a}
    with pytest.raises(AssertionError):
        always(value is None, {hostile("swallowed")!a}, {{"k": value}}, invariant="kv.positive")

def test_raised():
    with lifecycle.trial({hostile("inner")!a}):
        always(1 < 0, {hostile("raised")!a}, {{"k": {hostile("detail")!a}}})

def test_odd():
    source = "always(object, " + ascii({hostile("odd")!a}) + ")"
    exec(compile(source, {hostile("file")!a}, "exec"))

def test_child():
    subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True)
"""


# With CI in the environment pytest prints messages whole, without it their first lines.
@pytest.mark.parametrize("machine", sampled(["true", ""], every=2), ids=["CI", "desk"])
def test_pytest_shows_hostile_texts_and_obeys_none(tmp_path, machine):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "kv.toml").write_text(CATALOG)
    (tmp_path / "test_store.py").write_text(TESTS)
    config = PROJECT.replace(_toml(FILE), '"test_store.py"')
    (tmp_path / "pyproject.toml").write_text(config)

    def session(*words):
        plugins = ("-p", "no:cacheprovider", "-p", "pytest_assertlib")
        done = zygote.run(
            [sys.executable, "-m", "pytest", "--assertlib", *plugins, *words], cwd=tmp_path,
            env=child_environment(CI=machine, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return done.returncode, check_harmless(done.stdout)

    # What the store itself logs is its own.
    code, text = session("-rA", "--show-capture=no")
    assert code == 1
    for name in (
        "swallowed",
        "raised",
        "inner",
        "odd",
        "file",
        "child",
        "target",
        "value",
        "detail",
    ):
        assert name in text
    code, text = session("--assertlib-target", hostile("no target"))
    assert code == 4
    assert "no target" in text
    (run, *_) = (tmp_path / ".assertlib" / "runs").iterdir()
    shutil.rmtree(run)
    (tmp_path / "pyproject.toml").write_text(config + f"{_toml(hostile('unknown'))} = 1\n")
    code, text = session()
    assert code == 4
    assert "unknown" in text


@pytest.mark.parametrize("words", [("top", "-n", "1"), (f"--{H}",), ("report",), ("debug",)])
def test_on_a_terminal_only_our_own_sequences_are_left(project, words):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BIN / "assertlib", *words], cwd=project, env=child_environment(TERM="xterm-256color"),
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    ):  # fmt: skip
        os.close(theirs)
        output = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(ours, 65536):
                output += part
    os.close(ours)
    text = output.decode().replace("\r\n", "\n")
    # What rich does: colours, the cursor, the other screen.
    text = re.sub(r"\x1b\[(\d+(;\d+)*m|\?\d+[hl]|\d*[AHJK]|\d+;\d+H)", "", text)
    assert STEERING.findall(text) == []
    assert "owned" in text
    assert not re.search(r"\\x1b\[(?!31m)\d*m", text)
