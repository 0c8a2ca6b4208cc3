"""
The page of a trace: lanes, messages, and the curve of a failure.
"""

import json
import re

import pytest

from assertlib.sim.diagram import diagram
from assertlib.sim.why import Jump, Point, Why

from ..browser import browser  # noqa: F401 a fixture

TRACE = [
    "    0.000000  world       server boots",
    "    0.100000  client      connects to server:7",
    "    0.100000  client      sends 5 bytes 'hello' to server:7, to arrive at 0.300000",
    "    0.200000  server      run task-3 serve at store.py:3",
    "    0.300000  server      loop: Transport._arrive",
    "    0.300000  server      run task-3 serve at store.py:4: data = await reader.read()",
    "    0.300000  server      fault: power-cut of server",
    "    0.400000              * always 'nothing is <lost>' is False",
]
MADE = [2, 3, 4, 5, 6, 7, 8, 9]


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def curve():
    points = (Point(2, 1, 10), Point(7, 2, 10), Point(8, 9, 10), Point(9, 10, 10))
    jump = Jump(points[1], points[2], (5, 6))
    return Why(
        "nothing is <lost>", points, points[0], ("power-cut",), jump, tuple(TRACE), tuple(MADE)
    )


def test_each_line_is_a_row_in_the_lane_of_its_host():
    data = data_of(diagram(TRACE, "a title"))
    assert data["lanes"] == ["world", "client", "server"]
    assert data["rows"][2][:2] == [0.1, 1]
    assert data["rows"][-1][1] == -1
    assert data["rates"] == data["marked"] == []


def test_a_message_goes_to_the_step_of_its_receiver_at_its_arrival():
    # A callback of the loop arrives at 0.3 s as well, before the step that reads the message.
    assert data_of(diagram(TRACE, ""))["arrows"] == [[2, 5]]


def test_a_message_that_never_arrives_has_no_arrow():
    lines = [
        "    0.100000  client      sends 5 bytes 'hello' to server:7, to arrive at never",
        "    0.200000  server      run task-3 serve at store.py:3",
    ]
    assert data_of(diagram(lines, ""))["arrows"] == []


def test_a_message_that_its_receiver_does_not_get_has_no_arrow():
    lines = [
        "    0.100000  client      sends 5 bytes 'hello' to server:7, to arrive at 0.200000",
        "    0.150000  world       server is down",
        # A partition holds it up: the loop notices the arrival, and no step follows.
        "    0.200000  server      loop: Transport._arrive",
        "    0.900000  server      run server.2 serve at store.py:3",
    ]
    assert data_of(diagram(lines, ""))["arrows"] == []


def test_a_duplicated_message_has_two_arrows():
    lines = [
        "    0.100000  client      sends 5 bytes 'a:b' to server:7, to arrive at 0.200000, 0.400000",
        "    0.200000  server      run task-3 serve at store.py:3",
        "    0.400000  server      run task-3 serve at store.py:3",
    ]
    assert data_of(diagram(lines, ""))["arrows"] == [[0, 1], [0, 2]]


def test_rates_stand_at_the_first_line_after_their_choices_and_the_jump_is_marked():
    data = data_of(diagram(TRACE, "", curve()))
    assert data["rates"] == [[0, 1, 10], [5, 2, 10], [6, 9, 10], [7, 10, 10]]
    assert data["marked"] == [5, 6]


def test_of_a_long_trace_the_end_is_shown():
    page = diagram([TRACE[0]] * 6_000 + TRACE, "", None)
    data = data_of(page)
    assert data["left"] == 1_008
    assert len(data["rows"]) == 5_000
    assert data["rows"][-1][2] == "* always 'nothing is <lost>' is False"


@pytest.mark.parametrize("width", [1366, 390])
def test_a_browser_shows_rows_arrows_and_the_curve(browser, tmp_path, width):  # noqa: F811
    file = tmp_path / "page.html"
    file.write_text(diagram(TRACE, "<script>alert(1)</script>", curve()))
    page = browser.new_page(viewport={"width": width, "height": 800})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())

    assert page.inner_text("h1") == "<script>alert(1)</script>"
    # Without that of the loop.
    assert page.locator(".row").count() == len(TRACE) - 1
    assert page.locator("#arrows > path").count() == 1
    assert page.locator(".row[data-marked]").count() == 2
    assert (
        page.locator(".row[data-kind=violation] .text").inner_text()
        == TRACE[-1].strip()[10:].strip()
    )
    assert page.locator(".rate span").all_inner_texts() == ["10%", "20%", "90%", "100%"]
    page.check("#loop")
    assert page.locator(".row").count() == len(TRACE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    page.close()
