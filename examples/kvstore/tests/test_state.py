"""The state machine: revisions, versions, reads, leases and compaction."""

from collections.abc import Callable

import pytest
from kvstore.errors import (
    BadRequestError,
    CompactedError,
    DuplicateKeyError,
    FutureRevisionError,
    KvError,
    LeaseExistsError,
    LeaseNotFoundError,
)
from kvstore.model import (
    Command,
    Compact,
    Compare,
    DeleteRange,
    KeyRange,
    KeyValue,
    LeaseGrant,
    LeaseRevoke,
    Put,
    PutResult,
    Range,
    Result,
    RevokeResult,
    Txn,
    TxnResult,
)
from kvstore.state import State

EVERYTHING = KeyRange.everything()
Apply = Callable[[Command], Result]


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def apply(state: State) -> Apply:
    return lambda command: state.apply(state.applied_index + 1, command)


def read(state: State, revision: int = 0) -> dict[str, str]:
    return {kv.key: kv.value for kv in state.range(Range(EVERYTHING, revision)).kvs}


def only(state: State, key: str) -> KeyValue:
    (kv,) = state.range(Range(KeyRange(key))).kvs
    return kv


def test_a_fresh_state_is_at_revision_1_and_its_first_write_gets_2(
    state: State, apply: Apply
) -> None:
    assert state.revision == 1
    assert apply(Put("a", "1")) == PutResult(2)


def test_a_key_counts_its_versions_from_creation(state: State, apply: Apply) -> None:
    for value in "123":
        apply(Put("a", value))
    assert only(state, "a") == KeyValue("a", "3", create_revision=2, mod_revision=4, version=3)


def test_a_key_that_was_deleted_begins_a_new_generation(state: State, apply: Apply) -> None:
    apply(Put("a", "old"))
    apply(DeleteRange(KeyRange("a")))
    apply(Put("a", "new"))
    assert only(state, "a") == KeyValue("a", "new", create_revision=4, mod_revision=4, version=1)


def test_a_put_returns_the_pair_before_it_when_asked(apply: Apply) -> None:
    apply(Put("a", "1"))
    assert apply(Put("a", "2", prev_kv=True)) == PutResult(3, KeyValue("a", "1", 2, 2, 1))


def test_deleting_several_keys_takes_one_revision_and_deleting_none_takes_no_revision(
    state: State, apply: Apply
) -> None:
    for key in ("a1", "a2", "b"):
        apply(Put(key, "x"))
    apply(DeleteRange(KeyRange.prefix("a")))
    assert state.revision == 5
    apply(DeleteRange(KeyRange.prefix("a")))
    assert state.revision == 5
    assert read(state) == {"b": "x"}


def test_the_past_stays_readable(state: State, apply: Apply) -> None:
    apply(Put("a", "1"))
    apply(Put("a", "2"))
    apply(DeleteRange(KeyRange("a")))
    assert [read(state, revision) for revision in (1, 2, 3, 4)] == [{}, {"a": "1"}, {"a": "2"}, {}]


def test_a_range_ends_before_its_end_and_honours_its_limit(state: State, apply: Apply) -> None:
    for key in "abcd":
        apply(Put(key, key))
    found = state.range(Range(KeyRange("b", "d"), limit=1))
    assert ([kv.key for kv in found.kvs], found.count) == (["b"], 2)


def test_a_read_of_the_future_is_refused(state: State) -> None:
    with pytest.raises(FutureRevisionError):
        state.range(Range(EVERYTHING, 2))


def test_compaction_keeps_what_can_be_seen_from_its_revision_on(state: State, apply: Apply) -> None:
    for command in (Put("a", "1"), Put("b", "1"), DeleteRange(KeyRange("a")), Put("b", "2")):
        apply(command)
    apply(Compact(4))
    assert [read(state, revision) for revision in (4, 5)] == [{"b": "1"}, {"b": "2"}]
    with pytest.raises(CompactedError):
        state.range(Range(EVERYTHING, 3))


def test_a_tombstone_written_by_the_compacted_revision_is_kept(state: State, apply: Apply) -> None:
    apply(Put("a", "1"))
    apply(DeleteRange(KeyRange("a")))
    apply(Compact(3))
    (event,) = state.events_at(3)
    assert (event.kind, event.kv.mod_revision, event.prev) == ("delete", 3, None)
    apply(Put("b", "1"))
    apply(Compact(4))
    assert state.events_at(3) == ()


@pytest.mark.parametrize(
    ("revision", "error"), [(5, FutureRevisionError), (2, CompactedError), (1, CompactedError)]
)
def test_compaction_moves_forward_and_never_beyond_the_present(
    state: State, apply: Apply, revision: int, error: type[KvError]
) -> None:
    for value in "12":
        apply(Put("a", value))
    apply(Compact(2))
    with pytest.raises(error):
        apply(Compact(revision))
    assert state.compacted == 2


