"""
Reading back what processes left: whole, cut, damaged, twice, and while it is written.
"""

import json
import shutil
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assertlib import Invariant, always, configure, lifecycle, reachable, sometimes, trial
from assertlib.recording.reader import (
    Follower,
    UnreadableRunError,
    read_run_file,
    read_shard,
    read_shards,
)
from assertlib.recording.records import Shard

from ..forms import by_form, has_long_form, places
from ..support import Children, counts_of

HEADER_BYTES, SLOT_BYTES = 64, 32


def record_a_bit_of_everything():
    import assertlib
    from assertlib import testing

    configure(features={"watch": False})
    bound = Invariant("area.name").declare_always("bound")
    with trial("one", seed=5, population="small"):
        for number in range(4):
            bound(number >= 0)
            always(number < 2, "claim", {"number": number}, invariant="area.other#clause")
            assertlib.always_less_than(number, 3, "less")
        lifecycle.faults(["kill"], breaks=["no kills"])
        with trial("inner"):
            sometimes(False, "not yet")
            always(bound, "trouble")
    configure(features={"watch": True})
    testing.caught("a defect", "claim")
    lifecycle.setup_complete({"nodes": 1})
    lifecycle.send_event("event", {"a": [1]})
    reachable("end", {"a": object()})


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The path, without suffix, of a small shard with every kind of record."""
    children = Children(tmp_path_factory.mktemp("original"))
    children.run(record_a_bit_of_everything, env={"ASSERTLIB_SINKS": ""})
    (path,) = children.run_dir.glob("*.jsonl")
    return path.with_suffix("")


@pytest.fixture
def copy(original, tmp_path):
    """A copy to damage."""
    for suffix in (".jsonl", ".counts"):
        shutil.copy(original.with_suffix(suffix), tmp_path)
    return tmp_path / original.name


def plain(value):
    """Everything a shard holds, as data that can be compared."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    names = getattr(type(value), "__slots__", None) or getattr(value, "__dict__", None)
    if type(value).__module__.startswith("assertlib") and names:
        known = [name for name in names if not name.startswith("_")]
        known += ["details"] if isinstance(value, Shard) else []
        return {name: plain(getattr(value, name)) for name in known}
    return value


LISTS = ("hits", "faults", "troubles", "proofs")


def test_the_small_shard_has_every_kind_of_record(original):
    text = original.with_suffix(".jsonl").read_text()
    keys = {next(iter(json.loads(line))) for line in text.splitlines()}
    assert {key.removeprefix("assertlib_") for key in keys if key.startswith("assertlib_")} == {
        *("shard", "slot", "hit", "violation", "trial", "delta", "faults", "features", "error"),
        *("proof", "exit"),
    }
    assert {"antithesis_assert", "antithesis_guidance", "antithesis_setup", "event"} <= keys


def test_the_small_shard_is_read_back_in_full(original):
    shard = read_shard(str(original))
    assert shard.exited
    assert shard.durable
    assert not shard.torn
    assert counts_of([shard]) == {
        "bound": (4, 0),
        "claim": (2, 2),
        "less": (3, 1),
        "not yet": (0, 1),
        "end": (1, 0),
    }
    assert [(proof.defect, proof.message) for proof in shard.proofs] == [("a defect", "claim")]
    assert shard.trials["inner"].trial.parent == "one"
    assert shard.guidance["less"]["guidance_data"] == {"left": 3, "right": 3}
    assert shard.header["features"] == {"watch": False}


def test_reading_twice_gives_the_same(original):
    first, second = (read_shards(str(original.parent)) for _ in range(2))
    assert plain(first) == plain(second)


def test_reading_leaves_the_files_as_they_are(original):
    before = {path.name: path.read_bytes() for path in original.parent.iterdir()}
    read_shards(str(original.parent))
    assert {path.name: path.read_bytes() for path in original.parent.iterdir()} == before


# -- cut ---------------------------------------------------------------------------


