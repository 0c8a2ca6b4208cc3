"""
The traceability matrix: each invariant with its clauses, assertions, places and evidence, for other tools.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..catalog.loader import Entry
from ..model import Site, invariant_and_clause
from .index import Index
from .levels import Evidence

_COLUMNS = (
    "id", "external_id", "title", "status", "statement", "clause", "promise", "assertion", "kind",
    "file", "line", "function", "level", "run", "commit",
)  # fmt: skip
_NAMESPACE = "http://www.omg.org/spec/ReqIF/20110401/reqif.xsd"
_ATTRIBUTES = {
    "ReqIF.ForeignID": "id",
    "ReqIF.Name": "title",
    "ReqIF.Text": "statement",
    "status": "status",
    "external id": "external_id",
    "why": "why",
    "level": "level",
    "assertions": "assertions",
}


_IN_XML = re.compile("[\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Row:
    """An invariant with its assertions and its last evidence."""

    entry: Entry
    sites: Sequence[Site]
    evidence: Evidence | None


def rows_of(index: Index, evidence: Mapping[str, Evidence]) -> list[Row]:
    """Return the rows of all invariants, by id."""
    sites: dict[str, list[Site]] = {}
    for site in index.sites:
        if site.invariant:
            sites.setdefault(invariant_and_clause(site.invariant)[0], []).append(site)
    return [
        Row(entry, sites.get(entry.id, []), evidence.get(entry.id))
        for entry in sorted(index.entries.values(), key=lambda each: each.id)
    ]


def as_json(rows: Sequence[Row]) -> str:
    """Return the matrix as JSON, nested by invariant."""
    return json.dumps({"invariants": [_nested(row) for row in rows]}, indent=2) + "\n"


def _nested(row: Row) -> dict[str, object]:
    known, evidence = row.entry.invariant, row.evidence
    return {
        **known.model_dump(mode="json"),
        "id": row.entry.id,
        "file": row.entry.file,
        "line": row.entry.line,
        "assertions": [
            {
                "message": site.message,
                "kind": site.kind.name,
                "clause": invariant_and_clause(site.invariant or "")[1],
                "condition": site.condition,
                "file": site.file,
                "line": site.line,
                "function": site.qualname,
            }
            for site in row.sites
        ],
        "evidence": None
        if evidence is None
        else {"level": evidence.level, "run": evidence.run, "commit": evidence.commit},
    }


def as_csv(rows: Sequence[Row]) -> str:
    """
    Return the matrix as CSV, one line for each assertion of each clause.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        for cells in _lines(row):
            writer.writerow([_inert(str(cells.get(name, ""))) for name in _COLUMNS])
    return text.getvalue()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell


def _lines(row: Row) -> list[dict[str, object]]:
    known, evidence = row.entry.invariant, row.evidence
    common: dict[str, object] = {
        "id": row.entry.id,
        "external_id": known.external_id,
        "title": known.title,
        "status": known.status,
        "statement": " ".join(known.statement.split()),
        "level": evidence.level if evidence else "",
        "run": evidence.run if evidence else "",
        "commit": (evidence.commit or "") if evidence else "",
    }
    lines = []
    # The whole statement comes first; then each clause, also one that nothing asserts.
    for clause in ("", *known.clauses):
        mine = [
            site
            for site in row.sites
            if (invariant_and_clause(site.invariant or "")[1] or "") == clause
        ]
        promise = " ".join(known.clauses.get(clause, "").split())
        places = [
            {
                "assertion": site.message,
                "kind": site.kind.name,
                "file": site.file,
                "line": site.line,
                "function": site.qualname,
            }
            for site in mine
        ]
        nothing: list[dict[str, object]] = [{}]
        lines += [
            {**common, "clause": clause, "promise": promise, **place} for place in places or nothing
        ]
    return lines


