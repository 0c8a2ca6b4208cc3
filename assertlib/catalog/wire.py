"""
Exports the assertions in source as declarations in the wire format of the Antithesis SDKs.

Source: the catalog of the Antithesis Python SDK 0.4.0, which has a line with ``hit: false`` for
each assertion, and a line of guidance for each rich assertion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ..forms import FORMS
from ..model import Location, Site, assert_record


def declarations(sites: Iterable[Site]) -> Iterator[str]:
    """Yield the lines that declare *sites*, derived assertions included, each once."""
    # One message with two kinds is a finding of `check`; here, each kind has its declaration.
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
        declared = {
            "guidance_type": type,
            "id": site.message,
            "message": site.message,
            "location": location.wire(),
            "maximize": maximize,
            "hit": False,
        }
        yield json.dumps({"antithesis_guidance": declared}) + "\n"


def guidance_of(name: str) -> tuple[str, bool] | None:
    """Return the guidance type of form *name*, and whether it maximizes; None without guidance."""
    form = FORMS.get(name)
    return None if form is None or form.guidance is None else (form.guidance, form.maximize)


def _location(site: Site) -> Location:
    # As in the process, which records the last part of a qualified name and the class apart.
    return Location(site.file, site.qualname.rpartition(".")[2], site.owner, site.line)
