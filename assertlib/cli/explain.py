"""
``assertlib explain``.
"""

from __future__ import annotations

import sys
import textwrap
from typing import Annotated

import typer

from ..catalog.findings import did_you_mean
from ..catalog.rules import RULES, Rule
from .common import OK, USAGE, command


@command
def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="Rule code, e.g. AL104.")
    ] = None,
) -> int:
    """
    Explain an `assertlib check` rule with a bad and a good example, or list all rules.

    Example: assertlib explain AL104
    """
    if code is None:
        for rule in RULES.values():
            print(f"{rule.code}  {rule.severity:<7}  {rule.title}")
        return OK
    known = RULES.get(code.upper())
    if known is None:
        hint = did_you_mean(code.upper(), RULES) or "`assertlib explain` lists all rules"
        print(f"assertlib: unknown rule {code!r}; {hint}", file=sys.stderr)
        return USAGE
    print(_text(known))
    return OK


def _text(rule: Rule) -> str:
    parts = [
        f"{rule.code} ({rule.severity}): {rule.title}",
        textwrap.fill(rule.text, 88),
        f"Remedy: {rule.remedy}.",
        "Bad:",
        textwrap.indent(rule.bad, "    "),
        "Good:",
        textwrap.indent(rule.good, "    "),
    ]
    return "\n\n".join(parts)
