"""
Which scenario a tape or token may run: it may come from a stranger, and names code to import.
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
"""Where a project keeps the tapes that its gate replays."""

_SUFFIX = ".py"


def search_path(config: Config, target: Target | None) -> tuple[str, ...]:
    """Where the modules of scenarios lie: the ``pythonpath`` of *target*, then the project."""
    given = () if target is None else target.pythonpath
    return (*(str(config.root / each) for each in given), str(config.root))


def permitted(config: Config, recipe: TrialSpec, path: Sequence[str]) -> TrialSpec:
    """
    *recipe*, if its scenario is the project's: configured, or in the ``source`` of a target.

    Args:
        path: Where its module is looked for, and nowhere else.

    Returns:
        The recipe, with the whole path of its scenario if that is a file.

    Raises:
        ConfigError: The scenario lies elsewhere, such as in a run directory.
    """
    if _is_recorded(config.root, config.root):
        raise ConfigError(
            f"{config.file}: lies in a run directory, whose scenarios are not run; replay from the"
            " directory of the project"
        )
    name, _, attribute = recipe.target.rpartition(":")
    is_file = name.endswith(_SUFFIX)
    configured = {target.scenario for target in config.targets.values()}
    if recipe.target in configured and not is_file:
        return recipe
    file = _file(config, name) if is_file else _module(path, name.split("."))
    if file is None or not (recipe.target in configured or _is_source(config, file)):
        raise ConfigError(
            f"{recipe.token}: its scenario {recipe.target!r} is not run, as it is not the project's:"
            f" name it as `scenario` of a target in {config.file or 'pyproject.toml'}, or add its"
            " file to the `source` of one, if you trust it"
        )
    return replace(recipe, target=f"{file}:{attribute}") if is_file else recipe


def _file(config: Config, name: str) -> Path | None:
    places = (config.root / name, Path.cwd() / name)
    return next((place.resolve() for place in places if place.is_file()), None)


def _module(path: Sequence[str], parts: Sequence[str]) -> Path | None:
    """The file that an import would find first."""
    if not all(map(str.isidentifier, parts)):
        return None
    for entry in path:
        place = Path(entry, *parts)
        for file in (place / "__init__.py", place.with_name(f"{place.name}{_SUFFIX}")):
            if file.is_file():
                return file.resolve()
        if Path(entry, parts[0], "__init__.py").is_file():
            return None
    return None


def _is_source(config: Config, file: Path) -> bool:
    names = {name for target in config.targets.values() for name in target.source}
    sources = [source_path(config.root, name).resolve() for name in names]
    is_within = any(file.is_relative_to(source) for source in sources)
    return is_within and not _is_recorded(config.root, file)


def _is_recorded(root: Path, place: Path) -> bool:
    """Whether *place* is, or lies in, a directory of runs or tapes, of *root* or of anybody."""
    root = root.resolve()
    if RUNS.parts[0] in place.parts or place.is_relative_to(root / WITNESSES):
        return True
    own = [each for each in (place, *place.parents) if each.is_relative_to(root)]
    return any((each / RUN_FILE).is_file() for each in own)
