"""
Trials: the units of evidence inside a run.

A trial is process-wide and nests; the inner one gets the hits.  Processes
started inside one inherit it through the environment.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT = "ASSERTLIB_TRIAL"

SEED_RANDOM, SET, GUIDED = "seed-random", "set", "guided"
EXPECTS_VIOLATION = "expects-violation"
"""Sampler of a trial in which the assertion that its population names is broken on purpose."""


class Trial:
    """
    One trial as this process knows it.

    Attributes:
        id: Its name, unique in the run.
        population: What it is a sample of: target, configuration, faults.
        seed: What its randomness was made from.
        sampler: ``seed-random`` if seeds are drawn blindly, so that rates mean
            something; ``set`` for tests and examples; ``guided`` for a search.
        parent: Id of the trial around it.
        owner: Name of the shard of the process that began it.
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
        self.sampler = sampler or (SET if seed is None else SEED_RANDOM)
        self.parent = parent
        self.owner = owner

    def expects_violation_of(self, message: str) -> bool:
        """Whether a violation of *message* in this trial is on purpose."""
        return self.sampler == EXPECTS_VIOLATION and self.population == message

    def as_dict(self) -> dict[str, object]:
        """Plain data for the shard and for the environment of children."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __repr__(self) -> str:
        return f"<Trial {self.id!r}>"


def from_dict(data: Mapping[str, object]) -> Trial:
    """
    Read what `Trial.as_dict` wrote.

    Raises:
        ValueError: It was not written by it.
    """
    identifier, seed = data.get("id"), data.get("seed")
    if not isinstance(identifier, str):
        raise ValueError(f"the id of a trial must be a string, not {repr(identifier)[:_SHOWN]}")
    if not isinstance(seed, int | None):
        raise ValueError(f"the seed of a trial must be an integer, not {repr(seed)[:_SHOWN]}")
    return Trial(
        identifier,
        population=_text(data, "population"),
        seed=seed,
        sampler=_text(data, "sampler"),
        parent=_text(data, "parent"),
        owner=_text(data, "owner"),
    )


_SHOWN = 60


def _text(data: Mapping[str, object], name: str) -> str | None:
    value = data.get(name)
    if not isinstance(value, str | None):
        raise ValueError(f"the {name} of a trial must be a string, not {repr(value)[:_SHOWN]}")
    return value


def ancestry(trial: str | None, known: Mapping[str, Trial]) -> Iterator[Trial]:
    """*trial* and the trials around it, from the inside out; each once, whatever they claim."""
    seen: set[str] = set()
    while trial is not None and trial in known and trial not in seen:
        seen.add(trial)
        yield known[trial]
        trial = known[trial].parent


def from_environment(value: str | None) -> Trial | None:
    """The trial this process was started in; None if there is none, or it can't be read."""
    if not value:
        return None
    import json

    try:
        data = json.loads(value)
        return from_dict(data) if isinstance(data, dict) else None
    except ValueError:
        return None


def to_environment(trial: Trial) -> str:
    """*trial* as text for an environment variable."""
    import json

    return json.dumps(trial.as_dict())
