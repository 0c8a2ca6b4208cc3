"""
Joins catalog and code, and reports where the two disagree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ..model import (
    ALWAYS_OR_UNREACHABLE,
    OTHER_BUCKET,
    REACHABLE,
    SOMETIMES,
    Site,
    antecedent_message,
    bucket_message,
    claimed_kinds,
    invariant_and_clause,
)
from .config import Config, Target
from .drafts import placeholders
from .files import files_in
from .findings import UNREAD_SOURCE, Finding, Severity, did_you_mean
from .loader import Catalog, Entry, load
from .review import Lock, gone, read_lock, suspects
from .rules import RULES
from .scan import Scan, scan_target
from .spelling import misspelt


class Checked:
    """
    A target with its catalog, its scan, and the findings about both.

    Args:
        name: Name of the target.
        catalog: The catalog of the target.
        scan: The scan of its source, after `Catalog.assign` was applied to the sites.
        lock: The review lock; None if the target has no catalog of its own.
        others: Further findings to include.

    Attributes:
        suspects: Links that have changed since their review, or were never reviewed.
        findings: All findings in order, without those that unread source may explain.
    """

    def __init__(
        self,
        name: str,
        catalog: Catalog,
        scan: Scan,
        lock: Lock | None = None,
        others: Iterable[Finding] = (),
    ) -> None:
        self.name = name
        self.catalog = catalog
        self.scan = scan
        self.lock = lock
        self.suspects = list(suspects(lock, catalog, scan.sites, name)) if lock else []
        # A set: the parts of a derived assertion stand in one place and yield equal findings.
        found = {*catalog.findings, *scan.findings, *_joined(catalog, scan.sites)}
        found.update(each.finding() for each in self.suspects)
        found.update((*lock.findings, *gone(lock, catalog)) if lock else ())
        found.update(others)
        found.update(_used_again(catalog, scan.sites))
        found.update(misspelt(catalog, scan.sites))
        found.update(_unfilled(catalog))
        self.findings = sorted(_without_consequences(found))

    def errors(self, *, strict: bool) -> list[Finding]:
        """Return the findings that fail the check; *strict* includes warnings."""
        return [finding for finding in self.findings if strict or is_error(finding)]

    def __repr__(self) -> str:
        return f"<Checked {self.name}: {len(self.findings)} findings>"


def check(config: Config, name: str, target: Target) -> Checked:
    """
    Check the source of a target against its catalogs.

    Args:
        config: The configuration of the project.
        name: Name of the target, as in the configuration.
        target: Its sources and catalogs.

    Raises:
        ConfigError: The target names a catalog that does not ship with assertlib.
    """
    catalog = load(config.catalog_roots(target), config.root, target.without)
    # Reviews belong to a project, so the lock is never looked for in a shipped catalog.
    own = config.own_catalog(target)
    lock = read_lock(config.root / own, own) if own else None
    scan = scan_target(Path(config.root), target)
    # Before anything is joined, so that assigned sites count like sites that name an invariant.
    scan.sites = [catalog.assign(site) for site in scan.sites]
    return Checked(name, catalog, scan, lock, _check_reproductions(config, catalog))


# Findings that claim that code is missing, which is unknown while any source is unread.
_OF_ABSENCE = ("AL201", "AL202", "AL203", "AL304")


def _without_consequences(found: set[Finding]) -> Iterable[Finding]:
    """Drop findings of absence if source could not be read, since they may be consequences."""
    if not any(each.code in UNREAD_SOURCE for each in found):
        return found
    return [each for each in found if each.code not in _OF_ABSENCE]


def is_error(finding: Finding) -> bool:
    """Return whether *finding* fails even a check that is not strict."""
    return RULES[finding.code].severity is Severity.ERROR


def _used_again(catalog: Catalog, sites: list[Site]) -> Iterator[Finding]:
    """Report messages that a rename replaced and that code uses again."""
    for site in sites:
        new = catalog.renames.messages.get(site.origin)
        # One site per call: the parts of an assertion share its origin, and sometimes_each has no
        # site with the bare message, but always one for the bucket of unexpected values.
        if new is not None and site.message in (
            site.origin,
            bucket_message(site.origin, OTHER_BUCKET),
        ):
            yield _at_site(site, "AL306", f"{site.origin!r} was replaced by {new!r}")


def _joined(catalog: Catalog, sites: list[Site]) -> Iterator[Finding]:
    cited: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        if site.invariant is not None:
            cited[invariant_and_clause(site.invariant)[0]].append(site)
        yield from _check_site(catalog, site)
    messages = {site.message for site in sites}
    yield from _check_assigned(catalog, sites)
    for entry in catalog.entries.values():
        # The kinds of assertions in code that is not scanned are unknown, so none is missing.
        if entry.counts and not catalog.assigned_to(entry.id, messages):
            yield from _check_entry(entry, cited[entry.id], messages)


def _check_assigned(catalog: Catalog, sites: list[Site]) -> Iterator[Finding]:
    here = {site.origin: site for site in sites}
    for message, assigned in catalog.assigned.items():
        site = here.get(message)
        if site is not None and site.is_python:
            text = f"{message!r} is a Python assertion, at {site.file}:{site.line}"
            yield _at_line(assigned.file, assigned.line, "AL119", text)
        elif site is None:
            # A site that was scanned carries its assignment, so `_check_site` checks the id.
            identifier, clause = invariant_and_clause(assigned.invariant)
            entry = catalog.entries.get(identifier)
            if entry is None and not catalog.knows(identifier):
                text = f"{message!r} is assigned to {identifier!r}, which is not in any catalog"
                hint = did_you_mean(identifier, catalog.entries)
                yield _at_line(assigned.file, assigned.line, "AL101", text, hint)
            elif entry is not None and clause not in (
                None, *entry.invariant.clauses, *entry.invariant.states,
            ):  # fmt: skip
                hint = did_you_mean(
                    str(clause), [*entry.invariant.clauses, *entry.invariant.states]
                )
                text = f"{identifier!r} has no clause or state {clause!r}"
                yield _at_line(assigned.file, assigned.line, "AL115", text, hint)


def _at_line(file: str, line: int, code: str, text: str, hint: str = "") -> Finding:
    return Finding(file, line, 1, code, text, hint or RULES[code].remedy)


def _check_site(catalog: Catalog, site: Site) -> Iterator[Finding]:
    other_bucket = bucket_message(site.origin, OTHER_BUCKET)
    if site.message not in (site.origin, other_bucket) or site.invariant == "":
        # An empty invariant is an id that is not a literal, which the scan reports as AL114.
        return
    if site.invariant is None:
        hint = "" if site.is_python else "assign one to it with [[assertion]] in the catalog"
        yield _at_site(site, "AL205", f"{site.origin!r} names no invariant", hint)
        return
    identifier, clause = invariant_and_clause(site.invariant)
    entry = catalog.entries.get(identifier)
    # An entry that exists and cannot be read has a finding of its own.
    if entry is None and catalog.knows(identifier):
        return
    if entry is None:
        hint = did_you_mean(identifier, catalog.entries)
        text = f"{site.origin!r} names {identifier!r}, which is not in any catalog"
        yield _at_site(site, "AL101", text, hint)
    elif entry.invariant.status == "retired":
        replaced = entry.invariant.replaced_by
        hint = f"{replaced!r} replaces it" if replaced else ""
        yield _at_site(site, "AL204", f"{identifier!r} is retired", hint)
    elif clause is not None and clause in entry.invariant.states:
        if site.kind not in (SOMETIMES, REACHABLE):
            text = f"{site.origin!r} is an `{site.kind.name}` but cites the state {clause!r}"
            yield _at_site(site, "AL118", text)
    elif clause is not None and clause not in entry.invariant.clauses:
        hint = did_you_mean(clause, [*entry.invariant.clauses, *entry.invariant.states])
        yield _at_site(site, "AL115", f"{identifier!r} has no clause or state {clause!r}", hint)


def _at_site(site: Site, code: str, text: str, hint: str = "") -> Finding:
    return Finding(site.file, site.line, site.column, code, text, hint or RULES[code].remedy)


def _check_entry(entry: Entry, sites: list[Site], messages: set[str]) -> Iterator[Finding]:
    if not sites:
        yield _at_entry(entry, "AL201", "no assertion names it")
        return
    present = kinds_of(sites, messages)
    for kind in entry.invariant.expects:
        if kind not in present:
            yield _at_entry(entry, "AL202", f"it expects {kind} but has none")
    clauses = {invariant_and_clause(site.invariant or "")[1] for site in sites}
    for clause in entry.invariant.clauses:
        if clause not in clauses:
            yield _at_entry(entry, "AL203", f"no assertion cites its clause {clause!r}")
    if not entry.invariant.source or not entry.invariant.debug:
        yield _at_entry(entry, "AL401", "it has no source or no `debug` text")


def kinds_of(sites: Iterable[Site], messages: Collection[str]) -> Counter[str]:
    """
    Count the kinds that assertions claim.

    Args:
        sites: The assertions of one invariant.
        messages: The messages of all assertions; an antecedent among them marks its other half
            as an always_if.
    """
    return Counter(kind for site in sites for kind in _claimed(site, messages))


def _claimed(site: Site, messages: Collection[str]) -> frozenset[str]:
    has_antecedent = (
        site.kind is ALWAYS_OR_UNREACHABLE and antecedent_message(site.message) in messages
    )
    return claimed_kinds(site.kind, site.message, has_antecedent=has_antecedent)


def _check_reproductions(config: Config, catalog: Catalog) -> Iterator[Finding]:
    """Report seeded defects and tests that incidents name and this project does not have."""
    directories = [config.root / each.defects for each in config.targets.values() if each.defects]
    defects = {path.stem for each in directories for path in files_in(each, ".patch")}
    for entry in catalog.entries.values():
        # A catalog outside the project, such as the shipped one, names tests of another project.
        if Path(entry.file).is_absolute():
            continue
        names = {name for incident in entry.invariant.incident for name in incident.reproduce}
        for name in sorted(names - defects):
            # Tests are named like node ids of pytest; only the file part is checked.
            if not (config.root / name.partition("::")[0]).is_file():
                yield _at_entry(entry, "AL402", f"no seeded defect or test {name!r} exists")


def _unfilled(catalog: Catalog) -> Iterator[Finding]:
    """Report entries that still hold text of a template, drafts once for each file."""
    drafts: dict[str, list[Entry]] = defaultdict(list)
    for entry in catalog.entries.values():
        keys = placeholders(entry.invariant)
        if keys and entry.invariant.status == "draft":
            drafts[entry.file].append(entry)
        elif keys:
            yield _at_entry(entry, "AL403", f"placeholder text in {', '.join(keys)}")
    for entries in drafts.values():
        first, count = entries[0], len(entries)
        text = f"placeholder text in {', '.join(placeholders(first.invariant))}"
        text += f" (the first of {count} such drafts in this file)" if count > 1 else ""
        yield _at_entry(first, "AL403", text)


def _at_entry(entry: Entry, code: str, text: str) -> Finding:
    return Finding(entry.file, entry.line, 1, code, f"{entry.id}: {text}", RULES[code].remedy)
