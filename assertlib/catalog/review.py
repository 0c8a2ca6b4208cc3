"""
The review lock: which statement and which assertion somebody has read side by side.

``review.lock`` lies in a catalog's directory and is committed.  For each link it keeps what both
ends were at the review; when either changes, the link is *suspect* until somebody looks again and
says why it is in order.  Code is compared by fingerprint and statements without their line
breaks, so that formatting trips nothing.  The lock is apart from the catalog, since hashes in
files that people write make every typing error an alarm (S-CORE and Doorstop both went through
that), and nothing renews it by itself, since an alarm that clears itself is none.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..model import (
    OTHER_BUCKET,
    Site,
    bucket_message,
    false_message,
    invariant_and_clause,
    origin_and_part,
)
from ..utf8 import REMEDY, EncodingError
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
    "# Which assertions were read beside what they protect; `assertlib catalog review` writes it.\n"
)
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Link(BaseModel):
    """An assertion as it was when it was reviewed; the reason is why a change of it was in order."""

    model_config = _STRICT

    kind: KindName
    condition: str
    fingerprint: str
    clause: str = ""
    targets: tuple[str, ...] = Field(strict=False)
    reason: str = ""

    def is_as(self, other: Link) -> bool:
        """Whether both say that the same is asserted."""
        mine = self.kind, self.fingerprint, self.clause
        return mine == (other.kind, other.fingerprint, other.clause)


def _as_several(links: object) -> object:
    return [links] if isinstance(links, dict) else links


Links = Annotated[tuple[Link, ...], BeforeValidator(_as_several), Field(strict=False, min_length=1)]
"""One, or one for each group of targets in which the message stands for a condition of its own."""


class Reviewed(BaseModel):
    """
    An invariant as it was when its assertions were reviewed; the reason is why a change of its
    statement was in order.
    """

    model_config = _STRICT

    revision: Annotated[int, Field(ge=1)]
    promise: str
    reason: str = ""
    links: dict[str, Links] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = _STRICT

    format: Literal[1] = Field(alias="schema")
    reviewed: dict[str, Reviewed] = Field(default_factory=dict)


@dataclass
class Lock:
    """
    What has been reviewed, by the invariant's id.

    Attributes:
        exists: Whether there is a file; without one nobody reviews here, and nothing is suspect.
        findings: What is wrong with the file.
        text: What stands in it.
    """

    path: Path
    shown: str
    exists: bool = False
    reviewed: dict[str, Reviewed] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    text: str = ""

    def write(self) -> None:
        """
        Put it down, sorted, whole or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        import tomli_w

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
    return {
        **known.model_dump(exclude={"links"}, exclude_defaults=True),
        "promise": known.promise + "\n",
        "links": {
            message: links[0] if len(links) == 1 else links for message, links in written.items()
        },
    }


def read_lock(root: Path, shown: str) -> Lock:
    """
    The lock of the catalog in *root*; what is wrong with it becomes findings.

    Args:
        shown: How findings name the directory.
    """
    lock = Lock(root / LOCK, f"{shown}/{LOCK}")
    try:
        text = read_text(lock.path)
        data = parse_toml(text)
    except FileNotFoundError:
        return lock
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
        said = f"{'.'.join(map(str, problem['loc']))}: {in_words_of_toml(problem['msg'])}"
        lock.findings.append(_wrong(lock.shown, where, said))
        return lock
    lock.reviewed = {
        identifier: each.model_copy(update={"promise": each.promise.rstrip("\n")})
        for identifier, each in known.reviewed.items()
    }
    return lock


def _wrong(file: str, at: tuple[int, int], text: str) -> Finding:
    hint = "take it from version control again, or remove it and review anew"
    return Finding(file, at[0], at[1], "AL105", text, hint)


