"""
Trials: the units of evidence inside a run.

A trial is process-wide.  Trials nest, and the innermost one receives the hits.  Processes that are
started inside a trial inherit it through the environment.
"""

from __future__ import annotations

from ..errors import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT = "ASSERTLIB_TRIAL"

SEED_RANDOM, SET, GUIDED = "seed-random", "set", "guided"
EXPECTS_VIOLATION = "expects-violation"
"""Sampler of a trial that violates, on purpose, the assertion that its population names."""


class Trial:
    """
    A trial.

    Attributes:
        id: Its name, unique in the run.
        population: The population that it is a sample of: target, configuration, faults; None if
            it belongs to none.
        seed: Seed of its randomness; None if it has none.
        sampler: ``seed-random`` if seeds are drawn at random, so that rates are meaningful;
            ``set`` for tests and examples; ``guided`` for a search.
        parent: Id of the trial around it; None for an outermost trial.
        owner: Name of the shard of the process that began it; None before it is recorded.
    """

    __slots__ = ("id", "owner", "parent", "population", "sampler", "seed")

    def __init__(
        self,
        id: str,
        *,
        population: str | None = None,
        seed: int | None = None,
        sampler: str | None = None,
        parent: str | None = None,
        owner: str | None = None,
    ) -> None:
        self.id = id
        self.population = population
        self.seed = seed
        # A seed alone implies that it was drawn at random; a search passes its own sampler.
        self.sampler = sampler or (SET if seed is None else SEED_RANDOM)
        self.parent = parent
        self.owner = owner

    def expects_violation_of(self, message: str) -> bool:
        """Whether a violation of *message* in this trial is intended."""
        return self.sampler == EXPECTS_VIOLATION and self.population == message

    def as_dict(self) -> dict[str, object]:
        """Plain data for the shard and for the environment of children."""
        # The slots are the format: a renamed attribute would break shards of earlier versions.
        return {name: getattr(self, name) for name in self.__slots__}

    def __repr__(self) -> str:
        return f"<Trial {self.id!r}>"


def from_dict(data: Mapping[str, object]) -> Trial:
    """
    Restore a trial from the *data* of `Trial.as_dict`.

    Raises:
        ValueError: A field is missing or has the wrong type.
    """
    # Every field is checked, since the data may come from another machine or the environment.
    identifier, seed = data.get("id"), data.get("seed")
    if not isinstance(identifier, str):
        raise ValueError(f"the id of a trial must be a string, not {quoted(identifier)}")
    if not isinstance(seed, int | None):
        raise ValueError(f"the seed of a trial must be an integer, not {quoted(seed)}")
    return Trial(
        identifier,
        population=_text(data, "population"),
        seed=seed,
        sampler=_text(data, "sampler"),
        parent=_text(data, "parent"),
        owner=_text(data, "owner"),
    )


def _text(data: Mapping[str, object], name: str) -> str | None:
    value = data.get(name)
    if not isinstance(value, str | None):
        raise ValueError(f"the {name} of a trial must be a string, not {quoted(value)}")
    return value


def ancestry(trial: str | None, known: Mapping[str, Trial]) -> Iterator[Trial]:
    """*trial* and the trials around it that are *known*, from the inside out."""
    # Each of them once: the parents in a damaged shard may form a cycle.
    seen: set[str] = set()
    while trial is not None and trial in known and trial not in seen:
        seen.add(trial)
        yield known[trial]
        trial = known[trial].parent


def from_environment(value: str | None) -> Trial | None:
    """The trial in *value*, which this process was started in; None if it cannot be read."""
    if not value:
        return None
    # Not at import: stores that start outside of a trial load faster without it.
    import json

    try:
        data = json.loads(value)
        return from_dict(data) if isinstance(data, dict) else None
    except ValueError:
        # Any process above this one may have set the variable: a bad value must not stop the store.
        return None


def to_environment(trial: Trial) -> str:
    """*trial* as text for an environment variable."""
    # JSON, so that programs in other languages can read it.
    import json

    return json.dumps(trial.as_dict())


def describe(trial: str, seed: int | None) -> str:
    """The name of *trial*, with its *seed* unless the name ends with it."""
    is_named = seed is None or trial.endswith(f" {seed}")
    return trial if is_named else f"{trial} (seed {seed})"
