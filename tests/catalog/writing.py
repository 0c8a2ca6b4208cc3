"""What the tests of the catalog share: write catalog files, load them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from assertlib.catalog.check import Checked
from assertlib.catalog.findings import Finding
from assertlib.catalog.loader import Catalog, load
from assertlib.catalog.scan import scan_sources

HEAD = "schema = 1\n"
GOOD = """\
[durable-ack]
title = "An acknowledged write survives"
kind = "safety"
status = "active"
statement = "What was acknowledged is there."
why = "Callers act on it."
debug = "Look at the order of sync and reply."
expects = ["always"]

[[durable-ack.source]]
ref = "etcd docs"
"""
DRAFT = """\
title = "t"
kind = "safety"
status = "draft"
statement = "s"
why = "w"
"""


def entry(name: str, more: str = "", *, status: str = "draft") -> str:
    """A table that is fine, with *more* lines at its end."""
    return f"[{name}]\n{DRAFT.replace('draft', status)}{dedent(more)}\n"


def write(root: Path, **files: str | bytes) -> Path:
    """Write catalog files, called by their areas, and return the directory."""
    root.mkdir(parents=True, exist_ok=True)
    for area, text in files.items():
        data = text if isinstance(text, bytes) else dedent(text).encode()
        (root / f"{area}.toml").write_bytes(data)
    return root


def loaded(base: Path, text: str | bytes, area: str = "kv") -> Catalog:
    """The catalog of one file, called catalog/kv.toml."""
    return load([write(base / "catalog", **{area: text})], base)


def only(base: Path, text: str | bytes) -> Finding:
    """The one finding of a file."""
    (finding,) = loaded(base, text).findings
    return finding


def line_of(text: str, part: str) -> tuple[int, int]:
    """Line and column of the first place where *text* has *part*."""
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def joined(base: Path, catalog: str, code: str) -> list[Finding]:
    """The findings of a catalog and a source text together."""
    return Checked("store", loaded(base, catalog), scan_sources({"log.py": dedent(code)})).findings
