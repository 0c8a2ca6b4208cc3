"""
The base alone: what importing it loads, and what it does without any other package.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .support import child_environment, counts_of, read_shards
from .test_invariant import CALLS

REPOSITORY = Path(__file__).parent.parent
PACKED = ("assertlib", "catalog", "pyproject.toml", "README.md", "LICENSE")
NO_NETWORK = ("connection broken by", "NewConnectionError", "NameResolutionError")

REMEDY = "pip install 'assertlib-sdk[tools]'"
OTEL_REMEDY = "pip install 'assertlib-sdk[otel]'"

LOADED = """
    import sys
    before = set(sys.modules)
    MODULES
    loaded = set(sys.modules) - before
    print(repr(sorted(loaded)))
"""


# -- what is loaded --------------------------------------------------------------


def loaded_by(children, statement):
    script = LOADED.replace("MODULES", statement)
    return set(children.run(script).value)


def foreign(modules):
    return {
        name
        for name in (module.partition(".")[0] for module in modules)
        if name not in sys.stdlib_module_names and name != "assertlib"
    }


def test_importing_assertlib_loads_the_standard_library_only(children):
    loaded = loaded_by(children, "import assertlib")
    assert foreign(loaded) == set()
    assert "assertlib._calls.primitives" in loaded


def test_importing_assertlib_loads_none_of_what_is_slow(children):
    slow = {"typing", "dataclasses", "inspect", "json", "logging", "pathlib", "re", "asyncio"}
    slow |= {"collections.abc.json", "tempfile", "subprocess", "importlib.metadata", "ast"}
    assert loaded_by(children, "import assertlib") & slow == set()


def test_declaring_assertions_loads_nothing_more(children):
    bare = loaded_by(children, "import assertlib")
    declared = loaded_by(
        children, 'import assertlib; assertlib.Invariant("a.b").declare_always("claim")'
    )
    assert declared == bare


def test_a_report_loads_neither_the_store_nor_templates(children):
    loaded = loaded_by(children, "import assertlib.cli.app; assertlib.cli.app.app_with(['report'])")
    assert "assertlib.cli.report" in loaded
    assert foreign(loaded) & {"sqlalchemy", "jinja2", "markdown_it", "structlog"} == set()


def test_mode_off_loads_nothing_more(children):
    bare = loaded_by(children, "import assertlib")
    used = loaded_by(
        children,
        "import assertlib; assertlib.configure(mode='off'); assertlib.always(False, 'claim')",
    )
    assert used == bare


@pytest.mark.parametrize(
    "module",
    ["assertlib.assertions", "assertlib.lifecycle", "assertlib.random", "assertlib.disk"],
)
def test_the_modules_of_the_base_load_the_standard_library_only(children, module):
    assert foreign(loaded_by(children, f"import {module}")) == set()


def test_recording_loads_the_standard_library_only(children):
    statement = (
        "from assertlib import *; always(False, 'claim', {'a': 1}); always(len, 'trouble');"
        " always_less_than(2, 1, 'less'); lifecycle.send_event('event')"
    )
    assert foreign(loaded_by(children, statement)) == set()


def test_the_pytest_plugin_loads_nothing_of_assertlib_until_it_is_asked_to(children):
    script = """
        import sys, pytest
        code = pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", "empty"])
        loaded = [name for name in sys.modules if "assertlib" in name]
        print([name for name in loaded if not name.startswith("__editable__")])
    """
    (children.directory / "empty").mkdir()
    assert children.run(script).value == ["pytest_assertlib"]


# -- extras that are missing -----------------------------------------------------


BLOCKER = """
    import sys

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in BLOCKED:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Blocker())
"""

TOOLS = ("pydantic", "structlog", "opentelemetry", "typer", "rich", "jinja2")


def without(blocked, script):
    return BLOCKER.replace("BLOCKED", repr(tuple(blocked))) + script


COMMAND = """
    from assertlib.cli.entry import main
    sys.argv[:] = ["assertlib", "check"]
    main()
