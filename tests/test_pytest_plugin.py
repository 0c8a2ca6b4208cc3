"""
``pytest --assertlib`` on small projects, in processes of their own.
"""

import json
import sys

import pytest

from .evidence.projects import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def described(project):
    return json.loads((project.runs()[-1] / "run.json").read_text())


def outcomes(done):
    """The last line of pytest's output that counts tests."""
    return next(line for line in reversed(done.stdout.splitlines()) if " in " in line)


# -- a session is a run ---------------------------------------------------------------------


def test_a_session_in_which_all_held_passes_and_is_a_run(project):
    project.write("test_store.py", "import store\ndef test_put(): assert store.put(1)\n")
    done = project.pytest()
    assert done.returncode == 0, done.stdout
    assert described(project)["command"][0] == "pytest"
    assert project.verdicts()["a revision is positive"] == "satisfied"


def test_each_test_is_a_trial(project):
    project.write(
        "test_store.py",
        """
        import store
        def test_one(): store.put(1)
        def test_two(): store.put(1); store.put(2)
        def test_none(): pass
        """,
    )
    project.pytest()
    (population,) = project.report()["populations"]
    assert (population["sampler"], population["trials"]) == ("set", 3)
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert (row["true"], row["trials_hit"]) == (3, 2)


def test_set_up_and_tear_down_belong_to_the_trial(project):
    project.write(
        "test_store.py",
        """
        import pytest, store
        @pytest.fixture
        def opened():
            store.put(1)
            yield
            store.put(1)
        def test_one(opened): store.put(1)
        """,
    )
    project.pytest()
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert (row["true"], row["trials_hit"]) == (3, 1)


