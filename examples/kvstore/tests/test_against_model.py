"""The state machine against one that keeps a full copy for every revision."""

from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import txn as rules
from kvstore.errors import KvError
from kvstore.model import (
    Command,
    Compact,
    Compare,
    DeleteRange,
    KeyRange,
    KeyValue,
    LeaseGrant,
    LeaseRevoke,
    Op,
    Put,
    Range,
    Txn,
)
from kvstore.state import State

KEYS = st.sampled_from("abcd")
LEASES = st.sampled_from((1, 2))
PUTS = st.builds(Put, KEYS, st.sampled_from("xyz"), st.sampled_from((0, 0, 1, 2)))
DELETES = st.builds(DeleteRange, st.builds(KeyRange, KEYS, st.sampled_from(("", "c", "\0"))))
COMPARES = st.one_of(
    st.builds(Compare, KEYS, st.just("version"), st.sampled_from("=<>"), st.integers(0, 3)),
    st.builds(Compare, KEYS, st.just("mod"), st.sampled_from(("=", "!=")), st.integers(0, 9)),
    st.builds(Compare, KEYS, st.just("value"), st.just("="), st.sampled_from(("", "x", "y"))),
)
BRANCHES = st.lists(st.one_of(PUTS, DELETES), max_size=3).map(tuple)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    PUTS,
    PUTS,
    DELETES,
    st.builds(Txn, st.lists(COMPARES, max_size=2).map(tuple), BRANCHES, BRANCHES),
    st.builds(LeaseGrant, LEASES, st.just(1.0)),
    st.builds(LeaseRevoke, LEASES),
    st.builds(Compact, st.integers(1, 25)),
)


class Model:
    """Every revision as a whole dictionary: slow, large and hard to get wrong."""

    def __init__(self) -> None:
        self.past: dict[int, dict[str, KeyValue]] = {1: {}}
        self.leases: set[int] = set()
        self.compacted = 0

    @property
    def revision(self) -> int:
        return max(self.past)

    def apply(self, command: Command) -> bool:
        """Whether *command* is accepted."""
        match command:
            case Put() | DeleteRange():
                return self._run((command,))
            case Txn(compares, success, failure):
                now = self.past[self.revision]
                won = all(rules.holds(c, now.get(c.key)) for c in compares)
                branches = (success, failure)
                return not any(map(_repeats, branches)) and self._run(branches[not won])
            case Compact(revision):
                accepted = self.compacted < revision <= self.revision
                self.compacted = revision if accepted else self.compacted
                return accepted
            case LeaseGrant(lease):
                accepted = lease not in self.leases
                self.leases.add(lease)
                return accepted
            case LeaseRevoke(lease):
                accepted = lease in self.leases
                pairs = self.past[self.revision].values()
                ended = (kv.key for kv in pairs if kv.lease == lease)
                self._run(tuple(DeleteRange(KeyRange(key)) for key in ended))
                self.leases.discard(lease)
                return accepted

    def _run(self, ops: tuple[Op, ...]) -> bool:
        if any(isinstance(op, Put) and op.lease and op.lease not in self.leases for op in ops):
            return False
        revision = self.revision + 1
        now = dict(self.past[self.revision])
        changed = False
        for op in ops:
            if isinstance(op, Put):
                old = now.get(op.key)
                create, version = (old.create_revision, old.version) if old else (revision, 0)
                now[op.key] = KeyValue(op.key, op.value, create, revision, version + 1, op.lease)
                changed = True
            elif isinstance(op, DeleteRange):
                doomed = [key for key in now if key in op.span]
                changed = changed or bool(doomed)
                now = {key: kv for key, kv in now.items() if key not in doomed}
        if changed:
            self.past[revision] = now
        return True


def _repeats(branch: tuple[Op, ...]) -> bool:
    puts = [op.key for op in branch if isinstance(op, Put)]
    spans = [op.span for op in branch if isinstance(op, DeleteRange)]
    return len(puts) != len(set(puts)) or any(key in span for key in puts for span in spans)


def accepts(state: State, command: Command) -> bool:
    try:
        state.apply(state.applied_index + 1, command)
    except KvError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(COMMANDS, max_size=25))
def test_every_revision_reads_as_in_the_model(commands: list[Command]) -> None:
    state, model = State(), Model()
    for command in commands:
        assert accepts(state, command) == model.apply(command), command
        assert (state.revision, state.compacted) == (model.revision, model.compacted)
    for revision in range(max(1, model.compacted), model.revision + 1):
        found = state.range(Range(KeyRange.everything(), revision)).kvs
        assert {kv.key: kv for kv in found} == model.past[revision]


@settings(max_examples=60, deadline=None)
@given(st.lists(COMMANDS, max_size=25), st.integers(0, 25))
def test_a_replay_that_is_interrupted_by_a_restore_gives_the_same_state(
    commands: list[Command], cut: int
) -> None:
    whole, broken = State(), State()
    for command in commands:
        accepts(whole, command)
    for command in commands[:cut]:
        accepts(broken, command)
    broken = State.restore(broken.image())
    for command in commands[cut:]:
        accepts(broken, command)
    assert whole.digest() == broken.digest()
