"""
``assertlib robustness``: checks that need no campaign.
"""

import re

import pytest

from assertlib.history.operations import Outcome
from assertlib.history.records import Call, Fault, Hashed, Header, Note, Return, line
from assertlib.history.requests import Committed, Done, KeyValue, Put, Range, Ranged

from .. import zygote
from ..support import child_environment


def robustness(directory, *arguments):
    return zygote.run(
        [zygote.ASSERTLIB, "robustness", *map(str, arguments)],
        cwd=directory,
        env=child_environment(),
        capture_output=True,
        text=True,
    )


def test_what_there_is_is_listed(tmp_path):
    done = robustness(tmp_path, "list")
    assert done.returncode == 0
    for word in ("kill", "partition", "range-compare", "kubernetes", "etcd", "cas-register"):
        assert f"  {word}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "60"], "--for 60: expected a number followed by s, m or h, such as 60s"),
        (["--for", "-5s"], "--for -5s"),
        (["--for", "0s"], "--for 0s: must be greater than zero"),
        (["--faults", ""], "unknown fault ''"),
        (["--faults", "kill,none"], "unknown fault 'none'"),
        (["--faults", "earthquake"], "unknown fault 'earthquake'; known faults: kill, "),
        (["--traffic", "rush-hour"], "unknown traffic profile 'rush-hour'; available: mixed, "),
        (["--traffic", "registers"], "requires the model 'kv'"),
        (
            ["--nodes", "1", "--faults", "partition"],
            "fault 'partition' requires at least 2 nodes, not 1",
        ),
        (["--binary", "/no/such/etcd"], "--binary /no/such/etcd: no such program"),
    ],
)
def test_what_cannot_be_done_is_reported_in_one_line(tmp_path, arguments, message):
    done = robustness(tmp_path, "etcd", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / ".assertlib").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere:STORE",
            "cannot load nowhere:STORE: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("json:STORE", "has no attribute 'STORE'"),
        ("json:dumps", "json:dumps"),
        ("here:BROKEN", "here:BROKEN"),
    ],
)
def test_a_store_that_is_none_is_reported_in_one_line(tmp_path, name, message):
    (tmp_path / "here.py").write_text("BROKEN = 5\n")
    (tmp_path / "broken.py").write_text("STORE = (\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit('bye')\n")
    done = robustness(tmp_path, "run", name)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_campaign_there_is_nothing_to_validate(tmp_path):
    done = robustness(tmp_path, "validate")
    assert done.returncode == 3
    assert "no campaign found" in done.stderr
    (tmp_path / "empty").mkdir()
    done = robustness(tmp_path, "validate", "empty")
    assert done.returncode == 3


# -- what is asserted of a history -----------------------------------------------------------


def answered(number, request, answer, at):
    return [
        line(Call(number, number, 10 * at, request, "m1")),
        line(Return(number, 10 * at + 5, Outcome.OK, answer)),
    ]


def fault(name, effect, breaks=()):
    """A fault with this effect, or without an end if that is None."""
    yield line(Fault(700, name, "begin", ("m1",), breaks))
    if effect is not None:
        yield line(Fault(710, name, "end", ("m1",), effect=effect, measured="why"))


def campaign(directory, *more, **about):
    """A campaign that left a history, with *more* records at its end."""
    lines = [
        line(Header("etcd", {"store": "etcd 9.9", "seed": 7, **about})),
        *answered(1, Range("\0", "\0"), Ranged(1, (), 0), 1),
        *answered(2, Put("a", "1"), Committed(2, results=(Done(),)), 2),
        *more,
    ]
    (directory / "history.jsonl").write_bytes(b"".join(lines))
    return directory


END = line(Note(900, "end"))


def test_a_clean_history_violates_nothing_and_says_what_was_not_exercised(tmp_path):
    done = robustness(tmp_path, "validate", campaign(tmp_path, END))
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout
    assert "VIOLATED" not in done.stdout
    assert "\nGAPS" in done.stdout
    assert "dormant (needs a fault" in done.stdout
    assert (tmp_path / "report.md").exists()
    assert (tmp_path / "timeline.html").exists()


def test_members_that_differ_violate_replica_equality_with_the_incident_named(tmp_path):
    hashes = [line(Hashed(800, 1, f"m{n}", 2, -1, 100 + n)) for n in (1, 2)]
    done = robustness(tmp_path, "validate", campaign(tmp_path, *hashes, END))
    assert done.returncode == 1
    for invariant, message in (
        ("kv.replica-equal", "members hold the same data"),
        ("kv.apply-deterministic", "members at the same revision"),
    ):
        assert re.search(rf'^VIOLATED  {invariant}\n +"{message}', done.stdout, re.MULTILINE)
    assert "incidents: " in done.stdout


def test_a_member_that_fell_behind_violates_durability(tmp_path):
    behind = line(Hashed(800, 1, "m1", 1, -1, 5))
    done = robustness(tmp_path, "validate", campaign(tmp_path, behind, END))
    assert done.returncode == 1
    assert "VIOLATED  kv.durable-ack" in done.stdout


