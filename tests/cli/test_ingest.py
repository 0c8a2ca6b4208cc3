"""
``assertlib ingest`` and ``assertlib exec``: what SDKs of any language wrote, as evidence.
"""

import json
import resource
import signal
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.recording.foreign import LONGEST_LINE, convert
from assertlib.recording.reader import read_shards

from ..evidence import foreign
from ..evidence.projects import BIN, Project
from ..forms import by_form
from ..support import counts_of
from ..test_antithesis import IMPORTS, PROGRAM

ASSERTLIB = BIN / "assertlib"

ASSIGNED = """
[[assertion]]
message = "revision is positive"
invariant = "kv.positive"
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def rows(project):
    return {row["message"]: row for row in project.report()["assertions"]}


# -- what is understood ---------------------------------------------------------------------


@pytest.mark.parametrize("language", foreign.LANGUAGES, ids=lambda each: each["name"])
def test_the_output_of_each_language_is_evidence(project, language):
    project.write("out.jsonl", foreign.process(language))
    done = project.cli("ingest", "out.jsonl", "--full")
    assert done.returncode == 0, done.stderr
    told = (
        f"out.jsonl ({language['name']}): 13 records: 5 declarations, 2 guidance records, 3 hits,"
        " 1 lifecycle record, 1 SDK header, 1 user event (leader elected 1×)"
    )
    assert done.stdout == told + "\n"
    found = rows(project)
    assert found["revision is positive"]["verdict"] == "satisfied"
    assert found["store fills up"]["verdict"] == "satisfied"
    assert found["never reached"]["verdict"] == "unreached"
    assert found["no way here"]["note"] == "not reached"
    assert found["revision is positive"]["site"]["file"] == "store.go"
    assert found["revision is positive"]["site"]["qualname"] == "Store.Put"
    assert all(row["at_least"] is bool(row["true"] + row["false"]) for row in found.values())


def test_counts_are_shown_as_at_least(project):
    project.write("out.jsonl", foreign.process(broken=True))
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 1
    shown = project.cli("report").stdout
    assert "false in ≥ 1 of ≥ 2" in shown
    assert "1 in Go" in " ".join(shown.split())
    assert "revision=-1" in shown


def test_the_catalog_says_what_a_foreign_assertion_protects(project):
    path = project.root / "catalog" / "kv.toml"
    path.write_text(path.read_text() + ASSIGNED)
    project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl", "--full")
    assert rows(project)["revision is positive"]["invariant"] == "kv.positive"
    (invariant,) = [each for each in project.report()["invariants"] if each["id"] == "kv.positive"]
    assert "revision is positive" in json.dumps(invariant)


def test_how_near_a_rich_assertion_came_is_the_extreme_of_all_records(project):
    project.write(
        "out.jsonl",
        foreign.text(
            foreign.sdk(),
            foreign.declared("queue is full", "Sometimes"),
            *(foreign.guidance("queue is full", each, 64, maximize=True) for each in (3, 61, 9)),
            foreign.assertion("queue is full", "Sometimes", condition=False),
        ),
    )
    project.cli("ingest", "out.jsonl", "--full")
    assert rows(project)["queue is full"]["nearest"] == "61 of 64"


def test_several_processes_in_one_file_are_several_shards(project):
    project.write("out.jsonl", foreign.process(foreign.GO) + foreign.process(foreign.RUST))
    done = project.cli("ingest", "out.jsonl")
    assert "(Go, Rust)" in done.stdout
    (run,) = project.runs()
    shards = read_shards(str(run))
    assert [shard.header["source"]["language"] for shard in shards] == ["Go", "Rust"]
    assert counts_of(shards)["revision is positive"] == (2, 0)


def test_ingesting_a_file_twice_into_a_run_changes_nothing(project):
    project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl")
    before = rows(project)
    (run,) = project.runs()
    done = project.cli("ingest", "out.jsonl", "--into", run.name)
    assert done.returncode == 0
    assert rows(project) == before


@pytest.mark.parametrize("names", [("a.jsonl", "b.jsonl"), ("a/sdk.jsonl", "b/sdk.jsonl")])
def test_files_of_the_same_content_are_different_processes(project, names):
    for name in names:
        project.write(name, foreign.process())
    project.cli("ingest", *names)
    (run,) = project.runs()
    assert counts_of(read_shards(str(run)))["revision is positive"] == (2, 0)


def test_a_file_that_has_grown_is_counted_once(project):
    path = project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl")
    (run,) = project.runs()
    path.write_text(path.read_text() + foreign.text(foreign.assertion("later")))
    project.cli("ingest", "out.jsonl", "--into", run.name)
    counts = counts_of(read_shards(str(run)))
    assert (counts["revision is positive"], counts["later"]) == ((1, 0), (1, 0))


def test_another_file_under_the_same_name_is_another_process(project):
    project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl")
    (run,) = project.runs()
    project.write("out.jsonl", foreign.process(foreign.RUST))
    project.cli("ingest", "out.jsonl", "--into", run.name)
    assert counts_of(read_shards(str(run)))["revision is positive"] == (2, 0)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"time": "x"}', '{"schema": 9, "pid": 1}', "[" * 9_000], ids=repr
)
def test_a_file_beside_it_that_is_another_s_changes_nothing(project, text):
    project.write("out.jsonl", foreign.process())
    project.write("out.json", text)
    assert project.cli("ingest", "out.jsonl").returncode == 0
    assert rows(project)["revision is positive"]["true"] == 1


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full"])
def test_what_is_neither_a_file_nor_a_pipe_is_refused(project, name):
    done = project.cli("ingest", name)
    assert done.returncode == 2
    assert f"{name}: is a d" in done.stderr
    assert not list(project.runs())


def test_a_pipe_can_be_ingested(project):
    project.write("out.jsonl", foreign.process())
    done = project.execute("bash", "-c", f"{ASSERTLIB} ingest <(cat out.jsonl)")
    assert done.returncode == 0, done.stderr
    assert rows(project)["revision is positive"]["true"] == 1


def test_a_file_that_turns_out_to_be_none_leaves_nothing_in_the_run(project):
    project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl")
    (run,) = project.runs()
    before = {each.name for each in run.iterdir()}
    project.write("bad.jsonl", foreign.process() + '{"assertlib_shard": {}}\n')
    assert project.cli("ingest", "bad.jsonl", "--into", run.name).returncode == 2
    assert {each.name for each in run.iterdir()} == before


def test_an_assertion_that_is_gone_proves_nothing_any_more(project):
    path = project.root / "catalog" / "kv.toml"
    path.write_text(path.read_text() + ASSIGNED)
    project.write("out.jsonl", foreign.process())
    project.cli("ingest", "out.jsonl", "--full")
    project.write("new.jsonl", foreign.text(foreign.sdk(), foreign.assertion("another")))
    project.cli("ingest", "new.jsonl", "--full")
    report = project.report(*(run.name for run in project.runs()))
    assert "revision is positive" not in {row["message"] for row in report["assertions"]}
    assert "which no process declared" in json.dumps(report["notes"])


def test_a_name_that_looks_like_a_part_hides_no_violation(project):
    record = foreign.assertion("lease valid [antecedent]", condition=False)
    project.write("out.jsonl", foreign.text(foreign.sdk(), record))
    assert project.cli("ingest", "out.jsonl").returncode == 1


def test_restarts_do_not_use_up_the_assertions_there_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr("assertlib.recording.foreign.MOST_ASSERTIONS", 3)
    path = tmp_path / "out.jsonl"
    declared = [foreign.declared(f"claim {number}") for number in range(3)]
    last = foreign.assertion("claim 0", condition=False)
    path.write_text(foreign.text(*[foreign.sdk(), *declared] * 5, last, foreign.declared("more")))
    account = convert(str(path), str(tmp_path), "out")
    assert account.understood["hit"] == 1
    assert "beyond the first 3" in account.unreadable[0][1]


@pytest.mark.parametrize("left", [10**400, float("nan"), -(10**400), "text", None])
def test_operands_of_any_size_are_survived(project, left):
    hit = foreign.assertion("full", "Sometimes", condition=False)
    records = [foreign.guidance("full", each, 100, maximize=True) for each in (left, 99, left)]
    project.write("out.jsonl", foreign.text(foreign.sdk(), hit, *records))
    assert project.cli("ingest", "out.jsonl", "--full").returncode == 0
    nearest = rows(project)["full"]["nearest"]
    assert nearest == ("99 of 100" if left != 10**400 else f"{left} of 100")


def test_guidance_of_any_depth_is_survived(project):
    body = '{"antithesis_guidance": {"id": "a", "hit": true, "guidance_data": {"x": DEEP}}}\n'
    deep = body.replace("DEEP", "[" * 900 + "]" * 900)
    project.write("out.jsonl", foreign.text(foreign.sdk(), foreign.assertion("a"), deep))
    assert project.cli("ingest", "out.jsonl").returncode in (0, 2)


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../../../../../../../etc/passwd", "\ud800", "a\0b"]
)
def test_a_report_shows_no_file_that_is_not_of_the_project(project, file):
    location = {"file": file, "function": "f", "class": "", "begin_line": 1, "begin_column": 0}
    record = foreign.assertion("a", location=location)
    project.write("out.jsonl", foreign.text(foreign.sdk(), record))
    project.cli("ingest", "out.jsonl")
    done = project.cli("report", "--format", "html")
    assert done.returncode == 0, done.stderr
    assert "root:x:0" not in done.stdout


def test_a_run_of_python_and_of_another_language_is_judged_as_one(project):
    project.record("store.put(1)", "--full")
    project.write("out.jsonl", foreign.process())
    (run,) = project.runs()
    assert project.cli("ingest", "out.jsonl", "--into", run.name).returncode == 0
    found = rows(project)
    assert found["a revision is positive"]["at_least"] is False
    assert found["revision is positive"]["at_least"] is True
    assert found["never reached"]["verdict"] == "unreached"


def test_the_output_of_the_real_python_sdk_is_understood_to_the_last_record(project, children):
    pytest.importorskip("antithesis.assertions")
    output = project.root / "sdk.jsonl"
    children.run(
        IMPORTS.format(sdk="antithesis") + PROGRAM, env={"ANTITHESIS_SDK_LOCAL_OUTPUT": str(output)}
    )
    run = project.root / "run"
    run.mkdir()
    account = convert(str(output), str(run), "sdk")
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert account.total == len(records)
    assert (account.unreadable_count, account.unknown.total(), account.is_torn) == (0, 0, False)
    hits = [
        (each["antithesis_assert"]["id"], each["antithesis_assert"]["condition"])
        for each in records
        if "antithesis_assert" in each
    ]
    counts = counts_of(read_shards(str(run)))
    for name, outcome in hits:
        assert counts[name][0 if outcome else 1] >= 1
    assert sum(map(sum, counts.values())) == len(hits)


def test_a_python_assertion_that_the_scan_lacks_is_a_finding(project):
    language = {"name": "Python", "version": "3.11"}
    project.write("out.jsonl", foreign.process(language))
    project.cli("ingest", "out.jsonl", "--full")
    assert "revision is positive" not in rows(project)
    assert "revision is positive" in project.cli("report").stdout


# -- what is not understood -------------------------------------------------------------------

LINES = st.one_of(
    st.sampled_from(
        [
            json.dumps(each)
            for each in (
                foreign.sdk(),
                foreign.sdk({}),
                foreign.declared("a"),
                foreign.assertion("a"),
                foreign.assertion("b", "Unreachable"),
                foreign.assertion("c", display_type="Eventually"),
                foreign.assertion("d", hit="yes"),
                foreign.assertion("e", location=None, details=[1, {"x": "\ud800"}]),
                foreign.guidance("a", 10**400, 1),
                foreign.guidance("a", "x", None),
                {"antithesis_future": {}},
                {"antithesis_assert": []},
                {"antithesis_sdk": 7},
                {"event": None},
                {},
                [],
            )
        ]
    ),
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20),
    st.just("[" * 100_000),
    st.just(""),
)


@settings(max_examples=by_form(25, 200))
@given(lines=st.lists(LINES, max_size=12), cut=st.booleans())
def test_every_line_of_any_file_is_accounted_for(tmp_path_factory, lines, cut):
    directory = tmp_path_factory.mktemp("ingest")
    path = directory / "out.jsonl"
    data = "".join(f"{line}\n" for line in lines)
    path.write_text(data[:-1] if cut and data else data, encoding="utf-8", newline="")
    run = directory / "run"
    run.mkdir()
    account = convert(str(path), str(run), "out")
    with path.open("rb") as file:
        assert account.total == sum(1 for _ in file)
    hits = account.understood["hit"]
    assert sum(map(sum, counts_of(read_shards(str(run))).values())) == hits


def test_what_is_unknown_is_listed_with_a_count(project):
    project.write(
        "out.jsonl",
        foreign.text(
            foreign.sdk(),
            foreign.assertion("fine"),
            *[{"antithesis_future": {}}] * 3,
        ),
    )
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 0
    assert "out.jsonl: unknown: antithesis_future, 3×" in done.stdout


def test_a_kind_that_is_not_known_by_name_is_judged_as_the_record_says(project):
    record = foreign.assertion("soon", display_type="Never", assert_type="always", condition=False)
    project.write("out.jsonl", foreign.text(foreign.sdk(), record))
    assert project.cli("ingest", "out.jsonl").returncode == 1
    assert rows(project)["soon"]["verdict"] == "violated"


@pytest.mark.parametrize(
    "wrong",
    [
        {"display_type": "Eventually", "assert_type": "eventually"},
        {"condition": "false"},
        {"condition": 0},
        {"hit": None},
        {"id": 7},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_used_is_no_pass(project, wrong):
    records = [foreign.assertion("fine"), foreign.assertion("soon", **wrong)]
    project.write("out.jsonl", foreign.text(foreign.sdk(), *records))
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 2
    assert "out.jsonl:3: unusable: antithesis_assert " in done.stdout
    assert "out.jsonl:3" in project.cli("report").stdout


def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_evidence(project):
    project.write("out.jsonl", foreign.text(foreign.sdk(), "garbage\n", foreign.assertion("fine")))
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 2
    assert "out.jsonl:2: unusable: not JSON" in done.stdout
    assert rows(project)["fine"]["true"] == 1


def test_a_torn_last_line_is_what_a_killed_process_leaves(project):
    project.write("out.jsonl", foreign.process() + '{"antithesis_assert": {"cond')
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 0
    assert "truncated" in done.stdout


def test_a_line_without_an_end_that_is_whole_counts(project):
    project.write("out.jsonl", foreign.process().rstrip("\n"))
    assert "cut off" not in project.cli("ingest", "out.jsonl").stdout


def test_an_unreachable_that_old_sdks_say_is_true_is_a_violation(project):
    record = foreign.assertion("no way here", "Unreachable", condition=True)
    project.write("out.jsonl", foreign.text(foreign.sdk(), record))
    assert project.cli("ingest", "out.jsonl").returncode == 1
    assert rows(project)["no way here"]["verdict"] == "violated"


def test_a_shard_of_our_own_is_refused_and_leaves_no_run(project):
    project.record("store.put(1)")
    (run,) = project.runs()
    (shard,) = run.glob("*.jsonl")
    done = project.cli("ingest", shard)
    assert done.returncode == 2
    assert "an assertlib shard" in done.stderr
    assert project.runs() == [run]


@pytest.mark.parametrize("content", ["", "{}\n", "no\n", '{"event": {}}\n'], ids=repr)
def test_a_file_without_assertions_is_no_data(project, content):
    project.write("out.jsonl", content)
    done = project.cli("ingest", "out.jsonl")
    assert done.returncode == 3
    assert project.runs() == []


def test_a_file_that_is_not_there_is_told_before_anything_is_made(project):
    done = project.cli("ingest", "missing.jsonl")
    assert done.returncode == 2
    assert "missing.jsonl" in done.stderr
    assert project.runs() == []


# -- how much of it ---------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_file(tmp_path):
    """The long form, with 1 GB, is `benchmarks/ingest.py`."""
    path = tmp_path / "out.jsonl"
    hit = json.dumps(foreign.assertion("fine", details={"text": "x" * 900})) + "\n"
    with path.open("w") as file:
        file.write(json.dumps(foreign.sdk()) + "\n")
        for _ in range(50_000):
            file.write(hit)
    run = tmp_path / "run"
    run.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    account = convert(str(path), str(run), "out")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert path.stat().st_size > 50_000_000
    assert after - before < 20_000
    assert account.understood["hit"] == 50_000
    assert counts_of(read_shards(str(run))) == {"fine": (50_000, 0)}
    assert sum(each.stat().st_size for each in run.iterdir()) < 1_000_000


def test_a_line_of_any_length_is_bounded(tmp_path):
    path = tmp_path / "out.jsonl"
    with path.open("w") as file:
        file.write("x" * (LONGEST_LINE * 2 + 7) + "\n" + json.dumps(foreign.assertion("fine")))
    account = convert(str(path), str(tmp_path), "out")
    assert (account.unreadable_count, account.understood["hit"], account.total) == (1, 1, 2)


# -- exec -------------------------------------------------------------------------------------

SERVER = """
import json, os, sys, time
# As the SDK for Go does it: the file is emptied first.
file = open(os.environ["ANTITHESIS_SDK_LOCAL_OUTPUT"], "w", buffering=1)
file.write({text!r})
print("up", flush=True)
{then}
"""


def server(project, name, text, then=""):
    return project.write(name, SERVER.format(text=text, then=then))


def test_each_process_of_a_run_has_a_file_of_its_own(project):
    for name in ("a.py", "b.py"):
        server(project, name, foreign.process())
    script = " & ".join(f"{ASSERTLIB} exec -- {sys.executable} {name}" for name in ("a.py", "b.py"))
    done = project.cli("run", "--full", "--", "sh", "-c", f"{script}; wait")
    assert done.returncode == 0, done.stderr
    (run,) = project.runs()
    shards = [shard for shard in read_shards(str(run)) if "source" in shard.header]
    assert len(shards) == 2
    assert counts_of(shards)["revision is positive"] == (2, 0)
    assert {shard.header["command"][1] for shard in shards} == {"a.py", "b.py"}
    assert rows(project)["never reached"]["verdict"] == "unreached"


def test_what_a_process_wrote_before_it_was_killed_is_evidence(project):
    then = "os.kill(os.getpid(), 9)"
    server(project, "a.py", foreign.process(broken=True) + '{"antithesis_as', then)
    done = project.cli("run", "--", ASSERTLIB, "exec", "--", sys.executable, "a.py")
    assert done.returncode == 128 + signal.SIGKILL
    assert rows(project)["revision is positive"]["verdict"] == "violated"


def test_a_violation_in_a_process_of_a_run_fails_the_run(project):
    server(project, "a.py", foreign.process(broken=True))
    done = project.cli("run", "--", ASSERTLIB, "exec", "--", sys.executable, "a.py")
    assert done.returncode == 1


def test_a_process_belongs_to_the_trial_it_was_started_in(project):
    server(project, "a.py", foreign.process())
    source = f"""
        import subprocess
        from assertlib import trial
        with trial("seed 7", seed=7, population="p"):
            subprocess.run([{str(ASSERTLIB)!r}, "exec", "--", sys.executable, "a.py"], check=True)
    """
    done = project.record(source, "--full")
    assert done.returncode == 0, done.stderr
    assert rows(project)["revision is positive"]["trials_hit"] == 1


def test_what_a_process_writes_after_its_run_is_judged_later(project):
    end = project.root / "go"
    then = "while not os.path.exists('go'): time.sleep(0.01)\n"
    then += f"file.write({foreign.process(broken=True)!r})\nopen('ended', 'w')\n"
    server(project, "a.py", foreign.text(foreign.sdk(), foreign.assertion("fine")), then)
    script = f"{ASSERTLIB} exec -- {sys.executable} a.py >up 2>&1 & until grep -q up up; do :; done"
    done = project.cli("run", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "is still running" in done.stderr
    end.touch()
    while not (project.root / "ended").exists():
        time.sleep(0.01)
    assert project.cli("report").returncode == 1


def test_a_process_that_outlives_its_trial_belongs_to_none(project):
    path = project.root / "catalog" / "kv.toml"
    assumes = 'expects = ["always"]\nassumes = ["fsync"]\n'
    path.write_text(path.read_text().replace('expects = ["always"]\n', assumes) + ASSIGNED)
    then = "while not os.path.exists('go'): time.sleep(0.01)\n"
    then += f"file.write({foreign.process(broken=True)!r})\n"
    server(project, "a.py", foreign.text(foreign.sdk(), foreign.assertion("fine")), then)
    source = f"""
        import subprocess
        from assertlib import trial
        from assertlib.lifecycle import faults
        with trial("seed 7", seed=7, population="p"):
            faults(["power-cut"], breaks=["fsync"])
            command = [{str(ASSERTLIB)!r}, "exec", "--", sys.executable, "a.py"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            process.stdout.readline()
        open("go", "w").close()
        process.wait()
    """
    assert project.record(source, "--full").returncode == 1
    assert rows(project)["revision is positive"]["verdict"] == "violated"


def test_a_bad_file_among_the_outputs_of_a_run_is_told_and_fails_it(project):
    source = """
        import os
        store.put(1)
        place = os.environ["ASSERTLIB_RUN_DIR"] + "/antithesis"
        os.makedirs(place + "/directory.jsonl")
        open(place + "/1-a.jsonl", "w").write('{"assertlib_shard": {}}\\n')
    """
    done = project.record(source)
    assert done.returncode == 2
    assert "an assertlib shard" in done.stderr
    assert "1 evaluation" in done.stderr


def test_outside_of_a_run_it_says_what_to_do_with_the_file(project):
    server(project, "a.py", foreign.process())
    done = project.cli("exec", "--", sys.executable, "a.py")
    assert (done.returncode, done.stdout) == (0, "up\n")
    *_, path = done.stderr.split()
    assert project.cli("ingest", path).returncode == 0
    assert rows(project)["revision is positive"]["true"] == 1
    (run,) = project.runs()
    (shard,) = read_shards(str(run))
    assert shard.header["command"] == [sys.executable, "a.py"]


def test_it_becomes_the_command(project):
    path = project.write("a.py", "import os, sys\nprint(os.getpid(), sys.argv[1:])\nsys.exit(7)\n")
    done = project.cli("exec", "--", sys.executable, path, "--flag", "x")
    assert done.returncode == 7
    assert "['--flag', 'x']" in done.stdout


@pytest.mark.parametrize("command", ["no-such-command", "", "/"])
def test_a_command_that_cannot_be_run_is_told_in_one_line(project, command):
    done = project.cli("exec", "--", command)
    assert done.returncode == 2
    assert f"cannot run {command!r}" in done.stderr
