"""
HTML pages in one file: data as JSON, and a policy that allows the page's own scripts and styles.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files


def render(package: str, name: str, data: object) -> str:
    """
    Render a template with its data.

    The template marks the place of the JSON with `@DATA@`, and with `@SCRIPTS@` and `@STYLES@`, in
    its Content-Security-Policy, the places of the hashes of its own elements.

    Args:
        package: The package that holds the template.
        name: File name of the template.
        data: Whatever `json.dumps` accepts; other iterables are written as lists.

    Returns:
        The page as text.
    """
    page = files(package).joinpath(name).read_text(encoding="utf-8")
    for element, place in (("script", "@SCRIPTS@"), ("style", "@STYLES@")):
        sources = page.split(f"<{element}>")[1:]
        hashes = (_hash_source(each.partition(f"</{element}>")[0]) for each in sources)
        page = page.replace(place, " ".join(hashes), 1)
    text = json.dumps(data, separators=(",", ":"), default=list)
    # Nothing in it may end the element that it stands in.
    return page.replace("@DATA@", text.replace("<", "\\u003c"), 1)


def _hash_source(text: str) -> str:
    """How a policy names an inline element.  Source: W3C, "Content Security Policy Level 3"."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
