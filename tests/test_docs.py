"""
README and docs: every code block runs, and prints what it says.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from . import zygote
from .support import clean_environment

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "kvstore" / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
WITH_CAMPAIGNS = re.compile(r"^\$ assertlib robustness", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Words of one command, which need no shell.
PLAIN = re.compile(r"assertlib( [\w./:@#-]+)+")
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|toml))$")


def environment():
    clean = clean_environment()
    return {**clean, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"}


def ran(command, directory):
    options = {
        "cwd": directory, "env": environment(), "text": True,
        "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
    }  # fmt: skip
    if PLAIN.fullmatch(command):
        _, *words = shlex.split(command)
        done = zygote.run([zygote.ASSERTLIB, *words], **options)
    else:
        done = subprocess.run(command, shell=True, **options)
    suffix = f"[exit code {done.returncode}]\n" if done.returncode else ""
    return done.stdout + suffix


def console_steps(text):
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield command, output


def matches(expected, actual):
    pattern = re.escape(expected).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, actual, re.DOTALL) is not None


def run_python(text, directory, names):
    named = FILE_NAME.match(text.partition("\n")[0])
    if named:
        target = directory / named[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    elif names is not None:
        exec(compile(text, "block", "exec"), names)


def make_targets(text):
    return re.findall(r"^make (\w+)$", text, re.MULTILINE)


def marked():
    """The pages; campaigns take minutes, and tests/robustness has shorter ones."""
    for page, name in zip(PAGES, NAMES, strict=True):
        is_long = WITH_CAMPAIGNS.search(page.read_text())
        yield pytest.param(page, id=name, marks=[pytest.mark.long] if is_long else [])


@pytest.mark.parametrize("page", list(marked()))
def test_code_blocks_run(page, tmp_path):
    names = {}
    for language, text in BLOCK.findall(page.read_text()):
        if language == "python":
            run_python(text, tmp_path, names)
        elif language == "toml":
            tomllib.loads(text)
            run_python(text, tmp_path, None)
        elif language == "yaml":
            assert isinstance(yaml.safe_load(text), dict)
        elif language == "console":
            for command, expected in console_steps(text):
                assert matches(expected, ran(command, tmp_path)), command
        # Text is what a longer run has printed; its form has a test of its own.
        elif language != "text":
            assert language == "shell", f"a block of {page.name} has no language that runs"
            for target in make_targets(text):
                assert ran(f"make --dry-run {target}", ROOT), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), link


def test_no_text_tells_to_install_the_abandoned_name():
    for page in PAGES:
        assert not re.search(r"pip install '?assertlib(?!-sdk)", page.read_text())
