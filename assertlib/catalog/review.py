"""
The review lock: a record of which assertions were reviewed against which statements.

``review.lock`` lies in the directory of a catalog and is committed.  For each link between an
invariant and an assertion it records both ends as they were at the review.  Once either changes,
the link is *suspect* until somebody reviews it again and gives a reason.  Code is compared by
fingerprint and statements without their line breaks, so formatting makes no link suspect.

The lock is separate from the catalog, because hashes in files that people edit turn every fixed
typo into an alarm (S-CORE and Doorstop both made that mistake).  Nothing renews it automatically,
because an alarm that clears itself is ignored.

The module has over 500 lines, since reading, comparing and acknowledging share the form of the
lock.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .._text.utf8 import REMEDY, EncodingError
from ..model import (
    OTHER_BUCKET,
    Site,
    bucket_message,
    false_message,
    invariant_and_clause,
    origin_and_part,
)
from .files import read_text, write_whole
from .findings import Finding
from .loader import Catalog, Entry
from .model import KindName
from .positions import nearest, positions
from .pydantic_messages import in_words_of_toml
from .rules import RULES
from .toml import parse_toml
from .weakening import weakening

LOCK = "review.lock"
_HEADER = (
    "# Assertions as they were reviewed against their invariants; written by"
    " `assertlib catalog review`.\n"
)
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Link(BaseModel):
    """An assertion as it was reviewed; the reason justifies its last change."""

    model_config = _STRICT

    kind: KindName
    # For people; the fingerprint decides whether an assertion is still the same.
    condition: str
    fingerprint: str
    clause: str = ""
    targets: tuple[str, ...] = Field(strict=False)
    reason: str = ""

    def is_as(self, other: Link) -> bool:
        """Return whether *other* has the same kind, fingerprint and clause."""
        mine = self.kind, self.fingerprint, self.clause
        return mine == (other.kind, other.fingerprint, other.clause)


def _as_several(links: object) -> object:
    # Most messages have one condition everywhere, so a single link is written as a plain table.
    return [links] if isinstance(links, dict) else links


Links = Annotated[tuple[Link, ...], BeforeValidator(_as_several), Field(strict=False, min_length=1)]
"""One link, or one for each group of targets in which the message has the same condition."""


class Reviewed(BaseModel):
    """
    An invariant as it was when its assertions were reviewed.

    Attributes:
        reason: Justifies the last change of its statement.
        code: The result of the last review of the code around its assertions.
    """

    model_config = _STRICT

    revision: Annotated[int, Field(ge=1)]
    promise: str
    reason: str = ""
    code: str = ""
    links: dict[str, Links] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = _STRICT

    format: Literal[1] = Field(alias="schema")
    reviewed: dict[str, Reviewed] = Field(default_factory=dict)


@dataclass
class Lock:
    """
    The reviews of a catalog.

    Attributes:
        path: The file.
        shown: Name of the file in findings.
        exists: Whether the file exists; without it the project does not review, and no link is
            suspect.
        reviewed: The reviews by the id of the invariant.
        findings: Problems in the file.
        text: Content of the file.
    """

    path: Path
    shown: str
    exists: bool = False
    reviewed: dict[str, Reviewed] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    text: str = ""

    def write(self) -> None:
        """
        Write the file, which is replaced atomically.

        Raises:
            OSError: The file cannot be written.
        """
        # Imported here, since only the commands that write a catalog need it.
        import tomli_w

        # Sorted, so that reviews of different invariants on two branches merge without conflict.
        # An invariant loses its last link when the removal of its assertions is acknowledged.
        tables = {
            identifier: _table(known)
            for identifier, known in sorted(self.reviewed.items())
            if known.links
        }
        text = tomli_w.dumps({"schema": 1, "reviewed": tables}, multiline_strings=True)
        write_whole(self.path, _HEADER + text)


def _table(known: Reviewed) -> dict[str, object]:
    written = {
        message: [link.model_dump(exclude_defaults=True) for link in links]
        for message, links in sorted(known.links.items())
    }
    # The line break at the end makes tomli_w write even a single sentence as a multi-line string,
    # so that a diff of the lock shows sentences.
    return {
        **known.model_dump(exclude={"links"}, exclude_defaults=True),
        "promise": known.promise + "\n",
        "links": {
            message: links[0] if len(links) == 1 else links for message, links in written.items()
        },
    }


def read_lock(root: Path, shown: str) -> Lock:
    """
    Read the lock of a catalog; problems become findings.

    Args:
        root: Directory of the catalog.
        shown: Name of the directory in findings.
    """
    lock = Lock(root / LOCK, f"{shown}/{LOCK}")
    try:
        text = read_text(lock.path)
        data = parse_toml(text)
    except FileNotFoundError:
        return lock
    # A damaged lock exists: if it passed for missing, no link would be suspect any more.
    except EncodingError as error:
        lock.exists = True
        lock.findings.append(Finding(lock.shown, 0, 0, "AL105", error.found, REMEDY))
        return lock
    except (OSError, ValueError) as error:
        lock.exists = True
        lock.findings.append(
            _wrong(
                lock.shown, (0, 0), f"cannot be read: {getattr(error, 'strerror', None) or error}"
            )
        )
        return lock
    lock.exists = True
    lock.text = text
    try:
        known = _File.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        where = nearest(positions(text), problem["loc"])
        message = f"{'.'.join(map(str, problem['loc']))}: {in_words_of_toml(problem['msg'])}"
        lock.findings.append(_wrong(lock.shown, where, message))
        return lock
    lock.reviewed = {
        identifier: each.model_copy(update={"promise": each.promise.rstrip("\n")})
        for identifier, each in known.reviewed.items()
    }
    return lock


def _wrong(file: str, at: tuple[int, int], text: str) -> Finding:
    hint = "restore it from version control, or remove it and review again"
    return Finding(file, at[0], at[1], "AL105", text, hint)


# -- what has changed ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Suspect:
    """
    A link that has changed since its review, or was never reviewed.

    Attributes:
        code: The rule that it breaks.
        entry: The invariant.
        message: The assertion; empty if the statement has changed, which concerns all that cite it.
        site: The assertion in code; None if it is gone.
        link: The assertion as it was reviewed; None if it never was.
        text: Description of the difference.
    """

    code: str
    entry: Entry
    message: str
    site: Site | None
    link: Link | None
    text: str

    def finding(self) -> Finding:
        """Return the finding, placed at the end of the link that has changed."""
        place = (self.entry.file, self.entry.line, 1)
        if self.site is not None:
            place = (self.site.file, self.site.line, self.site.column)
        remedy = RULES[self.code].remedy.replace(" ID", f" {self.entry.id}")
        # The complete command, quoted for a shell, so that it can be copied.
        if self.code == "AL305" and self.site is not None:
            names = f"{shlex.quote(self.message)} {shlex.quote(self.site.message)}"
            remedy = remedy.replace("OLD NEW", names)
        # Part of the fingerprint, so that a baseline hides this change but not the next one.
        state = self.entry.invariant.promise if self.site is None else self.site.fingerprint
        return Finding(*place, self.code, self.text, remedy, state)


def links_of(sites: Iterable[Site]) -> dict[str, dict[str, Site]]:
    """Group *sites* by the invariant they name and by message; one bucket stands for all."""
    # Buckets come and go with the expected values.  The one for unexpected values always exists and
    # has the same condition, so it represents the call.
    found: dict[str, dict[str, Site]] = {}
    for site in sites:
        other = bucket_message(site.origin, OTHER_BUCKET)
        is_bucket = site.message.startswith(f"{site.origin} [bucket=") and site.message != other
        if site.invariant and not is_bucket:
            identifier, _ = invariant_and_clause(site.invariant)
            found.setdefault(identifier, {})[site.message] = site
    return found


def suspects(lock: Lock, catalog: Catalog, sites: Iterable[Site], target: str) -> Iterator[Suspect]:
    """
    Report the links of a target that have changed or were never reviewed.

    Args:
        lock: The review lock of its catalog.
        catalog: The catalog of the target.
        sites: The assertions of the target.
        target: Name of the target.
    """
    # A damaged lock is a finding itself; with all links suspect as well, it would drown.
    if not lock.exists or lock.findings:
        return
    found = list(sites)
    links, messages = links_of(found), {site.message for site in found}
    for entry in catalog.entries.values():
        known = lock.reviewed.get(entry.id)
        here = links.get(entry.id, {})
        if known is None:
            yield from (_never(entry, site) for site in here.values())
        else:
            yield from _changed(entry, known, here, target, messages)


def gone(lock: Lock, catalog: Catalog) -> Iterator[Finding]:
    """Report invariants that *lock* contains and *catalog* no longer does."""
    missing = [identifier for identifier in lock.reviewed if not catalog.knows(identifier)]
    places = positions(lock.text) if missing else {}
    for identifier in missing:
        line, _ = nearest(places, ("reviewed", identifier))
        text = f"{identifier} was reviewed but is no longer in any catalog"
        remedy = RULES["AL307"].remedy.replace(" ID", f" {identifier}")
        yield Finding(lock.shown, line, 1, "AL307", text, remedy)


def _never(entry: Entry, site: Site) -> Suspect:
    text = f"{site.message!r} has never been reviewed against {entry.id}"
    return Suspect("AL302", entry, site.message, site, None, text)


def _changed(
    entry: Entry, known: Reviewed, here: Mapping[str, Site], target: str, messages: set[str]
) -> Iterator[Suspect]:
    """Compare the assertions *here* with the review *known*; *messages* are those of all sites."""
    # A target without assertions of the invariant has nothing to review against its statement.
    if here:
        yield from _changed_statement(entry, known, here)
    new = {message: site for message, site in here.items() if message not in known.links}
    for message, links in known.links.items():
        site = here.get(message)
        link = _link_of(links, target, site)
        if site is not None:
            yield from _changed_assertion(entry, message, link, site)
        # A link that was reviewed in other targets only is not missed in this one.
        elif target in link.targets:
            # A message that another assertion carries now was reused, not renamed.
            renamed = None if message in messages else _renamed(link, new)
            if renamed is not None:
                # Otherwise it would also be reported as never reviewed.
                del new[renamed.message]
                text = f"{renamed.message!r} was reviewed as {message!r}"
                yield Suspect("AL305", entry, message, renamed, link, text)
                continue
            text = f"{entry.id}: the assertion {message!r} is gone"
            yield Suspect("AL304", entry, message, None, link, text)
    yield from (_never(entry, site) for site in new.values())


def _link_of(links: Links, target: str, site: Site | None) -> Link:
    """The link of *target*; for a target that is new since the review, one that fits *site*."""
    own = [link for link in links if target in link.targets]
    fitting = [link for link in links if site is not None and link.is_as(_link(site, ()))]
    return [*own, *fitting, *links][0]


def _link(site: Site, targets: tuple[str, ...]) -> Link:
    return Link.model_validate(
        {
            "kind": site.kind.name,
            "condition": site.condition,
            "fingerprint": site.fingerprint,
            "clause": invariant_and_clause(site.invariant or "")[1] or "",
            "targets": targets,
        }
    )


def _renamed(link: Link, new: Mapping[str, Site]) -> Site | None:
    # A reachable has no condition, so all of them have one fingerprint and none can be recognised.
    # Several candidates are not guessed at: a wrong rename would mix up evidence.
    same = [
        each
        for each in new.values()
        if each.fingerprint == link.fingerprint and each.condition == link.condition != ""
    ]
    return same[0] if len(same) == 1 else None


def _changed_statement(entry: Entry, known: Reviewed, here: Collection[str]) -> Iterator[Suspect]:
    revision = entry.invariant.revision
    names = ", ".join(map(repr, sorted(here))) + (" was" if len(here) == 1 else " were")
    # A lower revision is an error even if the text is the reviewed one: revisions only increase,
    # so the entry or the lock is outdated.
    if revision < known.revision:
        text = f"{entry.id}: reviewed at revision {known.revision}, but the catalog has {revision}"
        yield Suspect("AL303", entry, "", None, None, text)
    elif revision > known.revision:
        text = f"{entry.id}: its meaning has changed (revision {revision}) since {names}"
        yield Suspect("AL301", entry, "", None, None, f"{text} reviewed against it")
    elif entry.invariant.promise != known.promise:
        text = f"{entry.id}: its statement has changed since {names} reviewed against it"
        yield Suspect("AL301", entry, "", None, None, text)


def _changed_assertion(entry: Entry, message: str, link: Link, site: Site) -> Iterator[Suspect]:
    if link.is_as(_link(site, ())):
        return
    changes = difference(link, site)
    text = f"{message!r} has changed since it was reviewed against {entry.id}: {changes}"
    yield Suspect("AL301", entry, message, site, link, text)


def difference(link: Link, site: Site) -> str:
    """Describe how the assertion at *site* differs from the reviewed *link*."""
    changes = []
    was, now = _strength(link.kind), _strength(site.kind.name)
    clause = invariant_and_clause(site.invariant or "")[1] or ""
    if clause != link.clause:
        changes.append(f"it cites {_clause(clause)} instead of {_clause(link.clause)}")
    if site.kind.name != link.kind:
        changes.append(f"{link.kind} became {site.kind.name}{', which is weaker' * (now < was)}")
    if site.condition != link.condition:
        changes.append(f"`{link.condition}` became `{site.condition}`")
        # The [false] half of sometimes_both records the same text and claims its negation, so it is
        # weaker where the text is stronger.  A stronger kind outweighs a looser condition.
        texts = link.condition, site.condition
        is_negated = site.message == false_message(site.origin)
        weaker_by = weakening(*(reversed(texts) if is_negated else texts)) if now <= was else ""
        if weaker_by:
            changes.append(f"it appears to be weaker: {weaker_by}")
    # The scan shortens long conditions, so equal texts do not prove equal conditions.
    elif not changes and site.condition.endswith("…"):
        changes.append(f"the condition `{site.condition}` has changed, perhaps beyond this excerpt")
    elif not changes:
        changes.append(f"`{site.condition}` reads the same, but something it uses has changed")
    return "; ".join(changes)


def _strength(kind: str) -> int:
    # A sometimes or reachable claims something else, and ranks below every claim about all hits.
    return {"always": 2, "unreachable": 2, "always_or_unreachable": 1}.get(kind, 0)


def _clause(name: str) -> str:
    return f"its clause {name!r}" if name else "no clause"


# -- what is acknowledged -----------------------------------------------------------------------


def acknowledge(
    lock: Lock, entry: Entry, by_target: Mapping[str, Mapping[str, Site]], reason: str
) -> None:
    """
    Record an invariant and its assertions as reviewed in their current form.

    Args:
        lock: The lock to change; it is not written.
        entry: The invariant.
        by_target: Its assertions by message, for each target that shares the catalog.
        reason: The justification for what has changed since the last review.
    """
    known = lock.reviewed.get(entry.id)
    before = known.links if known else {}
    links = {
        message: tuple(_acknowledged(before.get(message, ()), link, reason) for link in several)
        for message, several in _present(by_target).items()
    }
    invariant = entry.invariant
    now = Reviewed(revision=invariant.revision, promise=invariant.promise, links=links)
    if known is not None:
        # A reason justifies one change, so it survives reviews of anything else.
        is_as_before = (known.revision, known.promise) == (now.revision, now.promise)
        kept = {"reason": known.reason if is_as_before else reason, "code": known.code}
        now = now.model_copy(update=kept)
    lock.reviewed[entry.id] = now


def acknowledge_code(lock: Lock, identifier: str, reason: str) -> None:
    """
    Record that the code around the assertions of an invariant was read.

    Args:
        lock: The lock to change; it is not written.
        identifier: Id of an invariant that the lock contains.
        reason: The result of reading it.
    """
    known = lock.reviewed[identifier]
    lock.reviewed[identifier] = known.model_copy(update={"code": reason})


def _acknowledged(before: tuple[Link, ...], now: Link, reason: str) -> Link:
    """Return *now* with its reason: the given one only if it differs from each link *before*."""
    same = next((link for link in before if link.is_as(now)), None)
    return now.model_copy(update={"reason": reason if same is None else same.reason})


def add_new(lock: Lock, entry: Entry, by_target: Mapping[str, Mapping[str, Site]]) -> list[str]:
    """
    Record assertions that were never reviewed, and leave all other links unchanged.

    Args:
        lock: The lock to change; it is not written.
        entry: The invariant.
        by_target: Its assertions by message, for each target that shares the catalog.

    Returns:
        The messages that were added.
    """
    present = _present(by_target)
    known = lock.reviewed.get(entry.id)
    if known is None:
        acknowledge(lock, entry, by_target, "")
        return sorted(present)
    new = {message: links for message, links in present.items() if message not in known.links}
    lock.reviewed[entry.id] = known.model_copy(update={"links": {**known.links, **new}})
    return sorted(new)


def forget(lock: Lock, identifier: str) -> None:
    """Remove the invariant *identifier*, which is no longer in any catalog, from *lock*."""
    del lock.reviewed[identifier]


def _present(by_target: Mapping[str, Mapping[str, Site]]) -> dict[str, tuple[Link, ...]]:
    present: dict[str, tuple[Link, ...]] = {}
    for target, sites in sorted(by_target.items()):
        for message, site in sites.items():
            link = _link(site, (target,))
            others = present.get(message, ())
            # Targets that agree share one link; at most one of *others* agrees.
            same = [each for each in others if each.is_as(link)]
            merged = link.model_copy(update={"targets": (*(same and same[0].targets), target)})
            rest = tuple(each for each in others if each not in same)
            present[message] = (*rest, merged)
    return present


def rename(lock: Lock, old: str, new: str) -> int:
    """
    Rename an assertion, and its parts, in a lock.

    Args:
        lock: The lock to change; it is not written.
        old: The message in the lock.
        new: The message that replaces it.

    Returns:
        The number of invariants whose links changed.
    """
    count = 0
    for identifier, known in lock.reviewed.items():
        renamed = {name: _renamed_link(name, old, new) for name in known.links}
        if any(name != now for name, now in renamed.items()):
            links = {renamed[name]: link for name, link in known.links.items()}
            lock.reviewed[identifier] = known.model_copy(update={"links": links})
            count += 1
    return count


def _renamed_link(name: str, old: str, new: str) -> str:
    if name == old:
        return new
    origin, part = origin_and_part(name)
    return new + part if origin == old else name


def statement_difference(known: Reviewed, entry: Entry) -> list[str]:
    """Return the sentences removed from and added to the statement since *known*, as a diff."""
    # ndiff also yields hints that begin with "?" and point at characters.
    lines = difflib.ndiff(known.promise.split("\n"), entry.invariant.promise.split("\n"))
    return [line for line in lines if line[0] in "-+"]
