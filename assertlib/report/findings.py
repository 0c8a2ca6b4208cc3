"""
Output formats of findings, for people and for machines.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from .._text.utf8 import EncodingError
from ..catalog.check import Checked, is_error
from ..catalog.config import ConfigError
from ..catalog.files import read_text, write_whole
from ..catalog.findings import UNREAD_CATALOG, UNREAD_SOURCE, Finding
from ..catalog.rules import RULES
from ..evidence.text import counted, one_line
from ..model import Site
from ..recording.session import VERSION

SCHEMA = 1
_ANNOTATIONS = 10
"""GitHub shows at most this many errors and this many warnings per step."""
_RESULTS = 25_000
"""GitHub rejects a SARIF run with more results."""


_UNREAD = UNREAD_CATALOG + UNREAD_SOURCE


@dataclass(frozen=True)
class Checks:
    """
    The results of `assertlib check`.

    Attributes:
        strict: Whether warnings are errors.
        known: Number of further findings listed in a baseline.
        below: Path of the project in its repository, for tools that show findings there.
        place: Path from the working directory to the project; text and JSON prefix files with it.
        findings: The findings of all targets, without duplicates.
    """

    targets: list[Checked]
    findings: list[Finding]
    strict: bool
    known: int = 0
    below: str = ""
    place: str = ""

    def level(self, finding: Finding) -> str:
        """``error`` or ``warning``."""
        return "error" if self.strict or is_error(finding) else "warning"

    def path_in_repository(self, finding: Finding) -> str:
        """The file of *finding*, relative to the repository root."""
        return posixpath.normpath(posixpath.join(self.below, finding.file))

    @property
    def errors(self) -> list[Finding]:
        """The findings that fail the check."""
        return [each for each in self.findings if self.level(each) == "error"]

    def linked(self) -> list[Site]:
        """The assertions that name an invariant, each once, in order of their places."""
        # Targets may share sources.
        found = {
            (site.file, site.line, site.column, site.message): site
            for checked in self.targets
            for site in checked.scan.sites
            if site.invariant
        }
        return [found[key] for key in sorted(found)]

    def numbered(self) -> Iterator[tuple[Finding, str]]:
        """Each finding with a unique fingerprint, since some formats drop duplicates."""
        seen: Counter[str] = Counter()
        for finding in self.findings:
            mark = finding.fingerprint
            seen[mark] += 1
            yield finding, mark if seen[mark] == 1 else f"{mark}-{seen[mark]}"

    def without(self, known: Collection[str]) -> tuple[Checks, int]:
        """Remove findings with *known* fingerprints; also return how many of these are fixed."""
        rest = [finding for finding, mark in self.numbered() if mark not in known]
        met = len(self.findings) - len(rest)
        return replace(self, findings=rest, known=met), len(known) - met


def read_known(path: Path) -> set[str]:
    """
    The fingerprints of the baseline at *path*.

    Raises:
        ConfigError: The file is not a baseline.
        OSError: The file cannot be read.
    """
    try:
        lines = read_text(path).splitlines()
    except EncodingError as error:
        raise ConfigError(f"{path}: {error}") from None
    known = set()
    for number, line in enumerate(lines, 1):
        mark = line.partition(" ")[0]
        if not re.fullmatch(r"[0-9a-f]{16}(-[0-9]+)?", mark):
            raise ConfigError(
                f"{path}:{number}:1: not a baseline entry; create the file with --update"
            )
        known.add(mark)
    return known


def write_known(path: Path, checks: Checks, before: set[str] | None) -> set[str]:
    """
    Write all findings to the baseline at *path*, or those of *before* that remain.

    Args:
        path: The baseline file, which is replaced.
        checks: The findings.
        before: The fingerprints of the present baseline, which may only lose some; None to create
            a baseline.

    Returns:
        The fingerprints that were written.

    Raises:
        ConfigError: A file cannot be read, so its findings would count as fixed.
        OSError: The baseline cannot be written.
    """
    hiding = [
        each
        for each, mark in checks.numbered()
        if before is not None and mark not in before and each.code in _UNREAD
    ]
    if hiding:
        first = hiding[0].seen_from(checks.place)
        raise ConfigError(f"{first}; its known findings would be dropped from the baseline")
    kept = {mark: each for each, mark in checks.numbered() if before is None or mark in before}
    lines = sorted(
        f"{mark} {one_line(f'{each.code} {each.file}: {each.message}')}\n"
        for mark, each in kept.items()
    )
    write_whole(path, "".join(lines))
    return set(kept)


def checks_of(
    targets: Iterable[Checked], *, strict: bool, below: str = "", place: str = ""
) -> Checks:
    """
    Collect the findings of *targets*, without duplicates.

    Args:
        targets: The targets, checked.
        strict: Whether warnings are errors.
        below: Path of the project in its repository; empty if it is the root.
        place: Path from the working directory to the project; empty inside it.
    """
    checked = list(targets)
    findings = sorted({finding for each in checked for finding in each.findings})
    return Checks(checked, findings, strict, below=below, place=place)


def in_text(checks: Checks) -> str:
    """One line for each finding, and one for each target."""
    lines = [
        f"{one_line(str(each.seen_from(checks.place)))} [{checks.level(each)}]"
        for each in checks.findings
    ]
    new = set(checks.findings)
    for checked in checks.targets:
        found = [each for each in checked.findings if each in new]
        errors = sum(checks.level(each) == "error" for each in found)
        known = len(checked.findings) - len(found)
        lines.append(
            f"{one_line(checked.name)}: {counted(len(checked.scan.sites), 'assertion')} in"
            f" {counted(checked.scan.files, 'file')},"
            f" {counted(len(checked.catalog.entries), 'invariant')}:"
            f" {counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}"
            + (f" ({known:,} known)" if known else "")
        )
    return "\n".join(lines) + "\n"


def in_json(checks: Checks) -> str:
    """Findings and target statistics as JSON."""
    return _dumped(
        {
            "schema": SCHEMA,
            "known": checks.known,
            "targets": [
                {
                    "name": checked.name,
                    "assertions": len(checked.scan.sites),
                    "files": checked.scan.files,
                    "invariants": len(checked.catalog.entries),
                }
                for checked in checks.targets
            ],
            "links": [
                {
                    "invariant": site.invariant,
                    "assertion": site.message,
                    "kind": site.kind.name,
                    "file": posixpath.join(checks.place, site.file),
                    "line": site.line,
                    "function": site.qualname,
                }
                for site in checks.linked()
            ],
            "findings": [
                {
                    "rule": each.code,
                    "severity": checks.level(each),
                    "message": each.message,
                    "remedy": each.remedy,
                    "file": each.seen_from(checks.place).file,
                    "line": each.line,
                    "column": each.column,
                    "fingerprint": mark,
                }
                for each, mark in checks.numbered()
            ],
        }
    )


def in_github(checks: Checks) -> str:
    """
    GitHub workflow commands (annotations), errors first, up to the limit that GitHub shows.

    Source: GitHub docs, "Workflow commands for GitHub Actions".
    """
    lines = []
    for level in ("error", "warning"):
        mine = [each for each in checks.findings if checks.level(each) == level]
        lines += [
            _command(level, each, checks.path_in_repository(each)) for each in mine[:_ANNOTATIONS]
        ]
        if len(mine) > _ANNOTATIONS:
            text = f"{len(mine) - _ANNOTATIONS:,} more; `assertlib check` shows all"
            lines.append(f"::{level} title=assertlib::{text}")
    return "".join(line + "\n" for line in lines)


def _command(level: str, finding: Finding, file: str) -> str:
    properties = {"file": file}
    if finding.line:
        properties |= {"line": str(finding.line), "col": str(finding.column)}
    properties["title"] = f"{finding.code} {RULES[finding.code].title}"
    parameters = ",".join(f"{name}={_property(text)}" for name, text in properties.items())
    return f"::{level} {parameters}::{_escaped(f'{finding.message}; {finding.remedy}')}"


def _escaped(text: str) -> str:
    shown = "\n".join(map(one_line, text.splitlines()))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def in_sarif(checks: Checks) -> str:
    """
    SARIF, which GitHub code scanning and editors read.

    Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
    """
    used = sorted({each.code for each in checks.findings})
    driver = {
        "name": "assertlib",
        "version": VERSION,
        "rules": [_sarif_rule(code) for code in used],
    }
    results = [
        {
            "ruleId": each.code,
            "ruleIndex": used.index(each.code),
            "level": checks.level(each),
            "message": {"text": _plain(f"{each.message}; {each.remedy}")},
            "locations": [
                {"physicalLocation": _sarif_location(each, checks.path_in_repository(each))}
            ],
            "partialFingerprints": {"assertlib/v1": mark},
        }
        for each, mark in checks.numbered()
    ]
    return _dumped(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": driver},
                    "columnKind": "unicodeCodePoints",
                    "results": results[:_RESULTS],
                }
            ],
        }
    )


def _sarif_rule(code: str) -> dict[str, object]:
    rule = RULES[code]
    return {
        "id": code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.text},
        "help": {"text": f"{rule.text}\n\nRemedy: {rule.remedy}."},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _sarif_location(finding: Finding, file: str) -> dict[str, object]:
    location: dict[str, object] = {"artifactLocation": {"uri": _uri(file)}}
    if finding.line:
        location["region"] = {"startLine": finding.line, "startColumn": max(finding.column, 1)}
    return location


def _uri(file: str) -> str:
    path = quote(file.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if PurePosixPath(file).is_absolute() else path


def in_gitlab(checks: Checks) -> str:
    """
    A Code Quality report, which GitLab shows in merge requests.

    Source: GitLab docs, "Code Quality report format".
    """
    return _dumped(
        [
            {
                "description": _plain(f"{each.message}; {each.remedy}"),
                "check_name": each.code,
                "fingerprint": mark,
                "severity": "major" if checks.level(each) == "error" else "minor",
                "location": {
                    "path": _plain(checks.path_in_repository(each)),
                    "lines": {"begin": max(each.line, 1)},
                },
            }
            for each, mark in checks.numbered()
        ]
    )


def _plain(text: str) -> str:
    """Escape control characters and line breaks in *text*."""
    return one_line(text)


def _dumped(data: object) -> str:
    return json.dumps(data, indent=2) + "\n"


class FindingFormat(StrEnum):
    """Available formats for findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"
    GITLAB = "gitlab"


FINDING_FORMATS: dict[FindingFormat, Callable[[Checks], str]] = {
    FindingFormat.TEXT: in_text,
    FindingFormat.JSON: in_json,
    FindingFormat.GITHUB: in_github,
    FindingFormat.SARIF: in_sarif,
    FindingFormat.GITLAB: in_gitlab,
}
