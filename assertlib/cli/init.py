"""
``assertlib init``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import FILE, OWN_FILE, Target, find_config, is_toml
from ..catalog.drafts import REF, add_draft
from ..catalog.files import in_line_ends_of, read_as_is, write_whole
from ..catalog.proposals import proposals
from ..evidence.text import counted, one_line
from .catalog import schema_text
from .common import OK, USAGE, command

_CATALOG = f"""\
#:schema ./schema.json
schema = 1

# One table per invariant; this file's name is the area, so this one is
# store.acked-write-survives.  `assertlib catalog schema` documents all keys.

[acked-write-survives]
title = "An acknowledged write survives a crash"
kind = "safety"
status = "draft" # "active" once an assertion names it
statement = '''
Once a write is acknowledged, every later read returns it or something newer, whatever crashes.
'''
why = '''
Callers act on the acknowledgement, so an acknowledged write must not be lost.
'''
debug = '''
Compare the acknowledged position with the synced one; check the order of write, sync and reply.
'''
expects = ["always"]
owners = []

[[acked-write-survives.source]]
ref = "{REF}"
"""

_FOUND = "found"
_MOST = 60
_TITLE = 90
# Beginnings of the names of modules that are tooling or tests.
_NOT_STORES = ("setup.py", "conftest.py", "test_", "noxfile.py")

_TABLE = """
[{prefix}targets.store]
source = [{source}]
catalog = ["catalog"]
"""


@command
def init(
    directory: Annotated[Path, typer.Argument(help="Project directory.")] = Path(),
    source: Annotated[
        list[str] | None,
        typer.Option(help="Source directory; default: the packages found."),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=0, help="Maximum number of drafts.")
    ] = _MOST,
) -> int:
    """
    Create a catalog and configuration without overwriting anything.

    Drafts invariants from the asserts, comments and docstrings in Python, Go and Rust source,
    starting with the files that most other files use.  Without a pyproject.toml, a project in Go
    or Rust gets an assertlib.toml.  Next, name an invariant in an assertion and run
    `assertlib check`.

    Example: assertlib init --source src/mystore
    """
    root = directory.resolve()
    if not root.is_dir():
        print(one_line(f"assertlib: {directory} is not a directory"), file=sys.stderr)
        return USAGE
    sources = source or _packages(root)
    if not sources:
        remedy = "name the source directory with --source DIR"
        text = f"assertlib: no Python, Go or Rust source in {root}; {remedy}"
        print(one_line(text), file=sys.stderr)
        return USAGE
    _write(root / "catalog" / "store.toml", _CATALOG)
    _write(root / "catalog" / "schema.json", schema_text())
    if not _configure(root, sources):
        return USAGE
    _propose(root, sources, most)
    print("next: name an invariant in an assertion, then run `assertlib check`")
    return OK


def _propose(root: Path, sources: list[str], most: int) -> None:
    """Draft invariants from existing asserts, comments and docstrings."""
    path = root / "catalog" / f"{_FOUND}.toml"
    # Drafts that were renamed or deleted in a review must not reappear.
    if path.exists():
        print(one_line(f"kept {path}"))
        return
    found = proposals(root, Target(source=tuple(sources)))
    for each in found[:most]:
        add_draft(
            path.parent,
            f"{_FOUND}.{each.name}",
            _in_one_line(each.statement),
            each.statement,
            f"{each.file}, {each.qualname}",
            f"assert {each.condition}" if each.condition else "a comment or docstring",
        )
    if found:
        more = f", {len(found) - most} more omitted (--most)" if len(found) > most else ""
        shown = counted(min(len(found), most), "draft")
        text = f"{shown} from asserts, comments and docstrings{more}; review each"
        print(one_line(f"wrote {path}: {text}"))


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1] + "…"


def _packages(root: Path) -> list[str]:
    # In a src layout all packages are in one directory, which need not be a package.
    if (root / "src").is_dir():
        return ["src"]
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    modules = sorted(
        path.name for path in root.glob("*.py") if not path.name.startswith(_NOT_STORES)
    )
    # A module of Go and a workspace of Rust have their sources anywhere below them.
    is_foreign = (root / "go.mod").exists() or (root / "Cargo.toml").exists()
    return packages or modules or (["."] if is_foreign else [])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Exclusively, so that no file is overwritten, whatever happens meanwhile.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(one_line(f"kept {path}"))
        return
    print(one_line(f"wrote {path}"))


def _configure(root: Path, sources: list[str]) -> bool:
    # The configuration of a project around this one does not count.
    present = find_config(root).file
    if present is not None and present.parent == root:
        print(one_line(f"kept the configuration in {present}"))
        return True
    is_foreign = (root / "go.mod").exists() or (root / "Cargo.toml").exists()
    path = root / (OWN_FILE if is_foreign and not (root / FILE).exists() else FILE)
    prefix = "" if path.name == OWN_FILE else "tool.assertlib."
    listed = ", ".join(json.dumps(name) for name in sources)
    table = _TABLE.format(prefix=prefix, source=listed)
    before = read_as_is(path)
    after = before + in_line_ends_of(before, table if before else table.lstrip())
    # A table cannot be added to one that is written inline, as in ``tool = {}``.
    if not is_toml(after):
        print(one_line(f"assertlib: cannot append to {path}; add this by hand:"))
        print(table)
        return False
    write_whole(path, after)
    print(one_line(f"added a target to {path}"))
    return True
