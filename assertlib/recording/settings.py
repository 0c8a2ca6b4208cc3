"""
Recording settings from the environment.
"""

from __future__ import annotations

import os

from .diagnostics import warn_once
from .system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD, RAISE, OFF = "record", "raise", "off"
MODES = (RECORD, RAISE, OFF)

RUN_DIR_ENV = "ASSERTLIB_RUN_DIR"
MODE_ENV = "ASSERTLIB"
SINKS_ENV = "ASSERTLIB_SINKS"
OTEL_ENV = "ASSERTLIB_OTEL"
FEATURES_ENV = "ASSERTLIB_FEATURES"
ROOT_ENV = "ASSERTLIB_ROOT"
COMMIT_ENV = "ASSERTLIB_COMMIT"
REDACT_ENV = "ASSERTLIB_REDACT"
PURE_ENV = "ASSERTLIB_PURE"
SHARED_ENV = "ASSERTLIB_SHARED"


def mode_of(environ: Mapping[str, str]) -> str:
    """The mode that is asked for."""
    mode = environ.get(MODE_ENV) or RECORD
    if mode in MODES:
        return mode
    warn_once(f"{MODE_ENV}={mode!r} is no mode, recording; choose from {', '.join(MODES)}")
    return RECORD


def sinks_of(environ: Mapping[str, str]) -> list[str]:
    """The names of the sinks that are asked for."""
    names = split_list(environ.get(SINKS_ENV, "log"))
    return [*names, "otel"] if wants_otel(environ) and "otel" not in names else names


def wants_otel(environ: Mapping[str, str]) -> bool:
    """Whether the SDK of OpenTelemetry is to be set up by us."""
    return environ.get(OTEL_ENV) not in (None, "", "0")


def working_directory() -> str:
    """The working directory, ``/`` where it has been removed."""
    try:
        return system.getcwd()
    except OSError:
        return "/"


def absolute(path: str | None) -> str | None:
    """*path* as it is seen from here, wherever the process goes later."""
    return None if path is None else os.path.join(working_directory(), path)


def split_list(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_features(text: str) -> dict[str, bool]:
    """Read ``watch=on,auth=off``; a name alone means on."""
    features = {}
    for word in text.split(","):
        name, _, value = word.strip().partition("=")
        if name:
            features[name] = value.lower() not in ("off", "0", "false", "no")
    return features


def is_shared() -> bool:
    """Whether the umask decides who may read run directories."""
    return os.environ.get(SHARED_ENV) not in (None, "", "0")


def file_mode() -> int:
    """The permissions of files in run directories, before the umask."""
    return 0o666 if is_shared() else 0o600


def directory_mode() -> int:
    """The permissions of run directories, before the umask."""
    return 0o777 if is_shared() else 0o700
