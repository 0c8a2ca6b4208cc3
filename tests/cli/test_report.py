"""
``assertlib report``, as a user types it.
"""

import json
import shutil

import pytest
from markdown_it import MarkdownIt

from ..evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A project with two runs of different days: one full and fine, one newer with a violation."""
    project = Project(tmp_path_factory.mktemp("recorded"))
    project.record("store.put(1); store.grow(61)", "--full")
    (first,) = project.runs()
    first = first.rename(first.with_name("20240101-000000-aaaa"))
    project.record("store.put(-1); store.put(1)")
    (second,) = [run for run in project.runs() if run != first]
    second.rename(second.with_name("20240202-000000-bbbb"))
    return project


@pytest.fixture
def copied(recorded, tmp_path):
    """The recorded project, to be damaged."""
    shutil.copytree(recorded.root, tmp_path / "copy")
    return Project(tmp_path / "copy")


def shard(project, run="20240101-000000-aaaa"):
    (path,) = (project.root / ".assertlib" / "runs" / run).glob("*.jsonl")
    return path


# -- which runs ----------------------------------------------------------------------------


def test_without_a_name_the_newest_run_is_reported(recorded):
    done = recorded.cli("report", "-v")
    assert done.stdout.startswith("store  run 20240202-000000-bbbb (partial)")


@pytest.mark.parametrize("name", ["20240101-000000-aaaa", "202401", "aaaa"])
def test_a_run_is_reported_by_its_id_its_beginning_or_its_end(recorded, name):
    done = recorded.cli("report", name)
    assert done.returncode == 0
    assert "run 20240101-000000-aaaa" in done.stdout


def test_a_run_is_reported_by_its_directory(recorded):
    done = recorded.cli("report", ".assertlib/runs/20240101-000000-aaaa")
    assert "run 20240101-000000-aaaa" in done.stdout


def test_several_runs_are_judged_together(recorded):
    report = recorded.report("202401", "202402")
    (row,) = [each for each in report["assertions"] if each["message"] == "a revision is positive"]
    assert (row["true"], row["false"], row["verdict"]) == (2, 1, "violated")
    assert report["runs"] == ["20240101-000000-aaaa", "20240202-000000-bbbb"]


def test_naming_a_run_twice_changes_nothing(recorded):
    once, twice = recorded.cli("report", "202401"), recorded.cli("report", "202401", "aaaa")
    assert twice.stdout == once.stdout


def test_a_run_that_does_not_exist_is_no_data(recorded):
    done = recorded.cli("report", "nope")
    assert done.returncode == 3
    assert "there is no run 'nope'" in done.stderr


def test_a_beginning_of_several_runs_names_them(recorded):
    done = recorded.cli("report", "2024")
    assert done.returncode == 3
    assert "20240101-000000-aaaa, 20240202-000000-bbbb" in done.stderr


# -- exit codes --------------------------------------------------------------------------------


def test_a_violation_is_1(recorded):
    done = recorded.cli("report", "bbbb")
    assert done.returncode == 1
    assert "VIOLATED" in done.stdout


def test_what_never_happened_is_no_failure(recorded):
    done = recorded.cli("report", "-v", "aaaa")
    assert done.returncode == 0
    assert "NOT EXERCISED" in done.stdout


def test_no_runs_at_all_is_3_and_says_how_to_record_one(project):
    done = project.cli("report")
    assert done.returncode == 3
    assert "assertlib run -- CMD" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_run_that_hit_nothing_is_3(project):
    project.record("pass")
    done = project.cli("report")
    assert done.returncode == 3
    assert "no assertion was hit" in done.stderr


def test_a_run_in_which_only_an_antecedent_was_evaluated_is_reported_as_vacuous(project):
    project.record("store.read(None)", "--full")
    done = project.cli("report", "-v")
    assert done.returncode == 0
    assert "VACUOUS 1" in done.stdout


def test_an_unknown_format_is_a_usage_error(recorded):
    assert recorded.cli("report", "--format", "xml").returncode == 2


def test_an_unknown_target_is_a_usage_error(recorded):
    done = recorded.cli("report", "--target", "stroe")
    assert done.returncode == 2
    assert "there is no target 'stroe'" in done.stderr


# -- unreadable input ------------------------------------------------------------------------------


def test_a_damaged_line_is_2_and_names_file_and_line(copied):
    path = shard(copied)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "garbage\n", *lines[1:]]))
    done = copied.cli("report", "aaaa")
    assert done.returncode == 2
    assert f"{path.name}:2:" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_torn_last_line_is_no_damage(copied):
    with shard(copied).open("a") as file:
        file.write('{"assertlib_hit": {"slo')
    assert copied.cli("report", "aaaa").returncode == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', "\x00\xff"])
def test_a_damaged_description_of_a_run_is_2_and_names_the_file(copied, text):
    (shard(copied).parent / "run.json").write_text(text, encoding="latin-1")
    done = copied.cli("report", "aaaa")
    assert done.returncode == 2
    assert "run.json" in done.stderr


def test_a_shard_that_is_a_directory_is_2(copied):
    (shard(copied).parent / "1-a.jsonl").mkdir()
    done = copied.cli("report", "aaaa")
    assert done.returncode == 2
    assert "1-a.jsonl" in done.stderr


def test_a_damaged_counter_file_is_a_finding_and_never_a_pass(copied):
    shard(copied).with_suffix(".counts").write_bytes(b"garbage")
    done = copied.cli("report", "aaaa")
    assert done.returncode == 2
    assert "Damaged: shard" in done.stdout
    assert "its counters cannot be read" in done.stderr


def test_a_damaged_run_is_added_to_the_store_with_exit_code_2(copied):
    shard(copied).with_suffix(".counts").write_bytes(b"garbage")
    done = copied.cli("evidence", "add", "aaaa")
    assert done.returncode == 2
    assert "1 run read, 1 with new evidence" in done.stdout
    assert "its counters cannot be read" in done.stderr
    assert len(copied.cli("evidence", "list").stdout.splitlines()) == 1


def test_a_broken_configuration_is_2_and_names_its_file(copied):
    copied.write("pyproject.toml", "[tool.assertlib\n")
    done = copied.cli("report")
    assert done.returncode == 2
    assert "pyproject.toml" in done.stderr


def test_a_broken_catalog_does_not_hide_the_report(copied):
    copied.write("catalog/kv.toml", "schema = 1\n[positive\n")
    done = copied.cli("report", "bbbb")
    assert done.returncode == 1
    assert "a revision is positive" in done.stdout


def test_without_sources_a_run_is_still_judged_by_its_own_scan(copied):
    shutil.rmtree(copied.root / "store")
    report = copied.report("aaaa")
    assert "seen twice" in {each["message"] for each in report["assertions"]}


# -- formats ------------------------------------------------------------------------------------


def test_the_text_tells_the_worst_first(recorded):
    lines = recorded.cli("report", "-v").stdout.splitlines()
    assert lines[1].startswith("VIOLATED   kv.positive")
    assert '"a revision is positive"   false in 1 of 2' in lines[1]
    assert "revision = -1" in lines[2]
    assert "store/__init__.py:" in lines[3]


def test_the_text_ends_with_why_it_matters(recorded):
    assert "Callers take zero for never written." in recorded.cli("report", "-v").stdout


def test_how_near_a_rich_assertion_came_is_told(recorded):
    assert "nearest: 61 of 64" in recorded.cli("report", "-v", "aaaa").stdout


def test_markdown_has_a_table_of_what_is_wrong(recorded):
    done = recorded.cli("report", "--format", "markdown")
    tokens = MarkdownIt("commonmark").enable("table").parse(done.stdout)
    assert "table_open" in {token.type for token in tokens}
    assert "VIOLATED" in done.stdout


def test_json_reads_back(recorded):
    report = json.loads(recorded.cli("report", "--format", "json").stdout)
    assert report["target"] == "store"
    assert report["full"] is False


@pytest.mark.parametrize("format", ["text", "markdown", "json"])
def test_a_report_can_be_written_to_a_file(recorded, tmp_path, format):
    expected = recorded.cli("report", "-f", format)
    done = recorded.cli("report", "-f", format, "-o", tmp_path / "report")
    assert done.stdout == ""
    assert done.returncode == expected.returncode
    assert (tmp_path / "report").read_text(encoding="utf-8") == expected.stdout


def test_a_dash_as_file_is_the_terminal(recorded):
    assert recorded.cli("report", "-o", "-").stdout == recorded.cli("report").stdout


def test_a_file_that_cannot_be_written_is_2_and_is_named(recorded, tmp_path):
    done = recorded.cli("report", "-o", tmp_path / "no" / "such" / "report")
    assert done.returncode == 2
    assert "report" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(recorded):
    done = recorded.cli("report", "bbbb", PYTHONIOENCODING="ascii")
    assert done.returncode == 1


def test_a_reader_that_leaves_early_is_no_error(recorded):
    words = "assertlib report -f json | head -c 1"
    done = recorded.execute("sh", "-c", words, PATH=_path())
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def _path():
    import os

    from ..evidence.projects import BIN

    return f"{BIN}{os.pathsep}{os.environ['PATH']}"


# -- content of real runs ------------------------------------------------------------------------


def test_rates_are_bounded_for_random_trials_only(project):
    project.record(
        """
        from assertlib import trial
        for seed in range(38):
            with trial(f"seed-{seed}", seed=seed, population="kill"):
                store.grow(61)
        for name in "abc":
            with trial(name):
                store.grow(61)
        """,
        "--full",
    )
    done = project.cli("report", "-v")
    assert "38 random trials of kill" in done.stdout
    assert "rate ≤ 7.6% (95%) in kill" in done.stdout
    assert done.stdout.count("rate ≤") == 1


def test_the_commit_is_told(project):
    head = project.write(".git/HEAD", "4f2c1e0aa5512345678901234567890123456789\n")
    assert head.exists()
    project.record("store.put(1)")
    assert project.cli("report", "-v").stdout.startswith("store @4f2c1e0  run ")


def test_an_assertion_that_could_not_be_evaluated_is_a_finding(project):
    project.record("store.put(1); from assertlib import always; always(print, 'never called')")
    assert 'FINDING    "never called" could not be evaluated' in project.cli("report", "-v").stdout


def test_an_assertion_outside_of_the_target_is_a_finding(project):
    project.record("from assertlib import always; always(True, 'from elsewhere')")
    done = project.cli("report", "-v")
    assert 'FINDING    "from elsewhere" was hit' in done.stdout
    assert done.returncode == 3


def test_hostile_messages_stay_in_their_lines(project):
    project.record(r"""
        from assertlib import always, trial
        class Odd:
            def __repr__(self):
                return "x\nVIOLATED   forged\x1b[2J"
        odd = Odd()
        with trial("a trial\nVIOLATED   forged\x1b[2J"):
            always(odd is None, "a\nVIOLATED   forged | `b` \x1b[2J ]]>", {"odd": odd})
    """)
    for format in ("text", "markdown", "json"):
        report = project.cli("report", "-f", format).stdout
        assert "\x1b" not in report
        assert not [line for line in report.splitlines() if line.startswith("VIOLATED   forged")]


def test_a_condition_that_changed_starts_anew(project):
    project.record("store.put(-1)")
    (run,) = project.runs()
    run.rename(run.with_name("20240101-000000-aaaa"))
    source = (project.root / "store" / "__init__.py").read_text()
    project.write("store/__init__.py", source.replace("revision > 0", "revision >= 0"))
    project.record("store.put(0)")
    newest = project.runs()[-1].name
    assert project.cli("report", "aaaa").returncode == 1
    assert project.cli("report", "aaaa", newest).returncode == 0


def test_the_report_fits_a_screen_and_everything_is_shown_on_request(recorded):
    brief, full = recorded.cli("report").stdout, recorded.cli("report", "--verbose").stdout
    assert brief.count("\n") <= 24
    assert "next: " in brief
    assert "SOMETIMES" in full
    assert "SOMETIMES" not in brief


def test_a_limit_of_bytes_is_for_markdown(recorded):
    done = recorded.cli("report", "--max-bytes", "5000")
    assert done.returncode == 2
    assert "--max-bytes needs --format markdown" in done.stderr
    assert recorded.cli("report", "-f", "markdown", "--max-bytes", "5000").returncode == 1
