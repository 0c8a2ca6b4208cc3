"""
The report in a real browser.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assertlib.catalog.loader import Catalog, Entry
from assertlib.catalog.model import Invariant
from assertlib.evidence.combine import Evidence
from assertlib.evidence.runs import RunInfo
from assertlib.evidence.summary import summarise
from assertlib.model import ALWAYS, SOMETIMES, Location, Site
from assertlib.recording.counters import message_hash
from assertlib.recording.hits import Captured, Hit
from assertlib.recording.records import Delta, Shard, SlotRecord, TrialRecord
from assertlib.recording.trials import Trial
from assertlib.report.html_format import ReportContext, render

from ..support import add_run, clean_environment

HOSTILE = [
    "</script><script>window.broken = 1</script>",
    '"><img src=x onerror="window.broken = 1">',
    "<!--<script>",
    "&lt;b&gt; {{7*7}} ${7*7}",
    "a\u2028b\u202ec\x00\x1b[31m",
    "\ud800 alone",
    "@DATA@",
]
HERE = Location("store.py", "put", "Store", 7)


def summary_of(count=6, messages=None):
    """A judged run: every third promise is broken, every second state is missed."""
    names = messages or [f"assertion number {number}" for number in range(count)]
    catalog, sites, shard = Catalog(), [], Shard("1-a")
    shard.durable = True
    true, false = [], []
    for number, message in enumerate(names):
        id = f"area{number // 2 % 7}.holds-{number // 2}"
        kind = SOMETIMES if number % 2 else ALWAYS
        sites.append(
            Site(
                kind=kind, message=message, file="store.py", qualname="put", line=number + 1,
                column=1, invariant=id, condition="a < b", fingerprint="f",
            )
        )  # fmt: skip
        if id not in catalog.entries:
            known = Invariant.model_validate(
                {
                    "title": f"It holds {number}", "kind": "safety", "status": "active",
                    "statement": f"It is {number} and {HOSTILE[0] if messages else 'fine'}.",
                    "why": "It matters.", "expects": ["always"],
                }
            )  # fmt: skip
            catalog.entries[id] = Entry(id, known, "catalog/kv.toml", 3)
        shard.slots.append(SlotRecord(kind, message_hash(message), message, id, HERE))
        broken = number % 6 == 0
        true.append(0 if broken or number % 4 == 1 else 5)
        false.append(2 if broken or kind is SOMETIMES else 0)
        if broken:
            shard.hits.append(
                Hit(
                    kind=kind, message=message, invariant=id, condition=False, count=1, time=1,
                    trial="seed 0", seed=0, location=HERE, details=json.dumps({"said": message}),
                    captured=Captured("a < b", {"a": repr(message)}),
                )
            )  # fmt: skip
    shard.true, shard.false = true, false
    shard.deltas_written.append(Delta("seed 0", true, false))
    for seed in range(40):
        name = f"seed {seed}"
        shard.trials[name] = TrialRecord(Trial(name, population="swarm", seed=seed), seed)
        shard.trials[name].ended = seed + 1
    evidence = Evidence()
    info = RunInfo(
        "run-1", Path("run-1"), "store", full=True, commit="c0ffee", command=(), scan=tuple(sites)
    )
    add_run(evidence, info, [shard])
    return summarise(evidence, catalog, "store", sites)


@pytest.fixture(name="opened")
def _opened(browser, tmp_path):
    """Opens a report; whatever the console says, and any request, fails the test."""
    said = []
    pages = []

    def opened(text, hash="", **options):
        path = tmp_path / f"report{len(pages)}.html"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend(
            [] if request.url.startswith(("file:", "data:")) else [request.url]
        ))  # fmt: skip
        page.goto(f"{path.as_uri()}{hash}")
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []


def titles(page):
    return page.locator("#list details.entry strong").all_text_contents()


def test_gaps_come_first(opened):
    page = opened(render(summary_of(60)))
    marks = page.locator("#list details.entry > summary .mark").all_text_contents()
    assert marks[0] == "violated"
    assert marks == sorted(marks, key=["violated", "evaluated", "exercised"].index)
    assert page.locator("#violations .broken").count() == 10
    assert "always 'assertion number 0' is violated" in page.inner_text("#violations")


def test_the_list_can_be_filtered_and_searched(opened):
    page = opened(
        render(summary_of(60), ReportContext(reached={"assertion number 7": ["test_of_seven"]}))
    )
    assert page.inner_text("#shown") == "30 of 30"
    page.fill("#find", "number 44")
    assert titles(page) == ["area1.holds-22"]
    page.fill("#find", "test_of_seven")
    assert len(titles(page)) == 1
    page.fill("#find", "no such thing")
    assert page.is_visible("#none")
    page.click("#clear")
    assert page.inner_text("#shown") == "30 of 30"
    page.select_option("#verdict", "violated")
    assert page.inner_text("#shown") == "10 of 30"
    page.select_option("#area", "area0")
    assert all(name.startswith("area0.") for name in titles(page))


def test_links_lead_to_an_invariant_and_to_an_assertion(opened):
    text = render(summary_of(60))
    page = opened(text, "#area1.holds-22")
    assert page.locator("details.entry[open] strong").all_text_contents() == ["area1.holds-22"]
    page = opened(text, "#a=assertion%20number%207")
    assert "assertion number 7" in page.inner_text("details.entry[open]")


def test_it_can_be_used_by_keyboard(opened):
    page = opened(render(summary_of(60)))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.locator("details.entry[open]").count() == 1
    assert page.locator("details.entry").nth(1).get_attribute("class") == "entry current"
    page.keyboard.press("k")
    assert page.locator("details.entry").nth(0).get_attribute("class") == "entry current"
    page.keyboard.press("/")
    page.keyboard.type("number 44")
    assert titles(page) == ["area1.holds-22"]
    page.keyboard.press("Escape")
    assert page.inner_text("#shown") == "30 of 30"


def test_an_assertion_shows_what_is_known_of_it(opened):
    name = "assertion number 3"
    around = ReportContext(
        trends={name: [0.1, 0.3, 0.2]},
        reached={name: ["seed 0"]},
        sources={name: "    4  always(a < b)"},
        before={name: "never-true"},
    )
    page = opened(render(summary_of(6), around), f"#a={name.replace(' ', '%20')}")
    told = page.inner_text("details.entry[open]")
    for text in (
        "true 5, false 2; in 1 trial, true in 1; rate 2.5% (0.06% to 13.2%, 95%)",
        "before: never-true", "reached by seed 0", "4  always(a < b)", "What must hold",
    ):  # fmt: skip
        assert text in told
    assert page.locator("details.entry[open] svg.trend path").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_reader(opened, scheme):
    page = opened(render(summary_of(6)), color_scheme=scheme)
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (color == "rgb(255, 255, 255)") is (scheme == "light")


def test_printed_it_holds_everything(opened):
    page = opened(render(summary_of(900)))
    assert page.locator("details.entry").count() == 200
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.entry[open]").count() == 450


def test_hostile_texts_are_shown_as_they_are(opened):
    messages = HOSTILE
    around = ReportContext(
        reached={each: [each] for each in messages}, sources={messages[0]: messages[0]}
    )
    page = opened(render(summary_of(messages=messages), around))
    open_all(page)
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0
    told = page.inner_text("body")
    assert "</script><script>window.broken = 1</script>" in told
    assert "{{7*7}} ${7*7}" in told


OBJECT = ["constructor", "toString", "__proto__", "hasOwnProperty", "valueOf", "__defineGetter__"]


def open_all(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for each in page.locator("details.entry").all():
        each.evaluate("node => { node.open = true; node.dispatchEvent(new Event('toggle')); }")


def test_a_message_may_be_called_as_what_every_object_has(opened):
    page = opened(render(summary_of(messages=OBJECT)))
    open_all(page)
    told = page.inner_text("#list")
    assert [each for each in OBJECT if each not in told] == []
    assert "before:" not in told
    assert "function" not in told


def test_what_is_known_of_such_a_message_is_shown(opened):
    around = ReportContext(
        trends={each: [0.1, 0.2] for each in OBJECT},
        reached={each: [f"test of {each}"] for each in OBJECT},
        sources={each: f"source of {each}" for each in OBJECT},
        before=dict.fromkeys(OBJECT, "never-true"),
    )
    page = opened(render(summary_of(messages=OBJECT), around), "#a=__proto__")
    told = page.inner_text("details.entry[open]")
    assert "__proto__" in told
    open_all(page)
    told = page.inner_text("#list")
    for each in OBJECT:
        assert f"test of {each}" in told
        assert f"source of {each}" in told
    assert page.locator("svg.trend").count() == len(OBJECT)


@pytest.mark.parametrize(
    "fragment", ["#%", "#%E0%A4%A", "#a=%", "#a=%ff", "#constructor", "#a=__proto__"]
)
def test_a_fragment_that_leads_nowhere_changes_nothing(opened, fragment):
    page = opened(render(summary_of(6)), fragment)
    assert page.inner_text("#shown") == "3 of 3"
    page.evaluate("location.hash = '%%'")
    assert page.inner_text("#shown") == "3 of 3"
    assert page.locator("details.entry[open]").count() == 0


def test_no_link_leads_out_of_the_page(opened):
    links = ["javascript:window.broken=1", "data:text/html,x", "http://127.0.0.1/", "file:///etc"]
    page = opened(render(summary_of(messages=links)))
    open_all(page)
    found = page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    assert found
    assert all(each.startswith("#") for each in found)


def test_only_the_script_of_the_page_itself_runs(browser, tmp_path):
    page = render(summary_of(6))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "unsafe" not in policy
    planted = '<img src="data:," onerror="window.broken = 1"><script>window.broken = 1</script>'
    path = tmp_path / "report.html"
    path.write_text(page.replace("</main>", f"{planted}</main>", 1), encoding="utf-8")
    with browser.new_page() as tab:
        refused = []
        tab.on("console", lambda message: refused.append(message.text))
        tab.goto(path.as_uri())
        tab.wait_for_selector("body[data-ready]")
        assert tab.evaluate("window.broken") is None
    assert len(refused) == 2
    assert all("Content Security Policy" in text for text in refused)


def test_a_page_needs_nothing_else():
    page = render(summary_of(6))
    assert "default-src 'none'" in page
    assert not re.search(
        r"""https?://(?!www\.w3\.org)|@import|url\(|<link[^>]+stylesheet|\bsrc=|innerHTML""", page
    )


