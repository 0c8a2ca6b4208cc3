"""
What the demo shows of a trial.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import demo

TRACE = f"""\
    0.000000  world       server boots
    0.060000  server      run task-7 Server._connected
    0.060065  server      disk: write 159 B to /data/wal.log
    0.060065  server      sends 96 bytes to clients:32771, to arrive at 0.078719
    0.093926              * always 'ack follows fsync' is True
    0.093926  server      fault: write-error
    0.140129  world       server is down
    0.148121  world       server boots
    0.148121              * reachable {demo.WITNESS!r} is True
    0.150000  server      disk: sync /data/wal.log
"""
FAULTS = "faults (* breaks an assumption)\n  write-error       EIO from a write\n  bit-rot         * a bit\n"


def test_a_witness_is_shown_by_what_happened_to_disks_and_hosts():
    assert demo.events(TRACE, dict(demo.FAULT.findall(FAULTS))) == [
        "  0.000 s          server boots",
        "  0.060 s  server  disk: write 159 B to /data/wal.log",
        "  0.094 s  server  fault: write-error (EIO from a write)",
        "  0.140 s          server is down",
        "  0.148 s          server boots",
        f"  0.148 s          reached: {demo.WITNESS}",
    ]


def test_of_a_long_trial_the_end_is_shown():
    begin, *rest = TRACE.splitlines(keepends=True)
    assert len(demo.events(begin * 50 + "".join(rest), {})) == demo.SHOWN


def test_a_state_that_was_not_reached_has_no_witness():
    assert demo.events("no witness\n", {}) == []


def test_a_fault_that_breaks_an_assumption_is_known_by_its_name():
    assert dict(demo.FAULT.findall(FAULTS)) == {
        "write-error": "EIO from a write",
        "bit-rot": "a bit",
    }