def test_the_output_ends_with_a_section_on_coverage(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(1)\n")
    done = project.pytest()
    _, section = done.stdout.split(" assertlib =", 1)
    title, counts, remedy = section.strip("=\n").splitlines()[:3]
    assert title.startswith("store  run ")
    assert "UNREACHED 3" in counts
    assert remedy == f"assertlib report {project.runs()[-1].name}"


def test_a_full_session_that_passes_and_evaluates_no_assertion_exits_with_3(project):
    project.write("test_store.py", "import store\ndef test_nothing(): pass\n")
    done = project.pytest()
    assert done.returncode == 3, done.stdout
    assert "no assertion was hit; this proves nothing" in done.stdout


def test_a_selected_test_that_evaluates_no_assertion_may_pass(project):
    project.write("test_store.py", "import store\ndef test_nothing(): pass\n")
    done = project.pytest("test_store.py::test_nothing")
    assert done.returncode == 0, done.stdout
    assert "no assertion was hit; this proves nothing" in done.stdout


def test_what_was_never_reached_does_not_fail_the_session(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(1)\n")
    assert project.pytest().returncode == 0


def test_without_the_option_nothing_is_imported_or_recorded(project):
    project.write(
        "test_store.py",
        """
        import sys
        def test_modules():
            heavy = {"pydantic", "structlog", "opentelemetry", "typer", "jinja2"}
            assert not heavy & set(sys.modules)
            rooms = ("evidence", "catalog", "report", "pytest_session", "cli", "telemetry")
            assert not [room for room in rooms if f"assertlib.{room}" in sys.modules]
        def test_put():
            import store
            store.put(-1)
        """,
    )
    done = project.execute(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "= assertlib =" not in done.stdout
    assert not (project.root / ".assertlib").exists()


# -- violations -----------------------------------------------------------------------------


def test_a_violation_raises_in_the_test_and_explains_itself(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(-1)\n")
    done = project.pytest()
    assert done.returncode == 1
    assert "InvariantViolation" in done.stdout
    assert "revision = -1" in done.stdout
    assert "Every revision that is handed out is greater than zero." in done.stdout
    assert "Callers take zero for never written." in done.stdout


def test_the_short_summary_names_assertion_and_invariant(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(-1)\n")
    summary = project.pytest().stdout.splitlines()[-2]
    assert summary.endswith("- violated kv.positive: a revision is positive"), summary


def test_a_violation_ends_the_test_at_its_place(project):
    project.write(
        "test_store.py",
        """
        import pytest, store
        from assertlib import InvariantViolation
        def test_put():
            with pytest.raises(InvariantViolation, match="a revision is positive"):
                store.put(-1)
                raise SystemError("went on")
        """,
    )
    assert "SystemError" not in project.pytest().stdout


SWALLOWED = {
    "an except clause": """
        import store
        def test_put():
            try:
                store.put(-1)
            except Exception:
                pass
    """,
    "a thread": """
        import threading, store
        def quietly():
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_put():
            thread = threading.Thread(target=quietly)
            thread.start()
            thread.join()
    """,
    "an asyncio task": """
        import asyncio, store
        async def serve():
            store.put(-1)
        async def client():
            return await asyncio.gather(serve(), return_exceptions=True)
        def test_put():
            asyncio.run(client())
    """,
    "pytest.raises": """
        import pytest, store
        def test_put():
            with pytest.raises(AssertionError):
                store.put(-1)
    """,
    "a child process": """
        import subprocess, sys
        def test_put():
            source = "import sys; sys.path.insert(0, '.'); import store; store.put(-1)"
            subprocess.run([sys.executable, "-c", source], check=True)
    """,
    "a forked process": """
        import os, store
        def test_put():
            child = os.fork()
            if not child:
                try:
                    store.put(-1)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
    """,
    "a killed child process": """
        import subprocess, sys
        def test_put():
            source = '''if True:
                import os, signal, sys
                sys.path.insert(0, '.')
                import store
                store.put(-1)
                os.kill(os.getpid(), signal.SIGKILL)
            '''
            assert subprocess.run([sys.executable, "-c", source]).returncode == -9
    """,
    "a trial of the test's own": """
        import store
        from assertlib import trial
        def test_put():
            with trial("seed-7", seed=7):
                try:
                    store.put(-1)
                except AssertionError:
                    pass
    """,
    "a set-up": """
        import pytest, store
        @pytest.fixture
        def opened():
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_put(opened):
            pass
    """,
    "a tear-down": """
        import pytest, store
        @pytest.fixture
        def opened():
            yield
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_put(opened):
            pass
    """,
}


@pytest.mark.parametrize("source", SWALLOWED.values(), ids=SWALLOWED)
def test_a_violation_that_was_swallowed_fails_its_test_and_explains_itself(project, source):
    project.write("test_store.py", source)
    done = project.pytest()
    assert done.returncode == 1, done.stdout
    assert "a revision is positive" in done.stdout
    assert "Every revision that is handed out is greater than zero." in done.stdout
    assert project.verdicts()["a revision is positive"] == "violated"


def test_a_swallowed_violation_fails_only_its_own_test(project):
    project.write(
        "test_store.py",
        """
        import store
        def test_before(): store.put(1)
        def test_broken():
            try:
                store.put(-1)
            except AssertionError:
                pass
        def test_after(): store.put(1)
        """,
    )
    assert "1 failed, 2 passed" in outcomes(project.pytest())


def test_a_test_that_fails_anyway_is_not_failed_twice(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(-1)\n")
    told = outcomes(project.pytest())
    assert "1 failed" in told
    assert "error" not in told


def test_violations_are_reported_in_the_mode_record_too(project):
    project.write(
        "test_store.py",
        "import store\ndef test_put():\n    store.put(-1)\n    assert store.put(1)\n",
    )
    done = project.pytest(ASSERTLIB="record")
    assert done.returncode == 1
    assert "InvariantViolation" not in done.stdout
    assert "Every revision that is handed out is greater than zero." in done.stdout
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert (row["true"], row["false"]) == (1, 1)


def test_a_condition_that_cannot_be_evaluated_fails_its_test(project):
    project.write(
        "test_store.py",
        """
        from assertlib import always
        class Log:
            def is_open(self): return True
        def test_open():
            always(Log().is_open, "the log is open")
        """,
    )
    done = project.pytest()
    assert done.returncode == 1
    assert "assertion 'the log is open' could not be evaluated" in done.stdout
    assert "is_open" in done.stdout


def test_a_session_inside_a_trial_still_fails_its_tests(project):
    project.write("test_store.py", SWALLOWED["an except clause"])
    done = project.pytest(ASSERTLIB_TRIAL='{"id": "campaign seed 7"}')
    assert done.returncode == 1, done.stdout


def test_many_swallowed_violations_fail_their_test_in_reasonable_time_and_length(project):
    project.write(
        "test_store.py",
        """
        import store
        def test_put():
            for number in range(1000):
                try:
                    store.put(-number)
                except AssertionError:
                    pass
        """,
    )
    done = project.pytest()
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) < 500


# -- outside of tests -----------------------------------------------------------------------

SERVER = """
    import subprocess, sys
    import pytest

    SOURCE = '''if True:
        import sys
        sys.path.insert(0, ".")
        import store
        for line in sys.stdin:
            print(store.put(int(line)), flush=True)
    '''

    @pytest.fixture(scope="session")
    def server():
        process = subprocess.Popen(
            [sys.executable, "-c", SOURCE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        yield process
        process.communicate()

    def ask(server, revision):
        server.stdin.write(f"{revision}\\n")
        server.stdin.flush()
        return server.stdout.readline()
"""


def test_a_violation_in_a_server_that_outlives_its_test_fails_the_session(project):
    tests = """
    def test_first(server):
        assert ask(server, 1) == "True\\n"
    def test_second(server):
        assert ask(server, -1) == "False\\n"
    """
    project.write("test_store.py", SERVER + tests)
    done = project.pytest()
    assert done.returncode == 1, done.stdout
    assert "Violations that did not fail any test:" in done.stdout
    assert "Every revision that is handed out is greater than zero." in done.stdout


def test_a_server_that_outlives_its_test_and_violates_nothing_is_fine(project):
    tests = """
    def test_first(server):
        assert ask(server, 1) == "True\\n"
    def test_second(server):
        assert ask(server, 2) == "True\\n"
    """
    project.write("test_store.py", SERVER + tests)
    assert project.pytest().returncode == 0


def test_a_violation_while_modules_are_imported_fails_the_session(project):
    project.write(
        "test_store.py",
        """
        import store
        try:
            store.put(-1)
        except AssertionError:
            pass
        def test_nothing(): pass
        """,
    )
    done = project.pytest()
    assert done.returncode == 1
    assert "Violations that did not fail any test:" in done.stdout


# -- Hypothesis -----------------------------------------------------------------------------

HYPOTHESIS = """
    import store
    from hypothesis import given, settings, strategies as st

    @settings(database=None, max_examples=20, derandomize=True)
    @given(st.integers(-1000, 1000))
    def test_put(revision):
        store.put(revision)
"""


def test_hypothesis_shrinks_a_violation(project):
    project.write("test_store.py", HYPOTHESIS)
    done = project.pytest(plugins=True)
    assert done.returncode == 1
    assert "revision=0" in done.stdout
    assert "InvariantViolation" in done.stdout


def test_hypothesis_examples_are_trials_inside_the_tests(project):
    project.write("test_store.py", HYPOTHESIS.replace("-1000, 1000", "1, 1000"))
    assert project.pytest(plugins=True).returncode == 0
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert row["trials_hit"] == row["true"] == 20
    (population,) = project.report()["populations"]
    assert (population["sampler"], population["trials"]) == ("set", 21)


def test_a_violation_that_an_example_swallows_fails_the_test(project):
    source = HYPOTHESIS.replace(
        "store.put(revision)",
        "try: store.put(-revision * revision)\n        except Exception: pass",
    )
    project.write("test_store.py", source)
    done = project.pytest(plugins=True)
    assert done.returncode == 1, done.stdout
    assert "a revision is positive" in done.stdout


def test_hypothesis_in_a_class_gets_trials_too(project):
    project.write(
        "test_store.py",
        """
        import store
        from hypothesis import given, settings, strategies as st
        class TestStore:
            @settings(database=None, max_examples=5)
            @given(revision=st.integers(1))
            def test_put(self, revision):
                store.put(revision)
        """,
    )
    assert project.pytest(plugins=True).returncode == 0
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert row["trials_hit"] == row["true"] == 5


# -- xdist ----------------------------------------------------------------------------------

MANY = """
    import pytest, store
    @pytest.mark.parametrize("number", range(6))
    def test_put(number):
        store.put(number + 1)
"""


def test_workers_of_xdist_record_into_one_full_run(project):
    project.write("test_store.py", MANY)
    done = project.pytest("-n", "2", plugins=True)
    assert done.returncode == 0, done.stdout
    assert len(project.runs()) == 1
    assert described(project)["full"] is True
    (row,) = [each for each in project.report()["assertions"] if each["true"]]
    assert (row["true"], row["trials_hit"]) == (6, 6)


@pytest.mark.long
def test_a_violation_swallowed_in_a_worker_fails_its_test_and_a_deselected_one_is_partial(project):
    project.write("test_store.py", MANY)
    project.write("test_swallowed.py", SWALLOWED["an except clause"])
    done = project.pytest("-n", "2", "-k", "not 5", plugins=True)
    assert done.returncode == 1
    assert "1 failed, 5 passed" in outcomes(done)
    assert done.stdout.count("= assertlib =") == 1
    assert described(project)["full"] is False


# -- full and partial -----------------------------------------------------------------------

TWO_FILES = {
    "tests/unit/test_unit.py": "import store\ndef test_one(): store.put(1)\ndef test_two(): pass\n",
    "tests/whole/test_whole.py": "import pytest\ndef test_three(): pass\n",
}


@pytest.fixture
def two(project):
    for name, text in TWO_FILES.items():
        project.write(name, text)
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + 'testpaths = ["tests"]\n')
    return project


@pytest.mark.parametrize("words", [[], ["tests"], ["."]], ids=" ".join)
def test_a_session_that_ran_all_tests_is_full(two, words):
    two.pytest(*words)
    assert described(two)["full"] is True


def test_a_session_with_a_failed_test_is_full(two):
    two.write("tests/test_failing.py", "def test_it(): assert False\n")
    two.pytest()
    assert described(two)["full"] is True


@pytest.mark.parametrize(
    "words",
    [
        ["-k", "one"],
        ["-m", "not slow"],
        ["--deselect", "tests/unit/test_unit.py::test_one"],
        ["--ignore", "tests/whole"],
        ["tests/unit/test_unit.py::test_one"],
        ["tests/unit/test_unit.py"],
        ["tests/unit"],
        ["--collect-only"],
    ],
    ids=" ".join,
)
def test_a_session_that_was_narrowed_is_partial(two, words):
    two.pytest(*words)
    assert described(two)["full"] is False


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-k", "one"], "tests were deselected"),
        (["tests/unit"], "only selected tests ran; run pytest without arguments for a full run"),
        (["--ignore", "tests/whole"], "the option ignore was given"),
    ],
    ids=str,
)
def test_a_session_says_why_it_is_partial(two, words, why):
    assert f"partial run: {why}" in two.pytest(*words).stdout
    assert "partial" not in two.pytest().stdout


def test_a_session_in_a_directory_below_is_partial(two):
    two.pytest(cwd=two.root / "tests" / "unit")
    assert described(two)["full"] is False


def test_a_session_that_stopped_early_is_partial(two):
    two.write("tests/test_failing.py", "def test_it(): assert False\n")
    done = two.pytest("-x")
    assert described(two)["full"] is False
    assert "partial run: pytest stopped early after 1 failure\n" in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('cannot be imported')",
        "import pytest\ndef test_it(): pytest.exit('enough')",
        "import pytest\ndef test_it(): pytest.exit('enough', returncode=0)",
        "def test_it(): raise KeyboardInterrupt",
    ],
    ids=["a collection error", "pytest.exit", "pytest.exit with 0", "Ctrl-C"],
)
def test_a_session_that_was_broken_off_is_partial(two, source):
    two.write("tests/test_a.py", source)
    two.pytest()
    assert described(two)["full"] is False


