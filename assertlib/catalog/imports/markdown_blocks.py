"""
The structure of a Markdown document, as far as lists of invariants need it: sections with their
paragraphs, lists and tables, each with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .items import ID

LEAD = re.compile(
    rf"\[?(?P<id>{ID})(?=[\s·:.)(\]—–-]|\Z)[\s·:.)\]—–-]*(?:\((?P<name>[^()]*)\)[\s·:.—–-]*)?"
)
_ELSEWHERE = re.compile(
    r"\b(?:how (?:do|to)|getting started|change ?log|history|contribut\w+|adding|legend|glossary|faq"
    r"|questions?|notes?|references?|bibliography|see also|to ?do|not (?:an? )?(?:invariants?|rules?)"
    r"|non-?(?:goals?|invariants?)|background|introduction|appendix|platforms?|consequences|options"
    r"|alternatives|context|status|confirmation|more information|terms|terminology|acknowledge?ments"
    r"|thanks|merci|house ?keeping|table of contents|contents|scope|license|process|workflow"
    r"|credits|about|maintain\w*|conventions?|links?)\b",
    re.IGNORECASE,
)
WHY = r"why(?: it matters)?|rationale|reason(?:ing)?|motivation|because"
CODE = (
    r"enforced(?: in| by| at)?|enforcement|implemented(?: in| by)?|implementation|code|source|sources"
    r"|where|checked(?: in| by)?|guarded by|location|files?|see(?: also)?|asserted (?:in|by)|anchor"
)
TESTS = r"tested by|tests?|verified by|covered by|test(?:ed)? in"
RULE = (
    r"(?:the )?(?:invariants?|rules?|statements?|propert(?:y|ies)|guarantees?|requirements?|promises?"
    r"|purpose|meaning|definition|description)"
)
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_LABEL_WORDS = 6


@dataclass
class Text:
    """
    Inline text.

    Attributes:
        plain: The text without markup, with its line breaks.
        bold: The bold text that it begins with; empty for none.
        codes: Code spans and link targets, each with its line.
        struck: Whether it is struck through.
        label: What a bold label at its beginning announces: ``rule``, ``why``, ``code``, ``tests``
            or ``other``; empty without a label.
    """

    plain: str
    line: int
    bold: str = ""
    codes: list[tuple[str, int]] = field(default_factory=list)
    struck: bool = False
    label: str = ""


@dataclass
class Block:
    """A heading, paragraph, list or table, with what it contains."""

    kind: str
    line: int
    text: Text = field(default_factory=lambda: Text("", 0))
    level: int = 0
    items: list[list[Block]] = field(default_factory=list)
    rows: list[list[Text]] = field(default_factory=list)


@dataclass
class Section:
    """A heading and what follows it, up to the next heading."""

    title: Text
    level: int
    blocks: list[Block] = field(default_factory=list)
    is_elsewhere: bool = False
    parents: tuple[str, ...] = ()
    has_children: bool = False


def sections_of(text: str) -> list[Section]:
    """Return the sections of a document, the first of which is what comes before any heading."""
    front = _FRONT.match(text)
    # As many empty lines, so that places stay right.
    text = "\n" * front[0].count("\n") + text[front.end() :] if front else text
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return _sections(_blocks(iter(parser.parse(text))))


def _blocks(tokens: Iterator[Token]) -> list[Block]:
    """The blocks up to the end of the surrounding one."""
    found: list[Block] = []
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        if token.type.endswith("_close"):
            break
        if token.type == "heading_open":
            found.append(Block("heading", line, _inline(next(tokens), line), int(token.tag[1:])))
            next(tokens)
        elif token.type == "paragraph_open":
            found.append(Block("paragraph", line, _inline(next(tokens), line)))
            next(tokens)
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            kind = "bullets" if token.type.startswith("bullet") else "numbers"
            found.append(Block(kind, line, items=_list_items(tokens)))
        elif token.type in ("fence", "code_block"):
            found.append(Block("code", line))
        elif token.type == "table_open":
            found.append(Block("table", line, rows=_rows(tokens)))
        elif token.type.endswith("_open"):
            # A quotation: another document states its content.
            _blocks(tokens)
    return found


def _list_items(tokens: Iterator[Token]) -> list[list[Block]]:
    items = []
    for token in tokens:
        if token.type.endswith("list_close"):
            break
        if token.type == "list_item_open":
            items.append(_blocks(tokens))
    return items


def _rows(tokens: Iterator[Token]) -> list[list[Text]]:
    rows: list[list[Text]] = []
    line = 0
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            line = token.map[0] + 1 if token.map else line
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token, line))
    return rows


def _inline(token: Token, line: int) -> Text:
    found = Text("", line)
    parts: list[str] = []
    bold: list[str] | None = None
    struck = 0
    total = 0
    for child in token.children or []:
        here = (
            line + "".join(parts).count("\n") if child.type in ("code_inline", "link_open") else 0
        )
        if child.type == "strong_open" and not "".join(parts).strip(" []x"):
            bold = []
        elif child.type == "strong_close" and bold is not None and not found.bold:
            found.bold = "".join(bold)
            bold = None
        elif child.type in ("s_open", "s_close"):
            struck += 1 if child.type == "s_open" else -1
        elif child.type == "link_open":
            found.codes.append((str(child.attrs.get("href", "")), here))
        elif child.type == "code_inline":
            found.codes.append((child.content, here))
        piece = "\n" if child.type in ("softbreak", "hardbreak") else child.content
        if child.type in ("text", "code_inline", "softbreak", "hardbreak"):
            total += len(piece) if struck else 0
            parts.append(f"`{piece}`" if child.type == "code_inline" else piece)
            if bold is not None:
                bold.append(piece)
    found.plain = "".join(parts)
    found.label = _label_of(found)
    found.struck = total > len(found.plain) / 4
    return found


def _label_of(text: Text) -> str:
    """What a bold label such as "**Why.**" or "**Enforced by:**" announces."""
    bold = text.bold.strip()
    rest = text.plain[len(text.bold) :]
    if not bold or not text.plain.startswith(text.bold) or LEAD.match(bold):
        return ""
    if not (bold.endswith((".", ":")) or rest.startswith(":")) or len(bold.split()) > _LABEL_WORDS:
        return ""
    name = bold.rstrip(".:").lower()
    for kind, pattern in (("rule", RULE), ("code", f"{CODE}|guarded by"), ("tests", TESTS)):
        if re.fullmatch(pattern, name):
            return kind
    return "why" if re.match(rf"(?:{WHY})\b", name) else "other"


def _sections(blocks: Iterable[Block]) -> list[Section]:
    sections = [Section(Text("", 1), 0)]
    path: list[Section] = sections[:]
    for block in blocks:
        if block.kind != "heading":
            sections[-1].blocks.append(block)
            continue
        while path[-1].level >= block.level:
            path.pop()
        section = Section(block.text, block.level)
        section.parents = tuple(each.title.plain for each in path[1:])
        plain = block.text.plain
        is_statement = LEAD.match(plain) is not None
        section.is_elsewhere = path[-1].is_elsewhere or (
            (_ELSEWHERE.search(plain) is not None or plain.rstrip().endswith("?"))
            and not is_statement
            # The title of the document, or a heading that is about invariants after all.
            and len(path) > 1
        )
        path[-1].has_children = True
        path.append(section)
        sections.append(section)
    return sections