@has_long_form
@pytest.mark.parametrize("with_counts", [True, False])
def test_lines_cut_at_any_byte_lose_no_earlier_line(original, copy, with_counts):
    whole = read_shard(str(original))
    records, data = copy.with_suffix(".jsonl"), original.with_suffix(".jsonl").read_bytes()
    if not with_counts:
        copy.with_suffix(".counts").unlink()
    for cut in places(len(data) + 1, every=17):
        records.write_bytes(data[:cut])
        shard = read_shard(str(copy))
        lines = data[:cut].splitlines(keepends=True)
        torn = bool(lines) and not lines[-1].endswith(b"\n")
        assert shard.torn is torn, cut
        told = [next(iter(json.loads(line))) for line in lines[: len(lines) - torn]]
        for name, key in zip(LISTS, ("hit", "faults", "error", "proof"), strict=True):
            found = plain(getattr(shard, name))
            assert found == plain(getattr(whole, name))[: len(found)], cut
            written = told.count(f"assertlib_{key}")
            if key == "hit":
                written += told.count("assertlib_violation")
            assert len(found) == written, cut
        assert len([slot for slot in shard.slots if slot.message]) == told.count("assertlib_slot")
        if with_counts:
            assert (shard.true, shard.false) == (whole.true, whole.false), cut


def test_counts_cut_at_any_byte_keep_every_slot_that_is_whole(original, copy):
    whole = read_shard(str(original))
    counts = copy.with_suffix(".counts")
    data = original.with_suffix(".counts").read_bytes()
    interesting = HEADER_BYTES + SLOT_BYTES * (len(whole.slots) + 1)
    for cut in range(interesting):
        counts.write_bytes(data[:cut])
        shard = read_shard(str(copy))
        slots = max(0, (cut - HEADER_BYTES) // SLOT_BYTES)
        assert shard.true[:slots] == whole.true[:slots], cut
        assert shard.false[:slots] == whole.false[:slots], cut
        assert plain(shard.hits) == plain(whole.hits), cut
        assert [slot.message for slot in shard.slots] == [slot.message for slot in whole.slots]


def test_without_counts_a_killed_and_an_ended_process_tell_their_recorded_hits(original, copy):
    copy.with_suffix(".counts").unlink()
    records = copy.with_suffix(".jsonl")
    ended = counts_of([read_shard(str(copy))])
    records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:-1]))
    killed = counts_of([read_shard(str(copy))])
    assert killed == ended
    for message in ("claim", "not yet", "end", "less", "bound"):
        assert sum(killed[message]) >= 1, message


def test_counts_alone_are_a_shard(original, copy):
    copy.with_suffix(".jsonl").unlink()
    (shard,) = read_shards(str(copy.parent))
    whole = read_shard(str(original))
    assert (shard.true, shard.false) == (whole.true, whole.false)
    assert [slot.message for slot in shard.slots] == [None] * 5
    assert [slot.hash for slot in shard.slots] == [slot.hash for slot in whole.slots]


def test_empty_files_are_a_shard_without_evidence(tmp_path):
    (tmp_path / "1-a.jsonl").touch()
    (tmp_path / "1-a.counts").touch()
    (shard,) = read_shards(str(tmp_path))
    assert (shard.name, shard.slots, shard.hits, shard.durable) == ("1-a", [], [], False)


KILLED_BETWEEN_CALLS = """
    import os, signal
    remaining = CALLS

    def deadly(function):
        def call(*args, **kwargs):
            global remaining
            remaining -= 1
            if remaining < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return call

    import mmap
    for name in ("open", "pwrite", "rename", "mkdir", "posix_fallocate", "ftruncate"):
        setattr(os, name, deadly(getattr(os, name)))
    mmap.mmap = deadly(mmap.mmap)

    from assertlib import *
    configure(sinks=[])
    for number in range(3):
        always(number < 2, "claim", {"n": number})
    with trial("one"):
        always_less_than(1, 2, "less")
        always(always, "trouble")
    for number in range(130):
        reachable(f"point {number % 129}")
"""


def test_a_process_killed_between_any_two_system_calls_leaves_a_readable_run(children):
    code, calls = -signal.SIGKILL, 0
    while code:
        children.run_dir = children.directory / f"run{calls}"
        with children.start(KILLED_BETWEEN_CALLS.replace("CALLS", str(calls))) as process:
            process.communicate()
        code = process.returncode
        assert code in (0, -signal.SIGKILL)
        if children.run_dir.exists():
            check_left_by_kill(children.run_dir)
        calls += 1 if calls < 30 else 25
    assert calls > 20


