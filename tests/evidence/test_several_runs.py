"""
Several runs judged together: copies, shards that lost lines, runs that nobody scanned.
"""

import shutil

from assertlib.catalog.loader import Catalog
from assertlib.evidence.combine import Evidence
from assertlib.evidence.gather import read_evidence
from assertlib.evidence.runs import RunInfo
from assertlib.evidence.summary import summarise

from ..invariants.test_evidence import recorded_run, verdicts
from ..support import add_run

CLAIM = "values are not negative"


def test_a_copy_of_a_run_counts_once(tmp_path):
    run = tmp_path / "run"
    recorded_run(run, processes=2)
    shutil.copytree(run, tmp_path / "copy")

    once = verdicts(read_evidence([run]))
    for paths in ([run, tmp_path / "copy"], [tmp_path / "copy", run]):
        assert verdicts(read_evidence(paths))[CLAIM] == once[CLAIM]


def test_counters_that_lost_their_lines_are_named_by_the_source_as_it_is(tmp_path):
    run = tmp_path / "run"
    info, (shard,) = recorded_run(run, processes=1)
    (run / f"{shard.name}.jsonl").write_bytes(b"")

    summary = summarise(read_evidence([run]), Catalog(), "store", list(info.scan))

    counts = {each.message: each.true for each in summary.assertions}
    assert counts[CLAIM] == 8
    assert any("lost lines" in note for note in summary.notes)


def test_what_no_scan_saw_is_told_also_when_the_newest_run_was_not_scanned(tmp_path):
    info, shards = recorded_run(tmp_path / "run", processes=1)
    other = tuple(site for site in info.scan if site.message != CLAIM)
    evidence = Evidence()
    add_run(evidence, RunInfo("1", tmp_path, "store", True, None, (), scan=other), [])
    add_run(evidence, RunInfo("2", tmp_path, None, False, None, ()), shards)

    summary = summarise(evidence, Catalog(), "store", [])

    assert summary.undeclared == [CLAIM]
