"""
History files: what is written is read back, and what cannot be read is told with its place.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib.history.history import read_history
from assertlib.history.operations import Outcome
from assertlib.history.records import (
    LATEST,
    Call,
    Delivered,
    Fault,
    Found,
    Hashed,
    Header,
    HistoryError,
    Note,
    Return,
    WatchClosed,
    WatchOpened,
    line,
    read_records,
)
from assertlib.history.requests import (
    Committed,
    Compare,
    Deleted,
    Delivery,
    Done,
    Event,
    Get,
    KeyValue,
    Put,
    Range,
    Ranged,
    Refused,
    Swap,
    Txn,
    Value,
    Watch,
)

from ..forms import by_form

TEXT = st.text(max_size=5)
NUMBERS = st.integers(0, LATEST)
KVS = st.builds(KeyValue, TEXT, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
EVENTS = st.builds(Event, st.sampled_from(["put", "delete"]), KVS, st.none() | KVS)
RANGES = st.builds(Range, TEXT, TEXT, NUMBERS, NUMBERS, st.booleans())
PUTS = st.builds(Put, TEXT, TEXT, NUMBERS)
RELATIONS = st.sampled_from(["=", "<"])
COMPARES = st.builds(Compare, TEXT, st.just("value"), RELATIONS, TEXT) | st.builds(
    Compare, TEXT, st.sampled_from(["mod", "lease"]), RELATIONS, NUMBERS
)
REQUESTS = st.one_of(
    st.builds(Get, TEXT),
    st.builds(Swap, TEXT, st.none() | TEXT, TEXT),
    PUTS,
    RANGES,
    st.builds(
        Txn,
        st.lists(COMPARES, max_size=2).map(tuple),
        st.lists(PUTS | RANGES, max_size=2).map(tuple),
        st.lists(PUTS, max_size=1).map(tuple),
    ),
)
RANGED = st.builds(Ranged, NUMBERS, st.lists(KVS, max_size=2).map(tuple), NUMBERS)
RESPONSES = st.one_of(
    st.builds(Value, st.none() | TEXT),
    st.just(Done()),
    RANGED,
    st.builds(
        Committed,
        NUMBERS,
        st.booleans(),
        st.lists(RANGED | st.just(Done()) | st.builds(Deleted, NUMBERS), max_size=2).map(tuple),
    ),
    st.just(Refused("compacted")),
)
RECORDS = st.one_of(
    st.builds(Call, NUMBERS, NUMBERS | TEXT, NUMBERS, REQUESTS, TEXT),
    st.builds(
        Return, NUMBERS, NUMBERS, st.sampled_from(list(Outcome)), st.none() | RESPONSES, TEXT
    ),
    st.builds(WatchOpened, NUMBERS, NUMBERS | TEXT, NUMBERS, st.builds(Watch, TEXT, TEXT, NUMBERS)),
    st.builds(
        Delivered,
        NUMBERS,
        NUMBERS,
        st.builds(Delivery, NUMBERS, st.lists(EVENTS, max_size=2).map(tuple), st.booleans()),
    ),
    st.builds(WatchClosed, NUMBERS, NUMBERS, TEXT),
    st.builds(
        Fault,
        NUMBERS,
        TEXT,
        st.sampled_from(["begin", "end"]),
        st.lists(TEXT, max_size=2).map(tuple),
    ),
    st.builds(Hashed, NUMBERS, NUMBERS, TEXT, NUMBERS, st.integers(-1, 9), NUMBERS),
    st.builds(Found, NUMBERS, NUMBERS, st.lists(EVENTS, max_size=2).map(tuple)),
    st.builds(Note, NUMBERS, TEXT, st.dictionaries(TEXT, TEXT | NUMBERS | st.booleans())),
)
HEADER = line(Header("etcd", {"seed": 1}))


@settings(max_examples=by_form(62, 500))
@given(st.lists(RECORDS, max_size=4))
def test_what_is_written_is_read_back(records):
    lines = [HEADER, *map(line, records)]
    assert all(each.count(b"\n") == 1 for each in lines)
    header, *read = read_records(lines, "history.jsonl")
    assert header == Header("etcd", {"seed": 1})
    assert read == records


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_a_history_that_was_cut_off_anywhere_is_read_up_to_there(records, data):
    whole = b"".join([HEADER, *map(line, records)])
    cut = whole[: data.draw(st.integers(len(HEADER), len(whole)))]
    read = list(read_records(cut.splitlines(keepends=True), "history.jsonl"))
    # A record that lacks nothing but the end of its line is complete.
    lengths = [len(b"".join([HEADER, *map(line, records[:n])])) for n in range(len(records) + 1)]
    assert read[1:] == records[: sum(length - 1 <= len(cut) for length in lengths) - 1]


def test_a_last_line_without_its_end_is_read_if_it_is_complete():
    call = line(Call(1, "c", 5, Put("a", "1")))
    assert len(read_history([HEADER, call.removesuffix(b"\n")], "h.jsonl").operations) == 1
    assert read_history([HEADER, call.removesuffix(b"}\n")], "h.jsonl").operations == []


def test_a_last_line_that_is_json_and_no_record_was_not_cut_off():
    assert refused(HEADER, b'{"type":"call"}').startswith("h.jsonl:2: not a history record")


@pytest.mark.parametrize("time", [-1, LATEST + 1, 10**400])
def test_a_time_outside_of_a_history_is_refused_with_its_line(time):
    told = refused(HEADER, line(Call(1, "c", 0, Get("a"))), line(Note(time, "late")))
    assert told.startswith(f"h.jsonl:3: time {time}: ")


@given(st.binary(max_size=40), st.integers(1, 2))
def test_hostile_lines_are_told_with_their_place(data, position):
    text = data.replace(b"\n", b"") + b"\n"
    lines = [HEADER, text] if position == 2 else [text]
    try:
        list(read_records(lines, "history.jsonl"))
    except HistoryError as error:
        assert str(error).startswith(f"history.jsonl:{position}: ")


def refused(*lines):
    with pytest.raises(HistoryError) as caught:
        read_history(lines, "h.jsonl")
    return str(caught.value)


def test_what_is_wrong_with_a_record_is_named():
    assert refused(HEADER, b"{}\n").startswith("h.jsonl:2: not a history record")
    bad = json.loads(line(Call(1, 1, 5, Put("a", "1"))))
    bad["request"]["lease"] = "seven"
    told = refused(HEADER, json.dumps(bad).encode() + b"\n")
    assert "lease" in told
    assert "integer" in told


def test_an_empty_file_a_cut_header_and_a_newer_one_are_refused():
    assert "the file is empty" in refused()
    assert "the header was not written" in refused(HEADER[:-5])
    newer = HEADER.replace(b'"schema":1', b'"schema":2')
    assert "schema 2, but this version of assertlib reads 1; update assertlib" in refused(newer)
    assert "first line" in refused(line(Note(1, "early")))
    assert "first line" in refused(HEADER, HEADER)


def test_an_end_without_a_beginning_is_refused():
    ok = Return(4, 1, Outcome.OK, Done())
    assert "return record for 4, which never began" in refused(HEADER, line(ok))
    assert "watch-closed record for 4" in refused(HEADER, line(WatchClosed(4, 1)))
    ended = Fault(1, "kill", "end", ("m1",))
    assert "fault record for" in refused(HEADER, line(ended))


def test_an_operation_is_called_once_and_returns_once():
    call, done = line(Call(4, 1, 1, Put("a", "1"))), line(Return(4, 2, Outcome.OK, Done()))
    assert "called twice" in refused(HEADER, call, call)
    assert "returns twice" in refused(HEADER, call, done, done)
    assert "ok requires a response" in refused(HEADER, call, line(Return(4, 2, Outcome.OK)))


def test_what_has_no_end_is_of_unknown_outcome():
    history = read_history(
        [
            HEADER,
            line(Call(1, "c", 5, Put("a", "1"), "m1")),
            line(Fault(6, "pause", "begin", ("m1",))),
            line(WatchOpened(2, "w", 7, Watch("a"))),
        ],
        "h.jsonl",
    )
    (operation,) = history.operations
    assert (operation.outcome, operation.returned) == (Outcome.UNKNOWN, None)
    assert history.faults[0].end is None
    assert history.streams[0].closed is None
    assert history.end == 7
