"""
Ranks the invariants that a change may break, each with the reasons for its place.

Every reason is a fact about the code that a reader can look up.  Their weights were chosen on the
seeded defects of the example store, each ranked without its own record
(``python -m benchmarks.context``).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..catalog.loader import Entry
from ..model import Site, invariant_and_clause
from .facts import CITED, MODULE, MUTATORS, Function, Place, names_in_lines, names_in_text, words_of

# What a reason adds to the score of an invariant.
_CHANGED_ASSERTION = 12.0
_INSIDE = 6.0
_DEFECT = 5.0
_CITED = 5.0
_CONDITION = 4.0
_PASSED = 4.0
_CALLEE = 3.0
_CALLER = 1.5
_WORDS = 4.0
_SAME_CLASS = 1.0
_SAME_FILE = 0.4
_RELATED = 0.25
"""Share of the score that an invariant hands on to those related to it."""

_PROSE = 1.6
"""The score that an invariant needs that has no reason but shared words."""
_NEAR = 8
"""Lines within which an assertion counts as beside a changed line."""


@dataclass(frozen=True)
class Reason:
    """
    Why an invariant is relevant.

    Attributes:
        kind: ``assertion``, ``condition``, ``call``, ``evidence``, ``defect``, ``citation``,
            ``words``, ``place`` or ``related``.
        text: The reason, to be shown.
        weight: Its share of the score.
    """

    kind: str
    text: str
    weight: float


@dataclass
class Relevant:
    """
    An invariant at stake.

    Attributes:
        entry: The invariant.
        sites: Its assertions.
        reasons: Why it is relevant, the strongest first.
    """

    entry: Entry
    sites: list[Site]
    reasons: list[Reason] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The sum of the weights; only its order has a meaning."""
        return sum(reason.weight for reason in self.reasons)


@dataclass(frozen=True)
class Passage:
    """
    How tests relate a function to an assertion.

    Attributes:
        both: Tests that run the function and hit the assertion.
        tests: Tests that run the function.
        weight: From 0, if other tests hit it as often, to 1, if these do and no other.
    """

    both: int
    tests: int
    weight: float


@dataclass(frozen=True)
class Defect:
    """
    A seeded defect of the project.

    Attributes:
        name: Name of its patch, without the suffix.
        invariants: Ids of the invariants that it breaks.
        incidents: References of the incidents that it reproduces.
        places: The functions that it changes, by file and name.
    """

    name: str
    invariants: frozenset[str]
    incidents: frozenset[str]
    places: frozenset[Place]


