"""
Assertions of the source as declarations of the wire, for readers who know no other catalog.

Source: the catalog of the Antithesis Python SDK 0.4.0: a line for each assertion with
``hit: false``, and one of guidance for each rich one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ..model import Location, Site, assert_record

_PROPOSITIONS = {"always_some": False, "sometimes_all": True}


def declarations(sites: Iterable[Site]) -> Iterator[str]:
    """The lines that declare *sites*, derived assertions included, each once."""
    seen: set[tuple[str, str]] = set()
    for site in sites:
        if (site.kind.name, site.message) not in seen:
            seen.add((site.kind.name, site.message))
            yield from _declaration(site)


def _declaration(site: Site) -> Iterator[str]:
    location = _location(site)
    body = assert_record(site.kind, site.message, location, hit=False, condition=False)
    yield json.dumps({"antithesis_assert": body}) + "\n"
    guidance = guidance_of(site.form)
    if guidance is not None:
        type, maximize = guidance
        told = {
            "guidance_type": type,
            "id": site.message,
            "message": site.message,
            "location": location.wire(),
            "maximize": maximize,
            "hit": False,
        }
        yield json.dumps({"antithesis_guidance": told}) + "\n"


def guidance_of(form: str) -> tuple[str, bool] | None:
    """Type of the guidance that a primitive gives, and whether more is nearer; None for none."""
    if form in _PROPOSITIONS:
        return "boolean", _PROPOSITIONS[form]
    kind, _, relation = form.partition("_")
    if relation.startswith(("greater_than", "less_than")):
        # What must hold is near to breaking when the gap closes; what shall be seen, when it opens.
        return "numeric", relation.startswith("less") == (kind == "always")
    return None


def _location(site: Site) -> Location:
    return Location(site.file, site.qualname.rpartition(".")[2], site.owner, site.line)