def check_left_by_kill(run_dir):
    for shard in read_shards(str(run_dir)):
        counts = counts_of([shard])
        assert all(counts[hit.message] != (0, 0) for hit in shard.hits)
        assert not shard.damage


# -- damaged -----------------------------------------------------------------------


def damaged(copy, number, line):
    """Put *line* in the place of line *number*, from 1."""
    records = copy.with_suffix(".jsonl")
    lines = records.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    records.write_bytes(b"".join(lines))
    return f"{records}:{number}: "


def lines_in(copy):
    return copy.with_suffix(".jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\n",
        b"\n",
        b"[]\n",
        b'"text"\n',
        b"\xff\xfe\n",
        b"\0" * 100 + b"\n",
        b"{\n",
    ],
)
def test_a_line_that_is_no_record_is_an_error_that_names_file_and_line(original, copy, garbage):
    for number, line in enumerate(lines_in(copy), 1):
        place = damaged(copy, number, garbage)
        with pytest.raises(UnreadableRunError) as caught:
            read_shard(str(copy))
        assert str(caught.value).startswith(place)
        damaged(copy, number, line)
    assert plain(read_shard(str(copy))) == plain(read_shard(str(original)))


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("glued", [True, False])
def test_a_line_torn_in_the_middle_of_the_file_is_an_error_that_names_it(copy, ours, glued):
    records = copy.with_suffix(".jsonl")
    whole = records.read_bytes()
    own = {number for number, _, _ in own_records(copy)}
    for number, line in enumerate(lines_in(copy)[:-1], 1):
        if (number in own) is not ours:
            continue
        place = damaged(copy, number, line[: len(line) // 2] + b"\n" * (not glued))
        with pytest.raises(UnreadableRunError) as caught:
            read_shard(str(copy)).details  # noqa: B018
        assert str(caught.value).startswith(place)
        records.write_bytes(whole)


def own_records(path):
    """Number, key and body of each record that is read."""
    for number, line in enumerate(path.with_suffix(".jsonl").read_bytes().splitlines(), 1):
        ((key, body),) = json.loads(line).items()
        if key.startswith(("assertlib_", "antithesis_assert", "antithesis_guidance")):
            yield number, key, body


WRONG = [None, True, -1, 1.5, "text", [], [[]], {}, {"a": 1}]


def test_a_record_with_a_wrong_or_missing_field_is_read_or_named_never_a_crash(original, copy):
    records = copy.with_suffix(".jsonl")
    whole = records.read_bytes()
    for number, key, body in own_records(original):
        variants = [{**body, name: wrong} for name in body for wrong in WRONG]
        variants += [{name: body[name] for name in body if name != left} for left in body]
        for variant in variants:
            damaged(copy, number, json.dumps({key: variant}).encode() + b"\n")
            try:
                read_shard(str(copy))
            except UnreadableRunError as error:
                assert str(error).startswith(f"{records}:{number}: ") or "assert" in key
            finally:
                records.write_bytes(whole)


@pytest.mark.parametrize("body", [b"null", b"5", b'"text"', b"[]", b"true"])
def test_a_record_whose_body_is_no_object_is_an_error_that_names_it(original, copy, body):
    records = copy.with_suffix(".jsonl")
    whole = records.read_bytes()
    for number, key, _ in own_records(original):
        place = damaged(copy, number, b'{"%s": %s}\n' % (key.encode(), body))
        with pytest.raises(UnreadableRunError) as caught:
            read_shard(str(copy))
        assert str(caught.value).startswith(place)
        records.write_bytes(whole)


@settings(max_examples=by_form(37, 300), deadline=None)
@given(
    place=st.integers(min_value=0),
    byte=st.integers(0, 255),
    suffix=st.sampled_from(["jsonl", "counts"]),
)
def test_a_changed_byte_is_read_or_named_never_a_crash(
    original, tmp_path_factory, place, byte, suffix
):
    copy = tmp_path_factory.mktemp("changed") / original.name
    for each in (".jsonl", ".counts"):
        shutil.copy(original.with_suffix(each), copy.with_suffix(each))
    path = copy.with_suffix("." + suffix)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    try:
        read_shard(str(copy))
    except UnreadableRunError as error:
        assert f"{path}:" in str(error)


def test_a_shard_of_a_later_schema_says_to_update(copy):
    header = json.loads(lines_in(copy)[1])
    header["assertlib_shard"]["schema"] = 99
    damaged(copy, 2, json.dumps(header).encode() + b"\n")
    with pytest.raises(UnreadableRunError, match=r"schema 99.*update"):
        read_shard(str(copy))


def test_lines_of_other_tools_are_passed_over(original, copy):
    records = copy.with_suffix(".jsonl")
    lines = records.read_bytes().splitlines(keepends=True)
    foreign = b'{"leader elected": {"term": 3}}\n'
    # Behind ours, so that the places of ours stay what they are.
    records.write_bytes(b"".join(lines) + foreign * len(lines))
    assert plain(read_shard(str(copy))) == plain(read_shard(str(original)))


def test_a_run_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnreadableRunError, match="nowhere"):
        read_shards(str(tmp_path / "nowhere"))


def test_a_directory_without_shards_has_none(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "1-a.jsonl.new").write_text("")
    assert read_shards(str(tmp_path)) == []


def test_the_description_of_a_run_may_be_missing_but_not_damaged(tmp_path):
    assert read_run_file(str(tmp_path)) is None
    for text in ("{", "[]", "5", ""):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(UnreadableRunError, match=r"run\.json"):
            read_run_file(str(tmp_path))
    (tmp_path / "run.json").write_text('{"full": true}')
    assert read_run_file(str(tmp_path)) == {"full": True}


# -- while it is written -----------------------------------------------------------


def test_following_a_shard_as_it_grows_tells_what_reading_it_tells(original, tmp_path, dice):
    data = original.with_suffix(".jsonl").read_bytes()
    path = tmp_path / "1-a.jsonl"
    path.touch()
    follower = Follower(str(path))
    written = 0
    while written < len(data):
        step = dice.choice([1, 7, 100, 1000])
        with path.open("ab") as file:
            file.write(data[written : written + step])
        written += step
        follower.read()
    whole = read_shard(str(original))
    for name in (*LISTS, "trials", "features", "header"):
        assert plain(getattr(follower.shard, name)) == plain(getattr(whole, name))


def test_following_names_file_and_line_of_a_bad_line(copy):
    place = damaged(copy, 3, b"garbage\n")
    follower = Follower(str(copy.with_suffix(".jsonl")))
    with pytest.raises(UnreadableRunError) as caught:
        follower.read()
    assert str(caught.value).startswith(place)


def test_following_a_shard_that_shrinks_is_an_error_that_names_it(copy):
    records = copy.with_suffix(".jsonl")
    follower = Follower(str(records))
    follower.read()
    records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:-2]))
    with pytest.raises(UnreadableRunError, match="truncated from"):
        follower.read()


def test_a_hit_behind_the_record_of_another_assertion_is_an_error_that_names_it(copy):
    lines = lines_in(copy)
    hits = [n for n, text in enumerate(lines) if text.startswith(b'{"assertlib_hit')]
    first, last = hits[0], hits[-1]
    lines[first], lines[last] = lines[last], lines[first]
    records = copy.with_suffix(".jsonl")
    records.write_bytes(b"".join(lines))
    with pytest.raises(UnreadableRunError) as caught:
        read_shard(str(copy)).details  # noqa: B018
    assert str(caught.value).startswith(f"{records}:{first + 1}: ")


def test_a_shard_is_readable_while_its_process_lives(children):
    def scenario():
        import os
        import sys

        with trial("one"):
            for _ in range(5):
                always(True, "claim")
            os.write(1, b"ready\n")
            sys.stdin.read(1)

    with children.start(scenario, stdin=-1) as process:
        assert process.stdout.readline() == "ready\n"
        (shard,) = children.shards
        process.communicate("x")
    assert counts_of([shard]) == {"claim": (5, 0)}
    assert not shard.exited
    assert children.shards[0].exited