# -- what has changed ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Suspect:
    """
    A link that is not as it was reviewed, or never was.

    Attributes:
        message: The assertion; empty when the statement has changed, for all that name it.
        site: It, if it is there.
        link: It as it was, if it was reviewed.
        text: What is different.
    """

    code: str
    entry: Entry
    message: str
    site: Site | None
    link: Link | None
    text: str

    def finding(self) -> Finding:
        """It as a finding at the end that has changed."""
        place = (self.entry.file, self.entry.line, 1)
        if self.site is not None:
            place = (self.site.file, self.site.line, self.site.column)
        remedy = RULES[self.code].remedy.replace(" ID", f" {self.entry.id}")
        if self.code == "AL305" and self.site is not None:
            names = f"{shlex.quote(self.message)} {shlex.quote(self.site.message)}"
            remedy = remedy.replace("OLD NEW", names)
        state = self.entry.invariant.promise if self.site is None else self.site.fingerprint
        return Finding(*place, self.code, self.text, remedy, state)


def links_of(sites: Iterable[Site]) -> dict[str, dict[str, Site]]:
    """The assertions that name each invariant, by message; of buckets only one."""
    found: dict[str, dict[str, Site]] = {}
    for site in sites:
        other = bucket_message(site.origin, OTHER_BUCKET)
        is_bucket = site.message.startswith(f"{site.origin} [bucket=") and site.message != other
        if site.invariant and not is_bucket:
            identifier, _ = invariant_and_clause(site.invariant)
            found.setdefault(identifier, {})[site.message] = site
    return found


def suspects(lock: Lock, catalog: Catalog, sites: Iterable[Site], target: str) -> Iterator[Suspect]:
    """What of *target* is not as it was reviewed."""
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
    """Invariants that were reviewed and are in no catalog any more."""
    for identifier in lock.reviewed:
        if catalog.knows(identifier):
            continue
        line = lock.text.count("\n", 0, lock.text.find(f'[reviewed."{identifier}"]')) + 1
        text = f"{identifier} was reviewed, and is in no catalog any more"
        remedy = RULES["AL307"].remedy.replace(" ID", f" {identifier}")
        yield Finding(lock.shown, line, 1, "AL307", text, remedy)


def _never(entry: Entry, site: Site) -> Suspect:
    text = f"{site.message!r} was never reviewed against {entry.id}"
    return Suspect("AL302", entry, site.message, site, None, text)


def _changed(
    entry: Entry, known: Reviewed, here: Mapping[str, Site], target: str, messages: set[str]
) -> Iterator[Suspect]:
    """Args: messages: Of all assertions there are: a name that is taken was not given up."""
    if here:
        yield from _changed_statement(entry, known, here)
    new = {message: site for message, site in here.items() if message not in known.links}
    for message, links in known.links.items():
        site = here.get(message)
        link = _link_of(links, target, site)
        if site is not None:
            yield from _changed_assertion(entry, message, link, site)
        elif target in link.targets:
            renamed = None if message in messages else _renamed(link, new)
            if renamed is not None:
                del new[renamed.message]
                text = f"{renamed.message!r} was {message!r} when it was reviewed"
                yield Suspect("AL305", entry, message, renamed, link, text)
                continue
            text = f"{entry.id}: the assertion {message!r} is gone"
            yield Suspect("AL304", entry, message, None, link, text)
    yield from (_never(entry, site) for site in new.values())


def _link_of(links: Links, target: str, site: Site | None) -> Link:
    """That of *target*; for a target that was not there at the review, one that fits *site*."""
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
    same = [
        each
        for each in new.values()
        if each.fingerprint == link.fingerprint and each.condition == link.condition != ""
    ]
    return same[0] if len(same) == 1 else None


def _changed_statement(entry: Entry, known: Reviewed, here: Collection[str]) -> Iterator[Suspect]:
    revision = entry.invariant.revision
    names = ", ".join(map(repr, sorted(here))) + (" was" if len(here) == 1 else " were")
    if revision < known.revision:
        text = f"{entry.id}: it was reviewed at revision {known.revision}, here is {revision}"
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
    text = f"{message!r} is not as it was reviewed against {entry.id}: {difference(link, site)}"
    yield Suspect("AL301", entry, message, site, link, text)