def test_revoking_a_lease_deletes_its_keys_in_one_revision(state: State, apply: Apply) -> None:
    apply(LeaseGrant(7, 10.0))
    for key in ("a", "b"):
        apply(Put(key, "x", lease=7))
    apply(Put("c", "x"))
    assert apply(LeaseRevoke(7)) == RevokeResult(5, ("a", "b"))
    assert [event.kind for event in state.events_at(5)] == ["delete", "delete"]
    assert read(state) == {"c": "x"}


def test_revoking_a_lease_without_keys_takes_no_revision(state: State, apply: Apply) -> None:
    apply(LeaseGrant(7, 10.0))
    assert apply(LeaseRevoke(7)) == RevokeResult(1, ())


def test_a_key_leaves_its_lease_with_the_next_put(state: State, apply: Apply) -> None:
    for lease in (7, 8):
        apply(LeaseGrant(lease, 10.0))
    apply(Put("moved", "x", lease=7))
    apply(Put("freed", "x", lease=7))
    apply(Put("moved", "y", lease=8))
    apply(Put("freed", "y"))
    apply(LeaseRevoke(7))
    assert read(state) == {"freed": "y", "moved": "y"}
    apply(LeaseRevoke(8))
    assert read(state) == {"freed": "y"}


def test_a_key_that_was_deleted_and_put_again_is_free_of_its_old_lease(
    state: State, apply: Apply
) -> None:
    apply(LeaseGrant(7, 10.0))
    apply(Put("a", "x", lease=7))
    apply(DeleteRange(KeyRange("a")))
    apply(Put("a", "y"))
    apply(LeaseRevoke(7))
    assert read(state) == {"a": "y"}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Put("a", "1", lease=9), LeaseNotFoundError),
        (LeaseRevoke(9), LeaseNotFoundError),
        (LeaseGrant(7, 1.0), LeaseExistsError),
        (LeaseGrant(0, 1.0), BadRequestError),
        (LeaseGrant(8, float("nan")), BadRequestError),
        (Txn(success=(Put("a", "1"), Put("b", "1", lease=9))), LeaseNotFoundError),
        (Txn(success=(Put("a", "1"), Range(EVERYTHING, 99))), FutureRevisionError),
        (Txn(success=(Put("a", "1"), Range(EVERYTHING, 1))), CompactedError),
        (Txn(success=(Put("a", "1"), Put("a", "2"))), DuplicateKeyError),
        (Txn(failure=(Put("a", "1"), DeleteRange(EVERYTHING))), DuplicateKeyError),
        (Txn(compares=(Compare("a", "mod", "=", "text"),)), BadRequestError),
    ],
    ids=str,
)
def test_a_refused_command_changes_nothing_but_the_applied_index(
    state: State, apply: Apply, command: Command, error: type[KvError]
) -> None:
    for before in (LeaseGrant(7, 10.0), Put("x", "1"), Put("x", "2"), Compact(2)):
        apply(before)
    image = state.image()
    with pytest.raises(error):
        apply(command)
    after = state.image()
    assert after.applied_index == image.applied_index + 1
    assert (after.revision, after.versions, after.leases) == (
        image.revision,
        image.versions,
        image.leases,
    )


def test_a_transaction_runs_one_branch_in_one_revision(state: State, apply: Apply) -> None:
    apply(Put("a", "1"))
    txn = Txn(
        (Compare("a", "value", "=", "1"), Compare("b", "version", "=", 0)),
        success=(Put("a", "2"), Put("b", "2")),
        failure=(Put("c", "2"),),
    )
    won = apply(txn)
    assert won == TxnResult(3, succeeded=True, results=(PutResult(3), PutResult(3)))
    lost = apply(txn)
    assert isinstance(lost, TxnResult)
    assert not lost.succeeded
    assert read(state) == {"a": "2", "b": "2", "c": "2"}


def test_a_read_inside_a_transaction_sees_the_writes_before_it(apply: Apply) -> None:
    result = apply(Txn(success=(Put("a", "1"), Range(KeyRange("a")))))
    assert isinstance(result, TxnResult)
    assert result.results[1].kvs == (KeyValue("a", "1", 2, 2, 1),)  # type: ignore[union-attr]


def test_a_transaction_that_changes_nothing_takes_no_revision(state: State, apply: Apply) -> None:
    apply(Txn(success=(DeleteRange(EVERYTHING), Range(EVERYTHING))))
    assert state.revision == 1


def test_a_state_restored_from_its_image_is_the_same_state(state: State, apply: Apply) -> None:
    for command in (
        LeaseGrant(7, 10.0),
        Put("a", "1", lease=7),
        Put("b", "1"),
        DeleteRange(KeyRange("b")),
        Compact(4),
        Put("b", "2", lease=7),
    ):
        apply(command)
    restored = State.restore(state.image())
    assert restored.digest() == state.digest()
    restored.apply(restored.applied_index + 1, LeaseRevoke(7))
    assert read(restored) == {}
