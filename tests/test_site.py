"""The documentation's site: it builds without a warning, and its links lead somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from assertlib.catalog.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_site"))

from build import broken_links  # noqa: E402

# The site is built as a whole, which takes half a minute.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, ROOT / "docs/_site/build.py", site], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return site


def text(page):
    return page.read_text(encoding="utf-8")


def test_each_rule_has_a_page(site):
    for code, rule in RULES.items():
        assert rule.title.split("`")[0].split("'")[0] in text(site / f"rules/{code}.html")


def test_each_committed_page_of_an_invariant_is_there_with_lines(site):
    committed = {path.stem for path in (ROOT / "docs/invariants").glob("*.md")}
    assert committed <= {path.stem for path in (site / "invariants").glob("*.html")}
    assert "store.py:" in text(site / "invariants/wal.fsync-before-ack.html")


def test_each_command_and_key_is_in_the_reference(site):
    commands = text(site / "cli.html")
    for name in ("assertlib catalog review", "assertlib sim explore", "--baseline-findings"):
        assert name in commands
    assert "default-target" in text(site / "configuration.html")


def test_the_search_knows_the_invariants(site):
    assert "wal.fsync-before-ack" in text(site / "searchindex.js")


BEYOND = """
  [...document.querySelectorAll(".toc-drawer *")].filter((each) => {
    const { left, right } = each.getBoundingClientRect();
    return left < 0 || right > innerWidth;
  }).length + Math.max(0, document.documentElement.scrollWidth - innerWidth)
"""


@pytest.mark.parametrize("width", [1366, 1920])
def test_the_table_of_contents_is_whole_on_common_screens(browser, site, width):
    page = browser.new_page(viewport={"width": width, "height": 768})
    beyond = {}
    for name in ("cli", "performance", "invariants/wal.applied-index-monotonic"):
        page.goto((site / f"{name}.html").as_uri())
        beyond[name] = page.evaluate(BEYOND)
    page.close()
    assert not any(beyond.values()), beyond


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#gone">b</a><a href="c.html">c</a>'
    )
    (tmp_path / "b.html").write_text(
        '<a href="a.html#here">a</a><a href="https://else/x#y">else</a>'
    )
    assert list(broken_links(tmp_path)) == [
        "a.html: b.html#gone has no such anchor",
        "a.html: c.html leads nowhere",
    ]