"""


@pytest.mark.parametrize("blocked", [TOOLS, ("typer",), ("pydantic",)], ids=str)
def test_the_command_line_names_the_extra_it_needs_in_one_line(children, blocked):
    script = without(blocked, COMMAND)
    process = subprocess.run(
        [sys.executable, children.write(script)],
        env=child_environment(),
        cwd=children.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert_one_line_names_the_extra(process.stderr)


def assert_one_line_names_the_extra(text):
    (line,) = text.strip().splitlines()
    assert REMEDY in line
    assert any(tool in line for tool in TOOLS)


@pytest.mark.parametrize(
    "blocked", [TOOLS, pytest.param(("pydantic",), marks=pytest.mark.long)], ids=str
)
def test_the_pytest_plugin_names_the_extra_it_needs_in_one_line(children, blocked):
    script = without(
        blocked,
        """
    import pytest
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
    """,
    )
    (children.directory / "pyproject.toml").write_text("[tool.pytest]\n")
    (children.directory / "test_one.py").write_text("def test_one():\n    pass\n")
    path = children.write(script)

    def run_pytest(*options):
        command = [sys.executable, path, *options, "test_one.py"]
        return subprocess.run(
            command,
            env=child_environment(),
            cwd=children.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run_pytest().returncode == pytest.ExitCode.OK
    asked = run_pytest("--assertlib")
    assert asked.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in asked.stderr
    assert_one_line_names_the_extra(asked.stderr)


@pytest.mark.parametrize(("sink", "needs"), [("otel", "opentelemetry"), ("structlog", "structlog")])
@pytest.mark.parametrize("mode", ["record", "raise"])
def test_a_sink_names_the_extra_it_needs_in_one_line(children, sink, needs, mode):
    script = without(
        TOOLS,
        """
    import assertlib
    for number in range(3):
        try:
            assertlib.always(False, f"claim {number}")
        except assertlib.InvariantViolation:
            pass
    """,
    )
    outcome = children.run(script, env={"ASSERTLIB_SINKS": sink, "ASSERTLIB": mode})
    line, *violations = outcome.err.strip().splitlines()
    assert sink in line
    assert needs in line
    # They are logged instead, unless they are raised.
    assert len(violations) == (0 if mode == "raise" else 3)
    assert (OTEL_REMEDY if sink == "otel" else REMEDY) in line
    assert outcome.counts == {f"claim {number}": (0, 1) for number in range(3)}


def test_without_the_tools_violations_are_logged_and_raised_with_their_values(children):
    script = without(
        TOOLS,
        """
    import assertlib
    number = 3
    assertlib.always(number > 5, "claim")
    assertlib.configure(mode="raise")
    assertlib.always(number > 6, "another")
    """,
    )
    outcome = children.run(script, code=1)
    assert "number > 5" in outcome.err
    assert "InvariantViolation" in outcome.err
    assert "number > 6" in outcome.err
    assert "number = 3" in outcome.err


# -- a bare virtual environment ----------------------------------------------------


def made_once(tmp_path_factory, name, **environment):
    """A virtual environment with the base and nothing else, made once for all workers."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    place = directory / name
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            make_bare(place, environment)
    return place


