"""
``assertlib run``, as a user types it.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from ..evidence.projects import BIN, Project, environment


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def described(project):
    return json.loads((project.runs()[-1] / "run.json").read_text())


def test_a_command_in_which_all_held_is_fine(project):
    done = project.record("store.put(1)")
    assert done.returncode == 0
    assert "1 evaluation, 1 of 4 assertions hit, 0 violated" in done.stderr


def test_the_summary_is_one_line_on_stderr_and_the_output_is_the_commands_own(project):
    done = project.record("store.put(1); print('hello')")
    assert done.stdout == "hello\n"
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("code", [1, 2, 3, 7, 255])
def test_the_exit_code_of_the_command_is_passed_on(project, code):
    assert project.record(f"store.put(1); sys.exit({code})").returncode == code


def test_a_violation_in_a_command_that_succeeded_is_1(project):
    done = project.record("store.put(-1)")
    assert done.returncode == 1
    assert "1 violated" in done.stderr


def test_a_failing_command_keeps_its_code_even_if_something_was_violated(project):
    assert project.record("store.put(-1); sys.exit(7)").returncode == 7


def test_a_command_that_hit_nothing_is_3(project):
    done = project.record("pass")
    assert done.returncode == 3
    assert "no assertion was hit" in done.stderr


def test_an_antecedent_that_never_held_is_data_all_the_same(project):
    assert project.record("store.read(None)").returncode == 0


def test_recording_that_is_off_is_3_and_says_so(project):
    done = project.record("store.put(1)", ASSERTLIB="off")
    assert done.returncode == 3
    assert "ASSERTLIB=off" in done.stderr


def test_a_command_that_does_not_exist_is_one_line_and_2(project):
    done = project.cli("run", "--", "no-such-command")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "assertlib: cannot run 'no-such-command': No such file or directory"
    ]


def test_a_file_that_cannot_be_executed_is_one_line_and_2(project):
    done = project.cli("run", "--", "./pyproject.toml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_command_that_could_not_be_started_leaves_no_run(project):
    project.cli("run", "--", "no-such-command")
    assert project.runs() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_a_signal_killed_is_128_and_the_signal(project, number):
    source = f"""
        import os, signal
        store.put(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), {int(number)})
    """
    done = project.record(source)
    assert done.returncode == 128 + number
    assert "1 evaluation" in done.stderr


def test_no_command_is_a_usage_error(project):
    assert project.cli("run").returncode == 2
    assert project.cli("run", "--").returncode == 2


def test_options_of_the_command_are_its_own(project):
    done = project.cli("run", sys.executable, "-c", "import sys; print(sys.argv)", "--full", "-x")
    assert done.stdout == "['-c', '--full', '-x']\n"


def test_children_are_recorded(project):
    done = project.record("""
        import subprocess
        child = "import sys; sys.path.insert(0, '.'); import store; store.put(1)"
        for _ in range(2):
            subprocess.run([sys.executable, "-c", child], check=True)
        store.put(1)
    """)
    assert "3 evaluations" in done.stderr


def test_a_run_is_partial_unless_it_is_said_to_be_full(project):
    project.record("store.put(1)")
    assert described(project)["full"] is False
    assert project.verdicts()["seen twice"] == "inconclusive"


def test_a_full_run_tells_what_never_happened(project):
    project.record("store.put(1)", "--full")
    assert described(project)["full"] is True
    assert project.verdicts()["seen twice"] == "unreached"


def test_a_run_names_its_command_its_target_and_its_scan(project):
    project.record("store.put(1)")
    run = described(project)
    assert run["command"][0] == sys.executable
    assert run["target"] == "store"
    assert "a revision is positive" in {site["message"] for site in run["scan"]}
    assert all(site["fingerprint"] for site in run["scan"] if site["kind"] == "always")


def test_a_feature_that_is_off_makes_dormant_what_requires_it(project):
    project.record("store.put(1)", "--full", "--feature", "limits=off")
    assert project.verdicts()["the store is full"] == "dormant"


def test_a_feature_that_is_on_changes_nothing(project):
    project.record("store.put(1)", "--full", "--feature", "limits=on")
    assert project.verdicts()["the store is full"] == "unreached"


def test_several_features_can_be_declared(project):
    options = ["--feature", "auth=on", "--feature", "limits=off"]
    project.record("store.put(1)", "--full", *options)
    assert project.verdicts()["the store is full"] == "dormant"


def test_a_trial_around_is_none_of_its_business(project):
    around = '{"id": "another run\'s trial"}'
    project.record("store.put(1)", ASSERTLIB_TRIAL=around)
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert row["trials_hit"] == 0


def test_it_works_from_a_directory_below_the_project(project):
    (project.root / "below").mkdir()
    source = "import sys; sys.path.insert(0, '..'); import store; store.put(1)"
    done = project.cli("run", "--", sys.executable, "-c", source, cwd=project.root / "below")
    assert done.returncode == 0
    assert len(project.runs()) == 1


def test_without_a_configuration_it_says_what_to_add(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "pyproject.toml").unlink()
    done = project.record("store.put(1)")
    assert done.returncode == 2
    assert "[tool.assertlib.targets.NAME]" in done.stderr


def test_a_target_that_is_not_configured_is_named(project):
    done = project.record("store.put(1)", "--target", "stroe")
    assert done.returncode == 2
    assert "there is no target 'stroe'" in done.stderr
    assert "store" in done.stderr


def test_a_broken_configuration_names_file_and_line(project):
    project.write("pyproject.toml", "[tool.assertlib.targets.store]\nsources = ['store']\n")
    done = project.record("store.put(1)")
    assert done.returncode == 2
    assert "pyproject.toml:2:1: unknown key 'sources'" in done.stderr


def test_after_ctrl_c_the_summary_line_is_still_printed(project):
    source = (
        "import sys; sys.path.insert(0, '.'); import store; store.put(1)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [BIN / "assertlib", "run", "--", sys.executable, "-c", source],
        cwd=project.root,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "assertlib: run " in errors.splitlines()[-1]
    assert "1 evaluation" in errors.splitlines()[-1]
    assert process.returncode == 128 + signal.SIGINT
