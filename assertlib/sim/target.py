"""
Load scenarios by name, and stamp the environment to detect changes.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ..errors import UsageError
from .addresses import are_fixed
from .refusal import is_installed
from .trial import Scenario

__all__ = ["HASH_SEED", "Stamp", "TargetError", "load", "stamp"]

HASH_SEED = "0"
"""PYTHONHASHSEED of every process that runs trials."""

_SUFFIX = ".py"
_PACKAGE = Path(__file__).resolve().parents[1]


class TargetError(UsageError):
    """A scenario does not exist or cannot be loaded; the message gives the reason."""


Stamp = dict[str, str]
"""What a replay depends on besides its tape: Python, hash seed, memory layout and source."""


def load(name: str) -> Scenario:
    """
    Load the scenario called *name*: ``package.module:function`` or ``path/file.py:function``.

    Raises:
        TargetError: The name is malformed, or the scenario cannot be loaded.
    """
    module_name, colon, attribute = name.rpartition(":")
    if not colon:
        raise TargetError(f"{name}: write MODULE:NAME or FILE.py:NAME")
    try:
        found: object = _module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    # Importing runs code of the project, which may raise anything or exit.
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name
        remedy = "; is its directory on PYTHONPATH?" if missing else ""
        raise TargetError(
            f"{name} cannot be loaded: {type(error).__name__}: {error}{remedy}"
        ) from None
    # A test made by `sim.test` carries its scenario in an attribute.
    scenario = getattr(found, "scenario", found)
    if not callable(scenario):
        raise TargetError(f"{name}: {scenario!r} is not a function")
    return scenario


def _module(name: str) -> ModuleType:
    if not name.endswith(_SUFFIX):
        return importlib.import_module(name)
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"no such file: {name}")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, because dataclasses look up their module by name.  An earlier file
    # of the same name is replaced, never returned.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def stamp() -> Stamp:
    """Describe this process; called after the scenario, and thus its source, is loaded."""
    return {
        "python": platform.python_version(),
        "hash": os.environ.get("PYTHONHASHSEED", "random"),
        "addresses": "fixed" if are_fixed() else "random",
        "source": _source_digest(),
    }


def _source_digest() -> str:
    """Return a digest of the loaded modules of the project and of the simulator."""
    digest = hashlib.sha256()
    for name, path in sorted(_sources()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:10]


def _sources() -> Iterator[tuple[str, Path]]:
    # Of this package, only the simulator decides what a tape means.  Python itself is stamped by
    # its version; installed packages are not stamped.
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(_SUFFIX) or name == "__main__":
            continue
        path = Path(file).resolve()
        if _PACKAGE in path.parents:
            is_of_project = _PACKAGE / "sim" in path.parents
        else:
            is_of_project = not (is_installed(str(path)) or _is_below(path, libraries))
        if is_of_project:
            yield name, path


def _is_below(path: Path, directories: list[Path]) -> bool:
    return any(each in path.parents for each in directories)
