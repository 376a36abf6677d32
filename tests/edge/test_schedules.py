"""Schedules that break simpler edges: a client that leaves as its lease comes, a lease that turns under a
failover, refusals that are probed for days."""

import asyncio
from pathlib import Path

import pytest

from edge.admission import AttemptPlan, UsageState
from tests.edge.conftest import MODEL, StartWorker, until
from tests.edge.fake_control import FakeControl, Fault, new_secret
from tests.edge.test_leases import REFUSED, WALL_S, answer, make_book, open_lease
from tests.edge.test_replay import dead_journal
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2


async def test_a_client_that_leaves_as_its_money_comes_takes_none_along(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A cancelled request that hasn't noticed yet is passed over; who waits behind it is served, and nothing
    stays held."""
    worker = await start_worker()
    secret = new_secret()
    control.add_key(secret)
    ledger = worker.ledger
    grant = await ledger.authorize(secret)
    control.faults["AcquireLease"].append(Fault(delay_s=0.2))
    leaving = asyncio.create_task(ledger.desk.wait(grant, 1000))
    staying = asyncio.create_task(ledger.desk.wait(grant, 1000))
    await until(lambda: control.count("AcquireLease"))
    purse = ledger.book.purses[grant.key_id]
    (lease,) = ledger.book.leases.values()
    # The answer and the hang-up come within one turn of the loop.
    ask = ledger.book.ask(purse, [1000, 1000], 0.0)
    ledger.book.sent(ask, 0.0)
    leaving.cancel()
    ledger.book.granted(ask, answer(2000, draw_for_s=1e9), 0.0, WALL_S)
    ledger.desk.released(grant.key_id)
    assert await staying is lease
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (lease.open_count, lease.in_flight_nanousd) == (1, 1000)
    ledger.book.undraw(lease, 1000, 0.0)
    ledger.book.check()


async def test_refusing_a_client_that_just_left_harms_nobody(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """The refusal of the first in line, who has left in the same turn, reaches all others."""
    worker = await start_worker()
    secret = new_secret()
    control.add_key(secret)
    desk = worker.ledger.desk
    grant = await worker.ledger.authorize(secret)
    control.faults["AcquireLease"].append(Fault(delay_s=0.5))
    leaving = asyncio.create_task(desk.wait(grant, 1000))
    staying = asyncio.create_task(desk.wait(grant, 1000))
    await until(lambda: control.count("AcquireLease"))
    line = desk._lines[grant.key_id]
    leaving.cancel()
    for waiter in list(line.waiters):
        desk._fail(line, waiter, TollkeeperError(Reason.BUDGET_HELD, "held"))
    with pytest.raises(TollkeeperError):
        await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not line.waiters


def test_a_further_attempt_draws_from_no_other_lease() -> None:
    """L13, L7: the lease turns just before a failover: nothing is drawn from the next one, and nothing
    leaks."""
    book, purse = make_book()
    lease = open_lease(book, purse, 100, draw_for_s=10)
    book.draw(purse, 60, 1.0)
    ask = book.ask(purse, (), 2.0, next_window=True)
    book.sent(ask, 2.0)
    book.granted(ask, answer(100), 2.0, WALL_S)
    following = purse.following
    assert following is not None
    assert not book.draw_more(lease, 30, 11.0)
    assert (following.in_flight_nanousd, following.open_count, following.undrawn_nanousd) == (0, 0, 100)
    book.release(lease, 60, 10, 11.0)
    book.check()


async def test_a_further_attempt_that_waits_gets_no_other_lease(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """L13: a record names one lease; when that turns over while an attempt waits for more, it is refused."""
    worker = await start_worker()
    secret = new_secret()
    control.add_key(secret)
    ledger = worker.ledger
    control.ahead_most = 0
    opened = await worker.begin(secret, 1000)
    lease, purse = opened.lease, opened.lease.purse
    ask = ledger.book.ask(purse, (), 0.0, next_window=True)
    ledger.book.sent(ask, 0.0)
    ledger.book.granted(ask, answer(5000, draw_for_s=1e9), 0.0, WALL_S)
    following = purse.following
    assert following is not None
    control.faults["AcquireLease"].append(Fault(delay_s=0.3))
    calls = control.count("AcquireLease")
    waiting = asyncio.create_task(ledger.desk.wait(opened.grant, 500, only=lease))
    await until(lambda: control.count("AcquireLease") > calls)
    lease.draws_until_s = 0.0
    ledger.desk.released(opened.grant.key_id)
    with pytest.raises(TollkeeperError) as caught:
        await waiting
    assert caught.value.reason == Reason.BUDGET_HELD
    assert (following.in_flight_nanousd, following.open_count) == (0, 0)
    ledger.finish(opened)
    ledger.book.check()


async def test_an_attempt_in_doubt_costs_its_own_hold(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """L13, L14: the request holds its dearest attempt's worst case; a cheaper one can't have cost as much."""
    worker = await start_worker()
    secret = new_secret()
    control.add_key(secret)
    grant = await worker.ledger.authorize(secret)
    cheap, dear = worker.plan(grant, 1000), worker.plan(grant, 9000)
    opened = await worker.ledger.begin(grant, cheap, requested_model=MODEL, stream=False, hold_nanousd=9000)
    assert opened.held_nanousd == 9000
    opened.end_attempt(UsageState.USAGE_STATE_ESTIMATED, why="upstream_timeout")
    await worker.ledger.next_attempt(opened, AttemptPlan(*dear))
    assert opened.held_nanousd == 10_000
    opened.end_attempt(UsageState.USAGE_STATE_VOIDED, why="not_sent")
    assert worker.ledger.finish(opened) == 1000


def test_a_refusal_that_is_probed_for_days_costs_no_more_memory() -> None:
    """A client that never stops asking keeps one entry in the book of what is due."""
    book, purse = make_book()
    for second in range(500):
        book.refuse(purse, REFUSED, 10, float(second), 1e9)
        book.due(float(second))
    assert len(book._due) < 5


def test_a_lease_that_is_topped_up_often_costs_no_more_memory() -> None:
    """Exact leases are topped up for every request."""
    book, purse = make_book()
    for number in range(500):
        ask = book.ask(purse, (10,), number / 100)
        book.sent(ask, number / 100)
        book.granted(ask, answer(10, exact=True), number / 100, WALL_S)
        lease = book.draw(purse, 10, number / 100)
        assert lease is not None
        book.release(lease, 10, 10, number / 100)
    assert len(book._due) < 5
    # It is looked at in time all the same.
    book.due(40.0)
    assert lease.retired


async def test_one_journal_that_cant_be_sent_holds_up_no_other(
    control: FakeControl, start_worker: StartWorker, tmp_path: Path
) -> None:
    """L20: what the control plane can't take, or this worker can't read, is tried again later; the rest of
    the dead workers' journals are adopted meanwhile."""
    root = tmp_path / "journal"
    dead = sorted([await dead_journal(root) for _ in range(3)])
    refused, unreadable, sound = (incarnation_id for incarnation_id, _, _ in dead)
    segment = next((root / unreadable).glob("*.journal"))
    segment.rename(segment.with_suffix(".kept"))
    segment.mkdir()

    def outcome(record: edge_pb2.UsageRecord) -> int | None:
        if record.incarnation_id == refused:
            raise TollkeeperError(Reason.INTERNAL, "scripted")
        return None

    control.outcome_of = outcome
    await start_worker()
    await until(lambda: sound in control.closed_incarnations)
    assert set(control.closed_incarnations) == {sound}
    control.outcome_of = lambda record: None
    segment.rmdir()
    segment.with_suffix(".kept").rename(segment)
    await until(lambda: len(control.closed_incarnations) == 3)