def difference(link: Link, site: Site) -> str:
    """How the assertion at *site* differs from the one that was reviewed, in a few words."""
    said = []
    was, now = _strength(link.kind), _strength(site.kind.name)
    clause = invariant_and_clause(site.invariant or "")[1] or ""
    if clause != link.clause:
        said.append(f"it cited {_clause(link.clause)} and cites {_clause(clause)} now")
    if site.kind.name != link.kind:
        said.append(f"{link.kind} is {site.kind.name} now{', which is weaker' * (now < was)}")
    if site.condition != link.condition:
        said.append(f"`{link.condition}` is `{site.condition}` now")
        texts = link.condition, site.condition
        is_negated = site.message == false_message(site.origin)
        weaker_by = weakening(*(reversed(texts) if is_negated else texts)) if now <= was else ""
        if weaker_by:
            said.append(f"it reads weaker: {weaker_by}")
    elif not said and site.condition.endswith("…"):
        said.append(f"the condition `{site.condition}` has changed, perhaps behind what is shown")
    elif not said:
        said.append(f"the condition `{site.condition}` reads the same, what it uses does not")
    return "; ".join(said)


def _strength(kind: str) -> int:
    return {"always": 2, "unreachable": 2, "always_or_unreachable": 1}.get(kind, 0)


def _clause(name: str) -> str:
    return f"its clause {name!r}" if name else "no clause"


# -- what is acknowledged -----------------------------------------------------------------------


def acknowledge(
    lock: Lock, entry: Entry, by_target: Mapping[str, Mapping[str, Site]], reason: str
) -> None:
    """Take the invariant and its assertions, of each target, as they are now."""
    known = lock.reviewed.get(entry.id)
    before = known.links if known else {}
    links = {
        message: tuple(_acknowledged(before.get(message, ()), link, reason) for link in several)
        for message, several in _present(by_target).items()
    }
    invariant = entry.invariant
    now = Reviewed(revision=invariant.revision, promise=invariant.promise, links=links)
    if known is not None:
        is_as_before = (known.revision, known.promise) == (now.revision, now.promise)
        now = now.model_copy(update={"reason": known.reason if is_as_before else reason})
    lock.reviewed[entry.id] = now


def _acknowledged(before: tuple[Link, ...], now: Link, reason: str) -> Link:
    """The reason stays with what it was given for."""
    same = next((link for link in before if link.is_as(now)), None)
    return now.model_copy(update={"reason": reason if same is None else same.reason})


def add_new(lock: Lock, entry: Entry, by_target: Mapping[str, Mapping[str, Site]]) -> list[str]:
    """Take in the assertions that were never reviewed, and only these; their messages."""
    present = _present(by_target)
    known = lock.reviewed.get(entry.id)
    if known is None:
        acknowledge(lock, entry, by_target, "")
        return sorted(present)
    new = {message: links for message, links in present.items() if message not in known.links}
    lock.reviewed[entry.id] = known.model_copy(update={"links": {**known.links, **new}})
    return sorted(new)


def forget(lock: Lock, identifier: str) -> None:
    """Take an invariant out that is in no catalog any more."""
    del lock.reviewed[identifier]


def _present(by_target: Mapping[str, Mapping[str, Site]]) -> dict[str, tuple[Link, ...]]:
    present: dict[str, tuple[Link, ...]] = {}
    for target, sites in sorted(by_target.items()):
        for message, site in sites.items():
            link = _link(site, (target,))
            others = present.get(message, ())
            same = [each for each in others if each.is_as(link)]
            merged = link.model_copy(update={"targets": (*(same and same[0].targets), target)})
            rest = tuple(each for each in others if each not in same)
            present[message] = (*rest, merged)
    return present


def rename(lock: Lock, old: str, new: str) -> int:
    """Give the assertion *old*, and its parts, the name *new*; in how many invariants."""
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
    """What was taken out of the statement, and what came in, a sentence a line."""
    lines = difflib.ndiff(known.promise.split("\n"), entry.invariant.promise.split("\n"))
    return [line for line in lines if line[0] in "-+"]
