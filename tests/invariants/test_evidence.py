"""
assertlib held to its own catalog, by its own assertions: evidence and scan.
"""

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from assertlib import Invariant
from assertlib.catalog.loader import Catalog
from assertlib.catalog.scan import scan_sources
from assertlib.evidence.combine import Evidence
from assertlib.evidence.runs import RunInfo
from assertlib.evidence.summary import summarise
from assertlib.recording.reader import read_shard, read_shards

from ..support import add_run, clean_environment

MERGE = Invariant("evidence.merge-is-a-set")
ZERO = Invariant("evidence.zero-rows-are-shown")
CUT = Invariant("evidence.cut-shards-keep-their-lines")
MEANING = Invariant("scan.fingerprint-follows-meaning")

STORE = """
from assertlib import always, sometimes, reachable
def put(value):
    always(value >= 0, "values are not negative")
    sometimes(value > 5, "a large value")
    if value > 100:
        reachable("a huge value")
"""

DRIVE = STORE + "\nfor value in range(8):\n    put(value)\n"


def recorded_run(tmp_path, processes=3):
    environment = clean_environment()
    for _ in range(processes):
        subprocess.run(
            [sys.executable, "-c", DRIVE],
            env={**environment, "ASSERTLIB_RUN_DIR": str(tmp_path)},
            check=True,
        )
    sites = tuple(scan_sources({"store.py": STORE}).sites)
    info = RunInfo("run", tmp_path, "store", full=True, commit=None, command=(), scan=sites)
    return info, read_shards(str(tmp_path))


def verdicts(evidence):
    summary = summarise(evidence, Catalog(), "store", [])
    return {
        each.message: (each.verdict.value, each.true, each.false) for each in summary.assertions
    }


def test_merging_in_any_order_and_twice_gives_the_same(tmp_path):
    info, shards = recorded_run(tmp_path)
    results = []
    for order in itertools.permutations(shards):
        evidence = Evidence()
        for shard in (*order, order[0]):
            other = Evidence()
            add_run(other, info, [shard])
            evidence.merge(other)
        results.append(verdicts(evidence))

    assert MERGE.always(
        all(result == results[0] for result in results), "order and repetition change no verdict"
    )
    assert results[0]["values are not negative"] == ("satisfied", 24, 0)


def test_what_nothing_hit_has_a_row(tmp_path):
    info, shards = recorded_run(tmp_path, processes=1)
    evidence = Evidence()
    add_run(evidence, info, shards)
    rows = verdicts(evidence)

    assert ZERO.always(
        {site.message for site in info.scan} <= rows.keys(), "every scanned assertion has a row"
    )
    assert ZERO.sometimes(
        rows["a huge value"] == ("unreached", 0, 0), "an assertion that was never hit is judged"
    )


def hits_in(data):
    return data.count(b'{"assertlib_hit"') + data.count(b'{"assertlib_violation"')


def test_a_shard_cut_at_any_byte_keeps_its_lines(tmp_path):
    _, (shard,) = recorded_run(tmp_path, processes=1)
    whole = (tmp_path / f"{shard.name}.jsonl").read_bytes()
    cut = tmp_path / "cut"
    cut.mkdir()
    for size in range(len(whole) + 1):
        (cut / "1-cut.jsonl").write_bytes(whole[:size])
        left = read_shard(str(cut / "1-cut"))
        lines = hits_in(whole[:size])
        ends_whole = whole[:size].endswith(b"\n") or size == 0
        complete = lines if ends_whole else hits_in(whole[: whole[:size].rfind(b"\n") + 1])
        CUT.always(len(left.hits) == complete, "every whole line before a cut is read")
        CUT.sometimes(left.torn, "a cut leaves a torn line")
        assert len(left.hits) == complete


NAMES = st.permutations(["alpha", "beta", "gamma"])
OPERATORS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])


def fingerprint(names, left, operator, right):
    a, b, c = names
    source = (
        "from assertlib import always\n"
        f"def put({a}, {b}):\n"
        f"    {c} = {a}.size\n"
        f"    always({left} {operator} {right}, 'm')\n"
    )
    return scan_sources({"m.py": source}).sites[0].fingerprint


@given(NAMES, OPERATORS, st.permutations([0, 1, 2]))
def test_a_fingerprint_follows_the_meaning(names, operator, order):
    plain = ["a", "b", "c"]
    first, second, _ = order
    original = fingerprint(plain, plain[first], operator, plain[second])
    renamed = fingerprint(names, names[first], operator, names[second])
    swapped = fingerprint(plain, plain[second], operator, plain[first])

    assert MEANING.always(original == renamed, "renaming leaves a fingerprint alone")
    assert MEANING.always(original != swapped, "swapping operands changes a fingerprint")