def test_five_thousand_assertions_are_there_within_a_second(opened):
    text = render(summary_of(5000))
    begin = time.monotonic()
    page = opened(text)
    first = time.monotonic() - begin
    took = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(f"ready after {took:.0f} ms ({first:.2f} s with the browser's own)")
    page.fill("#find", "number 4321")
    assert len(titles(page)) == 1


def test_the_report_of_the_example_store_opens(opened, tmp_path):
    root = Path(__file__).parents[2]
    for name in ("pyproject.toml", "catalog", "examples"):
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, tmp_path / name)
    assertlib = Path(sys.executable).parent / "assertlib"
    program = [sys.executable, "-m", "kvstore.torture", "--seconds", "2"]
    environment = {**clean_environment(), "PYTHONPATH": str(tmp_path / "examples/kvstore")}
    for command in (
        ["run", "--full", "--target", "kvstore", "--", *program],
        ["report", "--format", "html", "--output", "report.html"],
    ):
        subprocess.run(
            [assertlib, *command], cwd=tmp_path, env=environment, timeout=120, check=True,
            capture_output=True,
        )  # fmt: skip
    page = opened((tmp_path / "report.html").read_text(encoding="utf-8"), "#wal.fsync-before-ack")
    told = page.inner_text("details.entry[open]")
    assert "Before the store acknowledges a write" in told
    assert "examples/kvstore/kvstore/store.py:" in told
    assert page.locator("#areas tbody tr").count() >= 5


