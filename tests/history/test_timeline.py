"""
The page of a history: what is in it, and what a browser makes of it.
"""

import json
import re
from html.parser import HTMLParser

import pytest

from assertlib.history import timeline as module
from assertlib.history.history import FaultInterval, History, Stream
from assertlib.history.linearizability import Linearization, Verdict
from assertlib.history.operations import Operation, Outcome
from assertlib.history.records import Hashed, Header
from assertlib.history.requests import (
    Delivery,
    Done,
    Event,
    Get,
    KeyValue,
    Put,
    Revoke,
    Txn,
    Value,
    Watch,
)
from assertlib.history.timeline import timeline
from assertlib.history.validation import (
    ASSUMPTIONS,
    LINEARIZABLE,
    REPLICAS,
    Check,
    Status,
    Validation,
    validate,
)
from assertlib.history.watches import Complaint

HOSTILE = "</script><img src=x onerror=\"document.body.dataset.error='broken out'\"><!--"


def wrote(number, client, value, call, returned, key="x"):
    answer = Done()
    return Operation(
        number, client, Put(key, value), call, returned, Outcome.OK, answer, None, "m1"
    )


def read(number, client, value, call, returned, key="x"):
    answer = Value(value)
    return Operation(number, client, Get(key), call, returned, Outcome.OK, answer, None, "m2")


def recorded(*operations, model="kv", **others):
    return History(Header(model, {"store": "toy"}), list(operations), **others)


def drawn(history):
    return timeline(history, validate(history))


def judged(*checks, **others):
    return Validation((Check(ASSUMPTIONS, Status.SUCCESS), *checks), **others)


CLEAN = recorded(
    wrote(0, 0, "a", 0, 5_000_000),
    read(1, 1, "a", 6_000_000, 7_000_000),
    Operation(2, 2, Put("x", "b"), 6_500_000, 8_000_000, error="TimeoutError"),
    Operation(3, "setup", Put("x", "c"), 1_000_000, 2_000_000, Outcome.NOT_APPLIED),
    faults=[FaultInterval("kill", 3_000_000, None, ("m1", "m3"), ("quorum",))],
    end=9_000_000,
)
STALE = recorded(
    wrote(0, 0, "a", 0, 1_000_000),
    wrote(1, 0, "b", 2_000_000, 3_000_000),
    read(2, 1, "a", 4_000_000, 5_000_000),
    read(3, 1, "b", 6_000_000, 7_000_000),
    end=8_000_000,
)


