"""
A campaign against the example store, through the adapter that stands beside it.
"""

import pytest

from .campaigns import campaign_of, judged, robustness, violated

STORE = ("run", "kvstore.adapter:KvStore")


def configure(directory):
    from .campaigns import ROOT

    (directory / "pyproject.toml").write_text(
        f"""
[tool.assertlib.targets.campaign]
source = ["{ROOT}/examples/kvstore/kvstore", "assertlib:robustness"]
exclude = ["*/torture.py", "*/verify*.py", "*/workload.py"]
catalog = ["assertlib:etcd"]
without = ["replicas", "stale-reads"]
"""
    )


@pytest.mark.long
def test_the_example_store_gives_no_cause_for_alarm(tmp_path):
    configure(tmp_path)
    done = robustness(tmp_path, *STORE, "--for", "20s")
    assert violated(done.stdout) == set(), done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    # What the store's own processes asserted is in the same report.
    assert '"an unanswered request was' in done.stdout
    assert "wal.written-before-applied" not in done.stdout.partition("UNREACHED")[0]
    assert (campaign_of(tmp_path) / "history.jsonl").exists()


@pytest.mark.long
def test_leases_that_end_by_themselves_are_judged(tmp_path):
    configure(tmp_path)
    # A restart gives every lease its time anew, so nothing is killed.
    done = judged(tmp_path, *STORE, "--traffic", "lease-expiry", "--faults", "none", "--for", "8s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'reached  "a lease with keys expires on its own"' in done.stdout