def as_reqif(rows: Sequence[Row]) -> str:
    """Return the matrix as ReqIF 1.0.1, one requirement for each invariant."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    root = ET.Element("REQ-IF", {"xmlns": _NAMESPACE})
    header = ET.SubElement(ET.SubElement(root, "THE-HEADER"), "REQ-IF-HEADER", IDENTIFIER="header")
    for name, text in (
        ("CREATION-TIME", now),
        ("REQ-IF-TOOL-ID", "assertlib"),
        ("REQ-IF-VERSION", "1.0"),
        ("SOURCE-TOOL-ID", "assertlib"),
        ("TITLE", "Invariants"),
    ):
        ET.SubElement(header, name).text = text
    content = ET.SubElement(ET.SubElement(root, "CORE-CONTENT"), "REQ-IF-CONTENT")
    types = ET.SubElement(content, "DATATYPES")
    ET.SubElement(
        types,
        "DATATYPE-DEFINITION-STRING",
        {**_identity("string", now, "String"), "MAX-LENGTH": "65536"},
    )
    kinds = ET.SubElement(content, "SPEC-TYPES")
    kind = ET.SubElement(kinds, "SPEC-OBJECT-TYPE", _identity("invariant", now, "Invariant"))
    attributes = ET.SubElement(kind, "SPEC-ATTRIBUTES")
    for name in _ATTRIBUTES:
        definition = ET.SubElement(
            attributes, "ATTRIBUTE-DEFINITION-STRING", _identity(_reference(name), now, name)
        )
        reference = ET.SubElement(definition, "TYPE")
        ET.SubElement(reference, "DATATYPE-DEFINITION-STRING-REF").text = "string"
    ET.SubElement(kinds, "SPECIFICATION-TYPE", _identity("catalog", now, "Catalog"))
    objects = ET.SubElement(content, "SPEC-OBJECTS")
    for row in rows:
        _spec_object(objects, row, now)
    specifications = ET.SubElement(content, "SPECIFICATIONS")
    whole = ET.SubElement(
        specifications, "SPECIFICATION", _identity("invariants", now, "Invariants")
    )
    ET.SubElement(ET.SubElement(whole, "TYPE"), "SPECIFICATION-TYPE-REF").text = "catalog"
    children = ET.SubElement(whole, "CHILDREN")
    for row in rows:
        place = _identity(f"place-{row.entry.id}", now, row.entry.id)
        child = ET.SubElement(children, "SPEC-HIERARCHY", place)
        ET.SubElement(
            ET.SubElement(child, "OBJECT"), "SPEC-OBJECT-REF"
        ).text = f"object-{row.entry.id}"
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _identity(identifier: str, now: str, name: str) -> dict[str, str]:
    return {"IDENTIFIER": identifier, "LAST-CHANGE": now, "LONG-NAME": name}


def _reference(name: str) -> str:
    return f"attribute-{name.lower().replace(' ', '-').replace('.', '-')}"


def _spec_object(objects: ET.Element, row: Row, now: str) -> None:
    known, evidence = row.entry.invariant, row.evidence
    values = {
        "id": row.entry.id,
        "title": known.title,
        "statement": known.wording,
        "status": known.status,
        "external_id": known.external_id,
        "why": known.why.strip(),
        "level": evidence.level if evidence else "",
        "assertions": "\n".join(f"{site.message} ({site.file}:{site.line})" for site in row.sites),
    }
    found = ET.SubElement(
        objects, "SPEC-OBJECT", _identity(f"object-{row.entry.id}", now, row.entry.id)
    )
    written = ET.SubElement(found, "VALUES")
    for name, key in _ATTRIBUTES.items():
        value = ET.SubElement(
            written, "ATTRIBUTE-VALUE-STRING", {"THE-VALUE": _in_xml(values[key])}
        )
        definition = ET.SubElement(value, "DEFINITION")
        ET.SubElement(definition, "ATTRIBUTE-DEFINITION-STRING-REF").text = _reference(name)
    ET.SubElement(ET.SubElement(found, "TYPE"), "SPEC-OBJECT-TYPE-REF").text = "invariant"


def _in_xml(text: str) -> str:
    # XML 1.0 has no form for control characters.
    return "".join(each for each in text if each in "\n\t" or _IN_XML.match(each))
