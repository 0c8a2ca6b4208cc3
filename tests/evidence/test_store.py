"""
The evidence store, in SQLite and in a real PostgreSQL: nothing is lost, nothing counted twice.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assertlib.evidence import record as records
from assertlib.evidence import schema
from assertlib.evidence.exports import from_json
from assertlib.evidence.gather import read_evidence
from assertlib.evidence.record import (
    Identity,
    RunRecord,
    ShardRecord,
    Totals,
    TrialRow,
    record_of,
)
from assertlib.evidence.store import Store, StoreError

from ..forms import by_form
from ..support import clean_environment

RANDOM, TESTS = ("kill", "seed-random"), ("", "set")
A, B, C = (Identity("sometimes", name, "f" * 16, "kv.x") for name in "abc")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/evidence.db"
    return request.getfixturevalue("postgres").database()


def part(shards, assertions=(A, B), run="r1", **fields):
    """A run as told by some of its shards: name, weight, trials with the bits of true and false."""
    record = RunRecord(run, "store", started=5, assertions=tuple(assertions), **fields)
    for name, weight, trials in shards:
        true = [sum(t >> n & 1 for t, _ in trials.values()) * 2 for n in range(len(assertions))]
        false = [sum(f >> n & 1 for _, f in trials.values()) for n in range(len(assertions))]
        record.shards[name] = ShardRecord(
            (weight, 0, 1), {RANDOM: Totals(tuple(true), tuple(false))}
        )
        for identifier, (made_true, made_false) in trials.items():
            row = record.trials.setdefault(identifier, TrialRow(RANDOM, "", "7", begin=10, end=20))
            row.true |= made_true
            row.false |= made_false
    return record


def told(store, run="r1"):
    return {
        (each.identity.message, *each.sample): (
            each.true, each.false, each.trials, each.hit, each.made_true, each.made_false,
        )
        for each in store.results([run])
    }  # fmt: skip


ONE = [("1-a", 5, {"t1": (0b01, 0b10), "t2": (0b11, 0b00)})]
TWO = [("2-b", 5, {"t2": (0b00, 0b01), "t3": (0b10, 0b01)})]
BOTH = {
    ("a", *RANDOM): (4, 2, 3, 3, 2, 2),
    ("b", *RANDOM): (4, 1, 3, 3, 2, 1),
}


def test_a_run_is_read_back_as_it_was_added(url):
    record = part(ONE + TWO, commit="c0ffee1", branch="main", full=True, command="make test")
    with Store(url) as store:
        assert store.add(record)
        assert store.run("r1") == record
        assert told(store) == BOTH
        (run,) = store.runs("store")
        assert (run.id, run.commit, run.branch, run.full, run.started) == (
            "r1", "c0ffee1", "main", True, 5,
        )  # fmt: skip
        assert store.runs("other") == []


@pytest.mark.parametrize("parts", [[ONE, TWO], [TWO, ONE], [ONE + TWO, ONE], [TWO, TWO, ONE, ONE]])
def test_parts_of_a_run_add_up_in_any_order_and_however_often(url, parts):
    with Store(url) as store:
        for each in parts:
            store.add(part(each))
        assert told(store) == BOTH


def test_counts_are_little_endian_on_each_machine(tmp_path):
    # Machines of both byte orders may share a store.
    path = tmp_path / "evidence.db"
    with Store(f"sqlite:///{path}") as store:
        store.add(part(ONE))
    connection = sqlite3.connect(path)
    (row,) = connection.execute('select "true", "false" from assertlib_shards').fetchall()
    connection.close()
    assert row == tuple(
        b"".join(count.to_bytes(8, "little") for count in counts) for counts in ((4, 2), (0, 1))
    )


def test_what_is_known_is_not_written_again(url):
    with Store(url) as store:
        assert store.add(part(ONE))
        assert not store.add(part(ONE))


def test_the_later_reading_of_a_shard_takes_the_place_of_the_earlier(url):
    early = [("1-a", 1, {"t1": (0b01, 0)})]
    with Store(url) as store:
        for each in (early, ONE, early):
            store.add(part(each))
        assert told(store) == {
            ("a", *RANDOM): (4, 0, 2, 2, 2, 0),
            ("b", *RANDOM): (2, 1, 2, 2, 1, 1),
        }


def test_lists_of_assertions_that_differ_are_laid_upon_each_other(url):
    with Store(url) as store:
        store.add(part([("1-a", 1, {"t1": (0b01, 0)})], assertions=(A, B)))
        store.add(part([("2-b", 1, {"t2": (0b01, 0)})], assertions=(C, A)))
        assert {name[0]: row[:1] + row[4:5] for name, row in told(store).items()} == {
            "a": (2, 1), "b": (0, 0), "c": (2, 1),
        }  # fmt: skip


def test_what_is_removed_is_gone_and_may_come_again(url):
    with Store(url) as store:
        store.add(part(ONE))
        store.add(part(TWO, run="r2"))
        store.remove(["r1"])
        assert [run.id for run in store.runs()] == ["r2"]
        assert told(store) == {}
        store.add(part(ONE + TWO))
        assert told(store) == BOTH


def test_numbers_and_texts_as_large_and_odd_as_they_come(url):
    odd = Identity("always", 'it\'s "odd"; DROP TABLE x; \u202e émoji 🎉\n%s', "f", "kv.x#y")
    record = RunRecord("r1", "store", assertions=(odd,), started=2**62)
    record.shards["1-a"] = ShardRecord((2**63, 1, 1), {RANDOM: Totals((2**62,), (3,))})
    with Store(url) as store:
        store.add(record)
        assert store.run("r1") == record


# -- versions -------------------------------------------------------------------------------


def test_a_newer_store_is_refused_and_left_alone(url):
    with Store(url) as store:
        store.add(part(ONE))
        with store._writing() as connection:
            connection.execute(schema.meta.update().values(value="99"))
    with pytest.raises(
        StoreError, match="schema 99, but this version of assertlib knows 1; update assertlib"
    ):
        Store(url)


def test_an_older_store_is_upgraded_once(url, monkeypatch):
    with Store(url) as store:
        store.add(part(ONE))
    steps = []

    def add_note(connection):
        steps.append("taken")
        connection.execute(sa.text("ALTER TABLE assertlib_runs ADD COLUMN note TEXT"))

    monkeypatch.setattr(schema, "STEPS", [*schema.STEPS, add_note])
    for _ in range(2):
        with Store(url) as store:
            assert [run.id for run in store.runs()] == ["r1"]
            with store._reading() as connection:
                connection.execute(sa.text("SELECT note FROM assertlib_runs"))
    assert steps == ["taken"]


# -- trouble ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://x/y", "postgresql://tests@127.0.0.1:1/none", "sqlite:////no/such/x"],
)
def test_what_is_no_store_is_one_clear_error(url):
    with pytest.raises(StoreError) as error:
        Store(url)
    assert len(str(error.value).splitlines()) == 1


KILLED = """
import os, signal, sys
from assertlib.evidence import store as module
from assertlib.evidence.record import RunRecord
from tests.evidence.test_store import ONE, TWO, part
calls = int(sys.argv[2])
insert = module._insert
def deadly(connection, table, rows):
    global calls
    insert(connection, table, rows)
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
module._insert = deadly
module.Store(sys.argv[1]).add(part(ONE + TWO))
"""


def test_an_import_that_is_killed_half_way_twice_leaves_nothing_half_done(url):
    root = Path(__file__).parents[2]
    for calls in (1, 2, 3):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, url, str(calls)], cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)}, timeout=60,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL
        with Store(url) as store:
            assert store.runs() == []
    with Store(url) as store:
        store.add(part(ONE + TWO))
        assert told(store) == BOTH


def test_many_imports_at_once_neither_lose_nor_double(url):
    Store(url).close()
    parts = [part(ONE), part(TWO), part(ONE + TWO), part(ONE, run="r2"), part(TWO, run="r3")] * 3
    errors = []

    def add(record):
        try:
            with Store(url) as store:
                store.add(record)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(each,)) for each in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Store(url) as store:
        assert told(store) == BOTH
        assert [run.id for run in store.runs()] == ["r1", "r2", "r3"]


def test_a_database_that_goes_away_and_comes_back_loses_nothing(postgres):
    url = postgres.database()
    with Store(url) as store:
        store.add(part(ONE))
        postgres.stop()
        with pytest.raises(StoreError):
            store.add(part(TWO))
        postgres.start()
        store.add(part(TWO))
        assert told(store) == BOTH


NO_ROOM = """
import resource, sys
from assertlib.evidence.store import Store, StoreError
from tests.evidence.test_store import part
with Store(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        store.add(part([("3-c", 1, {f"t{number}": (1, 2) for number in range(5000)})]))
    except StoreError as error:
        print(error)
"""


def test_opening_a_store_keeps_the_locks_of_another_in_the_same_process(tmp_path):
    path = tmp_path / "evidence.db"
    Store(path).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    Store(path).close()
    intruder = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN IMMEDIATE')"
    done = subprocess.run(
        [sys.executable, "-c", intruder, path], capture_output=True, text=True, check=False
    )
    writer.close()
    assert "database is locked" in done.stderr


def test_a_full_disk_is_an_error_and_changes_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/evidence.db"
    with Store(url) as store:
        store.add(part(ONE))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, url], cwd=root, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(root)}, timeout=60, check=True,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert line.startswith(url + ": ")
    with Store(url) as store:
        assert told(store) == told_of(ONE)


def told_of(shards):
    with Store("sqlite://") as store:
        store.add(part(shards))
        return told(store)


# -- as a property ----------------------------------------------------------------------------

trial_bits = st.tuples(st.integers(0, 3), st.integers(0, 3))
whole_shards = st.dictionaries(
    st.sampled_from(["1-a", "2-b", "3-c"]),
    st.dictionaries(st.sampled_from(["t1", "t2", "t3", "t4"]), trial_bits, max_size=4),
    min_size=1,
)


@settings(max_examples=by_form(30, 60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    whole_shards,
    st.lists(st.tuples(st.sampled_from(["1-a", "2-b", "3-c"]), st.booleans()), max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_sequence_of_imports_ends_where_one_whole_import_does(shards, imports, dice):
    def of(names):
        return part([(name, 9, shards[name]) for name in names if name in shards])

    expected = told_of([(name, 9, trials) for name, trials in shards.items()])
    with Store("sqlite://") as store:
        for name, is_broken_off in imports:
            if is_broken_off:
                broken = replace(of([name]), command=None)
                with suppress(StoreError):
                    store.add(broken)
            else:
                store.add(of([name]))
        names = list(shards)
        dice.shuffle(names)
        for name in names:
            store.add(of([name]))
        assert told(store) == expected


# -- real shards, damaged -----------------------------------------------------------------------

RECORDING = """
from assertlib import always, sometimes, trial
for seed in range(6):
    with trial(f"seed {seed}", population="kill", seed=seed):
        for n in range(4):
            always(n >= 0, "a promise", {"n": n})
            sometimes(n == seed, "a state", {"n": n})
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of one process, and what the store holds of it."""
    root = tmp_path_factory.mktemp("recorded")
    subprocess.run(
        [sys.executable, "-c", RECORDING], cwd=root, timeout=60, check=True,
        env={**clean_environment(), "ASSERTLIB_RUN_DIR": str(root / "run-1")},
    )  # fmt: skip
    return root / "run-1", results_of([root / "run-1"])


def results_of(run_dirs):
    with Store("sqlite://") as store:
        for path in run_dirs:
            store.add(record_of(read_evidence([path]), path.name))
        return {name: row[:2] for name, row in told(store, "run-1").items()}


@settings(max_examples=by_form(20, 40), deadline=None)
@given(st.data())
def test_shards_cut_at_any_byte_and_read_in_any_order_end_with_what_the_whole_one_tells(
    recorded, tmp_path_factory, data
):
    whole, expected = recorded
    cut = tmp_path_factory.mktemp("cut") / "run-1"
    shutil.copytree(whole, cut)
    for path in cut.iterdir():
        size = data.draw(st.integers(0, path.stat().st_size), label=path.suffix)
        os.truncate(path, size)
    order = data.draw(st.permutations([whole, cut, whole]))
    assert expected == {("a promise", *RANDOM): (24, 0), ("a state", *RANDOM): (4, 20)}
    assert results_of(order) == expected


def test_a_run_that_is_gated_comes_last_whatever_its_clock_said(url):
    with Store(url) as store:
        store.add(replace(part(ONE, run="now"), started=100))
        gated = part(ONE, run="of a clock set back")
        store.add(gated, newest=True)
        assert [run.id for run in store.runs("store")] == ["now", "of a clock set back"]
        assert not store.add(part(ONE, run="of a clock set back"))
        assert [run.id for run in store.runs("store")] == ["now", "of a clock set back"]


def test_a_run_that_is_added_later_keeps_its_place_in_history(url):
    with Store(url) as store:
        store.add(replace(part(ONE, run="now"), started=100))
        store.add(part(ONE, run="before"))
        assert [run.id for run in store.runs("store")] == ["before", "now"]


def test_a_run_that_is_exported_in_parts_is_put_together_again(monkeypatch):
    whole = part([("s1", 5, {f"t{n}": (n % 4, n % 2) for n in range(50)})])
    whole.shards["s1"].weight = (5, 0, True)
    monkeypatch.setattr(records, "_PART", 200)
    lines = list(whole.lines())
    assert len(lines) > 5
    first, *others = (from_json(line.encode()) for line in lines)
    for other in others:
        first.merge(other)
    assert first == whole


def test_a_line_of_a_newer_assertlib_says_to_update():
    (line,) = part([]).lines()
    newer = line.replace('"schema": 1', '"schema": 2, "colour": "red"')
    with pytest.raises(
        ValueError, match="schema 2, but this version of assertlib reads 1; update assertlib"
    ):
        from_json(newer.encode())
