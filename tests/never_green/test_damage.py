"""
Shards that were cut, overwritten, mixed or lost: a violated run is never green, and a state that
was never reached never satisfied.
"""

import mmap
import shutil
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assertlib import Invariant
from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.cli.common import verdict_code
from assertlib.evidence.gather import read_evidence
from assertlib.evidence.summary import summarise
from assertlib.recording.reader import UnreadableRunError

from ..forms import by_form, has_long_form, places
from .project import Project, outcome

DAMAGE_IS_NAMED = Invariant("evidence.damage-is-named")

PROGRAM = """
from assertlib import sometimes
for number in range(3):
    with trial(f"t{number}"):
        store.put(number)
        store.never(number)
        VIOLATE
"""
STORE = """
from assertlib import sometimes

def never(value):
    sometimes(value > 100, "a large value", invariant="kv.promise")
"""


def recorded(root, violate):
    project = Project(root)
    project.write("store.py", (root / "store.py").read_text() + STORE)
    project.run(PROGRAM.replace("VIOLATE", "store.put(-1)" if violate else "pass"))
    return project


@pytest.fixture(scope="module")
def violated():
    with tempfile.TemporaryDirectory() as root:
        yield recorded(Path(root), violate=True)


@pytest.fixture(scope="module")
def never_true():
    with tempfile.TemporaryDirectory() as root:
        yield recorded(Path(root), violate=False)


def judged(project, damage):
    """Exit code and verdicts of a copy of the run whose files *damage* has changed."""
    config = find_config(project.root)
    checked = check(config, *config.target())
    with tempfile.TemporaryDirectory() as copies:
        run = Path(copies) / project.newest_run.name
        shutil.copytree(project.newest_run, run)
        (counts,) = run.glob("*.counts")
        damage(run, counts)
        try:
            evidence = read_evidence([run])
        except UnreadableRunError:
            return 2, {}
        summary = summarise(evidence, checked.catalog, checked.name, checked.scan.sites)
        return verdict_code(summary), {
            each.message: each.verdict.value for each in summary.assertions
        }


def overwritten(offset, value):
    def damage(_, counts):
        data = bytearray(counts.read_bytes())
        struct.pack_into("=Q", data, offset * 8, value)
        counts.write_bytes(data)

    return damage


def cut(size):
    return lambda _, counts: counts.write_bytes(counts.read_bytes()[:size])


def flipped(bit):
    def damage(_, counts):
        data = bytearray(counts.read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        counts.write_bytes(data)

    return damage


CELLS = st.integers(0, 30)
VALUES = st.one_of(st.sampled_from([0, 1, 2, 3, 255, 256, 2**63]), st.integers(0, 2**64 - 1))
DAMAGE = st.one_of(
    st.builds(overwritten, CELLS, VALUES),
    st.builds(cut, st.integers(0, mmap.PAGESIZE - 1)),
    st.builds(flipped, st.integers(0, 30 * 64)),
)
PROPERTY = settings(
    max_examples=by_form(25, 200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@PROPERTY
@given(damage=DAMAGE)
def test_no_damage_to_the_counters_makes_a_violated_run_green(violated, damage):
    code, _ = judged(violated, damage)
    DAMAGE_IS_NAMED.always(code != 0, "damage makes no violated run green")
    assert code != 0


@PROPERTY
@given(damage=DAMAGE)
def test_no_damage_to_the_counters_makes_a_state_reached_that_never_was(never_true, damage):
    code, verdicts = judged(never_true, damage)
    DAMAGE_IS_NAMED.sometimes(code == 2, "damage is found where nothing is violated")
    assert code != 0 or verdicts["a large value"] == "never-true"


@has_long_form
def test_no_flipped_bit_hides_a_violation_or_reaches_a_state(violated, never_true):
    (counts,) = never_true.newest_run.glob("*.counts")
    slots = struct.unpack_from("=3Q", counts.read_bytes())[2]
    for bit in places((8 + 4 * slots) * 64, every=13):
        code, _ = judged(violated, flipped(bit))
        assert code != 0, f"bit {bit}"
        code, verdicts = judged(never_true, flipped(bit))
        assert code != 0 or verdicts["a large value"] == "never-true", f"bit {bit}"


def emptied(run, _):
    for path in run.glob("*.jsonl"):
        path.write_bytes(b"")


def without(suffix):
    def damage(run, _):
        for path in run.glob(f"*{suffix}"):
            path.unlink()

    return damage


def foreign(run, _):
    (run / "1-ab.jsonl").write_text('{"some": {"thing": "else"}}\n')
    (run / "1-ab.counts").write_bytes(b"not a counter file")


def half_a_line(run, _):
    for path in run.glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        lines[3] = lines[3][:20] + b"\n"
        path.write_bytes(b"".join(lines))


FILES = {
    "the `.jsonl` file is emptied": emptied,
    "the `.jsonl` file is deleted": without(".jsonl"),
    "the counters are deleted": without(".counts"),
    "the counters are truncated in their header": lambda _, counts: cut(20)(_, counts),
    "the counters are truncated between two slots": lambda _, counts: cut(64)(_, counts),
    "the counters are emptied": lambda _, counts: cut(0)(_, counts),
    "the false count is zeroed": overwritten(8 + 3, 0),
    "the header gives a slot count that is too low": overwritten(2, 0),
    "a slot has the wrong hash": overwritten(8, 12345),
    "unrelated files lie next to the shard": foreign,
    "a line in the middle is truncated": half_a_line,
    "the description of the run is deleted": lambda run, _: (run / "run.json").unlink(),
}


@pytest.mark.parametrize("name", FILES)
def test_report_and_gate_are_not_green(violated, tmp_path, name):
    shutil.copytree(violated.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    project.write("store.py", (violated.root / "store.py").read_text())
    run = project.newest_run
    (counts,) = run.glob("*.counts")
    FILES[name](run, counts)
    faces = {face: outcome(project.assertlib(face)) for face in ("report", "gate")}
    assert faces == {"report": "red", "gate": "red"}
