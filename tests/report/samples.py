"""
Judged runs that no run was needed for.
"""

from assertlib.catalog.loader import Entry
from assertlib.catalog.model import Incident, Invariant
from assertlib.evidence.summary import InvariantResult, Population, Summary
from assertlib.evidence.verdicts import AssertionResult, Level, Standing, Verdict
from assertlib.model import ALWAYS, ALWAYS_OR_UNREACHABLE, REACHABLE, SOMETIMES, Location
from assertlib.recording.hits import Captured, Hit


def hit(message="ack follows fsync", **changed):
    fields = {
        "kind": ALWAYS,
        "message": message,
        "invariant": "wal.fsync-before-ack",
        "condition": False,
        "count": 1,
        "time": 1_700_000_000,
        "trial": "t1-9f3a",
        "seed": 7,
        "location": Location("store/wal.py", "append", "Wal", 88),
        "details": '{"acked": 1042, "synced": 1040}',
        "source": "acked <= synced",
        "values": {"acked": "1042", "synced": "1040"},
        **changed,
    }
    source, values = fields.pop("source"), fields.pop("values")
    captured = None if source is None else Captured(source, values)
    return Hit(**fields, captured=captured)


def assertion(message, verdict=Verdict.SATISFIED, **changed):
    fields = {
        "kind": ALWAYS,
        "message": message,
        "invariant": None,
        "site": None,
        "verdict": verdict,
        "true": 0,
        "false": 0,
        "trials_hit": 0,
        "trials_false": 0,
        **changed,
    }
    return AssertionResult(**fields)


def entry(id, **changed):
    fields = {
        "title": f"The title of {id}",
        "kind": "safety",
        "status": "active",
        "statement": f"What {id} says must hold.",
        "why": f"Why {id} matters.",
        "expects": ["always"],
        **changed,
    }
    return Entry(id, Invariant(**fields), "catalog/kv.toml", 3)


def invariant(id, level, *assertions, missing=(), proofs=(), **changed):
    return InvariantResult(
        entry(id, **changed), Standing(level, missing), list(assertions), list(proofs)
    )


def summary(*assertions, **changed):
    fields = {
        "target": "kvstore",
        "commit": "4f2c1e0aa55",
        "runs": ["8d1f"],
        "full": True,
        "populations": [],
        "assertions": list(assertions),
        "invariants": [],
        "drafts": [],
        "undeclared": [],
        "troubles": [],
        "notes": [],
        **changed,
    }
    return Summary(**fields)


def violated(**changed):
    fields = {
        "invariant": "wal.fsync-before-ack",
        "true": 18_201,
        "false": 3,
        "trials_hit": 38,
        "trials_false": 2,
        "example": hit(),
        **changed,
    }
    return assertion("ack follows fsync", Verdict.VIOLATED, **fields)


def of_everything():
    """One of each thing that a report tells."""
    broken = violated()
    lied = assertion(
        "snapshot is synced",
        Verdict.OUT_OF_MODEL,
        invariant="wal.snapshot-file-exists",
        true=10,
        false=1,
        trials_hit=11,
        trials_false=1,
        example=hit("snapshot is synced", details=None, source=None, seed=None),
    )
    held = assertion("no event is lost", invariant="watch.reliable", true=9113, trials_hit=38)
    catches_up = assertion(
        "victim catches up",
        Verdict.NEVER_TRUE,
        kind=SOMETIMES,
        invariant="watch.reliable",
        false=802,
        trials_hit=38,
        nearest="61 of 64",
        rate_bounds={"": 0.0758},
    )
    unhit = assertion("lease expires", Verdict.UNREACHED, invariant="lease.no-early-expiry")
    vacuous = assertion(
        "compacted watch is cancelled",
        Verdict.VACUOUS,
        kind=ALWAYS_OR_UNREACHABLE,
        invariant="watch.compacted-cancels",
        antecedent=(0, 40),
    )
    dormant = assertion(
        "leader is unique",
        Verdict.DORMANT,
        invariant="raft.one-leader",
        dormant_features=("raft",),
    )
    seen = assertion(
        "several writes share one fsync",
        kind=SOMETIMES,
        invariant="wal.fsync-before-ack",
        true=5,
        false=100,
        trials_hit=9,
        trials_true=4,
    )
    passed = assertion("a snapshot is taken", kind=REACHABLE, true=3, trials_hit=3, trials_true=3)
    return summary(
        seen,
        broken,
        vacuous,
        lied,
        held,
        catches_up,
        unhit,
        dormant,
        passed,
        populations=[Population("", "seed-random", 38, (("kill", 12),))],
        invariants=[
            invariant("kv.first-revision", Level.UNASSERTED),
            invariant(
                "kv.revision-monotonic",
                Level.DEFECT_TESTED,
                held,
                proofs=[("reuse", "4f2c1e0aa55")],
            ),
            invariant("lease.no-early-expiry", Level.ASSERTED, unhit, missing=("always",)),
            invariant("raft.one-leader", Level.ASSERTED, dormant, missing=("always",)),
            invariant(
                "wal.fsync-before-ack",
                Level.VIOLATED,
                broken,
                seen,
                missing=("always",),
                debug="Compare acked and synced.",
            ),
            invariant("wal.snapshot-file-exists", Level.EVALUATED, lied, missing=("always",)),
            invariant("watch.compacted-cancels", Level.EVALUATED, vacuous, missing=("always",)),
            invariant(
                "watch.reliable",
                Level.EVALUATED,
                held,
                catches_up,
                missing=("sometimes",),
                incident=[Incident(ref="etcd#17529", title="Lost", status="confirmed")],
            ),
        ],
        drafts=[entry("kv.draft", status="draft")],
        undeclared=["made with eval"],
        troubles=[("is open", "store/wal.py:9: its condition raised KeyError: 'x'", 4)],
        notes=["The details of 1 hits were too long and were truncated."],
    )


def of_a_clean_partial_run():
    """A small run in which all that was reached held."""
    held = assertion("no event is lost", invariant="watch.reliable", true=12)
    unknown = assertion("victim catches up", Verdict.INCONCLUSIVE, kind=SOMETIMES)
    return summary(
        held,
        unknown,
        commit=None,
        full=False,
        invariants=[invariant("watch.reliable", Level.EXERCISED, held)],
    )