@dataclass
class Touched:
    """
    What a change touches.

    Attributes:
        functions: The changed functions, each with its changed lines in the tree.
        text: The changed lines of all files, removed and added ones.
        written: For each file, the attributes that its changed lines assign, before or after.
        files: The changed files, as the tree names them.
        unplaced: Places of changed lines that the tree holds neither before nor after the change.
    """

    functions: dict[Place, set[int]] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    written: dict[str, set[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)

    def add(self, other: Touched) -> None:
        """Add what another change touches."""
        for place, lines in other.functions.items():
            self.functions.setdefault(place, set()).update(lines)
        self.text += other.text
        for file, names in other.written.items():
            self.written.setdefault(file, set()).update(names)
        self.files = list(dict.fromkeys([*self.files, *other.files]))
        self.unplaced += other.unplaced


class Program:
    """
    The functions of a target, its assertions, and the invariants that they protect.

    Args:
        functions: All functions of the source.
        sites: All assertions.
        entries: The invariants by id.
        defects: The seeded defects.
        passages: For each function, the assertions that tests of it hit, by message.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        sites: Iterable[Site],
        entries: Mapping[str, Entry],
        defects: Sequence[Defect] = (),
        passages: Mapping[Place, Mapping[str, Passage]] | None = None,
    ) -> None:
        self.functions = {each.place: each for each in functions}
        self.entries = entries
        self.defects = defects
        self.passages = passages or {}
        self.sites: dict[str, list[Site]] = defaultdict(list)
        self.named: dict[str, list[Function]] = defaultdict(list)
        self.callers: dict[str, list[Function]] = defaultdict(list)
        for function in self.functions.values():
            self.named[function.name].append(function)
            for name in function.calls:
                self.callers[name].append(function)
        seen: set[tuple[str, int, int]] = set()
        for site in sites:
            place = (site.file, site.line, site.column)
            # The parts of a derived assertion are one call.
            if site.invariant and place not in seen:
                seen.add(place)
                self.sites[invariant_and_clause(site.invariant)[0]].append(site)
        self._by_place: dict[Place, list[Site]] = defaultdict(list)
        for site in self.all_sites():
            self._by_place[(site.file, site.qualname)].append(site)
        self._reads = {id(site): self._names_read(site) for site in self.all_sites()}
        self._readers = Counter(name for names in self._reads.values() for name in names)

    def all_sites(self) -> Iterator[Site]:
        """Yield the assertions that name an invariant, one for each call."""
        for sites in self.sites.values():
            yield from sites

    def sites_in(self, place: Place) -> list[Site]:
        """Return the assertions directly in the function at *place*."""
        return self._by_place.get(place, [])

    def reads(self, site: Site) -> frozenset[str]:
        """Return the names that the condition of *site* reads, through local variables as well."""
        return self._reads[id(site)]

    def share(self, name: str) -> float:
        """Return how specific *name* is: 1 if one condition reads it, less the more do."""
        return 1 / math.sqrt(max(self._readers[name], len(self.named.get(name, ())), 1))

    def _names_read(self, site: Site) -> frozenset[str]:
        names = names_in_text(site.condition)
        function = self.functions.get((site.file, site.qualname))
        if function is None:
            return frozenset(names)
        found: set[str] = set()
        rest = list(names)
        while rest:
            name = rest.pop()
            if name in found:
                continue
            found.add(name)
            rest.extend(function.sources.get(name, ()))
        # A local variable means nothing elsewhere; what it is made of does.
        return frozenset(found - function.sources.keys())


def rank(program: Program, touched: Touched) -> list[Relevant]:
    """
    Return the invariants that a change may break, the most relevant first.

    Args:
        program: The code and the catalog.
        touched: The change.
    """
    found: dict[str, list[Reason]] = defaultdict(list)
    for source in _SOURCES:
        for identifier, reason in source(program, touched):
            found[invariant_and_clause(identifier)[0]].append(reason)
    ranked = [
        Relevant(entry, program.sites.get(identifier, []), _strongest(reasons))
        for identifier, reasons in found.items()
        if (entry := program.entries.get(identifier)) and entry.invariant.status != "retired"
    ]
    # Prose alone is weak evidence: only much of it counts.
    ranked = [
        each
        for each in ranked
        if any(it.kind != "words" for it in each.reasons) or each.score >= _PROSE
    ]
    _hand_on(ranked, program)
    return sorted(ranked, key=lambda each: (-each.score, each.entry.id))


_Reasons = Iterator[tuple[str, Reason]]


def _strongest(reasons: list[Reason]) -> list[Reason]:
    """The strongest reason of each text; of each kind, every further one counts half as much."""
    best: dict[str, Reason] = {}
    for reason in reasons:
        if reason.text not in best or best[reason.text].weight < reason.weight:
            best[reason.text] = reason
    ordered = sorted(best.values(), key=lambda each: -each.weight)
    count: Counter[str] = Counter()
    weighed = []
    for reason in ordered:
        weighed.append(Reason(reason.kind, reason.text, reason.weight / 2 ** count[reason.kind]))
        count[reason.kind] += 1
    return sorted(weighed, key=lambda each: -each.weight)


def _hand_on(ranked: list[Relevant], program: Program) -> None:
    """Add to each invariant a part of the score of those that the catalog relates to it."""
    scores = {each.entry.id: each.score for each in ranked}
    for each in ranked:
        others = [
            (scores[other], other)
            for other in each.entry.invariant.related
            if scores.get(other, 0) > each.score
        ]
        if others:
            score, other = max(others)
            each.reasons.append(Reason("related", f"related to {other}", score * _RELATED))


# -- the sources of relevance --------------------------------------------------------------------


def _inside(program: Program, touched: Touched) -> _Reasons:
    """Assertions in the changed functions, those beside a changed line first."""
    changed = "\n".join(touched.text)
    for place, lines in touched.functions.items():
        for site in program.sites_in(place):
            if site.origin in changed:
                text = f"the changed lines hold the assertion {site.origin!r}"
                yield site.invariant or "", Reason("assertion", text, _CHANGED_ASSERTION)
                continue
            distance = min((abs(line - site.line) for line in lines), default=_NEAR)
            weight = (
                _INSIDE
                * (0.6 if place[1] == MODULE else 1)
                * (0.6 + 0.4 * max(0, 1 - distance / _NEAR))
            )
            text = f"{site.qualname} asserts {site.origin!r}"
            yield site.invariant or "", Reason("assertion", text, weight)


def _conditions(program: Program, touched: Touched) -> _Reasons:
    """Assertions elsewhere whose conditions read what the change writes or defines."""
    changed_names = names_in_lines(touched.text)
    for place in touched.functions:
        function = program.functions.get(place)
        if function is None:
            continue
        # What the function returns matters to whoever reads its name.
        names = {name: "calls" for name in (function.name,) if name != MODULE}
        # What the changed lines write has a reason of its own.
        others = function.writes - touched.written.get(place[0], set())
        names.update(dict.fromkeys(others, "reads"))
        for site in program.all_sites():
            if (site.file, site.qualname) == place:
                continue
            for name in names.keys() & program.reads(site):
                # A name in the changed lines itself is what the change is about.
                near = 1.0 if name in changed_names or names[name] == "calls" else 0.35
                text = (
                    f"the condition of {site.origin!r} {names[name]} {name},"
                    f" which {'changes' if names[name] == 'calls' else f'{function.qualname} writes'}"
                )
                yield (
                    site.invariant or "",
                    Reason("condition", text, _CONDITION * near * program.share(name)),
                )


def _written(program: Program, touched: Touched) -> _Reasons:
    """Assertions whose conditions read what the changed lines assign, or assigned before."""
    names = set().union(*touched.written.values()) if touched.written else set()
    for site in program.all_sites() if names else ():
        for name in sorted(names & program.reads(site)):
            text = f"the condition of {site.origin!r} reads {name}, which the changed lines write"
            yield site.invariant or "", Reason("condition", text, _CONDITION * program.share(name))


def _calls(program: Program, touched: Touched) -> _Reasons:
    """Assertions in functions that the changed lines call, and in callers of changed functions."""
    called = names_in_lines(touched.text)
    for name in called:
        functions = [each for each in program.named.get(name, ()) if each.name != MODULE]
        for function in functions:
            if function.place in touched.functions:
                continue
            for site in program.sites_in(function.place):
                text = f"the changed lines use {function.qualname}, which asserts {site.origin!r}"
                yield site.invariant or "", Reason("call", text, _CALLEE / len(functions))
    for place in touched.functions:
        name = place[1].rpartition(".")[2]
        # The methods of containers are called everywhere, and seldom mean this function.
        if place[1] == MODULE or name in MUTATORS or len(program.named.get(name, ())) > _NEAR:
            continue
        callers = [each for each in program.callers.get(name, ()) if each.place != place]
        for function in callers:
            for site in program.sites_in(function.place):
                text = f"{function.qualname} calls {place[1]} and asserts {site.origin!r}"
                weight = _CALLER / math.sqrt(len(callers) * len(program.named[name]))
                yield site.invariant or "", Reason("call", text, weight)


def _passed(program: Program, touched: Touched) -> _Reasons:
    """Assertions that the recorded tests of the changed functions hit."""
    for place in touched.functions:
        found = program.passages.get(place, {})
        for site in program.all_sites() if found else ():
            passage = found.get(site.message) or found.get(site.origin)
            if passage is not None and (site.file, site.qualname) != place:
                text = (
                    f"{passage.both} of {passage.tests} tests that run {place[1]}"
                    f" hit {site.origin!r}"
                )
                yield site.invariant or "", Reason("evidence", text, _PASSED * passage.weight)


def _defects(program: Program, touched: Touched) -> _Reasons:
    """Invariants that a seeded defect breaks in a changed function."""
    for defect in program.defects:
        shared = defect.places & touched.functions.keys()
        for place in sorted(shared):
            if place[1] == MODULE:
                continue
            text = f"the seeded defect {defect.name} breaks it in {place[1]}"
            for identifier in defect.invariants:
                yield identifier, Reason("defect", text, _DEFECT / len(defect.places))


def _citations(program: Program, touched: Touched) -> _Reasons:
    """Invariants that comments and strings in the changed functions name."""
    for place in touched.functions:
        function = program.functions.get(place)
        # Assertions cite their invariant; they are counted above.
        own = {invariant_and_clause(site.invariant or "")[0] for site in program.sites_in(place)}
        for identifier in (
            function.cites if function else frozenset()
        ) & program.entries.keys() - own:
            text = f"{place[1]} cites it"
            weight = _CITED * (0.1 if place[1] == MODULE else 1)
            yield identifier, Reason("citation", text, weight)


def _cited_lines(program: Program, touched: Touched) -> _Reasons:
    """Invariants that the changed lines name, such as those of a file that was deleted."""
    for identifier in sorted(set(CITED.findall("\n".join(touched.text))) & program.entries.keys()):
        yield identifier, Reason("citation", "the changed lines cite it", _CITED)


def _places(program: Program, touched: Touched) -> _Reasons:
    """Assertions in the class or file of the changed functions."""
    owners = {(file, name.rpartition(".")[0]) for file, name in touched.functions if "." in name}
    for site in program.all_sites():
        owner = (site.file, site.qualname.rpartition(".")[0])
        if (site.file, site.qualname) in touched.functions:
            continue
        if owner in owners:
            text = f"{owner[1]} asserts {site.origin!r} in another method"
            yield site.invariant or "", Reason("place", text, _SAME_CLASS)
        elif site.file in touched.files:
            yield site.invariant or "", Reason("place", f"{site.file} asserts it", _SAME_FILE)


def _words(program: Program, touched: Touched) -> _Reasons:
    """Invariants whose statement shares rare words with the changed lines and functions."""
    texts = {
        entry.id: set(words_of(f"{entry.id} {entry.invariant.title} {entry.invariant.wording}"))
        for entry in program.entries.values()
    }
    spread = Counter(word for words in texts.values() for word in words)
    mine = Counter(words_of(" ".join(touched.text)))
    for file, qualname in touched.functions:
        mine.update(words_of(f"{file.rpartition('/')[2]} {qualname}"))
    count = len(texts)
    weight = {word: math.log(count / spread[word]) for word in mine if word in spread}
    most = math.sqrt(sum(value**2 for value in weight.values())) or 1
    for identifier, words in texts.items():
        shared = sorted(words & weight.keys(), key=lambda word: -weight[word])
        score = sum(weight[word] ** 2 for word in shared) / most / math.sqrt(1 + len(words))
        if shared:
            text = f"its statement shares the words {', '.join(shared[:3])}"
            yield identifier, Reason("words", text, _WORDS * min(score, 1.0))


_SOURCES = (
    _inside,
    _conditions,
    _written,
    _calls,
    _passed,
    _defects,
    _citations,
    _cited_lines,
    _places,
    _words,
)
