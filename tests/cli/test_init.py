"""`assertlib init`, as a program."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .. import zygote
from ..support import clean_environment

ASSERTLIB = Path(sys.executable).parent / "assertlib"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = zygote.run(
        [ASSERTLIB, *arguments],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def package(directory: Path, name: str = "store") -> Path:
    path = directory / name / "__init__.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return directory


def targets(directory: Path):
    text = (directory / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["assertlib"]["targets"]


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_fresh_project_gets_a_catalog_and_a_configuration(tmp_path):
    done = run(package(tmp_path), "init")
    assert done.returncode == 0
    assert sorted(contents(tmp_path)) == [
        "catalog/schema.json",
        "catalog/store.toml",
        "pyproject.toml",
        "store/__init__.py",
    ]
    assert targets(tmp_path) == {"store": {"source": ["store"], "catalog": ["catalog"]}}
    assert done.stdout.splitlines()[-1] == (
        "next: name an invariant in an assertion, then run `assertlib check`"
    )


def test_check_works_at_once_on_the_result(tmp_path):
    run(package(tmp_path), "init")
    done = run(tmp_path, "check")
    assert done.returncode == 0
    assert done.stdout.endswith("0 errors, 1 warning\n")


def test_a_strict_check_finds_the_placeholders_of_the_template(tmp_path):
    (package(tmp_path) / "store/log.py").write_text(
        "# invariant: the log is never shorter than what was acknowledged\nlength = 0\n\n"
        "# invariant: an acknowledged write has always been synced\n"
    )
    run(tmp_path, "init")
    done = run(tmp_path, "check", "--strict")
    assert done.returncode == 1
    found, store = [line for line in done.stdout.splitlines() if "AL403" in line]
    assert "placeholder text in why, debug" in found
    assert "(the first of 2 such drafts in this file)" in found
    assert "store.acked-write-survives: placeholder text in source" in store
    path = tmp_path / "catalog/store.toml"
    path.write_text(re.sub(r"(?m)^ref = .*", 'ref = "issue 12"', path.read_text()))
    (tmp_path / "catalog/found.toml").unlink()
    assert run(tmp_path, "check", "--strict").returncode == 0


def test_a_placeholder_in_an_active_invariant_is_a_finding_of_its_own(tmp_path):
    run(package(tmp_path), "init")
    for name in ("store.one", "store.two"):
        run(tmp_path, "catalog", "new", name, "--title", "Something holds")
    path = tmp_path / "catalog/store.toml"
    path.write_text(path.read_text().replace('"draft" # "active" once an', '"active" # an'))
    found = [line for line in run(tmp_path, "check").stdout.splitlines() if "AL403" in line]
    assert len(found) == 3
    assert "store.one: placeholder text in statement, why, debug, source" in "".join(found)


def test_the_schema_is_that_of_the_command(tmp_path):
    run(package(tmp_path), "init")
    schema = (tmp_path / "catalog" / "schema.json").read_text(encoding="utf-8")
    assert schema == run(tmp_path, "catalog", "schema").stdout


def test_the_first_invariant_can_be_made_active(tmp_path):
    run(package(tmp_path), "init")
    path = tmp_path / "catalog" / "store.toml"
    path.write_text(path.read_text().replace('status = "draft"', 'status = "active"'))
    assert run(tmp_path, "check").returncode == 1
    (tmp_path / "store" / "log.py").write_text(
        "from assertlib import Invariant\n"
        "ACK = Invariant('store.acked-write-survives')\n"
        "def f(a, b): ACK.always(a <= b, 'ack follows sync')\n"
    )
    assert "AL403" in run(tmp_path, "check", "--strict").stdout
    path.write_text(re.sub(r"(?m)^ref = .*", 'ref = "issue 12"', path.read_text()))
    assert run(tmp_path, "check", "--strict").returncode == 0


@pytest.mark.parametrize("ending", ["", "\n"])
def test_an_existing_pyproject_is_added_to(tmp_path, ending):
    before = f'[project]\nname = "store"{ending}'
    (tmp_path / "pyproject.toml").write_text(before)
    assert run(package(tmp_path), "init").returncode == 0
    assert (tmp_path / "pyproject.toml").read_text().startswith(before)
    assert list(targets(tmp_path)) == ["store"]


def test_existing_files_are_kept(tmp_path):
    package(tmp_path)
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "store.toml").write_text("schema = 1\n")
    (tmp_path / "catalog" / "schema.json").write_text("{}")
    (tmp_path / "pyproject.toml").write_text("[tool.assertlib.targets.mine]\nsource = ['store']\n")
    before = contents(tmp_path)
    done = run(tmp_path, "init")
    assert done.returncode == 0
    assert contents(tmp_path) == before
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "kept",
        "kept",
        "kept",
        "next:",
    ]


def test_a_second_time_changes_nothing(tmp_path):
    run(package(tmp_path), "init")
    before = contents(tmp_path)
    assert run(tmp_path, "init").returncode == 0
    assert contents(tmp_path) == before


def test_the_configuration_of_a_project_around_it_is_left_alone(tmp_path):
    run(package(tmp_path), "init")
    outer = (tmp_path / "pyproject.toml").read_bytes()
    inner = package(tmp_path / "inner", "engine")
    assert run(inner, "init").returncode == 0
    assert targets(inner)["store"]["source"] == ["engine"]
    assert (tmp_path / "pyproject.toml").read_bytes() == outer


def test_without_a_package_nothing_is_written(tmp_path):
    done = run(tmp_path, "init")
    assert done.returncode == 2
    assert "no Python, Go or Rust source" in done.stderr
    assert "--source DIR" in done.stderr
    assert contents(tmp_path) == {}


def test_the_source_may_be_given(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "tools").mkdir()
    assert run(tmp_path, "init", "--source", "lib", "--source", "tools").returncode == 0
    assert targets(tmp_path)["store"]["source"] == ["lib", "tools"]
    assert run(tmp_path, "check").returncode == 3
    (tmp_path / "lib" / "log.py").write_text("")
    assert run(tmp_path, "check").returncode == 0


def test_a_source_with_odd_characters_is_written_as_toml(tmp_path):
    name = 'a "b" \\c é'
    (tmp_path / name).mkdir()
    assert run(tmp_path, "init", "--source", name).returncode == 0
    assert targets(tmp_path)["store"]["source"] == [name]
    (tmp_path / name / "log.py").write_text("")
    assert run(tmp_path, "check").returncode == 0


def test_a_src_layout_is_found(tmp_path):
    package(tmp_path / "src")
    assert run(tmp_path, "init").returncode == 0
    assert targets(tmp_path)["store"]["source"] == ["src"]
    assert "in 1 file" in run(tmp_path, "check").stdout


def test_all_packages_are_found(tmp_path):
    package(package(tmp_path, "b"), "a")
    (tmp_path / "docs").mkdir()
    run(tmp_path, "init")
    assert targets(tmp_path)["store"]["source"] == ["a", "b"]


def test_the_project_may_be_elsewhere(tmp_path):
    package(tmp_path / "project")
    assert run(tmp_path, "init", "project").returncode == 0
    assert (tmp_path / "project" / "catalog" / "store.toml").is_file()
    assert not (tmp_path / "catalog").exists()


@pytest.mark.parametrize("name", ["gone", "file.txt"])
def test_a_project_must_be_a_directory(tmp_path, name):
    (tmp_path / "file.txt").write_text("")
    done = run(tmp_path, "init", name)
    assert done.returncode == 2
    assert done.stderr == f"assertlib: {name} is not a directory\n"


def test_a_broken_pyproject_is_left_alone(tmp_path):
    (package(tmp_path) / "pyproject.toml").write_text("[project")
    done = run(tmp_path, "init")
    assert done.returncode == 2
    assert "pyproject.toml" in done.stderr
    assert (tmp_path / "pyproject.toml").read_text() == "[project"


def test_a_file_where_the_catalog_should_be_is_told(tmp_path):
    (package(tmp_path) / "catalog").write_text("")
    done = run(tmp_path, "init")
    assert done.returncode == 2
    assert "catalog" in done.stderr


def test_tool_written_inline_does_not_become_broken_toml(tmp_path):
    before = "tool = { other = { x = 1 } }\n"
    (package(tmp_path) / "pyproject.toml").write_text(before)
    done = run(tmp_path, "init")
    after = (tmp_path / "pyproject.toml").read_text()
    tomllib.loads(after)
    assert done.returncode == 2 or "assertlib" in after
