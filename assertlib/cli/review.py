"""
``assertlib catalog review``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from ..catalog.check import Checked
from ..catalog.findings import did_you_mean
from ..catalog.loader import Entry
from ..catalog.review import (
    Lock,
    Suspect,
    acknowledge,
    acknowledge_code,
    add_new,
    forget,
    links_of,
    statement_difference,
)
from ..evidence.text import counted
from ..model import Site
from .common import (
    OK,
    USAGE,
    WRONG,
    ProjectOption,
    TargetOption,
    command,
    configuration,
    sharing_targets,
    unread_source,
)


@command
def review(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Invariant ids, e.g. wal.fsync-before-ack."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-r", help="Acknowledge the change with this justification."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Accept all links that have never been reviewed.")
    ] = False,
    code: Annotated[
        bool,
        typer.Option(
            "--code", help="Record that the changed code around the assertions was reviewed."
        ),
    ] = False,
    target: TargetOption = None,
    project: ProjectOption = None,
) -> int:
    """
    Show assertions and invariants that have changed since their last review together; acknowledge
    them by id.

    Without ids, shows all of them; exit code 1 if there are any.  With ids and --reason, records
    the current state of both in review.lock; commit that file.  The first review creates it.
    --code records a review of code whose assertions are unchanged, for `assertlib check --diff`.

    Example: assertlib catalog review wal.fsync-before-ack --reason "index == synced is on disk too"
    """
    config = configuration(project)
    sharing = sharing_targets(config, target)
    # The lock is next to the catalog, so it is common to all targets that share it.
    lock = sharing[0].lock
    if lock is None:
        return _usage("the target has no catalog of its own in which to keep a review.lock")
    if lock.findings:
        return _usage(str(lock.findings[0]))
    # A review of an incomplete scan would record the absence of links.
    unread = unread_source(config, sharing)
    if unread:
        return _usage(f"{unread[0]}; its assertions would count as removed")
    entries = sharing[0].catalog.entries
    for each in ids or ():
        if each not in entries and each not in lock.reviewed:
            hint = did_you_mean(each, entries) or "`assertlib catalog list` lists them all"
            return _usage(f"unknown invariant {each!r}; {hint}")
    if reason is not None and not reason.strip():
        return _usage("--reason is empty; justify the change")
    if reason and not ids:
        return _usage("--reason requires invariant ids; changes cannot be acknowledged in bulk")
    if code:
        return _review_code(lock, ids or [], reason)
    if new:
        return _accept_new(lock, sharing, [each for each in ids or entries if each in entries])
    if ids and reason and not lock.exists:
        return _begin(lock, sharing, ids, reason)
    wanted = [each for each in _suspects(sharing) if not ids or each.entry.id in ids]
    # An invariant that disappears together with its assertions leaves no other trace.
    lost = [each for each in lock.reviewed if each not in entries and (not ids or each in ids)]
    _show(wanted, lock)
    for each in lost:
        print(f"{lock.shown}: AL307 {each} was reviewed but is no longer in any catalog")
    if ids and reason:
        return _acknowledge(lock, sharing, wanted, lost, reason)
    if not lock.exists:
        print("nothing has been reviewed yet; start with `assertlib catalog review --new`")
    for line in _advice({*(each.code for each in wanted), *("AL307" for _ in lost)}):
        print(line)
    return WRONG if wanted or lost else OK


def _advice(codes: set[str]) -> Iterator[str]:
    if "AL305" in codes:
        yield "to record a rename: assertlib catalog rename OLD NEW"
    if "AL302" in codes:
        yield "to accept links that have never been reviewed: assertlib catalog review --new"
    if codes - {"AL302", "AL305"}:
        yield 'to acknowledge: assertlib catalog review ID... --reason "..."'


def _usage(text: str) -> int:
    print(f"assertlib: {text}", file=sys.stderr)
    return USAGE


def _suspects(sharing: list[Checked]) -> list[Suspect]:
    """Suspect links, without duplicates across targets."""
    found: dict[tuple[str, str, str], Suspect] = {}
    for checked in sharing:
        for each in checked.suspects:
            found.setdefault((each.code, each.entry.id, each.message), each)
    return sorted(found.values(), key=lambda each: (each.entry.id, each.message, each.code))


def _by_target(entry: Entry, sharing: list[Checked]) -> dict[str, dict[str, Site]]:
    return {each.name: links_of(each.scan.sites).get(entry.id, {}) for each in sharing}


def _accept_new(lock: Lock, sharing: list[Checked], ids: list[str]) -> int:
    accepted = 0
    for each in ids:
        entry = sharing[0].catalog.entries[each]
        by_target = _by_target(entry, sharing)
        if any(by_target.values()):
            accepted += len(add_new(lock, entry, by_target))
    if not accepted:
        print("all links have been reviewed")
        return OK
    lock.write()
    print(f"{lock.shown}: {counted(accepted, 'link')} accepted; commit it")
    return OK


def _begin(lock: Lock, sharing: list[Checked], ids: list[str], reason: str) -> int:
    """Record the first review of a project, which has no suspect links yet."""
    by_id = {each: _by_target(sharing[0].catalog.entries[each], sharing) for each in ids}
    uncited = [each for each, by_target in by_id.items() if not any(by_target.values())]
    if uncited:
        return _usage(f"no assertion cites {uncited[0]}: there is nothing to review it against")
    for each, by_target in by_id.items():
        acknowledge(lock, sharing[0].catalog.entries[each], by_target, reason)
    lock.write()
    print(f"{lock.shown}: {', '.join(by_id)} reviewed; commit it")
    cited = {id for checked in sharing for id in links_of(checked.scan.sites)}
    others = len(cited & sharing[0].catalog.entries.keys() - by_id.keys())
    if others:
        text = f"{counted(others, 'other invariant')} with assertions will be reported as never reviewed"
        print(f"{text}; to accept all their links: assertlib catalog review --new")
    return OK


def _acknowledge(
    lock: Lock, sharing: list[Checked], wanted: list[Suspect], lost: list[str], reason: str
) -> int:
    # To acknowledge a rename as a change would cut the assertion off from its evidence.
    renamed = [each.finding().remedy for each in wanted if each.code == "AL305"]
    if renamed:
        return _usage(f"{renamed[0]}, so that its evidence carries over; then review")
    entries = {each.entry.id: each.entry for each in wanted}
    if not entries and not lost:
        print("no changes since the last review")
        return OK
    for entry in entries.values():
        acknowledge(lock, entry, _by_target(entry, sharing), reason)
    for each in lost:
        forget(lock, each)
    lock.write()
    if entries:
        print(f"{lock.shown}: {', '.join(entries)} acknowledged; commit it")
    if lost:
        print(f"{lock.shown}: {', '.join(lost)} removed; give the reason in the commit as well")
    return OK


def _review_code(lock: Lock, ids: list[str], reason: str | None) -> int:
    if not ids or not reason:
        return _usage("--code requires invariant ids and --reason")
    unknown = [each for each in ids if each not in lock.reviewed]
    if unknown:
        hint = f"assertlib catalog review {unknown[0]} --reason ..."
        return _usage(f"{unknown[0]} has never been reviewed; begin with `{hint}`")
    same = [each for each in ids if lock.reviewed[each].code == reason]
    if same:
        return _usage(f"the last review of {same[0]} gave the same reason; describe this change")
    for each in ids:
        acknowledge_code(lock, each, reason)
    lock.write()
    print(f"{lock.shown}: code of {', '.join(ids)} reviewed; commit it")
    return OK


def _show(wanted: list[Suspect], lock: Lock) -> None:
    for each in wanted:
        finding = each.finding()
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        print(f"{place}: {each.code} {each.text}")
        known = lock.reviewed.get(each.entry.id)
        if known is not None and not each.message:
            for line in statement_difference(known, each.entry):
                print(f"    {line}")
            if known.reason:
                print(f"    last acknowledged because: {known.reason}")
        elif each.link is not None and each.code in ("AL301", "AL304"):
            print(f"    - {each.link.kind}: {each.link.condition}")
            if each.site is not None:
                print(f"    + {each.site.kind.name}: {each.site.condition}")
        if each.link is not None and each.link.reason:
            print(f"    last acknowledged because: {each.link.reason}")