def make_bare(place, environment):
    source = place / "source"
    source.mkdir(parents=True)
    for name in PACKED:
        if (REPOSITORY / name).is_dir():
            built = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(REPOSITORY / name, source / name, ignore=built)
        else:
            shutil.copy(REPOSITORY / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    pip = subprocess.run(
        [place / "venv/bin/python", "-m", "pip", "install", "--no-deps", source],
        env=child_environment(PIP_DISABLE_PIP_VERSION_CHECK="1", **environment),
        capture_output=True,
        text=True,
        check=False,
    )
    (place / "log").write_text(f"{pip.stdout}\n{pip.stderr}")
    (place / "code").write_text(str(pip.returncode))


def programs_of(place):
    """The programs of the environment; skips where there is no way to get a build tool."""
    log = (place / "log").read_text()
    if (place / "code").read_text() != "0":
        if any(sign in log for sign in NO_NETWORK):
            pytest.skip("no package index to build with")
        pytest.fail(log)
    return place / "venv" / "bin"


@pytest.fixture
def installed(tmp_path_factory):
    return programs_of(made_once(tmp_path_factory, "bare"))


@pytest.fixture
def installed_without_compiler(tmp_path_factory):
    return programs_of(made_once(tmp_path_factory, "no-compiler", PATH=""))


def run_installed(installed, children, script, **env):
    return subprocess.run(
        [installed / "python", children.write(script)],
        env=child_environment(ASSERTLIB_RUN_DIR=str(children.run_dir), PYTHONPATH="", **env),
        cwd=children.directory,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_base_installs_nothing_else(installed):
    (site,) = (installed.parent / "lib").glob("python*/site-packages")
    names = {path.name.partition("-")[0] for path in site.glob("*.dist-info")}
    assert names - {"pip", "setuptools", "wheel"} == {"assertlib_sdk"}


def test_the_installed_package_is_typed_and_brings_its_data(installed):
    (site,) = (installed.parent / "lib").glob("python*/site-packages")
    files = {str(path.relative_to(site)) for path in site.glob("assertlib/**/*") if path.is_file()}
    assert "assertlib/py.typed" in files
    ours = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("assertlib/**/*.py")}
    assert ours <= files
    assert any(name.endswith(".jinja") for name in files)
    catalogs = {path.name for path in REPOSITORY.glob("catalog/*.toml")}
    assert catalogs <= {Path(name).name for name in files if "catalogs/etcd" in name}


@pytest.mark.parametrize("name", CALLS)
def test_every_primitive_works_and_records_in_the_bare_environment(installed, children, name):
    script = f"""
        import asyncio
        from assertlib import *
        assert "site-packages" in __import__("assertlib").__file__
        given = {name}{CALLS[name]}
        if asyncio.iscoroutine(given):
            asyncio.run(given)
    """
    process = run_installed(installed, children, script)
    assert process.returncode == 0, process.stderr
    (shard,) = read_shards(str(children.run_dir))
    assert shard.hits
    assert shard.durable
    assert shard.error_count == 0


def test_trials_forks_and_kills_work_in_the_bare_environment(installed, children):
    script = """
        import os, signal
        from assertlib import *
        with trial("one"):
            if os.fork() == 0:
                for _ in range(1000):
                    always(True, "claim")
                os.kill(os.getpid(), signal.SIGKILL)
            os.wait()
        always(os is None, "broken")
    """
    process = run_installed(installed, children, script)
    assert process.returncode == 0
    assert "os is None" in process.stderr
    counts = counts_of(children.shards)
    assert counts == {"claim": (1000, 0), "broken": (0, 1)}


def test_the_command_of_the_bare_environment_names_the_extra(installed, children):
    process = subprocess.run(
        [installed / "assertlib", "check"],
        env=child_environment(PYTHONPATH=""),
        cwd=children.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert_one_line_names_the_extra(process.stderr)


@pytest.mark.parametrize("sink", ["otel", "structlog"])
def test_a_sink_in_the_bare_environment_names_the_extra(installed, children, sink):
    script = "import assertlib\nassertlib.always(False, 'claim')"
    process = run_installed(installed, children, script, ASSERTLIB_SINKS=sink)
    assert process.returncode == 0
    line, violation = process.stderr.strip().splitlines()
    assert "assertlib.violation" in violation
    assert (OTEL_REMEDY if sink == "otel" else REMEDY) in line


def test_the_repository_is_left_as_it_was(installed):
    # `make docs` puts its site into build/, too.
    assert not [*REPOSITORY.glob("build/lib*"), *REPOSITORY.glob("build/temp*")]


TWIN = """
    from assertlib import *
    from assertlib.recording.accelerator import described
    always(True, "claim")
    always(True, "claim")
    print(described())
"""


def test_where_there_is_a_compiler_the_accelerator_is_built(installed, children):
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler here")
    process = run_installed(installed, children, TWIN, ASSERTLIB_PURE="")
    assert process.stdout == "accelerated\n"
    assert counts_of(read_shards(str(children.run_dir))) == {"claim": (2, 0)}


@pytest.mark.long
def test_without_a_compiler_it_installs_and_counts_in_python(installed_without_compiler, children):
    (site,) = (installed_without_compiler.parent / "lib").glob("python*/site-packages")
    assert list(site.glob("assertlib/_speed*.so")) == []
    process = run_installed(installed_without_compiler, children, TWIN, ASSERTLIB_PURE="")
    assert process.stdout == (
        "pure Python (the accelerator was not built: was there no C compiler when assertlib was installed?)\n"
    )
    assert counts_of(read_shards(str(children.run_dir))) == {"claim": (2, 0)}


@pytest.mark.parametrize(
    ("blocked", "extra", "arguments"),
    [
        ("mcp", "mcp", ["mcp"]),
        ("yaml", "import", ["catalog", "import", "REQ1.yml"]),
        ("reqif", "import", ["catalog", "import", "a.reqif"]),
    ],
)
def test_a_command_names_the_extra_that_it_lacks_in_one_line(children, blocked, extra, arguments):
    root = children.directory
    (root / "assertlib.toml").write_text('[targets.a]\nsource = ["a"]\n')
    (root / "REQ1.yml").write_text("text: It holds.\n")
    (root / "a.reqif").write_text("<REQ-IF/>\n")
    script = COMMAND.replace('"check"', ", ".join(map(repr, arguments)))
    process = subprocess.run(
        [sys.executable, children.write(without((blocked,), script))],
        env=child_environment(),
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    (line,) = process.stderr.strip().splitlines()
    assert f"pip install 'assertlib-sdk[{extra}]'" in line
