"""
Shared by all commands: options, exit codes and one-line error messages.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from ..catalog.check import Checked, check
from ..catalog.config import Config, ConfigError, find_config
from ..catalog.findings import UNREAD_SOURCE, Finding
from ..errors import AssertlibError, NoDataError
from ..evidence.revision import find_revision
from ..evidence.summary import Summary
from ..evidence.text import counted
from ..recording.settings import COMMIT_ENV, ROOT_ENV, RUN_DIR_ENV
from ..recording.trials import ENVIRONMENT as TRIAL_ENV
from .signals import SIGNALLED, Interrupted

OK, WRONG, USAGE, NO_DATA = 0, 1, 2, 3

P = ParamSpec("P")

TargetOption = Annotated[
    str | None,
    typer.Option("--target", "-t", metavar="NAME", help="Name of a configured target."),
]


ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Project directory; default: the nearest project at or above the working directory.",
    ),
]


def command(function: Callable[P, int]) -> Callable[P, None]:
    """Exit with the returned code; print known errors as one line on stderr."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
            # Here, so that a closed pipe is handled below and not when the interpreter exits.
            sys.stdout.flush()
        # Before its base class, which has another exit code.
        except NoDataError as error:
            code = _fail(error, NO_DATA)
        except AssertlibError as error:
            code = _fail(error, USAGE)
        except Interrupted as error:
            code = SIGNALLED + error.number
        except BrokenPipeError:
            # The reader, such as head, closed the pipe; the flush at exit must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            code = _fail(f"{place}{error.strerror}", USAGE)
        raise typer.Exit(code)

    # typer breaks the lines of --help where the source does.
    run.__doc__ = "\n\n".join(
        " ".join(paragraph.split()) for paragraph in (function.__doc__ or "").split("\n\n")
    )
    return run


def verdict_code(summary: Summary) -> int:
    """The exit code of a command that judged a run."""
    # A violation outweighs damage: it stands, whatever else was lost.
    if summary.is_violated:
        return WRONG
    report_damage(summary.damage)
    if summary.damage:
        return USAGE
    if summary.refusals:
        # A condition without a truth value may hide a violation.
        print(
            f"assertlib: {counted(summary.refusals, 'evaluation')} of a condition without a truth"
            " value; see the findings in `assertlib report`",
            file=sys.stderr,
        )
        return WRONG
    return NO_DATA if summary.is_empty else OK


def report_damage(damage: Iterable[str]) -> None:
    """Print what is missing or inconsistent in a run."""
    for text in damage:
        print(f"assertlib: damaged: {text}; record the run again", file=sys.stderr)


def _fail(error: object, code: int) -> int:
    # Indent continuation lines, so that a line break in a name cannot forge a message.
    print(f"assertlib: {error}".replace("\n", "\n  "), file=sys.stderr)
    return code


def put(text: str, output: Path | None) -> None:
    """Write *text* to *output*, or to stdout if it is None or ``-``."""
    if output is None or str(output) == "-":
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def configuration(project: Path | None) -> Config:
    """
    Read the configuration of *project*, or of the nearest project at or above this directory.

    Raises:
        ConfigError: The configuration is invalid, or *project* has none.
    """
    if project is None:
        return find_config(Path.cwd())
    root = Path(os.path.abspath(project))
    if not root.is_dir():
        raise ConfigError(f"--project {project}: no such directory")
    config = find_config(root)
    # The configuration of a project around it is not meant, since the user named a directory.
    if config.file is None or config.root != root:
        hint = f"create one with `assertlib init {shlex.quote(str(project))}`"
        raise ConfigError(
            f"--project {project}: no pyproject.toml with [tool.assertlib], and no assertlib.toml; {hint}"
        )
    return config


def place_from_here(config: Config) -> str:
    """The path from the working directory to the project; empty inside the project."""
    here = Path.cwd()
    return "" if here.is_relative_to(config.root) else os.path.relpath(config.root, here)


def check_readable(config: Config, name: str | None) -> Checked:
    """
    Check the target *name*, or the default target.

    Raises:
        ConfigError: The target does not exist, or part of its catalog cannot be read, which
            would falsify the results for the rest.
    """
    checked = check(config, *config.target(name))
    broken = [each.seen_from(place_from_here(config)) for each in checked.catalog.unread]
    if broken:
        raise ConfigError("\n".join(map(str, broken)))
    return checked


def unread_source(config: Config, checked: Iterable[Checked]) -> list[Finding]:
    """Findings about unreadable source files."""
    found = (each for one in checked for each in one.findings if each.code in UNREAD_SOURCE)
    return [each.seen_from(place_from_here(config)) for each in found]


def sharing_targets(config: Config, name: str | None) -> list[Checked]:
    """
    The target *name*, followed by the targets that share its catalog.

    Raises:
        ConfigError: The target does not exist, or the catalog cannot be read.
    """
    name, target = config.target(name)
    own = config.own_catalog(target)
    others = [
        other
        for other, found in config.targets.items()
        if other != name and own and config.own_catalog(found) == own
    ]
    return [check_readable(config, each) for each in (name, *others)]


def recording_environment(root: Path, run_dir: Path) -> dict[str, str]:
    """The environment of a process of the project at *root* that records into *run_dir*."""
    environment = {**os.environ, RUN_DIR_ENV: str(run_dir), ROOT_ENV: str(root)}
    # A trial inherited from another run does not apply to this one.
    environment.pop(TRIAL_ENV, None)
    commit = find_revision(root)
    if commit is not None:
        environment[COMMIT_ENV] = commit
    return environment


_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """
    Parse the value of ``--for`` into seconds.

    Raises:
        ConfigError: The value is not a positive duration.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise ConfigError(f"--for {text}: expected a number followed by s, m or h, such as 60s")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not seconds:
        raise ConfigError(f"--for {text}: must be greater than zero")
    return seconds