def test_a_session_that_went_on_after_a_collection_error_is_partial(two):
    two.write("tests/test_a.py", "raise RuntimeError('cannot be imported')")
    two.pytest("--continue-on-collection-errors")
    assert described(two)["full"] is False


def test_a_hook_that_deselects_makes_it_partial(two):
    two.write(
        "conftest.py",
        """
        def pytest_collection_modifyitems(config, items):
            config.hook.pytest_deselected(items=items[1:])
            del items[1:]
        """,
    )
    two.pytest()
    assert described(two)["full"] is False


# -- configuration --------------------------------------------------------------------------


def test_without_a_configuration_it_is_a_usage_error_that_says_what_to_add(project):
    project.write("pyproject.toml", "[tool.pytest]\n")
    project.write("test_store.py", "def test_put(): pass\n")
    done = project.pytest()
    assert done.returncode == 4
    assert "[tool.assertlib.targets.NAME]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_names_file_and_line(project):
    project.write("pyproject.toml", "[tool.assertlib.targets.store]\nsources = []\n")
    done = project.pytest()
    assert done.returncode == 4
    assert "pyproject.toml:2:1: unknown key 'sources'" in done.stderr


def test_a_target_can_be_chosen(project):
    project.write(
        "pyproject.toml",
        '[tool.assertlib.targets.a]\nsource = ["store"]\n'
        '[tool.assertlib.targets.b]\nsource = ["store"]\n',
    )
    project.write("test_store.py", "def test_put(): pass\n")
    project.pytest("--assertlib-target", "b")
    assert described(project)["target"] == "b"


def test_a_target_that_does_not_exist_is_a_usage_error(project):
    done = project.pytest("--assertlib-target", "stroe")
    assert done.returncode == 4
    assert "there is no target 'stroe'" in done.stderr


def test_inside_assertlib_run_it_records_into_that_run(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(1)\n")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--assertlib"]
    done = project.cli("run", "--full", "--", *words)
    assert done.returncode == 0, done.stdout
    assert len(project.runs()) == 1
    assert described(project)["full"] is True
    assert described(project)["command"][0] == sys.executable


def test_recording_that_is_off_stays_off(project):
    project.write("test_store.py", "import store\ndef test_put(): store.put(-1)\n")
    done = project.pytest(ASSERTLIB="off")
    assert done.returncode == 3, done.stdout
