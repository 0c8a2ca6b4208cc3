"""
The story of a violation.
"""

import json

from assertlib.catalog.loader import Entry
from assertlib.catalog.model import Incident, Invariant
from assertlib.evidence.explanation import entry_of, explain
from assertlib.model import ALWAYS, Location
from assertlib.recording.hits import Captured, Hit

KNOWN = Invariant(
    title="An ack follows its fsync",
    kind="safety",
    status="active",
    statement="No ack leaves before its bytes are synced.",
    clauses={"contents": "The bytes of the entry are synced."},
    why="A power cut would lose what was promised.",
    debug="Compare acked and synced.",
    expects=["always"],
    owners=["storage"],
    incident=[Incident(ref="etcd#13766", title="Lost writes", status="confirmed")],
)
ENTRY = Entry("wal.fsync-before-ack", KNOWN, "catalog/wal.toml", 3)


def story(**changed):
    told = {
        "kind": ALWAYS,
        "message": "ack follows fsync",
        "invariant": "wal.fsync-before-ack#contents",
        "location": Location("store/wal.py", "append", "Wal", 88),
        "source": "acked <= synced",
        "values": {"acked": "1042", "synced": "1040"},
        "details": json.dumps({"entry": 7}),
        "trial": "seed-7",
        "seed": 7,
        "entry": ENTRY,
        "condition": False,
        "count": 1,
        "time": 0,
        **changed,
    }
    source, values, entry = (told.pop(name) for name in ("source", "values", "entry"))
    captured = None if source is None else Captured(source, values)
    return explain(Hit(**told, captured=captured), entry)


def test_it_names_assertion_place_condition_values_details_and_replay():
    for part in (
        "always 'ack follows fsync' is violated",
        "store/wal.py:88 in Wal.append",
        "condition: acked <= synced",
        "acked = 1042",
        "synced = 1040",
        'details: {"entry": 7}',
        "trial: seed-7 (seed 7)",
    ):
        assert part in story()


def test_it_tells_what_the_catalog_knows():
    for part in (
        "wal.fsync-before-ack: An ack follows its fsync",
        "No ack leaves before its bytes are synced.",
        "The bytes of the entry are synced.",
        "A power cut would lose what was promised.",
        "Compare acked and synced.",
        "etcd#13766 (confirmed): Lost writes",
        "owners: storage",
    ):
        assert part in story()


def test_an_invariant_in_no_catalog_is_said_to_be_in_none():
    assert "not in any catalog; see `assertlib check`" in story(entry=None)


def test_without_an_invariant_there_is_no_knowledge_to_tell():
    assert "invariant" not in story(invariant=None, entry=None)


def test_without_a_trial_there_is_nothing_to_replay():
    assert "replay" not in story(trial=None, seed=None)


def test_a_seed_of_zero_is_a_seed():
    assert "seed 0" in story(seed=0)


def test_an_entry_is_found_by_an_id_with_a_clause():
    entries = {ENTRY.id: ENTRY}
    assert entry_of("wal.fsync-before-ack#contents", entries) is ENTRY
    assert entry_of("wal.unknown", entries) is None
    assert entry_of(None, entries) is None
