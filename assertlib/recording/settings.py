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
    """The mode set in *environ*; an unknown one is reported, and replaced by ``record``."""
    mode = environ.get(MODE_ENV) or RECORD
    if mode in MODES:
        return mode
    # Not an error, and not ``off``: a typing error must neither stop the store nor lose violations.
    warn_once(
        f"{MODE_ENV}={mode!r} is not a valid mode; using `{RECORD}`"
        f" (choose from {', '.join(MODES)})"
    )
    return RECORD


def sinks_of(environ: Mapping[str, str]) -> list[str]:
    """The names of the sinks set in *environ*; the log by default."""
    # Set but empty means no sinks, unlike unset.
    names = split_list(environ.get(SINKS_ENV, "log"))
    return [*names, "otel"] if wants_otel(environ) and "otel" not in names else names


def wants_otel(environ: Mapping[str, str]) -> bool:
    """Whether *environ* asks assertlib to set up the OpenTelemetry SDK."""
    return environ.get(OTEL_ENV) not in (None, "", "0")


def working_directory() -> str:
    """The working directory; ``/`` if it has been removed."""
    # A store in a directory that was removed must still start and record.
    try:
        return system.getcwd()
    except OSError:
        return "/"


def absolute(path: str | None) -> str | None:
    """*path* relative to the current working directory, as an absolute path."""
    # A daemon changes its working directory later.
    return None if path is None else os.path.join(working_directory(), path)


def split_list(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_features(text: str) -> dict[str, bool]:
    """Parse *text* such as ``watch=on,auth=off``; a name alone means on."""
    features = {}
    # Anything but a clear "off" counts as on: an assertion is dormant only if its feature is off.
    for word in text.split(","):
        name, _, value = word.strip().partition("=")
        if name:
            features[name] = value.lower() not in ("off", "0", "false", "no")
    return features


def is_shared() -> bool:
    """Whether the umask decides who may read run directories."""
    return os.environ.get(SHARED_ENV) not in (None, "", "0")


def file_mode() -> int:
    """Permissions of files in run directories, before the umask."""
    return 0o666 if is_shared() else 0o600


def directory_mode() -> int:
    """Permissions of run directories, before the umask."""
    return 0o777 if is_shared() else 0o700
