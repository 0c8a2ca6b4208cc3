"""
Shards that are read twice, in copies of a run, and shards that lost lines.
"""

import shutil

from assertlib.catalog.loader import Catalog
from assertlib.evidence.combine import read_evidence
from assertlib.evidence.summary import summarise

from ..invariants.test_evidence import recorded_run, verdicts

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
