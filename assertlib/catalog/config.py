"""
The configuration of a project: the targets that runs are judged against.

It is the table ``[tool.assertlib]`` of pyproject.toml, or all of ``assertlib.toml`` in a project
that is not in Python.
"""

from __future__ import annotations

import re
from os.path import normpath
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import UsageError
from .files import read_text
from .findings import did_you_mean
from .positions import nearest, positions
from .pydantic_messages import in_words_of_toml
from .toml import parse_toml

FILE = "pyproject.toml"
OWN_FILE = "assertlib.toml"
"""The file of a project that has no pyproject.toml; it holds the same keys, without a prefix."""
TABLE = ("tool", "assertlib")
# Marks what ships with assertlib, which is installed in a different place on each machine.
_PACKAGED = "assertlib:"
SHIPPED = Path(__file__).parents[2]
"""The directory that the package assertlib is installed in."""


class ConfigError(UsageError):
    """The configuration is not usable; the text names file, line, column and remedy."""


class Target(BaseModel):
    """What a run is judged against: source code and the catalogs that apply to it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True
    )

    # TOML arrays arrive as lists, which a strict tuple field would reject.
    source: tuple[str, ...] = Field(strict=False)
    """
    Files and directories whose assertions count, relative to pyproject.toml;
    ``assertlib:robustness`` stands for the assertions that judge campaigns.
    """
    exclude: tuple[str, ...] = Field(default=(), strict=False)
    """Patterns of files to leave out."""
    catalog: tuple[str, ...] = Field(default=("catalog",), strict=False)
    """Directories of catalog files; ``assertlib:etcd`` is the one that ships with assertlib."""
    without: tuple[str, ...] = Field(default=(), strict=False)
    """Features that the target lacks; invariants that require one of them are left out."""
    scenario: str = ""
    """The scenario that `assertlib sim` runs, as ``package.module:function``."""
    pythonpath: tuple[str, ...] = Field(default=(), strict=False)
    """Directories that hold the scenario's modules, relative to pyproject.toml."""
    defects: str = ""
    """Directory of seeded defects, which are patches of its parent directory."""

    # Targets share a review lock if their own catalogs compare equal.
    @field_validator("catalog")
    @classmethod
    def _normal(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Normalise ``catalog/`` to ``catalog``, so that targets can be compared by catalog."""
        return tuple(each if each.startswith(_PACKAGED) else normpath(each) for each in names)


SHIPPED_TARGETS = {
    "campaign": Target(source=(f"{_PACKAGED}robustness",), catalog=(f"{_PACKAGED}etcd",))
}
"""Targets that need no configuration; a target of the project with the same name replaces one."""


def source_path(root: Path, name: str) -> Path:
    """Return the file or directory that *name*, an item of ``source``, means under *root*."""
    if name.startswith(_PACKAGED):
        return SHIPPED / "assertlib" / name.removeprefix(_PACKAGED)
    return root / name


class KnowledgeSettings(BaseModel):
    """What counts as knowledge of an invariant: ``[tool.assertlib.knowledge]``."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True
    )

    active_days: float = Field(default=180, alias="active-days", gt=0)
    """Days after a person's last commit or review in which the person counts as active."""
    half_life_days: float = Field(default=730, alias="half-life-days", gt=0)
    """Days after which a contribution counts half."""
    threshold: float = Field(default=0.1, ge=0, le=1)
    """Share of all that can be known of an invariant from which a person knows it."""
    bots: tuple[str, ...] = Field(default=(), strict=False)
    """Regular expressions for names and addresses that are no persons, besides the known ones."""
    check: bool = False
    """Whether `assertlib check` warns about invariants that nobody active knows (AL601, AL602)."""

    @field_validator("bots")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return patterns


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    default_target: str | None = Field(default=None, alias="default-target")
    targets: dict[str, Target] = Field(default_factory=dict)
    knowledge: KnowledgeSettings = Field(default_factory=KnowledgeSettings)