def long(count, *, stale=None):
    """Writes of three clients, one after the other; number *stale* reads what no one wrote."""
    step = 1_000_000
    history = recorded(
        *(wrote(n, n % 3, f"v{n}", n * step, n * step + step // 2) for n in range(count)),
        end=count * step,
    )
    if stale is None:
        return history, judged(Check(LINEARIZABLE, Status.SUCCESS, judged=count))
    history.operations[stale] = stuck = read(stale, 0, "?", stale * step, stale * step + 9)
    complaint = Complaint(LINEARIZABLE, f"no order explains {stuck}", time=stuck.call)
    found = Linearization(
        Verdict.ILLEGAL, order=tuple(history.operations[:stale]), stuck=history.operations[stale]
    )
    failed = Check(LINEARIZABLE, Status.FAILURE, "", (complaint,), count)
    return history, judged(failed, linearization=found)


def watched():
    """Two watches, of which the second skipped an event, and members that differ."""
    put = Event("put", KeyValue("x", "b", 2, 3, 2), KeyValue("x", "a", 2, 2, 1))
    history = recorded(
        wrote(0, 0, "a", 0, 1_000_000),
        streams=[
            Stream(7, "w0", Watch("x"), 500_000, "m1", [(600_000, Delivery(3))], 900_000),
            Stream(
                8,
                "w1",
                Watch("x", revision=2),
                500_000,
                "m2",
                [
                    (600_000, Delivery(2, created=True)),
                    (700_000, Delivery(3, (put,))),
                    (800_000, Delivery(3, cancelled=True, compacted=3)),
                ],
                error="ConnectionError",
            ),
        ],
        hashes=[
            Hashed(2_000_000, 1, "m1", 3, -1, 5),
            Hashed(2_100_000, 1, "m2", 3, -1, 6),
        ],
        end=3_000_000,
    )
    skipped = Complaint("reliable", "watch 8: an event did not come", watch=8, time=700_000)
    differ = Complaint(REPLICAS, "members differ in their hash", time=2_000_000)
    return history, judged(
        Check("reliable", Status.FAILURE, "", (skipped,), 4),
        Check(REPLICAS, Status.FAILURE, "", (differ,), 2),
    )


def data(page):
    """What the page holds."""
    found = re.search(
        r'<script type="application/json" id="history">(.*?)</script>', page, re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])


# -- the text ------------------------------------------------------------------------------


def test_an_operation_is_told_with_all_that_is_known_of_it():
    content = data(drawn(CLEAN))
    assert content["about"] == [["model", "kv"], ["store", "toy"]]
    assert content["status"] == "success"
    assert content["clients"] == ["client 0", "client 1", "client 2", "setup"]
    number, lane, kind, call, taken, outcome, request, answer, member, _, position = content[
        "operations"
    ][0]
    assert (number, lane, content["kinds"][kind], call, taken) == (0, 0, "write", 0, 5_000_000)
    assert (outcome, request, answer, member, position) == ("ok", "put x=a", "done", "m1", 1)


def test_the_first_operation_that_cannot_be_placed_is_named_with_its_core():
    content = data(drawn(STALE))
    assert content["stuck"] == 2
    assert content["focus"] == 4_000_000
    assert 2 in content["core"]
    assert [row[-1] for row in content["operations"]] == [1, 2, 0, 0]


def test_keys_and_values_that_look_like_markup_stay_text():
    history = recorded(
        wrote(0, HOSTILE, HOSTILE, 0, 1, key=HOSTILE),
        faults=[FaultInterval(HOSTILE, 0, 1, (HOSTILE,), (HOSTILE,))],
    )
    history.header.about[HOSTILE] = HOSTILE
    page = drawn(history)
    assert "<img" not in page
    assert page.count("</script") == drawn(recorded()).count("</script")
    assert data(page)["clients"] == [HOSTILE]


def test_what_cannot_be_seen_is_shown():
    request = data(drawn(recorded(wrote(0, 0, "a\0b\u202ec\u200b\n", 0, 1))))["operations"][0][6]
    assert request == r"put x=a\x00b\u202ec\u200b\n"


def test_an_empty_history_has_a_page():
    content = data(drawn(recorded()))
    assert content["operations"] == []
    assert content["part"] == ""


def test_a_history_whose_operations_were_not_judged_has_a_page():
    history = recorded(wrote(0, 0, "a", 5, 1))
    content = data(drawn(history))
    assert (content["status"], content["order"], content["stuck"]) == ("unknown", 0, None)


def test_times_are_those_of_the_history_though_it_does_not_tell_its_end():
    assert data(drawn(recorded(wrote(0, 0, "a", 5, 9))))["end"] == 9


def test_a_time_of_start_that_is_no_time_is_left_out():
    history = History(Header("kv", started=float("inf")))
    assert data(drawn(history))["about"] == [["model", "kv"]]


def test_a_long_history_says_what_part_of_it_is_shown():
    page = timeline(*long(25_000, stale=17_000))
    content = data(page)
    assert "10,000 of 25,000 operations, around the first operation that cannot be" in page
    shown = {row[0] for row in content["operations"]}
    assert shown == set(range(12_000, 22_000))
    assert content["windows"][0] == [12_000_000_000, 21_999_000_000]


def test_of_a_long_history_without_complaints_the_beginning_is_shown():
    content = data(timeline(*long(25_000)))
    assert content["part"].startswith("10,000 of 25,000 operations, from the beginning")
    assert content["operations"][-1][0] == 9_999


def test_a_history_that_is_not_that_long_is_shown_whole():
    content = data(timeline(*long(module.ALL)))
    assert content["part"] == ""
    assert len(content["operations"]) == module.ALL


def test_what_may_yet_take_effect_is_shown_though_it_is_older_than_the_part():
    history, validation = long(25_000, stale=17_000)
    history.operations[5] = lost = Operation(5, "lost", Put("x", "?"), 5_000_000, 6_000_000)
    content = data(timeline(history, validation))
    assert content["operations"][0][0] == lost.id
    assert "10,001 of 25,000" in content["part"]


def test_of_many_deliveries_a_part_is_shown():
    history, validation = watched()
    history.streams[0].deliveries = [(each, Delivery(each)) for each in range(module.ALL + 1)]
    content = data(timeline(history, validation))
    assert "10,000 of 20,004 deliveries" in content["part"]
    assert sum(len(stream[-1]) for stream in content["streams"]) == 10_000


def test_a_long_value_is_cut_and_says_how_long_it_is():
    request = data(drawn(recorded(wrote(0, 0, "a" * 99_994, 0, 1))))["operations"][0][6]
    assert request.endswith("aaa … (100,000 characters)")
    assert len(request) < 20_000


def test_the_end_of_a_lease_that_explains_something_has_a_lane():
    history = recorded(wrote(0, 0, "a", 0, 1), end=9)
    end = Operation(-1, "expiry", Revoke(7), 5)
    order = (*history.operations, end)
    validation = judged(operations=order, linearization=Linearization(Verdict.OK, order=order))
    content = data(timeline(history, validation))
    assert content["clients"] == ["client 0", "expiry"]
    assert content["operations"][1][-1] == 2


def test_what_the_store_shows_of_an_operation_is_told_apart_from_what_its_client_knew():
    history = recorded(Operation(0, 0, Txn((), ()), 0, 1, error="TimeoutError"))
    found = Operation(0, 0, Txn((), ()), 0, 1, Outcome.NOT_APPLIED, error="TimeoutError")
    row = data(timeline(history, judged(operations=(found,))))["operations"][0]
    assert row[5] == "not-applied"
    assert (
        row[7]
        == "TimeoutError\nits client received no response; the outcome is inferred from the store's contents"
    )


def test_deliveries_are_told_by_what_they_are():
    content = data(timeline(*watched()))
    quiet, failing = content["streams"]
    assert [each[1] for each in quiet[-1] + failing[-1]] == [
        "progress",
        "created",
        "events",
        "cancelled",
    ]
    assert "PUT x=b (created 2, changed 3, version 2, lease 0), previously x=a" in failing[-1][1][2]
    assert (quiet[3], failing[3]) == (900_000, None)
    assert all(differs for _, _, differs in content["hashes"])


def test_the_page_asks_for_nothing_but_itself():
    page = drawn(CLEAN)
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert not re.search(r"""https?://|@import|url\(|<link[^>]+stylesheet|\bsrc=|innerHTML""", page)


# -- in a browser --------------------------------------------------------------------------


class Dom(HTMLParser):
    """What a document came to: the attributes and the text of each element."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in {"br", "img", "input", "link", "meta"}:
            self._open.append(element)

    def handle_endtag(self, tag):
        while self._open and self._open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, name, value=None):
        """The elements with the attribute *name*."""
        return [each for each in self.elements if name in each and value in (None, each[name])]

    def __getitem__(self, id):
        (element,) = self.all("id", id)
        return element

    @property
    def body(self):
        (body,) = self.all("tag", "body")
        return body

    @property
    def lanes(self):
        return [each["data-lane"] for each in self.all("data-lane")]


@pytest.fixture
def browse(browser, tmp_path):
    """Open a page in a browser, run *script* in it, and say what it came to."""
    pages = []

    def browse(text, fragment="", script="", size=(1400, 900)):
        file = tmp_path / f"timeline{len(pages)}.html"
        file.write_text(text)
        page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
        pages.append(page)
        page.goto(f"{file.as_uri()}{fragment}")
        page.wait_for_selector("body[data-ready], body[data-error]")
        # What a script asks for is drawn in the next frame.
        page.evaluate(f"async () => {{ {FRAME} {script}; {FRAME} }}")
        return Dom(page.content())

    yield browse
    for page in pages:
        page.close()


FRAME = "await new Promise(requestAnimationFrame);"


def healthy(dom):
    assert dom.body.get("data-error") is None
    assert dom.body["data-ready"] == "yes"
    return dom


@pytest.mark.parametrize(
    ("history", "lanes"),
    [
        (CLEAN, ["client 0", "client 1", "client 2", "setup"]),
        (STALE, ["client 0", "client 1"]),
        (recorded(), []),
        (recorded(wrote(0, 0, "a", 5, 1)), ["client 0"]),
    ],
    ids=["clean", "illegal", "empty", "not judged"],
)
def test_each_client_has_a_lane(browse, history, lanes):
    dom = healthy(browse(drawn(history)))
    assert dom.lanes == lanes
    assert dom["status"]["text"] == str(validate(history).status)


def test_the_first_operation_that_cannot_be_placed_is_shown_at_once(browse):
    dom = healthy(browse(drawn(STALE)))
    assert dom["stuck"]["data-id"] == "2"
    assert "#2, client 1: get x → a" in dom["stuck"]["text"]
    assert dom["details"]["data-id"] == "2"
    assert "The first operation that cannot be placed" in dom["details"]["text"]
    assert "4 ms" in dom["details"]["text"]


def test_without_such_an_operation_there_is_nothing_to_jump_to(browse):
    dom = healthy(browse(drawn(CLEAN)))
    assert "hidden" in dom["stuck"]
    assert dom["details"]["data-id"] == ""


def test_an_operation_can_be_linked_to(browse):
    dom = healthy(browse(drawn(CLEAN), "#op-2"))
    assert dom["details"]["data-id"] == "2"
    assert "TimeoutError" in dom["details"]["text"]
    assert "unknown: it may have taken effect, may still do so, or never" in dom["details"]["text"]


def test_the_button_jumps_from_anywhere_to_the_operation_that_cannot_be_placed(browse):
    page = timeline(*long(300, stale=200))
    away = "show(null); look(0, 9e6);"
    dom = healthy(browse(page, script=f"{away} draw();"))
    assert dom["details"]["data-id"] == ""
    assert int(dom["lanes"]["data-to"]) < 200_000_000
    dom = healthy(browse(page, script=f"{away} byId('jump-stuck').click();"))
    assert dom["details"]["data-id"] == "200"
    assert int(dom["lanes"]["data-from"]) < 200_000_000 < int(dom["lanes"]["data-to"])
    # About sixty operations are seen, not all.
    assert int(dom["lanes"]["data-to"]) - int(dom["lanes"]["data-from"]) < 80_000_000


def test_the_fragment_jumps_to_the_operation_that_cannot_be_placed(browse):
    dom = healthy(browse(timeline(*long(300, stale=200)), "#jump-stuck"))
    assert dom["details"]["data-id"] == "200"


def test_a_watch_that_is_complained_of_is_red_and_can_be_jumped_to(browse):
    page = timeline(*watched())
    dom = healthy(browse(page))
    assert dom.lanes == ["client 0", "replica hashes", "watch 7 · w0", "watch 8 · w1"]
    assert [each["data-lane"] for each in dom.all("data-lane") if "failing" in each["class"]] == [
        "replica hashes",
        "watch 8 · w1",
    ]
    assert dom["details"]["data-id"] == "8"
    (button,) = dom.all("data-complaint", "2")
    assert button["text"] == "Jump to 2 ms"
    click = "document.querySelector('[data-complaint=\"2\"]').click();"
    dom = healthy(browse(page, script=click))
    assert "of m1, group 1" in dom["details"]["text"]
    assert healthy(browse(page, "#complaint-2"))["details"]["text"] == dom["details"]["text"]


def test_all_checks_are_listed_with_what_they_say(browse):
    dom = healthy(browse(drawn(STALE)))
    listed = [each["data-check"] for each in dom.all("data-check")]
    assert listed == [check.name for check in validate(STALE).checks]
    assert "no order of the operations" in dom["checks"]["text"]
    assert "no load was recorded" in dom["checks"]["text"]


def test_many_complaints_can_be_unfolded_and_those_left_out_are_counted(browse):
    complaints = tuple(Complaint("reliable", f"wrong {n}", time=n + 1) for n in range(300))
    validation = judged(Check("reliable", Status.FAILURE, "", complaints, 300))
    dom = healthy(browse(timeline(CLEAN, validation)))
    assert len(dom.all("data-complaint")) == module.COMPLAINTS
    assert "297 more" in dom["checks"]["text"]
    assert "100 are not on this page" in dom["checks"]["text"]


def test_markup_in_a_history_is_shown_and_does_nothing(browse):
    history = recorded(
        wrote(0, HOSTILE, HOSTILE, 0, 1_000, key=HOSTILE),
        read(1, HOSTILE, "nobody wrote this", 2_000, 3_000, key=HOSTILE),
        faults=[FaultInterval(HOSTILE, 0, 1_000, (HOSTILE,), ())],
    )
    history.header.about[HOSTILE] = HOSTILE
    dom = healthy(browse(drawn(history)))
    assert not dom.all("tag", "img")
    assert dom.lanes == [HOSTILE]
    assert HOSTILE in dom["about"]["text"]
    assert HOSTILE in dom["details"]["text"]


def test_the_part_that_is_shown_of_a_long_history_is_said(browse):
    dom = healthy(browse(timeline(*long(25_000, stale=17_000))))
    assert dom["part"]["text"].startswith("10,000 of 25,000 operations, around")
    assert dom["details"]["data-id"] == "17000"


def test_as_many_operations_as_are_shown_whole_can_be_drawn_at_once(browse):
    dom = healthy(browse(timeline(*long(module.ALL)), script="draw();"))
    assert len(dom.lanes) == 3
    assert int(dom["lanes"]["data-to"]) > module.ALL * 1_000_000


def test_keys_zoom_and_move(browse):
    def seen(*keys):
        press = "document.dispatchEvent(new KeyboardEvent('keydown', { key: '%s' }));"
        dom = healthy(browse(drawn(CLEAN), script="".join(press % key for key in keys) + "draw();"))
        return int(dom["lanes"]["data-from"]), int(dom["lanes"]["data-to"])

    whole, closer, later = seen(), seen("+", "+"), seen("+", "+", "ArrowRight")
    assert closer[1] - closer[0] < whole[1] - whole[0]
    assert later[0] > closer[0]
    assert later[1] - later[0] == pytest.approx(closer[1] - closer[0], abs=2)
    assert seen("+", "+", "0") == whole


def test_what_the_pointer_is_over_is_told(browse):
    over = """
      const hit = hits.find((each) => each.item.id === 1), box = canvas.getBoundingClientRect();
      canvas.dispatchEvent(new PointerEvent("pointermove",
        { clientX: box.left + hit.left + 3, clientY: box.top + hit.top + 3 }));
    """
    dom = healthy(browse(drawn(CLEAN), script=over))
    assert dom["details"]["data-id"] == "1"
    assert "2 in the order of" in dom["details"]["text"]


@pytest.mark.parametrize(("size", "is_below"), [((390, 844), "true"), ((1366, 768), "false")])
def test_the_page_fits_a_phone_and_a_laptop(browse, size, is_below):
    measure = """
      const page = document.documentElement, chart = byId("time").getBoundingClientRect();
      const details = byId("details").getBoundingClientRect();
      Object.assign(document.body.dataset, {
        overflows: page.scrollWidth > innerWidth, isBelow: details.top >= chart.bottom,
        isWide: Math.min(canvas.clientWidth, details.width) > 250,
      });
    """
    body = healthy(browse(drawn(STALE), script=measure, size=size)).body
    assert body["data-overflows"] == "false"
    assert body["data-is-wide"] == "true"
    assert body["data-is-below"] == is_below


def test_the_path_is_drawn_when_it_is_asked_for(browse):
    compare = """
      const before = canvas.toDataURL();
      byId("path").click(); draw();
      document.body.dataset.changed = canvas.toDataURL() !== before;
    """
    assert healthy(browse(drawn(STALE), script=compare)).body["data-changed"] == "true"


def test_a_page_that_cannot_be_drawn_says_so(browse):
    page = drawn(recorded())
    dom = browse(re.sub(r'(id="history">).*?<', r"\1{}<", page, count=1, flags=re.DOTALL))
    assert "data-ready" not in dom.body
    assert dom.body["data-error"]
