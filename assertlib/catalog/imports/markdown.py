"""
Reads handwritten lists of invariants in Markdown.

Such lists have no format.  What counts as a statement follows the habits of the lists that public
repositories keep: headings and list items with an id, items that begin with a bold name, tables
with a column for the invariant, numbered rules, headings with fields such as "Enforced by", and
sentences with a capital MUST.  Sections about something else, such as a glossary or a change log,
are left out.

The module has over 500 lines, since all forms share the blocks that the document is split into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from .items import ID, Anchor, Document, Item, anchor_in, one_paragraph
from .markdown_blocks import CODE, LEAD, RULE, TESTS, WHY, Block, Section, Text, sections_of

_APART = ("code", "tests", "other")
"""Labels of paragraphs that are neither the statement nor its reason."""
_TRACE = re.compile(r"\A`?(?P<id>[a-z]+~[\w.-]+~\d+)`?\Z")
_TOPIC = re.compile(
    r"invariant|guarantee|promise|requirement|propert(?:y|ies)|must hold|rules?\b|contract|correctness"
    r"|axiom",
    re.IGNORECASE,
)
_STATEMENT_COLUMN = re.compile(
    r"invariant|rule|guarantee|statement|requirement|property|promise|description|what must hold",
    re.IGNORECASE,
)
_ID_COLUMN = re.compile(r"\A(?:id|#|no\.?|nr\.?|number|key|ref|tag|name)\Z", re.IGNORECASE)
_TITLE_COLUMN = re.compile(r"\A(?:title|name|short)\Z", re.IGNORECASE)
_WHY_COLUMN = re.compile(r"why|reason|rationale", re.IGNORECASE)
_PLACE_COLUMN = re.compile(
    r"enforc|where|code|source|implement|location|file|check|guard|test|verif|cover", re.IGNORECASE
)
_OTHER = r"covers|needs|depends|comments?|notes?|remarks?|status|owner|since|history|tags|links?"
_FIELD = re.compile(
    rf"(?:(?P<why>{WHY})|(?P<code>{CODE})|(?P<tests>{TESTS})|(?P<other>{_OTHER}))"
    r"(?:\s*:\s*|(?<=\b(?:by|in))\s+(?=`))",
    re.IGNORECASE,
)
_RULE_HEADING = re.compile(rf"{RULE}\s*:?\s*\Z", re.IGNORECASE)
_FIELD_HEADING = re.compile(
    rf"(?:{WHY}|{CODE}|{TESTS}|what (?:this|it) prevents|state transitions?|examples?)\s*:?\s*\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\A(?:section\s+)?(?:\d+|[A-Z])(?:\.\d+)*[.)]?\s+", re.IGNORECASE)
_TAGS = re.compile(r"(?:\s*\[[A-Za-z ]{1,12}\])+\s*\Z")
# Inside a paragraph, only after the end of a sentence, or where the words leave no doubt.
_INLINE_FIELD = re.compile(
    rf"(?:(?<=[.!?)])\s+(?:(?P<why>{WHY})|(?P<code>{CODE})|(?P<tests>{TESTS}))\s*:\s*"
    r"|(?<=[.!?)])\s+(?:Checked|Enforced|Tested|Verified|Implemented|Asserted) (?:by|in)\s+)",
    re.IGNORECASE,
)
_NORMATIVE = re.compile(r"\b(?:MUST|SHALL|SHOULD|REQUIRED)\b")
_BOILERPLATE = re.compile(r"RFC ?2119|key ?words|interpreted as described", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\"“])")
_DECISION = re.compile(r"\bdecision\b|\bADR\b", re.IGNORECASE)
_FEW_IDS = 0.1
"""Share of the list items of a document from which it counts as one with ids."""
_MOST_IDS = 0.5
"""Share of the items of a list that must have a form for the list to have it."""


def read_markdown(text: str) -> Document:
    """
    Read a document.

    Args:
        text: Its content; line ends and a byte order mark are normalised.
    """
    return _Reader(sections_of(text)).read()


# -- which of it are statements ---------------------------------------------------------------------


class _Reader:
    """Collects the statements and the anchors of a document."""

    def __init__(self, sections: list[Section]) -> None:
        self._sections = sections
        self._document = Document()
        titles = " ".join(each.title.plain for each in sections)
        self._is_decision = _DECISION.search(titles) is not None and any(
            re.fullmatch(r"(?i)decision( outcome)?|context.*", each.title.plain)
            for each in sections
        )
        self._is_topical = _TOPIC.search(titles) is not None
        lists = [b for each in sections if not each.is_elsewhere for b in each.blocks]
        count = sum(LEAD.match(each.title.plain) is not None for each in sections)
        total = 0
        for block in lists:
            texts = [inner[0].text for inner in block.items if inner] or [block.text]
            count += sum(_has_id(each) for each in texts)
            total += len(block.items)
        # A few are more likely the names of something.
        self._has_ids = count > 1 and count >= _FEW_IDS * total
        self._has_fields = [
            each for each in sections if not each.is_elsewhere and _fields_in(each.blocks)
        ]

    def read(self) -> Document:
        for section in self._sections:
            before = len(self._document.items)
            if not section.is_elsewhere:
                self._take_section(section)
            self._take_anchors(section, is_used=len(self._document.items) > before)
        if not self._document.items and self._is_topical:
            self._take_unmarked()
        self._document.items = [
            each for each in self._document.items if len(each.statement.split()) > 1
        ]
        return self._document

    def _take_unmarked(self) -> None:
        """In a list of invariants without any mark, take each innermost section, or list item."""
        sections = [each for each in self._sections if not each.is_elsewhere]
        for section in sections:
            has_text = any(block.kind == "paragraph" for block in section.blocks)
            if section.level > 1 and not section.has_children and has_text:
                self._take_heading(section, None, None)
                self._take_anchors(section, is_used=True)
        if not self._document.items:
            for section in sections:
                for block in section.blocks:
                    for inner in block.items:
                        self._take_list_item(section, inner)
                self._take_anchors(section, is_used=True)

    def _add(self, item: Item) -> None:
        item.statement = one_paragraph(item.statement)
        item.title = _TAGS.sub("", item.title).strip(" .") if item.title else ""
        if item.statement or item.title:
            item.statement = item.statement or item.title
            self._document.items.append(item)

    def _take_section(self, section: Section) -> None:
        if self._is_decision:
            self._take_decision(section)
            return
        lead = LEAD.match(section.title.plain)
        trace = _trace_of(section)
        if section.level > 1 and _FIELD_HEADING.match(section.title.plain):
            return
        if section.level > 1 and _RULE_HEADING.match(section.title.plain):
            self._take_rule_heading(section)
            return
        if section.level and (lead or trace or self._is_field_heading(section)):
            self._take_heading(section, lead, trace)
            return
        for block in section.blocks:
            if block.kind == "paragraph":
                self._take_paragraph(section, block)
            elif block.kind == "table":
                self._take_table(block)
            elif block.kind in ("bullets", "numbers"):
                self._take_list(section, block)

    def _take_rule_heading(self, section: Section) -> None:
        """Take the content of a heading such as "Invariant", which belongs to the one above it."""
        title = _NUMBER.sub("", "".join(section.parents[-1:]))
        texts = [b.text for b in section.blocks if b.kind == "paragraph"]
        lists = [b for b in section.blocks if b.kind in ("bullets", "numbers")]
        if texts:
            statement = " ".join(_stripped(text)[0] for text in texts)
            self._add(Item(statement, texts[0].line, "", title))
        for block in lists if not texts else ():
            for inner in block.items:
                self._take_list_item(section, inner)

    def _is_field_heading(self, section: Section) -> bool:
        """Whether a heading without an id names a rule: one with fields, below the title."""
        first = next((b for b in section.blocks if b.kind == "paragraph"), None)
        return (
            section in self._has_fields
            and section.level > 1
            and not section.has_children
            and first is not None
            and bool(_stripped(first.text)[0])
            and not any(_is_rule_list(b) for b in section.blocks)
            and not any(b.text.label == "rule" for b in section.blocks)
        )

    def _take_heading(
        self, section: Section, lead: re.Match[str] | None, trace: re.Match[str] | None
    ) -> None:
        title = section.title.plain
        identifier = ""
        if lead is not None:
            identifier, title = lead["id"], title[lead.end() :] or lead["name"] or ""
        elif trace is not None:
            identifier = trace["id"]
        else:
            title = _NUMBER.sub("", title)
        statements: list[str] = []
        whys: list[str] = []
        later: list[Block] = []
        is_over = False
        for block in section.blocks:
            if block.kind != "paragraph":
                # An id in a list below is a rule of its own; after a colon, a list is a part.
                is_list = block.kind in ("bullets", "numbers") and _leads(block)
                if is_list or block.kind == "table":
                    later.append(block)
                elif statements and statements[-1].endswith(":"):
                    # An introduction of sample output does not belong to the statement.
                    statements[-1:] = [statements[-1], *_first_texts(block)][block.kind == "code" :]
                is_over = is_over or bool(statements)
                continue
            if _TRACE.match(block.text.plain.split("\n")[0].strip()):
                # The line of the trace id may be followed by the statement.
                rest = block.text.plain.partition("\n")[2]
                statements += [rest] if rest else []
                continue
            if _is_parenthesis(block.text.plain):
                continue
            label = block.text.label
            if (is_over and not label and not _FIELD.match(block.text.plain)) or label in _APART:
                continue
            if label in ("rule", "why"):
                text, why, _ = _stripped(block.text, skip=len(block.text.bold))
                (statements if label == "rule" else whys).append(text.lstrip(" :."))
                is_over = is_over or label == "why"
                continue
            text, why, is_open = _stripped(block.text)
            statements += [text] if text else []
            whys += [why] if why else []
            if is_open:
                break
        item = Item(" ".join(statements), section.title.line, identifier, title.strip(" ·:.—–-"))
        item.why = one_paragraph(" ".join(whys))
        self._add(item)
        for block in later:
            if block.kind == "table":
                self._take_table(block)
            else:
                self._take_list(section, block)

    def _take_decision(self, section: Section) -> None:
        if not re.search(r"(?i)\bdecision( outcome)?\Z", section.title.plain.strip()):
            return
        lists = [b for b in section.blocks if b.kind in ("bullets", "numbers")]
        for block in lists:
            for inner in block.items:
                self._take_list_item(section, inner)
        if not lists:
            text = " ".join(_stripped(b.text)[0] for b in section.blocks if b.kind == "paragraph")
            title = self._sections[1].title if len(self._sections) > 1 else section.title
            lead = LEAD.match(title.plain)
            name = title.plain[lead.end() :] if lead else title.plain
            self._add(Item(text, section.title.line, lead["id"] if lead else "", name))

    def _take_paragraph(self, section: Section, block: Block) -> None:
        text = block.text
        if text.label == "rule":
            statement, why, _ = _stripped(text, skip=len(text.bold))
            title = _NUMBER.sub("", section.title.plain) if section.level > 1 else ""
            self._add(Item(statement.lstrip(" :."), text.line, "", title, why))
            return
        lead = LEAD.match(text.bold)
        if lead is not None and text.plain.startswith(text.bold):
            statement, why, _ = _stripped(text, skip=len(text.bold))
            name = (lead["name"] or text.bold[lead.end() :]).strip(" ·:.—–-")
            self._add(Item(statement.lstrip(" ·:.—–-"), text.line, lead["id"], name, why))
            return
        plain_lead = LEAD.match(text.plain)
        if plain_lead is not None and re.match(
            r"[:·—–-]|\s[·—–-]", text.plain[len(plain_lead["id"]) :]
        ):
            statement, why, _ = _stripped(text, skip=plain_lead.end())
            self._add(Item(statement, text.line, plain_lead["id"], "", why))
            return
        self._take_normative(text)

    def _take_normative(self, text: Text) -> None:
        offset = 0
        for sentence in _SENTENCE.split(text.plain):
            line = text.line + text.plain[:offset].count("\n")
            offset = text.plain.find(sentence, offset) + len(sentence)
            # Names in code may be in capitals as well.
            words = re.sub(r"`[^`]*`", "", sentence)
            if _NORMATIVE.search(words) and not _BOILERPLATE.search(sentence):
                self._add(Item(sentence, line))

    def _take_table(self, block: Block) -> None:
        header, *rows = block.rows
        names = [each.plain.strip() for each in header]
        ids = [
            at
            for at, name in enumerate(names)
            if _ID_COLUMN.match(name)
            or _holds_ids([row[at].plain for row in rows if at < len(row)])
        ]
        columns = [at for at, name in enumerate(names) if _STATEMENT_COLUMN.search(name)]
        # A column of ids counts if it holds some.
        ids = [
            at for at in ids if any(_has_cell_id(row[at].plain) for row in rows if at < len(row))
        ]
        if not columns:
            columns = [at for at in range(len(names)) if at not in ids][:1] if ids else []
        if not columns:
            return
        titles = [
            at for at, name in enumerate(names) if _TITLE_COLUMN.match(name) and at not in ids
        ]
        whys = [at for at, name in enumerate(names) if _WHY_COLUMN.search(name)]
        for row in rows:
            cells = [*(each.plain.strip() for each in row), *[""] * len(names)]
            if row and row[min(columns[0], len(row) - 1)].struck:
                continue
            item = Item(cells[columns[0]], row[0].line if row else block.line)
            item.external_id = cells[ids[0]].strip("`*[] ") if ids else ""
            lead = LEAD.match(item.external_id)
            if lead is not None and lead.end() < len(item.external_id):
                item.title = item.external_id[lead.end() :]
                item.external_id = lead["id"]
            if titles and titles[0] != columns[0]:
                item.title = cells[titles[0]]
            item.why = cells[whys[0]] if whys else ""
            if item.statement.strip("-– "):
                self._add(item)

    def _take_list(self, section: Section, block: Block) -> None:
        texts = [inner[0].text for inner in block.items if inner and inner[0].kind == "paragraph"]
        if not texts:
            return
        if _leads(block):
            for inner in block.items:
                if inner and LEAD.match(_unchecked(inner[0].text.plain)):
                    self._take_list_item(section, inner)
            return
        if _share(texts, lambda each: bool(each.bold) and _is_named(each)) >= _MOST_IDS:
            # Names alone are a glossary as often as a list of rules.
            if self._is_topical and not self._has_ids:
                for inner in block.items:
                    self._take_list_item(section, inner)
            return
        if self._is_plain_rule_list(texts):
            for inner in block.items:
                self._take_list_item(section, inner)
        else:
            for inner in block.items:
                if inner and inner[0].kind == "paragraph":
                    self._take_normative(inner[0].text)

    def _is_plain_rule_list(self, texts: Sequence[Text]) -> bool:
        """Whether a list without ids and names holds rules."""
        if not self._is_topical or _share(texts, _is_link) >= _MOST_IDS:
            return False
        # In a document with ids, a plain list needs a reference into the code to be one of rules.
        points = any(_anchors_of(each, is_named=False) for each in texts)
        if self._has_ids and not points:
            return False
        return _share(texts, _is_sentence) >= _MOST_IDS

    def _take_list_item(self, section: Section, inner: list[Block]) -> None:
        if not inner or inner[0].kind != "paragraph" or inner[0].text.struck:
            return
        text = inner[0].text
        plain = _unchecked(text.plain)
        start = len(text.plain) - len(plain)
        item = Item("", text.line)
        lead = LEAD.match(plain)
        if lead is not None:
            item.external_id, start = lead["id"], start + lead.end()
            bold = text.bold[len(lead["id"]) :].strip(" ·:.—–-")
            if bold and text.plain[start:].startswith(bold):
                item.title, start = bold, start + len(bold)
        elif text.bold and _is_named(text) and plain.startswith(text.bold):
            item.title, start = text.bold.strip(" ·:.—–-"), start + len(text.bold)
        item.statement, item.why, _ = _stripped(text, skip=start)
        item.statement = item.statement.lstrip(" ·:.—–-)")
        for block in inner[1:]:
            if block.kind == "paragraph":
                item.statement += f" {_stripped(block.text)[0]}"
            for found in _fields_below(block):
                item.why = item.why or found
        self._add(item)
        for block in inner[1:]:
            # An id in a list below is a statement of its own.
            if block.kind in ("bullets", "numbers") and _leads(block):
                self._take_list(section, block)

    # -- references into the code ----------------------------------------------------------------------

    def _take_anchors(self, section: Section, *, is_used: bool) -> None:
        # Pointers of a decision are in the section about how it is confirmed.
        confirms = "confirmation" in section.title.plain.lower()
        if not is_used and not (confirms and self._is_decision):
            return
        found = list(_anchors_in(section.blocks, is_named=confirms))
        self._document.anchors += sorted(found, key=lambda each: each.line)


def _anchors_in(
    blocks: Iterable[Block], *, is_named: bool = False, tests: bool = False
) -> Iterator[Anchor]:
    label = ""
    for block in blocks:
        if block.kind == "paragraph":
            label = block.text.label
            named = is_named or label in ("code", "tests")
            yield from _anchors_of(block.text, is_named=named, tests=tests or label == "tests")
        elif block.kind == "table":
            names = [each.plain for each in block.rows[0]]
            for row in block.rows[1:]:
                for name, cell in zip(names, row, strict=False):
                    is_place = _PLACE_COLUMN.search(name) is not None
                    are_tests = re.search(r"(?i)test|verif|cover", name) is not None
                    yield from _cell_anchors(cell, is_place=is_place, tests=are_tests)
        # A list may follow a label that has a paragraph of its own.
        for inner in block.items:
            named = is_named or label in ("code", "tests")
            yield from _anchors_in(inner, is_named=named, tests=tests or label == "tests")


def _cell_anchors(cell: Text, *, is_place: bool, tests: bool) -> Iterator[Anchor]:
    for code, line in cell.codes:
        anchor = anchor_in(code, line, is_named=is_place, tests=tests)
        if anchor is not None:
            yield anchor
    for word in re.split(r"[,;\s]+", cell.plain) if is_place and not cell.codes else ():
        yield from _plain_anchor(word, cell.line, tests=tests)


def _anchors_of(text: Text, *, is_named: bool, tests: bool = False) -> list[Anchor]:
    """The references in a paragraph; those after "Enforced by:" and the like may be symbols."""
    if text.struck:
        return []
    found: list[Anchor] = []
    spans = list(_labels(text.plain))
    position = 0
    for code, line in text.codes:
        at = text.plain.find(f"`{code}`", position)
        position = at + 1 if at >= 0 else position
        label = next((kind for begin, end, kind in spans if begin <= at < end), "")
        are_tests = tests or label == "tests"
        anchor = anchor_in(code, line, is_named=is_named or bool(label), tests=are_tests)
        if anchor is not None:
            found.append(anchor)
    for begin, end, kind in spans:
        # Pointers without markup, as in "Enforced in: wal/log.go:12".
        plain = text.plain[begin:end]
        if "`" not in plain:
            line = text.line + text.plain[:begin].count("\n")
            for word in re.split(r"[,;\s]+", plain):
                found += _plain_anchor(word, line, tests=kind == "tests")
    return found


def _plain_anchor(word: str, line: int, *, tests: bool) -> Iterator[Anchor]:
    """Parse a word without markup as a reference; a word of a sentence is not one."""
    anchor = anchor_in(word.strip("().[]"), line, is_named=True, tests=tests)
    is_name = re.search(r"[._:]|[a-z][A-Z]", word.strip(".,:")) is not None
    if anchor is not None and (anchor.kind == "file" or is_name):
        yield anchor


def _labels(plain: str) -> Iterator[tuple[int, int, str]]:
    """The spans after a label for places or tests, up to the end of the line or the next label."""
    starts: list[tuple[int, int, str]] = []
    offset = 0
    for line in plain.split("\n"):
        found = _FIELD.match(line)
        if found is not None:
            starts.append((offset, offset + found.end(), _kind(found)))
        offset += len(line) + 1
    for found in _INLINE_FIELD.finditer(plain):
        is_test = re.match(r"\s*(?:Tested|Verified)", found[0], re.IGNORECASE) is not None
        kind = _kind(found) or ("tests" if is_test else "code")
        starts.append((found.start(), found.end(), kind))
    # "Code: x, test: y" names both on one line.
    both = re.finditer(r",\s*tests?\s*:\s*", plain)
    starts += [(found.start(), found.end(), "tests") for found in both]
    starts.sort()
    ends = [*(each[0] for each in starts), len(plain)][1:]
    for (_, begin, kind), following in zip(starts, ends, strict=True):
        end = plain.find("\n", begin)
        # A reference may be on the line after its label.
        stop = following if end < 0 or plain[begin:end].strip() == "" else min(following, end)
        if kind in ("code", "tests"):
            yield begin, max(begin, stop), kind


def _kind(found: re.Match[str]) -> str:
    return next((kind for kind, text in found.groupdict().items() if text), "")


def _stripped(text: Text, skip: int = 0) -> tuple[str, str, bool]:
    """
    Split a paragraph into the statement and the reason; references into the code are left out.

    The last result is whether the paragraph ends with an empty field, whose text follows.
    """
    statement: list[str] = []
    why: list[str] = []
    current: list[str] | None = statement
    is_open = False
    for line in text.plain[skip:].split("\n"):
        found = _FIELD.match(line)
        if found is not None:
            kind = _kind(found)
            current = why if kind == "why" else None
            line = line[found.end() :]
            is_open = not line.strip()
        if current is not None:
            current.append(line)
    joined = " ".join(statement)
    cut = _INLINE_FIELD.search(joined)
    if cut is not None:
        if cut.groupdict().get("why"):
            why.append(joined[cut.end() :])
        joined = joined[: cut.start()]
    # "(`tests/test_log.py::test_x`)" at the end points at the code.
    joined = re.sub(r"\s*\((?:\s*`[^`]*`\s*,?)+\)\s*\Z", "", joined)
    joined = re.sub(r"\s+[—–-]+\s*(?:`[^`]*`[\s,;]*(?:and\s+)?)+\.?\s*\Z", "", joined)
    joined = re.sub(r",?\s*see\s*\Z", "", joined)
    return joined.strip(), one_paragraph(" ".join(why)), is_open


def _fields_in(blocks: Iterable[Block]) -> bool:
    for block in blocks:
        if block.kind == "paragraph":
            for line in block.text.plain.split("\n"):
                found = _FIELD.match(line)
                if found is not None and not found["other"]:
                    return True
            if _INLINE_FIELD.search(block.text.plain):
                return True
    return False


def _fields_below(block: Block) -> Iterator[str]:
    """The reasons in the lines or items below a list item."""
    paragraphs = [block, *(inner[0] for inner in block.items if inner)]
    for each in paragraphs:
        if each.kind == "paragraph":
            why = _stripped(each.text)[1]
            if why:
                yield why


def _trace_of(section: Section) -> re.Match[str] | None:
    first = next((b for b in section.blocks if b.kind == "paragraph"), None)
    return None if first is None else _TRACE.match(first.text.plain.split("\n")[0].strip())


def _unchecked(plain: str) -> str:
    """Remove the box of a task from the beginning of a list item."""
    return re.sub(r"\A\[[ xX]\]\s*", "", plain)


def _leads(block: Block) -> bool:
    texts = [inner[0].text for inner in block.items if inner and inner[0].kind == "paragraph"]
    return _share(texts, _has_id) >= _MOST_IDS


def _has_id(text: Text) -> bool:
    plain = _unchecked(text.plain)
    lead = LEAD.match(plain)
    if lead is None:
        return False
    # The name of a product begins like an id; a separator or bold type makes it one.
    rest = plain[len(lead["id"]) :]
    return text.bold.startswith(lead["id"]) or re.match(r"[:.)]|\s[·—–-]|\s*\(", rest) is not None


def _is_id(text: str) -> bool:
    return re.fullmatch(rf"[`*\[]*(?:{ID}|\d+(?:\.\d+)*)[`*\]]*", text.strip()) is not None


def _holds_ids(cells: Sequence[str]) -> bool:
    count = sum(re.fullmatch(rf"[`*\[]*{ID}[`*\]]*", cell.strip()) is not None for cell in cells)
    return count > 0 and count >= _MOST_IDS * len(cells)


def _has_cell_id(text: str) -> bool:
    return _is_id(text) or LEAD.match(text.strip("`*[] ")) is not None


def _is_named(text: Text) -> bool:
    """Whether a list item begins with a bold name, followed by a colon, dash or full stop."""
    plain = _unchecked(text.plain)
    if not plain.startswith(text.bold):
        return False
    rest = plain[len(text.bold) :]
    return text.bold.rstrip().endswith((":", ".")) or re.match(r"\s*[·:.—–-]", rest) is not None


def _is_link(text: Text) -> bool:
    return len(text.codes) == 1 and text.codes[0][0].startswith("#")


def _is_sentence(text: Text) -> bool:
    plain = _unchecked(text.plain).rstrip()
    return len(plain.split()) > 3 and re.search(r"[.!)]\Z|\.\s", plain) is not None


def _is_rule_list(block: Block) -> bool:
    return block.kind in ("bullets", "numbers") and _leads(block)


def _first_texts(block: Block) -> list[str]:
    return [_stripped(inner[0].text)[0] for inner in block.items if inner]


def _is_parenthesis(plain: str) -> bool:
    return plain.startswith("(") and plain.rstrip().endswith(")")


def _share(texts: Sequence[Text], holds: Callable[[Text], object]) -> float:
    count = sum(bool(holds(each)) for each in texts)
    return count / len(texts) if texts else 0.0