class Config:
    """
    The configuration of a project.

    Attributes:
        root: Directory of pyproject.toml; paths in the configuration are relative to it.
        file: The pyproject.toml; None if none has the table.
        targets: The targets by name, in the order of the file.
        default_target: Name of the target that commands use by default; None without targets.
        knowledge: What counts as knowledge of an invariant.
    """

    def __init__(self, root: Path, file: Path | None, table: _Table) -> None:
        self.root = root
        self.file = file
        self.targets = table.targets
        self.knowledge = table.knowledge
        # Without an explicit default, the first target in the file.
        self.default_target = table.default_target or next(iter(table.targets), None)

    def target(self, name: str | None = None) -> tuple[str, Target]:
        """
        Return the name and the settings of a target.

        Args:
            name: The target; None for the default one.

        Raises:
            ConfigError: No such target, or no target at all, is configured.
        """
        wanted = name or self.default_target
        if wanted is None:
            place = FILE if self.file is None else self.file
            prefix = (
                "" if self.file is not None and self.file.name == OWN_FILE else "tool.assertlib."
            )
            raise ConfigError(
                f"{place}: no target is configured; add [{prefix}targets.NAME] with"
                " `source`, for example with `assertlib init`"
            )
        # The project's own target comes first, so that shipped names can be taken over.
        if wanted not in self.targets and wanted in SHIPPED_TARGETS:
            return wanted, SHIPPED_TARGETS[wanted]
        if wanted not in self.targets:
            hint = did_you_mean(wanted, self.targets) or f"available: {', '.join(self.targets)}"
            place = FILE if self.file is None else self.file
            raise ConfigError(f"{place}: there is no target {wanted!r}; {hint}")
        return wanted, self.targets[wanted]

    def target_names(self, name: str | None) -> list[str]:
        """
        Return *name* alone, or the names of all targets if it is None.

        Raises:
            ConfigError: There is no such target, or none at all.
        """
        if name or not self.targets:
            # Without any target, raises the error that explains how to add one.
            return [self.target(name)[0]]
        return list(self.targets)

    def catalog_roots(self, target: Target) -> list[Path]:
        """
        Return the catalog directories of *target*.

        Raises:
            ConfigError: It names a catalog that does not ship with assertlib.
        """
        return [self._catalog_root(name) for name in target.catalog]

    def own_catalog(self, target: Target) -> str | None:
        """Return the first catalog directory of *target* inside the project; None without one."""
        return next((name for name in target.catalog if not name.startswith(_PACKAGED)), None)

    def _catalog_root(self, name: str) -> Path:
        if not name.startswith(_PACKAGED):
            return self.root / name
        shipped = _shipped_catalog(name.removeprefix(_PACKAGED))
        if shipped is None:
            raise ConfigError(
                f"{self.file}: no catalog {name!r} ships with assertlib; only 'assertlib:etcd' does"
            )
        return shipped

    def __repr__(self) -> str:
        return f"<Config {self.file}: targets {', '.join(self.targets) or 'none'}>"


def _shipped_catalog(name: str) -> Path | None:
    installed = Path(__file__).parents[1] / "catalogs" / name
    # In a checkout the catalog is at the root; only a build maps it into `assertlib.catalogs`.
    source = Path(__file__).parents[2] / "catalog"
    candidates = [installed, source] if name == "etcd" else [installed]
    # kv.toml identifies the catalog: beside an installed package, `catalog` may be anything.
    return next((path for path in candidates if (path / "kv.toml").is_file()), None)


def find_config(start: Path) -> Config:
    """
    Return the configuration that applies in a directory.

    Args:
        start: The search begins here and goes up to the root of the file system.

    Returns:
        The configuration of the nearest pyproject.toml with a ``[tool.assertlib]`` table, or
        assertlib.toml; an empty one if there is none.

    Raises:
        ConfigError: The file cannot be read, its content is not valid, or a directory has both.
    """
    for directory in (start, *start.parents):
        file, own = directory / FILE, directory / OWN_FILE
        # None without the table: in a monorepo, each package may have a pyproject.toml.
        config = _read(file) if file.is_file() else None
        if own.is_file():
            if config is not None:
                raise ConfigError(f"{own}: {FILE} beside it has [tool.assertlib] as well; keep one")
            return _read_own(own)
        if config is not None:
            return config
    return Config(start, None, _Table())


def is_toml(text: str) -> bool:
    """Return whether *text* is valid TOML."""
    try:
        parse_toml(text)
    except ValueError:
        return False
    return True


def _read(file: Path) -> Config | None:
    text, data = _parsed(file)
    # The rest of the file belongs to other tools, so nothing about it is an error here.
    tool = data.get("tool", {})
    if not isinstance(tool, dict) or "assertlib" not in tool:
        return None
    return _validated(file, text, tool["assertlib"], TABLE)


def _read_own(file: Path) -> Config:
    text, data = _parsed(file)
    if "tool" in data:
        raise ConfigError(
            f"{file}: write the keys without the prefix tool.assertlib, as [targets.NAME]"
        )
    return _validated(file, text, data, ())


def _parsed(file: Path) -> tuple[str, dict[str, object]]:
    try:
        text = read_text(file)
        return text, parse_toml(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def _validated(file: Path, text: str, data: object, prefix: tuple[str, ...]) -> Config:
    try:
        table = _Table.model_validate(data)
    # The text of a ValidationError is in terms of Python, so it is replaced.
    except ValidationError as error:
        raise ConfigError(_described(file, text, error, prefix)) from None
    return Config(file.parent, file, table)


def _described(file: Path, text: str, error: ValidationError, prefix: tuple[str, ...]) -> str:
    lines = []
    places = positions(text)
    for problem in error.errors():
        where = (*prefix, *problem["loc"])
        line, column = nearest(places, where)
        key = str(where[-1]) if where else ""
        hint = did_you_mean(key, _valid_keys(problem["loc"]))
        # Only an unknown key can be a misspelled one; a wrong value is described by pydantic.
        if problem["type"] == "extra_forbidden":
            problem_text = f"unknown key {key!r}; {hint or 'remove it'}"
        else:
            label = ".".join(map(str, problem["loc"])) or "tool.assertlib"
            problem_text = f"{label} {in_words_of_toml(problem['msg'])}"
        lines.append(f"{file}:{line}:{column}: {problem_text}")
    return "\n".join(lines)


def _valid_keys(where: tuple[str | int, ...]) -> list[str]:
    if len(where) > 1 and where[0] == "knowledge":
        return [field.alias or name for name, field in KnowledgeSettings.model_fields.items()]
    if len(where) > 1:
        return list(Target.model_fields)
    return ["default-target", "targets", "knowledge"]
