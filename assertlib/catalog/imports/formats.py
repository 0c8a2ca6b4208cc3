"""
Reads the formats of requirement tools, and chooses the reader of a file.

StrictDoc and the directives of sphinx-needs have small grammars, which are read here.  YAML and
ReqIF are read by libraries of the extra ``import``.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._text.utf8 import EncodingError
from ..files import read_text
from .items import Anchor, Document, ImportedFileError, Item, anchor_in, one_paragraph
from .markdown import read_markdown

_MOST_BYTES = 20_000_000
_NOT_STATEMENTS = frozenset(
    ["TEXT", "DOCUMENT", "SECTION", "GRAMMAR", "FREETEXT", "DOCUMENT_FROM_FILE", "COMPOSITE"]
)
# Exactly: `needtable` and its like are directives that list needs.
_NEED_TYPES = frozenset(
    [
        "req",
        "requirement",
        "need",
        "spec",
        "invariant",
        "rule",
        "constraint",
        "guarantee",
        "property",
    ]
)
_PLACES = ("implemented_in", "implementation", "enforced_by", "code", "source", "file", "location")
_TESTS = ("tested_by", "test", "tests", "verified_by")


def read_document(path: Path, root: Path) -> Document:
    """
    Read a document in the format that its name and content suggest.

    Args:
        path: A file, or the directory of a Doorstop document.
        root: Directory of the project.

    Raises:
        ImportedFileError: The file cannot be read, or is in no known format.
    """
    try:
        return _read(path, root)
    except OSError as error:
        raise ImportedFileError(f"{path}: {error.strerror}") from None
    except EncodingError as error:
        raise ImportedFileError(f"{path}: {error}") from None
    except RecursionError:
        raise ImportedFileError(f"{path}: nested too deeply") from None


def _read(path: Path, root: Path) -> Document:
    if path.is_dir():
        return _read_doorstop(path, root)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise ImportedFileError(f"{path}: unknown format; known suffixes are {known}")
    if path.stat().st_size > _MOST_BYTES:
        raise ImportedFileError(f"{path}: larger than {_MOST_BYTES:,} bytes; split it")
    return reader(path, read_text(path))


# -- StrictDoc -------------------------------------------------------------------------------------


_SDOC_NODE = re.compile(r"\[(/?)(\[?)(/?)([A-Z][A-Z0-9_ ]*)\]?\]\Z")
_SDOC_FIELD = re.compile(r"([A-Z][A-Z0-9_ ]*):(?: (.*)|\Z)")


def _read_sdoc(path: Path, text: str) -> Document:
    document = Document()
    for name, line, fields in _sdoc_nodes(text.split("\n")):
        statement = fields.get("STATEMENT", ("", line))[0]
        if name in _NOT_STATEMENTS or not statement.strip():
            continue
        document.items.append(
            Item(
                one_paragraph(statement),
                line,
                fields.get("UID", ("", 0))[0],
                fields.get("TITLE", ("", 0))[0],
                one_paragraph(fields.get("RATIONALE", ("", 0))[0]),
            )
        )
        for value, at in fields.values():
            document.anchors += _relations(value, at)
    return document


def _relations(value: str, line: int) -> Iterator[Anchor]:
    """The files that a list of relations names."""
    lines = value.split("\n")
    for at, each in enumerate(lines[:-1]):
        if re.match(r"- TYPE: File\b", each):
            found = re.match(r"\s+VALUE: (\S+)", lines[at + 1])
            if found is not None:
                yield Anchor(found[1], line + at + 1, "file")


def _sdoc_nodes(lines: list[str]) -> Iterator[tuple[str, int, dict[str, tuple[str, int]]]]:
    """Name, line and fields of each node."""
    name, start = "", 0
    fields: dict[str, tuple[str, int]] = {}
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        node = _SDOC_NODE.match(line)
        field = _SDOC_FIELD.match(line)
        if node is not None:
            if name:
                yield name, start, fields
            is_end = bool(node[1] or node[3])
            name, start, fields = ("" if is_end else node[4]), at + 1, {}
        elif field is not None and name:
            value, following = _sdoc_value(lines, at, field[2] or "")
            fields[field[1]] = (value, at + 1)
            at = following
            continue
        at += 1
    if name:
        yield name, start, fields


def _sdoc_value(lines: list[str], at: int, first: str) -> tuple[str, int]:
    """The value of the field on line *at*, and the line after it."""
    if first.strip() == ">>>":
        end = at + 1
        while end < len(lines) and lines[end].rstrip() != "<<<":
            end += 1
        return "\n".join(lines[at + 1 : end]), end + 1
    end = at + 1
    if not first.strip():
        # A list, such as that of the relations; its items are indented or begin with a hyphen.
        while end < len(lines) and lines[end].startswith(("-", " ")):
            end += 1
        return "\n".join(lines[at + 1 : end]), end
    return first.strip(), end


# -- Doorstop --------------------------------------------------------------------------------------


def _yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ImportedFileError(f"{path}: needs pip install 'assertlib-sdk[import]'") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0]
        raise ImportedFileError(f"{path}: not YAML: {reason}") from None


def _read_doorstop(directory: Path, root: Path) -> Document:
    files = [
        path
        for path in sorted(directory.rglob("*.yml"))
        if not any(part.startswith(".") for part in path.relative_to(directory).parts)
    ]
    if not files:
        raise ImportedFileError(f"{directory}: a directory without Doorstop items (*.yml)")
    found: list[tuple[tuple[int, ...], Item, list[Anchor]]] = []
    base = root.resolve()
    for path in files:
        text = read_text(path)
        data = _yaml(path, text)
        document = _read_doorstop_item(path, text, data)
        for item in document.items:
            place = path.resolve()
            item.file = (
                place.relative_to(base).as_posix() if place.is_relative_to(base) else str(path)
            )
            numbers = tuple(int(part) for part in re.findall(r"\d+", str(data.get("level", 0))))
            anchors = [replace(each, file=item.file) for each in document.anchors]
            found.append((numbers, item, anchors))
    found.sort(key=lambda each: (each[0], each[1].external_id))
    merged = Document([item for _, item, _ in found])
    for _, _, anchors in found:
        merged.anchors += anchors
    return merged


def _read_doorstop_item(path: Path, text: str, data: Any) -> Document:
    # Anything but a string may be a nest of aliases, which expands to more than memory holds.
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise ImportedFileError(f"{path}: not an item of Doorstop, whose `text` is a string")
    if data.get("active", True) is False or data.get("normative", True) is False:
        return Document()
    line = next((at for at, each in enumerate(text.split("\n"), 1) if each.startswith("text:")), 1)
    item = Item(one_paragraph(data["text"]), line, path.stem)
    header = data.get("header")
    item.title = one_paragraph(header) if isinstance(header, str) else ""
    document = Document([item] if item.statement else [])
    references = data.get("references") or []
    named = [each for each in references if isinstance(each, dict)]
    places = [each.get(key) for each in named for key in ("path", "keyword")]
    for place in [data.get("ref"), *places]:
        is_text = isinstance(place, str) and bool(place)
        anchor = anchor_in(str(place), line, is_named=True) if is_text else None
        document.anchors += [anchor] if anchor else []
    return document


# -- sphinx-needs ----------------------------------------------------------------------------------


def _read_needs(path: Path, text: str) -> Document:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ImportedFileError(f"{path}: not JSON: {error}") from None
    versions = data.get("versions") if isinstance(data, dict) else None
    if not isinstance(versions, dict) or not versions:
        raise ImportedFileError(f"{path}: not the needs.json of sphinx-needs: no `versions`")
    current = versions.get(str(data.get("current_version")), list(versions.values())[-1])
    needs = current.get("needs") if isinstance(current, dict) else None
    if not isinstance(needs, dict):
        raise ImportedFileError(f"{path}: the current version has no `needs`")
    document = Document()
    # Where a need stands in this file; its own line is that of another document.
    lines = {found[1]: text.count("\n", 0, found.start()) + 1 for found in _keys(text)}
    for identifier, need in needs.items():
        if not isinstance(need, dict) or not _is_needed(str(need.get("type", "req"))):
            continue
        line = lines.get(identifier, 1)
        statement = str(need.get("content") or need.get("description") or need.get("title") or "")
        document.items.append(
            Item(
                one_paragraph(statement),
                line,
                str(need.get("id") or identifier),
                one_paragraph(str(need.get("title") or "")),
                one_paragraph(str(need.get("rationale") or "")),
            )
        )
        document.anchors += _need_anchors(need, line)
    return document


def _keys(text: str) -> Iterator[re.Match[str]]:
    return re.finditer(r'"([^"\\\n]+)"\s*:\s*\{', text)


def _is_needed(kind: str) -> bool:
    return kind.lower() in _NEED_TYPES


def _need_anchors(need: Mapping[str, Any], line: int) -> Iterator[Anchor]:
    for name in (*_PLACES, *_TESTS):
        value = need.get(name)
        values = value if isinstance(value, list) else [value]
        for each in values:
            anchor = (
                anchor_in(each, line, is_named=True, tests=name in _TESTS)
                if isinstance(each, str)
                else None
            )
            if anchor is not None:
                yield anchor


_DIRECTIVE = re.compile(r"(?P<indent>\s*)\.\.(?:\s+(?P<name>[\w-]+)::\s*(?P<title>.*)|\s.*|\Z)")
_OPTION = re.compile(r"\s+:(?P<name>[\w-]+):\s*(?P<value>.*)")


def _read_rst(path: Path, text: str) -> Document:
    document = Document()
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        found = _DIRECTIVE.match(line)
        if found is None:
            at += 1
            continue
        end = _block_end(lines, at, len(found["indent"]))
        if found["name"] and _is_needed(found["name"]):
            _take_directive(document, lines[at:end], at + 1, found["title"])
        # The content of comments and code blocks is skipped; others may hold requirements.
        is_opaque = not found["name"] or found["name"].startswith(("code", "literal", "parsed"))
        at = end if is_opaque else at + 1
    return document


def _block_end(lines: list[str], at: int, indent: int) -> int:
    """The line after the block that begins on line *at*."""
    end = at + 1
    while end < len(lines):
        line = lines[end]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        end += 1
    return end


def _take_directive(document: Document, lines: list[str], start: int, title: str) -> None:
    options: dict[str, str] = {}
    body, name = 1, ""
    # A title and an option may go on on the next line, up to an empty one.
    while body < len(lines) and lines[body].strip():
        option = _OPTION.match(lines[body])
        if option is not None:
            name = option["name"]
            options[name] = option["value"].strip()
        elif name:
            options[name] += f" {lines[body].strip()}"
        else:
            title = f"{title} {lines[body].strip()}"
        body += 1
    # Needs inside this one are statements of their own.
    own = itertools.takewhile(lambda line: not _DIRECTIVE.fullmatch(line), lines[body:])
    statement = one_paragraph("\n".join(own)) or title
    item = Item(statement, start, options.get("id", ""), title.strip())
    item.why = options.get("rationale", "")
    document.items.append(item)
    document.anchors += _need_anchors(options, start)


# -- ReqIF -----------------------------------------------------------------------------------------


_REQIF_ID = re.compile(r"foreign.?id|\bid\b|identifier|number|uid", re.IGNORECASE)
_REQIF_TEXT = re.compile(r"text|statement|description|requirement", re.IGNORECASE)
_REQIF_TITLE = re.compile(r"name|title|heading", re.IGNORECASE)
_REQIF_CHAPTER = re.compile(r"chapter", re.IGNORECASE)


def _read_reqif(path: Path, text: str) -> Document:
    # The parser would expand entities, which a hostile file nests until memory ends.
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ImportedFileError(f"{path}: declares a DOCTYPE or entities; remove them")
    try:
        from reqif.parser import ReqIFParser
    except ImportError:
        raise ImportedFileError(f"{path}: needs pip install 'assertlib-sdk[import]'") from None
    try:
        content = ReqIFParser.parse(str(path)).core_content.req_if_content
        names = _reqif_names(content)
        objects = {each.identifier: each for each in content.spec_objects or []}
        order = [
            name for each in content.specifications or [] for name in _reqif_order(each.children)
        ]
    # Whatever the library raises for a file that is damaged or of another schema.
    except Exception as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ImportedFileError(f"{path}: not ReqIF: {reason}") from None
    document = Document()
    for identifier in dict.fromkeys([*order, *objects]):
        item = _reqif_item(objects.get(identifier), names, text)
        document.items += [item] if item is not None else []
    return document


def _reqif_names(content: Any) -> dict[str, str]:
    return {
        definition.identifier: definition.long_name or ""
        for kind in content.spec_types or []
        for definition in getattr(kind, "attribute_definitions", None) or []
    }


def _reqif_order(children: Any) -> Iterator[str]:
    for child in children or []:
        yield child.spec_object
        yield from _reqif_order(child.children)


def _reqif_item(found: Any, names: Mapping[str, str], text: str) -> Item | None:
    if found is None:
        return None
    values = [
        (names.get(each.definition_ref, each.definition_ref), _value(each))
        for each in found.attributes
        if isinstance(each.value, str)
    ]
    statement = _first(values, _REQIF_TEXT)
    # A chapter is a heading of the specification.
    if not statement or _first(values, _REQIF_CHAPTER):
        return None
    line = text.count("\n", 0, max(text.find(f'"{found.identifier}"'), 0)) + 1
    identifier = _first(values, _REQIF_ID) or found.identifier
    return Item(statement, line, identifier, _first(values, _REQIF_TITLE))


def _first(values: list[tuple[str, str]], pattern: re.Pattern[str]) -> str:
    return next((value for name, value in values if pattern.search(name)), "")


def _value(attribute: Any) -> str:
    # Only XHTML has tags; in a string, `<` is a comparison.
    is_xhtml = getattr(attribute.attribute_type, "name", "") == "XHTML"
    return _plain(attribute.value) if is_xhtml else one_paragraph(attribute.value)


def _plain(value: str) -> str:
    """The text of a value without the tags of XHTML."""
    import html

    return one_paragraph(html.unescape(re.sub(r"<[^>]*>", " ", value)))


def _read_markdown(path: Path, text: str) -> Document:
    return read_markdown(text)


def _read_yaml(path: Path, text: str) -> Document:
    return _read_doorstop_item(path, text, _yaml(path, text))


_READERS: dict[str, Callable[[Path, str], Document]] = {
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".sdoc": _read_sdoc,
    ".yml": _read_yaml,
    ".yaml": _read_yaml,
    ".json": _read_needs,
    ".rst": _read_rst,
    ".reqif": _read_reqif,
}