WIDTHS = [390, 1366, 1920]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_scrolls_sideways_and_no_name_of_an_area_is_broken(opened, width, scheme):
    size = {"width": width, "height": 900}
    page = opened(render(summary_of(60)), viewport=size, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = page.locator("#areas td.name")
    heights = names.evaluate_all("cells => cells.map((cell) => cell.getClientRects()[0].height)")
    lines = page.locator("#areas td.name a").evaluate_all(
        "links => links.map((a) => a.getClientRects().length)"
    )
    assert heights
    assert set(lines) == {1}


def test_the_header_is_a_table_of_facts(opened):
    page = opened(render(summary_of(60)))
    facts = dict(row.split("\t") for row in page.locator("#facts").inner_text().splitlines())
    assert facts["target"] == "store @c0ffee"
    assert facts["trials"] == "40 random trials of swarm"
    assert re.fullmatch(r"10 violated, \d+ of 30 exercised", facts["invariants"])


def test_missed_states_precede_the_invariants_and_lead_to_them(opened):
    page = opened(render(summary_of(60)))
    missed = page.locator("#missed tbody tr")
    assert missed.count() == 15
    assert "never true" in missed.first.inner_text()
    order = page.locator("main > section").evaluate_all("all => all.map((each) => each.id)")
    assert order.index("violations") < order.index("missed") < len(order) - 1
    missed.first.locator("a").click()
    # The page opens the entry when the browser reports the new address, which takes a moment.
    page.locator("details.entry[open]").wait_for(state="attached")
    assert page.locator("details.entry[open]").count() == 1


def test_a_long_list_of_missed_states_is_shown_on_request(opened):
    page = opened(render(summary_of(200)))
    assert page.locator("#missed tbody tr").count() == 20
    page.locator("#missed button").click()
    assert page.locator("#missed tbody tr").count() == 50


def test_a_state_that_was_never_true_was_reached_by_no_trial(opened):
    summary = summary_of(6)
    context = ReportContext(reached={each.message: ["seed 0"] for each in summary.assertions})
    page = opened(render(summary, context))
    for summary_line in page.locator("details.entry > summary").all():
        summary_line.click()
    for each in page.locator(".never-true.mark").locator("xpath=../..").all():
        assert "reached by" not in each.inner_text()
        assert "evaluated by seed 0" in each.inner_text()