def test_a_request_whose_outcome_stays_open_was_neither_applied_nor_not_applied(tmp_path):
    # Either of the two may have created revision 3.
    lost = [
        each
        for number in (3, 4)
        for each in (
            line(Call(number, number, 300, Put("b", "1"), "m1")),
            line(Return(number, 320, Outcome.UNKNOWN, error="timeout")),
        )
    ]
    kv = KeyValue("b", "1", 3, 3, 1)
    seen = answered(5, Range("\0", "\0"), Ranged(3, (KeyValue("a", "1", 2, 2, 1), kv), 2), 50)
    directory = campaign(tmp_path, *lost, *seen, END, faults="kill", traffic="mixed")
    robustness(tmp_path, "validate", directory)
    report = (tmp_path / "report.md").read_text()
    for end in ("applied", "not applied"):
        (row,) = [each for each in report.splitlines() if f'was {end}" |' in each]
        assert "never reached" in row


def test_a_fault_that_breaks_what_is_assumed_puts_it_out_of_model(tmp_path):
    behind = line(Hashed(800, 1, "m1", 1, -1, 5))
    cut = fault("power-cut", effect=1, breaks=("fsync-honest",))
    done = robustness(tmp_path, "validate", campaign(tmp_path, *cut, behind, END))
    assert "VIOLATED  kv.durable-ack" not in done.stdout
    assert "OUT OF MODEL kv.durable-ack" in done.stdout


def test_a_fault_without_effect_excuses_nothing(tmp_path):
    behind = line(Hashed(800, 1, "m1", 1, -1, 5))
    cut = fault("power-cut", effect=0, breaks=("fsync-honest",))
    done = robustness(tmp_path, "validate", campaign(tmp_path, *cut, behind, END))
    assert done.returncode == 1
    assert "VIOLATED  kv.durable-ack" in done.stdout


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ([], "kill was never injected: the campaign was too short; pause was never injected"),
        ([("kill", 3), ("kill", 0)], "pause was never injected: the campaign was too short"),
        (
            [("kill", 1), ("pause", 0), ("pause", 0)],
            "pause had no effect in 2 of 2 injections: why",
        ),
        (
            [("kill", 1), ("pause", None)],
            "pause had no effect in 1 of 1 injections: it did not end",
        ),
    ],
)
def test_a_kind_of_fault_that_never_had_an_effect_leaves_the_campaign_unjudged(
    tmp_path, injected, message
):
    faults = [each for name, effect in injected for each in fault(name, effect)]
    about = {"faults": "kill,pause"}
    done = robustness(tmp_path, "validate", campaign(tmp_path, *faults, END, **about))
    assert done.returncode == 3, done.stdout
    assert message in done.stdout
    assert "UNKNOWN" in done.stdout
    for name, effect in injected:
        row = rf'\| reached \| "a fault is injected \\\[bucket={name}\\\]"'
        counted = re.search(row, (tmp_path / "report.md").read_text()) is not None
        assert counted == any(effect for other, effect in injected if other == name)


def test_a_fault_that_was_left_out_leaves_the_campaign_unjudged(tmp_path):
    note = line(Note(1, "left out", {"fault": "isolate", "reason": "no iptables"}))
    history = campaign(tmp_path, note, *fault("kill", 1), END, faults="kill,isolate")
    done = robustness(tmp_path, "validate", history)
    assert done.returncode == 3
    assert "isolate was left out: no iptables" in done.stdout


def test_faults_that_all_had_an_effect_are_judged(tmp_path):
    faults = [*fault("pause", 0), *fault("kill", 1), *fault("pause", 2)]
    history = campaign(tmp_path, *faults, END, faults="kill,pause")
    done = robustness(tmp_path, "validate", history)
    assert done.returncode == 0, done.stdout
    assert re.search(r"faults +success +2 judged", done.stdout)


def test_a_violation_outweighs_a_fault_without_effect(tmp_path):
    hashes = [line(Hashed(800, 1, f"m{n}", 2, -1, 100 + n)) for n in (1, 2)]
    history = campaign(tmp_path, *fault("kill", 0), *hashes, END, faults="kill")
    done = robustness(tmp_path, "validate", history)
    assert done.returncode == 1
    assert "FAILURE" in done.stdout


def test_no_campaign_ends_as_a_success_over_a_violation(tmp_path):
    # No check of the history fails, an assertion about it does.
    behind = line(Hashed(800, 1, "m1", 1, -1, 5))
    done = robustness(tmp_path, "validate", campaign(tmp_path, behind, END))
    assert done.returncode == 1
    assert "VIOLATED  kv.durable-ack" in done.stdout
    assert "FAILURE" in done.stdout
    assert "SUCCESS" not in done.stdout


def test_nothing_is_held_against_a_store_whose_harness_failed(tmp_path):
    hashes = [line(Hashed(800, 1, f"m{n}", n, -1, 100 + n)) for n in (1, 2)]
    note = line(Note(850, "harness failed", {"error": "the disk at /m1 vanished"}))
    done = robustness(tmp_path, "validate", campaign(tmp_path, *hashes, note))
    assert done.returncode == 3
    assert "the harness failed, not the store: the disk at /m1 vanished" in done.stdout
    for word in ("SUCCESS", "FAILURE", "VIOLATED"):
        assert word not in done.stdout


def test_a_campaign_that_was_killed_proves_no_absence(tmp_path):
    done = robustness(tmp_path, "validate", campaign(tmp_path))
    assert done.returncode == 0
    assert "unreached" not in done.stdout
    assert "inconclusive" in done.stdout


def test_a_broken_test_is_never_a_pass(tmp_path):
    lines = (campaign(tmp_path, END) / "history.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_bytes(b"".join([lines[0], *lines[3:]]))
    done = robustness(tmp_path, "validate", tmp_path)
    assert done.returncode == 3
    assert "it was not empty at the beginning" in done.stdout
    assert "UNKNOWN" in done.stdout
