"""
Summaries: everything that a report shows, computed once; reporters only format it.

Over 500 lines, since the records that reporters read are defined next to the one pass that
makes them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..catalog.loader import Catalog, Entry, entry_of
from ..model import (
    ALWAYS_OR_UNREACHABLE,
    SOMETIMES,
    Kind,
    Site,
    antecedent_message,
    invariant_and_clause,
)
from ..recording.hits import Hit
from ..recording.trials import EXPECTS_VIOLATION, SEED_RANDOM
from .caveats import caveats_of
from .combine import Evidence, TrialKey
from .guidance_summary import nearest
from .order import comes_before
from .revision import known_revision
from .runs import RunInfo
from .statistics import rate_bound_when_never_seen
from .tally import tallies
from .verdicts import AssertionResult, Standing, Verdict, judge_assertion, judge_invariant
from .violations import Broken, Violation


@dataclass
class InvariantResult:
    """
    The judged evidence of one invariant.

    Attributes:
        proofs: Seeded defects that its assertions caught, each with the commit if it is known.
    """

    entry: Entry
    standing: Standing
    assertions: list[AssertionResult]
    proofs: list[tuple[str, str | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Population:
    """
    A group of comparable trials.

    Attributes:
        trials: The number of trials.
        faults: Names of injected faults, each with the number of trials in which it was active.
    """

    name: str
    sampler: str
    trials: int
    faults: tuple[tuple[str, int], ...]


@dataclass
class Summary:
    """
    One or several judged runs.

    Attributes:
        commit: The revision of the runs; None if they differ, or if it is unknown.
        full: Whether any of the runs was full.
        drafts: Draft and retired invariants, which count nowhere.
        undeclared: Messages that a process declared and no scan found.
        troubles: Messages of assertions that could not be evaluated, with reason and number.
        notes: Limits of the evidence, as complete sentences.
        refusals: The number of evaluations that failed, recorded or not.
        damage: Parts of shards that are missing or contradictory: the runs cannot pass, whatever
            the verdicts.
        renamed: Maps a recorded message to the current one, after renames.
    """

    target: str
    commit: str | None
    runs: list[str]
    full: bool
    populations: list[Population]
    assertions: list[AssertionResult]
    invariants: list[InvariantResult]
    drafts: list[Entry]
    undeclared: list[str]
    troubles: list[tuple[str, str, int]]
    notes: list[str]
    refusals: int = 0
    damage: list[str] = field(default_factory=list)
    renamed: Callable[[str], str] = field(default=str, compare=False)

    def with_verdict(self, *verdicts: Verdict) -> list[AssertionResult]:
        """The assertions with one of *verdicts*."""
        return [result for result in self.assertions if result.verdict in verdicts]

    @property
    def hits(self) -> int:
        """The number of evaluations of all assertions."""
        return sum(result.evaluations for result in self.assertions)

    @property
    def is_empty(self) -> bool:
        """Whether no process evaluated any assertion of the target."""
        return not self.hits and not any(result.expected for result in self.assertions)

    @property
    def is_violated(self) -> bool:
        """Whether any assertion is violated."""
        return bool(self.with_verdict(Verdict.VIOLATED))


def summarise(evidence: Evidence, catalog: Catalog, target: str, sites: list[Site]) -> Summary:
    """
    Judge evidence against a catalog.

    Args:
        evidence: The runs to judge.
        catalog: The catalog of the target.
        target: Name of the target.
        sites: The assertions of the current source: the denominator if no run was scanned.
    """
    newest = evidence.newest()
    # An old name that is used again is an assertion of its own, not the renamed one.
    renames = catalog.renames.without({site.origin for site in sites})
    # The denominator is what the newest run had, not what the source has by now.
    scan = list(newest.scan) if newest is not None and newest.scan is not None else sites
    scan = [*scan, *_foreign(evidence, catalog, scan, newest)]
    scan = [site.renamed(renames.now) for site in scan] if renames.messages else scan
    judging = _Judging(evidence, catalog, scan, renames.now)
    assertions = judging.assertions()
    runs = sorted(evidence.runs)
    return Summary(
        target=target,
        commit=_commit(evidence),
        runs=runs,
        full=any(info.full for info in evidence.runs.values()),
        populations=_populations(evidence),
        assertions=assertions,
        invariants=judging.invariants(assertions),
        drafts=[e for e in _sorted(catalog) if not e.counts and not e.is_left_out],
        undeclared=judging.undeclared(),
        troubles=_troubles(evidence),
        notes=[*caveats_of(evidence), *_unmatched(evidence, catalog, scan)],
        refusals=sum(shard.refusals for shard in evidence.shards.values()),
        damage=damage_of(evidence),
        renamed=renames.now,
    )


def damage_of(evidence: Evidence) -> list[str]:
    """Describe the missing or contradictory parts of the shards of *evidence*."""
    return [
        f"shard {name}: {text}"
        for (_, name), shard in sorted(evidence.shards.items())
        for text in shard.damage
    ]


def _foreign(
    evidence: Evidence, catalog: Catalog, scan: Iterable[Site], newest: RunInfo | None
) -> Iterator[Site]:
    """The sites that processes in other languages declared in the newest run, unless scanned."""
    # Of the newest run only, like the scan: an older process may declare what was removed since.
    known = {(site.kind, site.message) for site in scan}
    for (run, _), shard in sorted(evidence.shards.items()):
        for site in shard.sites if newest is None or run == newest.id else ():
            if (site.kind, site.message) not in known:
                known.add((site.kind, site.message))
                yield catalog.assign(site)


def _unmatched(evidence: Evidence, catalog: Catalog, scan: Iterable[Site]) -> Iterator[str]:
    """Report assignments of the catalog to assertions that no process declared."""
    # Only if processes of other languages ran at all; otherwise nothing could declare them.
    if any(shard.sites for shard in evidence.shards.values()):
        for message in sorted(catalog.assigned.keys() - {site.origin for site in scan}):
            assigned = catalog.assigned[message]
            yield (
                f"{assigned.file}:{assigned.line} assigns {message!r}, which no process declared;"
                " was it renamed?"
            )


def _sorted(catalog: Catalog) -> list[Entry]:
    return sorted(catalog.entries.values(), key=lambda entry: entry.id)


class _Judging:
    """The pass that turns evidence into verdicts."""

    def __init__(
        self, evidence: Evidence, catalog: Catalog, scan: list[Site], now: Callable[[str], str]
    ) -> None:
        self._now = now
        self._evidence = evidence
        self._catalog = catalog
        self._scan = scan
        self._tallies = tallies(evidence, scan, now)
        self._is_scanned = evidence.newest() is not None
        self._replays = {
            (run, now(message)): token
            for run, info in sorted(evidence.runs.items())
            for message, token in info.replays.items()
        }
        self._limits = [
            {now(message): need for message, need in info.out_of_reach.items()}
            for info in evidence.runs.values()
        ]
        # By message alone, since records of refused evaluations hold no kind.
        self._refused = Counter(
            now(trouble.message) for shard in evidence.shards.values() for trouble in shard.troubles
        )
        # An always_if is recorded as two assertions and judged as one; its second part is hidden.
        self._parts = self._antecedents()

    def _antecedents(self) -> dict[str, str]:
        """The message of each antecedent, by the message of the ``always_if`` that it is part of."""
        known = {site.message for site in self._scan if site.kind is SOMETIMES}
        known |= {message for kind, message in self._tallies if kind is SOMETIMES}
        suffix = antecedent_message("")
        return {name.removesuffix(suffix): name for name in known if name.endswith(suffix)}

    def assertions(self) -> list[AssertionResult]:
        """Judge all assertions of the denominator and of the shards."""
        # By kind and message: a message that is used for two kinds is two assertions.
        subjects: dict[tuple[Kind, str], Site | None] = {}
        for site in self._scan:
            subjects.setdefault((site.kind, site.message), site)
        for kind, message in self._tallies:
            subjects.setdefault((kind, message), None)
        # If only the antecedent was evaluated, the main part has no tally; the scan may lack it.
        for message in self._parts:
            if not any(known == message for _, known in subjects):
                subjects[ALWAYS_OR_UNREACHABLE, message] = None
        hidden = set(self._parts.values())
        results = [
            result
            for (kind, message), site in subjects.items()
            if kind is not SOMETIMES or message not in hidden
            for result in [self._judge(kind, message, site)]
            if self._counts(result)
        ]
        return sorted(results, key=lambda result: (result.message, result.kind.name))

    def _counts(self, result: AssertionResult) -> bool:
        """Whether *result* is in the denominator, or violated; anything else unscanned is a finding."""
        broken = (Verdict.VIOLATED, Verdict.OUT_OF_MODEL)
        return result.site is not None or not self._is_scanned or result.verdict in broken

    def _judge(self, kind: Kind, message: str, site: Site | None) -> AssertionResult:
        tally = self._tallies.get((kind, message)) or AssertionResult(kind, message)
        # The source decides which invariant an assertion cites, not the shards of older runs.
        invariant = site.invariant if site is not None else tally.invariant
        entry = self._entry(invariant)
        outside = self._out_of_model(tally, entry)
        example = _example(tally, outside)
        result = replace(
            tally,
            invariant=invariant,
            site=site,
            broken=_inside(tally, outside),
            out_of_model=sum(broken.times for broken in outside),
            refused=self._refused[message],
            full=self._could_be_absent(site),
            antecedent=self._antecedent(message),
            dormant_features=self._dormant_features(entry) or self._out_of_reach(tally),
            example=None if example is None else example.hit,
            replay=self._replay(message, example),
        )
        result.verdict = judge_assertion(result)
        if result.verdict is not Verdict.SATISFIED:
            result.nearest = self._nearest.get(message, "")
        if result.verdict is Verdict.NEVER_TRUE:
            result.rate_bounds = self._rate_bounds(site)
        return result

    def _replay(self, message: str, example: Violation | None) -> str:
        """The token of the run of *example*; without an example, that of the latest run with one."""
        # A token of another run would replay something else than the violation that is shown.
        runs = sorted(self._evidence.runs) if example is None else [example.run]
        tokens = (self._replays.get((run, message), "") for run in reversed(runs))
        return next(filter(None, tokens), "")

    def _could_be_absent(self, site: Site | None) -> bool:
        """Whether a full run had this assertion, so that the absence of hits is significant."""
        full = [run for run, info in self._evidence.runs.items() if info.full]
        return any(self._held(run, site) for run in full)

    def _entry(self, invariant: str | None) -> Entry | None:
        return entry_of(invariant, self._catalog.entries)

    def _antecedent(self, message: str) -> tuple[int, int] | None:
        name = self._parts.get(message)
        if name is None:
            return None
        tally = self._tallies.get((SOMETIMES, name))
        return (0, 0) if tally is None else (tally.true, tally.false)

    def _out_of_model(self, tally: AssertionResult, entry: Entry | None) -> list[Broken]:
        """
        The violations after a fault that the invariant assumes away.

        The fault must be known to precede the first violation of the trial, process by process.
        If the record of that violation was lost, the order is unknown.
        """
        if entry is None or not entry.invariant.assumes:
            return []
        assumed = frozenset(entry.invariant.assumes)
        # Later violations follow from the first: if the fault precedes it, it precedes them all.
        first = {each.key: each.hit for each in tally.violations if each.hit.nth == 1}
        return [
            broken
            for broken in tally.broken
            if broken.key in first and self._was_broken(broken, first[broken.key], assumed)
        ]

    def _was_broken(self, broken: Broken, hit: Hit, assumed: frozenset[str]) -> bool:
        # Faults of enclosing trials count as well: one may be injected before the inner trial begins.
        evidence, run = self._evidence, broken.run
        return any(
            assumed.intersection((*fault.active, *fault.breaks))
            for facts in evidence.around((run, broken.effective))
            for owner in [evidence.owner_of(run, broken.shard, facts.trial.id)]
            for shard, fault in facts.faults
            # Trials of one name that two processes began are two trials.
            if owner is not None and owner == evidence.owner_of(run, shard, facts.trial.id)
            if comes_before(fault, shard, hit, broken.shard)
        )

    def _dormant_features(self, entry: Entry | None) -> tuple[str, ...]:
        if entry is None:
            return ()
        return tuple(name for name in entry.invariant.requires if self._is_off(name))

    def _out_of_reach(self, tally: AssertionResult) -> tuple[str, ...]:
        """What the assertion of *tally* needs, if no run offered it and it was not satisfied."""
        if tally.true or (tally.false and tally.kind is not SOMETIMES):
            return ()
        needs = [limits.get(tally.message) for limits in self._limits]
        return tuple(sorted({need for need in needs if need})) if all(needs) else ()

    def _is_off(self, feature: str) -> bool:
        # A feature without a declaration counts as on.  Checked first, since it is cheap and decides
        # most cases.
        if not self._evidence.declares_off(feature):
            return False
        trials = self._evidence.trials()
        if trials:
            declared = [facts.features.get(feature) for facts in trials.values()]
        else:
            declared = [_declared_without_trials(self._evidence).get(feature)]
        # One trial with it on, or without a declaration, suffices for a missing hit to be significant.
        return all(values == {False} for values in declared)

    def _held(self, run: str, site: Site | None) -> bool:
        identities = self._identities[run]
        return site is None or identities is None or (site.message, site.fingerprint) in identities

    @cached_property
    def _identities(self) -> dict[str, set[tuple[str, str]] | None]:
        """Messages and fingerprints of the source of each run; None if it was not scanned."""
        return {
            run: None
            if info.scan is None
            else {
                (self._now(site.message), site.fingerprint)
                for site in (*info.scan, *self._declared_in(run))
            }
            for run, info in self._evidence.runs.items()
        }

    def _declared_in(self, run: str) -> Iterator[Site]:
        """The sites that processes in other languages declared in *run*."""
        return (site for shard in self._evidence.shards_of(run) for site in shard.sites)

    @cached_property
    def _nearest(self) -> dict[str, str]:
        """A description of how close each rich assertion came, by message."""
        return nearest(self._evidence.guidance(), self._now)

    @cached_property
    def _sample_sizes(self) -> Counter[tuple[str, str]]:
        """The number of random trials by run and population."""
        return Counter(
            (trial[0], population)
            for trial, population, sampler in self._evidence.samples()
            if sampler == SEED_RANDOM
        )

    def _rate_bounds(self, site: Site | None) -> dict[str, float]:
        """Bounds by population, over the trials whose source had the assertion unchanged."""
        # Trials of runs without the assertion, or with another condition, could not reach it.
        sizes: Counter[str] = Counter()
        for (run, population), size in self._sample_sizes.items():
            if self._held(run, site):
                sizes[population] += size
        return {name: rate_bound_when_never_seen(size) for name, size in sorted(sizes.items())}

    def invariants(self, assertions: list[AssertionResult]) -> list[InvariantResult]:
        """Judge all active invariants of the catalog by the results of their *assertions*."""
        by_invariant: dict[str, list[AssertionResult]] = defaultdict(list)
        for result in assertions:
            if result.invariant is not None:
                by_invariant[invariant_and_clause(result.invariant)[0]].append(result)
        proofs = _proofs(self._evidence)
        results = []
        for entry in _sorted(self._catalog):
            if not entry.counts:
                continue
            mine = by_invariant[entry.id]
            defect_tested = [proof for result in mine for proof in proofs.get(result.message, ())]
            # Every assertion counts, even one that only a shard declared: it may be violated.
            standing = judge_invariant(
                entry.invariant.expects,
                entry.invariant.clauses,
                mine,
                defect_tested=bool(defect_tested),
            )
            results.append(InvariantResult(entry, standing, mine, defect_tested))
        return results

    def undeclared(self) -> list[str]:
        """The messages that processes declared, and that no scan found."""
        if not self._is_scanned:
            return []
        # A scan of an older run may have found what was removed from the source since.
        known = {site.message for site in self._scan}
        known |= {
            self._now(site.message)
            for info in self._evidence.runs.values()
            for site in info.scan or ()
        }
        return sorted({message for _, message in self._tallies if message not in known})


def _declared_without_trials(evidence: Evidence) -> dict[str, set[bool]]:
    # Without trials, the declarations of all processes together decide.
    declared: dict[str, set[bool]] = defaultdict(set)
    for (run, _), shard in evidence.shards.items():
        for name, on in {
            **evidence.runs[run].features,
            **shard.features.get(None, {}),
        }.items():
            declared[name].add(on)
    return declared


def _inside(tally: AssertionResult, outside: list[Broken]) -> list[Broken]:
    beyond = {each.key for each in outside}
    return [each for each in tally.broken if each.key not in beyond]


def _example(tally: AssertionResult, outside: list[Broken]) -> Violation | None:
    beyond = {each.key for each in outside}
    # A violation within the model is the one to debug; any other is better than none.
    inside = (each for each in tally.violations if each.key not in beyond)
    return next(inside, next(iter(tally.violations), None))


def _commit(evidence: Evidence) -> str | None:
    found = [info.commit for info in evidence.runs.values()]
    # Runs without a description: their processes recorded the commit themselves.
    if not any(found):
        found = [known_revision(shard.header.get("commit")) for shard in evidence.shards.values()]
    # Several commits have no common name; none is better than an arbitrary one.
    commits = {commit for commit in found if commit is not None}
    return commits.pop() if len(commits) == 1 else None


def _populations(evidence: Evidence) -> list[Population]:
    groups: Counter[tuple[str, str]] = Counter()
    # Only of trials that can have faults: all trials of a large run would fill memory again.
    of_trial: dict[TrialKey, tuple[str, str]] = {}
    has_faults = {run for (run, _), shard in evidence.shards.items() if shard.faults}
    for trial, population, sampler in evidence.samples():
        if sampler != EXPECTS_VIOLATION:
            groups[population, sampler] += 1
            if trial[0] in has_faults:
                of_trial[trial] = population, sampler
    # Trials, not records: a fault that lasts may be declared once, or with each change of others.
    injected = {
        ((run, fault.trial), name)
        for (run, _), shard in evidence.shards.items()
        for fault in shard.faults
        for name in fault.active
    }
    faults: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for trial, name in injected:
        group = of_trial.get(trial)
        if group is not None:
            faults[group][name] += 1
    return [
        Population(name, sampler, count, tuple(sorted(faults[name, sampler].items())))
        for (name, sampler), count in sorted(groups.items())
    ]


def _troubles(evidence: Evidence) -> list[tuple[str, str, int]]:
    counts = Counter(
        (trouble.message, f"{trouble.location}: {trouble.reason}")
        for shard in evidence.shards.values()
        for trouble in shard.troubles
    )
    return [(message, reason, count) for (message, reason), count in sorted(counts.items())]


def _proofs(evidence: Evidence) -> dict[str, list[tuple[str, str | None]]]:
    proofs: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    # Sorted, so that the report does not depend on the order in which shards were added.
    for _, shard in sorted(evidence.shards.items()):
        for proof in shard.proofs:
            if (proof.defect, proof.commit) not in proofs[proof.message]:
                proofs[proof.message].append((proof.defect, proof.commit))
    return proofs
