"""
``assertlib init``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..catalog.config import FILE, Target, find_config, is_toml
from ..catalog.drafts import add_draft
from ..catalog.files import in_line_ends_of, read_as_is, write_whole
from ..catalog.proposals import proposals
from ..evidence.text import counted, one_line
from .catalog import schema_text
from .common import OK, USAGE, command

_CATALOG = """\
#:schema ./schema.json
schema = 1

# One table per invariant; this file's name is the area, so this one is
# store.acked-write-survives.  `assertlib catalog schema` tells all keys.

[acked-write-survives]
title = "An acknowledged write survives a crash"
kind = "safety"
status = "draft" # "active" once an assertion names it
statement = '''
Once a write is acknowledged, every later read returns it or something newer, whatever crashes.
'''
why = '''
Callers act on the acknowledgement: what they were promised must not be gone.
'''
debug = '''
Compare the acknowledged position with what was synced; look at the order of write, sync and reply.
'''
expects = ["always"]
owners = []

[[acked-write-survives.source]]
ref = "where this is known from: a document, an issue, a person's review"
"""

_FOUND = "found"
_MOST = 60
_TITLE = 90
_NO_STORES = ("setup.py", "conftest.py", "test_", "noxfile.py")

_TABLE = """
[tool.assertlib.targets.store]
source = [{source}]
catalog = ["catalog"]
"""


@command
def init(
    directory: Annotated[Path, typer.Argument(help="The project.")] = Path(),
    source: Annotated[
        list[str] | None,
        typer.Option(help="Where the code is; guessed from the packages if not given."),
    ] = None,
) -> int:
    """
    Write a first catalog and configuration; never overwrites anything.

    What asserts, comments and docstrings of the project say must hold is proposed as drafts.
    Then: name an invariant in the code, and run `assertlib check`.

    Example: assertlib init --source src/mystore
    """
    root = directory.resolve()
    if not root.is_dir():
        print(one_line(f"assertlib: {directory} is no directory"), file=sys.stderr)
        return USAGE
    sources = source or _packages(root)
    if not sources:
        remedy = "say where the code is with --source DIR"
        told = f"assertlib: no Python package or module in {root}; {remedy}"
        print(one_line(told), file=sys.stderr)
        return USAGE
    _write(root / "catalog" / "store.toml", _CATALOG)
    _write(root / "catalog" / "schema.json", schema_text())
    if not _configure(root, sources):
        return USAGE
    _propose(root, sources)
    print("next: name an invariant in the code, then run `assertlib check`")
    return OK


def _propose(root: Path, sources: list[str]) -> None:
    """Drafts of what asserts and comments already say."""
    path = root / "catalog" / f"{_FOUND}.toml"
    if path.exists():
        print(one_line(f"kept {path}"))
        return
    found = proposals(root, Target(source=tuple(sources)))
    for each in found[:_MOST]:
        add_draft(
            path.parent,
            f"{_FOUND}.{each.name}",
            _in_one_line(each.statement),
            each.statement,
            f"{each.file}, {each.qualname}",
            f"assert {each.condition}" if each.condition else "a comment or docstring",
        )
    if found:
        more = f", and left out {len(found) - _MOST} more" if len(found) > _MOST else ""
        shown = counted(min(len(found), _MOST), "draft")
        told = f"{shown} from asserts, comments and docstrings{more}; keep what deserves it"
        print(one_line(f"wrote {path}: {told}"))


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1] + "…"


def _packages(root: Path) -> list[str]:
    if (root / "src").is_dir():
        return ["src"]
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    return packages or sorted(
        path.name for path in root.glob("*.py") if not path.name.startswith(_NO_STORES)
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(one_line(f"kept {path}"))
        return
    print(one_line(f"wrote {path}"))


def _configure(root: Path, sources: list[str]) -> bool:
    path = root / FILE
    if path.exists() and find_config(root).file == path:
        print(one_line(f"kept [tool.assertlib] in {path}"))
        return True
    table = _TABLE.format(source=", ".join(json.dumps(name) for name in sources))
    before = read_as_is(path)
    after = before + in_line_ends_of(before, table if before else table.lstrip())
    if not is_toml(after):
        print(one_line(f"assertlib: {path} takes no further table; add this by hand:"))
        print(table)
        return False
    write_whole(path, after)
    print(one_line(f"added [tool.assertlib] to {path}"))
    return True
