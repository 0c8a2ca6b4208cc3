"""`assertlib explain`, and the help of every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assertlib.catalog.rules import RULES

from .. import zygote

ASSERTLIB = Path(sys.executable).parent / "assertlib"


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = zygote.run(
        [ASSERTLIB, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_all_rules_are_listed():
    done = run("explain")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RULES)
    assert "AL101  error    An assertion names an invariant that is not in any catalog" in lines


def test_it_needs_no_project(tmp_path):
    assert run("explain", "AL104", cwd=tmp_path).returncode == 0


def test_one_rule_is_told_with_remedy_and_examples():
    done = run("explain", "AL104")
    rule = RULES["AL104"]
    assert done.returncode == 0
    assert done.stdout.startswith(f"AL104 (error): {rule.title}\n")
    for text in (f"Remedy: {rule.remedy}.", f"Bad:\n\n    {rule.bad}", f"Good:\n\n    {rule.good}"):
        assert text in done.stdout


def test_a_rule_may_be_written_in_lower_case():
    assert run("explain", "al104").stdout == run("explain", "AL104").stdout


def test_an_unknown_rule_has_a_suggestion():
    done = run("explain", "AL1O4")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("assertlib: unknown rule 'AL1O4'; did you mean 'AL1")


def test_something_that_is_no_rule_is_told():
    done = run("explain", "nonsense")
    assert done.returncode == 2
    assert done.stderr == (
        "assertlib: unknown rule 'nonsense'; `assertlib explain` lists all rules\n"
    )


COMMANDS = [
    [],
    ["init"],
    ["check"],
    ["explain"],
    ["run"],
    ["report"],
    ["docs"],
    ["debug"],
    ["catalog"],
    ["catalog", "schema"],
    ["catalog", "list"],
    ["catalog", "show"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_has_a_help_text(command):
    done = run(*command, "--help")
    assert done.returncode == 0
    usage, *rest = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert usage.startswith(" ".join(["Usage: assertlib", *command]))
    assert rest[0][0].isupper()
    assert rest[0].endswith((".", ",", ":")) or len(rest[0]) > 40


def test_without_a_command_the_help_is_shown():
    done = run()
    assert done.returncode == 2
    for command in {command[0] for command in COMMANDS if command}:
        assert command in done.stdout + done.stderr


def test_an_unknown_command_is_a_usage_error():
    done = run("chekc")
    assert done.returncode == 2
    assert "check" in done.stderr


def test_the_version_is_told():
    import assertlib

    assert run("--version").stdout == f"assertlib {assertlib.__version__}\n"
