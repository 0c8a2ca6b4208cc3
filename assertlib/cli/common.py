"""
What commands share: options, exit codes, and errors as one line.
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
from ..catalog.findings import UNREAD_CATALOG, UNREAD_SOURCE, Finding
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
    typer.Option("--target", "-t", metavar="NAME", help="Target of pyproject.toml."),
]


ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Project directory; default: the nearest one from the working directory upwards.",
    ),
]


def command(function: Callable[P, int]) -> Callable[P, None]:
    """Make the returned number the exit code, and known errors one line on stderr."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
            sys.stdout.flush()
        except NoDataError as error:
            code = _say(error, NO_DATA)
        except AssertlibError as error:
            code = _say(error, USAGE)
        except Interrupted as error:
            code = SIGNALLED + error.number
        except BrokenPipeError:
            # The reader, such as head, has seen enough; nothing may be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            code = _say(f"{place}{error.strerror}", USAGE)
        raise typer.Exit(code)

    return run


def verdict_code(summary: Summary) -> int:
    """The exit code of a face that has judged a run."""
    if summary.is_violated:
        return WRONG
    report_damage(summary.damage)
    if summary.damage:
        return USAGE
    if summary.refusals:
        # What a condition without a truth value stands for may be violated.
        print(
            f"assertlib: {counted(summary.refusals, 'evaluation')} of a condition without a truth"
            " value; see the findings of `assertlib report`",
            file=sys.stderr,
        )
        return WRONG
    return NO_DATA if summary.is_empty else OK


def report_damage(damage: Iterable[str]) -> None:
    """Print what is missing from a run, or contradicts itself."""
    for text in damage:
        print(f"assertlib: damaged: {text}; record the run anew", file=sys.stderr)


def _say(error: object, code: int) -> int:
    # A name with a line break in it does not begin a line.
    print(f"assertlib: {error}".replace("\n", "\n  "), file=sys.stderr)
    return code


def put(text: str, output: Path | None) -> None:
    """Write *text* to the file, or to the terminal if there is none or it is ``-``."""
    if output is None or str(output) == "-":
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def configuration(project: Path | None) -> Config:
    """
    Read the configuration of *project*, or of the nearest project from here upwards.

    Raises:
        ConfigError: The configuration is wrong, or *project* holds none.
    """
    if project is None:
        return find_config(Path.cwd())
    root = Path(os.path.abspath(project))
    if not root.is_dir():
        raise ConfigError(f"--project {project}: no such directory")
    config = find_config(root)
    if config.file is None or config.root != root:
        hint = f"begin one with `assertlib init {shlex.quote(str(project))}`"
        raise ConfigError(
            f"--project {project}: holds no pyproject.toml with [tool.assertlib]; {hint}"
        )
    return config


def place_from_here(config: Config) -> str:
    """The path from the working directory to the project; empty inside the project."""
    here = Path.cwd()
    return "" if here.is_relative_to(config.root) else os.path.relpath(config.root, here)


def check_readable(config: Config, name: str | None) -> Checked:
    """
    Check the target called *name*, or the default one.

    Raises:
        ConfigError: The target does not exist, or part of its catalog cannot be read, which
            would falsify the results for the rest.
    """
    checked = check(config, *config.target(name))
    broken = [each.seen_from(place_from_here(config)) for each in broken_parts(checked)]
    if broken:
        raise ConfigError("\n".join(map(str, broken)))
    return checked


def broken_parts(checked: Checked) -> list[Finding]:
    """What of the catalog could not be read."""
    return [each for each in checked.catalog.findings if each.code in UNREAD_CATALOG]


def unread_source(config: Config, checked: Iterable[Checked]) -> list[Finding]:
    """What of the source could not be read."""
    found = (each for one in checked for each in one.findings if each.code in UNREAD_SOURCE)
    return [each.seen_from(place_from_here(config)) for each in found]


def sharing_targets(config: Config, name: str | None) -> list[Checked]:
    """
    The target called *name*, and after it those that are held to the same catalog.

    Raises:
        ConfigError: There is no such target, or the catalog cannot be read.
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
    """The environment of a process that records into *run_dir*."""
    environment = {**os.environ, RUN_DIR_ENV: str(run_dir), ROOT_ENV: str(root)}
    # A trial of another run is none of this one's business.
    environment.pop(TRIAL_ENV, None)
    commit = find_revision(root)
    if commit is not None:
        environment[COMMIT_ENV] = commit
    return environment


_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """
    The seconds that the option ``--for`` says.

    Raises:
        ConfigError: It says nothing of the kind.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise ConfigError(f"--for {text}: write a number with s, m or h behind it, as in 60s")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not seconds:
        raise ConfigError(f"--for {text}: that is no time at all")
    return seconds
