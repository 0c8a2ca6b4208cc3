"""
Builds the documentation's site: ``python docs/_site/build.py OUTPUT``.

Pages of people are taken as they are; those of rules, commands, configuration and invariants are
generated beside them.  Sphinx's warnings are errors, and every link and anchor inside of the built
site has to lead somewhere.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import typer
from pydantic import BaseModel

from assertlib.catalog.config import KnowledgeSettings, Target
from assertlib.catalog.model import Incident, Invariant, Source, State
from assertlib.catalog.rules import RULES, Rule
from assertlib.cli.app import app_with

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent
ROOT = DOCS.parent


def gather(source: Path) -> None:
    """All pages, those of people and the generated ones, in *source*."""
    figures = [*DOCS.glob("*.svg"), *DOCS.glob("*.png")]
    for path in [*DOCS.glob("*.md"), *figures, HERE / "conf.py", HERE / "index.md"]:
        shutil.copy(path, source)
    (source / "static").mkdir()
    shutil.copy(HERE / "site.css", source / "static")
    for page in source.glob("*.md"):
        page.write_text(_links_inside(page.read_text(encoding="utf-8")), encoding="utf-8")
    (source / "rules").mkdir()
    for rule in RULES.values():
        (source / "rules" / f"{rule.code}.md").write_text(rule_page(rule), encoding="utf-8")
    (source / "rules" / "index.md").write_text(rules_index(), encoding="utf-8")
    (source / "cli.md").write_text(cli_page(), encoding="utf-8")
    (source / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    assertlib = [Path(sys.executable).parent / "assertlib"]
    subprocess.run(
        [*assertlib, "docs", "--live", "-o", source / "invariants"], cwd=ROOT, check=True
    )
    index = source / "invariants" / "index.md"
    toctree = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
    index.write_text(index.read_text(encoding="utf-8") + toctree, encoding="utf-8")


def _links_inside(text: str) -> str:
    """What lies outside of the docs has no page here."""
    return text.replace("](../examples/kvstore/README.md)", "](invariants/index.md)").replace(
        "](../examples/kvstore)", "](invariants/index.md)"
    )


# -- generated pages ----------------------------------------------------------------------------


def rule_page(rule: Rule) -> str:
    return f"""\
# {rule.code}: {rule.title}

{rule.text}

It is {"an error" if rule.severity == "error" else "a warning, and an error with `--strict`"}.
What to do: {rule.remedy}.

Instead of

```text
{rule.bad}
```

write

```text
{rule.good}
```
"""


def rules_index() -> str:
    rows = [
        f"| [{rule.code}]({rule.code}.md) | {rule.severity.value} | {rule.title} |"
        for rule in RULES.values()
    ]
    toctree = ["", "```{toctree}", ":hidden:", ":glob:", "", "AL*", "```", ""]
    head = [
        "# Rules of `assertlib check`",
        "",
        "| rule | severity | what is wrong |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows, *toctree])


def cli_page() -> str:
    command = typer.main.get_command(app_with())
    return "\n".join(["# Commands", "", *_command(command, "assertlib", 2)]) + "\n"


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    # Typer brings a click of its own, whose classes are no classes of click.
    context = command.make_context(name, [], resilient_parsing=True)
    if not hasattr(command, "list_commands"):
        yield from (f"{'#' * level} {name}", "", *_indented(command.help or ""), "")
        rows = [
            (", ".join([*each.opts, *each.secondary_opts]), getattr(each, "help", "") or "")
            for each in command.get_params(context)
        ]
        yield from ("| argument or option | meaning |", "|---|---|")
        yield from (f"| `{names}` | {' '.join(said.split())} |" for names, said in rows)
        yield ""
        return
    for child in sorted(command.list_commands(context)):
        found = command.get_command(context, child)
        if found is not None:
            yield from _command(found, f"{name} {child}", level)


def _indented(text: str) -> Iterator[str]:
    for line in text.strip().splitlines():
        said = line.strip()
        yield f"`{said}`" if said.startswith("Example: ") else said


def configuration_page() -> str:
    lines = [
        "# Configuration",
        "",
        "In `pyproject.toml`, the nearest one above the working directory that has the table, or in `assertlib.toml`, with the same keys and without the prefix `tool.assertlib`.",
        "",
        "| key of `[tool.assertlib]` | meaning |",
        "|---|---|",
        "| `default-target` | The target that commands take when none is named; the first, if not given. |",
        "",
        "## A target",
        "",
        "One table `[tool.assertlib.targets.NAME]` for each thing that runs are judged against.",
        "",
        *_fields(Target),
        "## Knowledge",
        "",
        "The table `[tool.assertlib.knowledge]`: what counts as knowledge of an invariant.",
        "",
        *_fields(KnowledgeSettings),
        "## An invariant",
        "",
        "One table `[name]` of `catalog/area.toml` for the invariant `area.name`; `assertlib catalog schema` prints the schema for editors.",
        "",
        *_fields(Invariant),
        "## An incident",
        "",
        *_fields(Incident),
        "## A state",
        "",
        *_fields(State),
        "## A source",
        "",
        *_fields(Source),
    ]
    return "\n".join(lines)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield from ("| key | needed | meaning |", "|---|---|---|")
    for name, each in model.model_fields.items():
        said = " ".join((each.description or "").replace("``", "`").split())
        yield f"| `{name}` | {'yes' if each.is_required() else ''} | {said} |"
    yield ""


# -- links --------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken_links(site: Path) -> Iterator[str]:
    """Links and anchors inside of *site* that lead nowhere."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in sorted(pages.items()):
        for link in page.links:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            file, anchor = urldefrag(link)
            target = (path.parent / unquote(urlsplit(file).path)).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{path.relative_to(site)}: {link} leads nowhere"
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{path.relative_to(site)}: {link} has no such anchor"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="directory of the site")
    output = parser.parse_args().output.resolve()
    with tempfile.TemporaryDirectory(prefix="assertlib-docs-") as directory:
        source = Path(directory) / "source"
        source.mkdir()
        gather(source)
        sphinx = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run([*sphinx, source, output], env=environment, check=False)
    if done.returncode:
        return done.returncode
    broken = list(broken_links(output))
    print("\n".join(broken) or f"{output / 'index.html'}: every link inside leads somewhere")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
