"""
``assertlib debug``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator

from ..catalog.config import Config
from ..errors import NoDataError
from ..evidence.runs import find_runs, read_info
from ..evidence.text import counted, one_line
from ..recording import accelerator, limits, loader, settings
from ..recording.reader import read_shards
from ..recording.records import Shard
from ..recording.session import VERSION
from .common import OK, ProjectOption, command, configuration

_PACKAGES = (
    "pydantic",
    "structlog",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "tree-sitter",
    "typer",
    "pytest",
)
_WIDTH = 33
_DEFAULTS = {
    settings.MODE_ENV: "record",
    settings.RUN_DIR_ENV: "none: hits are counted but not recorded",
    settings.SINKS_ENV: "log",
    settings.OTEL_ENV: "set up by the program, if at all",
    limits.RECORDS_ENV: "no limit",
    limits.BYTES_ENV: "no limit",
    settings.FEATURES_ENV: "none declared: all features are on",
    settings.REDACT_ENV: "nothing",
    settings.ROOT_ENV: "the working directory",
    settings.COMMIT_ENV: "read from .git",
    settings.SHARED_ENV: "run directories are readable only by their owner",
    loader.PLATFORM_ENV: "/usr/lib/libvoidstar.so, if it exists",
    settings.PURE_ENV: "the accelerator, if it was built",
}


@command
def debug(project: ProjectOption = None) -> int:
    """
    Print versions, the configuration and its origin, and the contents of the newest run.

    Example: assertlib debug
    """
    for name, value in _facts(configuration(project)):
        print(one_line(f"{name:<{_WIDTH}} {value}"))
    return OK


def _facts(config: Config) -> Iterator[tuple[str, object]]:
    yield "assertlib", VERSION
    yield "python", f"{platform.python_version()} on {platform.system()}"
    for package in _PACKAGES:
        yield package, _version(package)
    yield "counters", accelerator.described()
    for name, default in _DEFAULTS.items():
        if name in os.environ:
            yield name, f"{os.environ[name]} (from the environment)"
        else:
            yield name, f"{default} (default)"
    yield from _configuration(config)
    yield from _newest_run(config)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _configuration(config: Config) -> Iterator[tuple[str, object]]:
    yield (
        "configuration",
        config.file or "none: no pyproject.toml with [tool.assertlib] or assertlib.toml here",
    )
    for name, target in config.targets.items():
        marker = " (default)" if name == config.default_target else ""
        yield f"target {name}{marker}", f"source {', '.join(target.source)}"
        yield "", f"catalog {', '.join(target.catalog)}"


def _newest_run(config: Config) -> Iterator[tuple[str, object]]:
    try:
        path = find_runs(config, [])[0]
    except NoDataError as error:
        # A project without runs is still described.
        yield "newest run", error
        return
    info = read_info(path)
    yield "newest run", f"{path} ({'full' if info.full else 'partial'}), {' '.join(info.command)}"
    for shard in read_shards(str(path)):
        yield f"  {shard.name}", _described(shard)


def _described(shard: Shard) -> str:
    end = "exited" if shard.exited else "killed, or still running"
    hits = sum(shard.true) + sum(shard.false)
    lost = f", {counted(shard.lost_records, 'record')} lost" if shard.lost_records else ""
    durable = "" if shard.durable else ", counts not durable"
    slots = counted(len(shard.slots), "assertion")
    return f"{slots}, {counted(hits, 'hit')}, {end}{durable}{lost}"
