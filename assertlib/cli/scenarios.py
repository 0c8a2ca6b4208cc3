"""
Decides which scenarios a tape or token may run: both name code to import and may be untrusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..catalog.config import Config, ConfigError, Target, source_path
from ..evidence.runs import RUNS
from ..recording.rundir import RUN_FILE
from ..sim.tapes import TrialSpec

WITNESSES = "witnesses"
"""Directory of the tapes that the gate replays."""

_SUFFIX = ".py"


def search_path(config: Config, target: Target | None) -> tuple[str, ...]:
    """Search path for scenario modules: the ``pythonpath`` of *target*, then the project."""
    given = () if target is None else target.pythonpath
    return (*(str(config.root / each) for each in given), str(config.root))


def permitted(config: Config, spec: TrialSpec, path: Sequence[str]) -> TrialSpec:
    """
    Return *spec* if its scenario is trusted: configured, or in the ``source`` of a target.

    Args:
        config: The project, whose targets are trusted.
        spec: A trial from a tape or token.
        path: The only search path for its module.

    Returns:
        The spec, with the absolute path of its scenario if that is a file.

    Raises:
        ConfigError: The scenario is located elsewhere, such as in a run directory.
    """
    # The run directory of a stranger may contain a configuration that trusts its scenarios.
    if _is_recorded(config.root, config.root):
        raise ConfigError(
            f"{config.file}: is in a run directory, whose scenarios are not trusted; replay from the"
            " project directory"
        )
    name, _, attribute = spec.target.rpartition(":")
    is_file = name.endswith(_SUFFIX)
    configured = {target.scenario for target in config.targets.values()}
    # A configured module is trusted by its name; a file must be found first, since its path may be
    # relative to the project or to the working directory.
    if spec.target in configured and not is_file:
        return spec
    file = _file(config, name) if is_file else _module(path, name.split("."))
    if file is None or not (spec.target in configured or _is_source(config, file)):
        raise ConfigError(
            f"{spec.token}: scenario {spec.target!r} is not part of the project, so it was not run; if"
            " you trust it, set it as `scenario` of a target in"
            f" {config.file or 'pyproject.toml'}, or add its file to the target's `source`"
        )
    return replace(spec, target=f"{file}:{attribute}") if is_file else spec


def _file(config: Config, name: str) -> Path | None:
    places = (config.root / name, Path.cwd() / name)
    return next((place.resolve() for place in places if place.is_file()), None)


def _module(path: Sequence[str], parts: Sequence[str]) -> Path | None:
    """The file that an import would load."""
    # A part that is empty or contains a slash names no module, but could name a file.
    if not all(map(str.isidentifier, parts)):
        return None
    for entry in path:
        place = Path(entry, *parts)
        for file in (place / "__init__.py", place.with_name(f"{place.name}{_SUFFIX}")):
            if file.is_file():
                return file.resolve()
        # An import ends its search at the first package of that name.
        if Path(entry, parts[0], "__init__.py").is_file():
            return None
    return None


def _is_source(config: Config, file: Path) -> bool:
    names = {name for target in config.targets.values() for name in target.source}
    sources = [source_path(config.root, name).resolve() for name in names]
    is_within = any(file.is_relative_to(source) for source in sources)
    return is_within and not _is_recorded(config.root, file)


def _is_recorded(root: Path, place: Path) -> bool:
    """Whether *place* is in a directory of runs or tapes, of this or another project."""
    root = root.resolve()
    if RUNS.parts[0] in place.parts or place.is_relative_to(root / WITNESSES):
        return True
    # Run directories are copied to any place; a ``run.json`` above the file identifies them.
    own = [each for each in (place, *place.parents) if each.is_relative_to(root)]
    return any((each / RUN_FILE).is_file() for each in own)
