"""Leases against a clock that is set by hand."""

import asyncio
from collections.abc import Callable

import pytest
from kvstore.errors import LeaseNotFoundError
from kvstore.lease import Lessor
from kvstore.model import KeyRange, LeaseGrant, LeaseRevoke, Put, Range
from kvstore.store import Store
from kvstore.testing import ManualClock
from kvstore.watch import WatchSpec


def test_a_lease_is_due_after_its_ttl_and_not_before() -> None:
    lessor = Lessor()
    lessor.add(1, 10.0, now=100.0)
    assert lessor.take_due(109.9) == ()
    assert lessor.take_due(110.0) == (1,)
    assert lessor.take_due(200.0) == ()


def test_a_keepalive_moves_the_deadline() -> None:
    lessor = Lessor()
    lessor.add(1, 10.0, now=100.0)
    assert lessor.keep_alive(1, now=105.0) == 10.0
    assert lessor.take_due(114.9) == ()
    assert lessor.take_due(115.0) == (1,)


def test_a_lease_found_due_cannot_be_saved_any_more() -> None:
    lessor = Lessor()
    lessor.add(1, 10.0, now=100.0)
    assert lessor.take_due(110.0) == (1,)
    assert lessor.keep_alive(1, now=110.0) is None


def test_a_lease_that_has_expired_cannot_be_kept_alive() -> None:
    lessor = Lessor()
    lessor.add(1, 10.0, now=100.0)
    assert lessor.take_due(110.0) == (1,)
    lessor.expire(1, now=110.5)
    assert lessor.keep_alive(1, now=111.0) is None


def test_a_forgotten_lease_is_neither_due_nor_renewed() -> None:
    lessor = Lessor()
    lessor.add(1, 10.0, now=100.0)
    lessor.forget(1)
    assert lessor.keep_alive(1, now=101.0) is None
    assert lessor.take_due(200.0) == ()


def test_leases_are_due_in_the_order_of_their_deadlines() -> None:
    lessor = Lessor()
    for lease, ttl in ((1, 30.0), (2, 10.0), (3, 20.0)):
        lessor.add(lease, ttl, now=0.0)
    assert lessor.take_due(25.0) == (2, 3)


def test_an_expired_lease_takes_its_keys_in_one_revision(
    open_store: Callable[..., Store], clock: ManualClock
) -> None:
    async def scenario() -> None:
        store = open_store()
        await store.propose(LeaseGrant(5, 10.0))
        await asyncio.gather(*(store.propose(Put(key, "x", lease=5)) for key in "ab"))
        watcher = store.watch(WatchSpec(KeyRange.everything()), lambda: None)
        clock.advance(9.0)
        store.expire_leases()
        store.keep_alive(5)
        clock.advance(10.0)
        store.expire_leases()
        await store.propose(Put("c", "after"))
        expiry, _ = watcher.take()
        assert [event.kind for event in expiry.events] == ["delete", "delete"]
        assert store.leases == frozenset()
        store.close()

    asyncio.run(scenario())


def test_a_key_put_on_a_lease_just_before_its_end_is_decided_goes_with_it(
    open_store: Callable[..., Store], clock: ManualClock
) -> None:
    async def scenario() -> None:
        store = open_store()
        await store.propose(LeaseGrant(5, 10.0))
        clock.advance(10.0)
        put = store.propose(Put("a", "x", lease=5))
        store.expire_leases()
        await put
        assert store.range(Range(KeyRange.everything())).kvs == ()
        store.close()

    asyncio.run(scenario())


def test_a_lease_begins_anew_with_a_restart(
    open_store: Callable[..., Store], clock: ManualClock
) -> None:
    async def scenario() -> None:
        store = open_store()
        await store.propose(LeaseGrant(5, 10.0))
        clock.advance(9.0)
        store.close()
        store = open_store()
        clock.advance(9.0)
        store.expire_leases()
        assert store.keep_alive(5).ttl == 10.0
        store.close()

    asyncio.run(scenario())


def test_a_revoked_lease_cannot_be_kept_alive(open_store: Callable[..., Store]) -> None:
    async def scenario() -> None:
        store = open_store()
        await store.propose(LeaseGrant(5, 10.0))
        await store.propose(LeaseRevoke(5))
        with pytest.raises(LeaseNotFoundError):
            store.keep_alive(5)
        store.close()

    asyncio.run(scenario())


def test_an_expiry_that_a_revoke_forestalls_does_no_harm(
    open_store: Callable[..., Store], clock: ManualClock
) -> None:
    async def scenario() -> None:
        store = open_store()
        await store.propose(LeaseGrant(5, 10.0))
        clock.advance(10.0)
        revoked = store.propose(LeaseRevoke(5))
        store.expire_leases()
        await revoked
        assert (await store.propose(LeaseGrant(5, 10.0))).revision == 1
        store.close()

    asyncio.run(scenario())
