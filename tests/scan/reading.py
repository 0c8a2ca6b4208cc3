"""What the tests of the scanner share: read a text, look at what was found."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from assertlib.catalog.config import Target
from assertlib.catalog.scan import Scan, scan_sources, scan_target
from assertlib.model import Site

IMPORTS = "from assertlib import *\nfrom assertlib import Invariant, wrapper\n"


def read(text: str, **others: str) -> Scan:
    """Scan *text* as mod.py, and *others* beside it."""
    sources = {"mod.py": dedent(text)}
    sources |= {f"{name}.py": dedent(other) for name, other in others.items()}
    return scan_sources(sources)


def tree(root: Path, **files: str) -> Scan:
    """Write *files* (``pkg__mod`` is pkg/mod.py, ``init`` stands for ``__init__``) and scan them."""
    for name, text in files.items():
        parts = ["__init__" if part == "init" else part for part in name.split("__")]
        path = root.joinpath(*parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return scan_target(root, Target(source=(".",)))


def only(scan: Scan) -> Site:
    """The one site of a scan that has nothing to complain about."""
    assert scan.findings == []
    (site,) = scan.sites
    return site


def found(scan: Scan) -> list[tuple[str, str, str | None]]:
    """Kind, message and invariant of each site."""
    return [(site.kind.name, site.message, site.invariant) for site in scan.sites]


def codes(scan: Scan) -> list[str]:
    """The codes of the findings."""
    return [finding.code for finding in scan.findings]


def lines(scan: Scan, code: str) -> list[int]:
    """The lines of the findings with that *code*."""
    return [finding.line for finding in scan.findings if finding.code == code]
