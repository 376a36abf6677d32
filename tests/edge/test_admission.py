"""Admission as the routes use it, over a real gRPC connection to a fake control plane."""

import asyncio
import gc
from pathlib import Path

import pytest

from edge.admission import UsageState
from tests.edge.conftest import StartWorker, Worker, until
from tests.edge.fake_control import FakeControl, Fault, error, new_secret
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import secret_hash
from tollkeeper.v1 import edge_pb2

REPORTED = UsageState.USAGE_STATE_REPORTED
ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED


async def test_a_request_is_posted_with_all_it_was(control: FakeControl, start_worker: StartWorker) -> None:
    """One request leaves one record: ids, windows, attempt, usage, and the cost to the nano-dollar."""
    secret = new_secret()
    grant = control.add_key(secret)
    worker = await start_worker()
    opened = await worker.begin(secret, 5_000_000)
    assert opened.event_id == f"{opened.usage_id}-1"
    assert opened.remaining_nanousd == 10**12
    usage = UsageCounts(input_tokens=10, output_tokens=7)
    assert opened.end_attempt(REPORTED, status=200, usage=usage) == 10 * 150 + 7 * 600
    opened.status, opened.response_model, opened.finish_reason = 200, "gpt-4o-mini-x", "stop"
    assert worker.ledger.finish(opened) == 5700
    assert opened.remaining_nanousd == 10**12 - 5700
    await until(lambda: opened.usage_id in control.posted)
    record = control.posted[opened.usage_id]
    assert control.budget is not None
    assert (record.key_id, record.customer_id) == (grant.key_id, grant.customer_id)
    assert (record.sequence, record.incarnation_id) == (1, worker.ledger.incarnation_id)
    assert [window.budget_id for window in record.windows] == [control.budget.budget_id]
    assert record.windows[0].limit_nanousd == 0
    assert (record.state, record.cost_nanousd, record.hold_nanousd) == (REPORTED, 5700, 5_000_000)
    assert (record.attempts[0].usage.input_tokens, record.attempts[0].usage.requests) == (10, 1)
    assert record.begin_time.seconds > 1_700_000_000
    assert control.budget.spent == 5700


async def test_a_warm_key_needs_few_calls(control: FakeControl, start_worker: StartWorker) -> None:
    """Two thousand requests on one key cost a few dozen calls, settlement included."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_interval_s=0.5)

    async def client() -> None:
        for _ in range(125):
            await worker.request(secret)
            await asyncio.sleep(0)

    await asyncio.gather(*(client() for _ in range(16)))
    assert await worker.ledger.settler.flush(5)
    assert len(control.posted) == 2000
    calls = [name for name, _ in control.calls if name != "Watch"]
    assert len(calls) < 40, calls


async def test_a_cached_lease_admits_without_suspending(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """With grant and lease in hand, authorize and begin finish in one step of the event loop."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.request(secret)
    coroutine = worker.begin(secret)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    worker.ledger.finish(stopped.value.value)


@pytest.mark.parametrize(
    ("state", "usage", "cost"),
    [
        (VOIDED, None, 0),
        (ESTIMATED, None, 1_000_000),
        (ESTIMATED, UsageCounts(output_tokens=10), 6000),
        (ESTIMATED, UsageCounts(output_tokens=10_000), 1_000_000),
        (REPORTED, UsageCounts(output_tokens=10_000), 6_000_000),
    ],
)
async def test_states_cost_what_they_should(
    control: FakeControl,
    start_worker: StartWorker,
    state: "edge_pb2.UsageState",
    usage: UsageCounts | None,
    cost: int,
) -> None:
    """Voids are free, estimates never exceed the hold, reports cost what they cost."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    opened = await worker.begin(secret)
    opened.end_attempt(state, usage=usage, why="timeout")
    assert worker.ledger.finish(opened) == cost
    assert worker.ledger.finish(opened) == cost
    await until(lambda: control.posted)
    assert await worker.ledger.settler.flush(2)
    assert len(control.received) == 1
    assert control.received[0].state == state
    worker.ledger.book.check()


async def test_an_unfinished_request_is_an_estimate(control: FakeControl, start_worker: StartWorker) -> None:
    """A request whose end nobody told is billed its hold, in doubt, even when it is just dropped."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    opened = await worker.begin(secret)
    del opened
    gc.collect()
    assert worker.ledger.abandoned_count == 1
    await until(lambda: control.posted)
    (record,) = control.posted.values()
    assert (record.state, record.cost_nanousd, record.attempts[0].why) == (ESTIMATED, 1_000_000, "in_doubt")


async def test_failover_holds_what_the_first_attempt_left(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A voided first attempt leaves its hold to the second; a possibly billed one needs another on top."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    ledger = worker.ledger
    opened = await worker.begin(secret)
    opened.end_attempt(VOIDED, status=500, why="refused")
    await ledger.next_attempt(opened, worker.plan(opened.grant, 1_000_000))
    assert (opened.held_nanousd, opened.attempt_number) == (1_000_000, 2)
    opened.end_attempt(ESTIMATED, why="timeout")
    await ledger.next_attempt(opened, worker.plan(opened.grant, 300_000))
    assert opened.held_nanousd == 1_300_000
    assert opened.lease.in_flight_nanousd == 1_300_000
    opened.end_attempt(REPORTED, status=200, usage=UsageCounts(output_tokens=100))
    assert ledger.finish(opened) == 1_060_000
    await until(lambda: control.posted)
    (record,) = control.posted.values()
    # All at one provider, so none of it was a failover.
    assert (record.state, record.failover, record.cost_nanousd) == (ESTIMATED, False, 1_060_000)
    assert [attempt.state for attempt in record.attempts] == [VOIDED, ESTIMATED, REPORTED]
    assert opened.lease.open_count == 0
    ledger.book.check()


async def test_the_dearest_attempt_is_held_and_each_is_estimated_at_its_own(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """L15: the hold covers the dearest attempt; an estimate of a cheaper one isn't as much."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    grant = await worker.ledger.authorize(secret)
    plan = worker.plan(grant, 400_000)
    opened = await worker.ledger.begin(grant, plan, requested_model="m", stream=True, hold_nanousd=1_000_000)
    assert (opened.held_nanousd, opened.lease.in_flight_nanousd) == (1_000_000, 1_000_000)
    opened.end_attempt(ESTIMATED, why="timeout")
    await worker.ledger.next_attempt(opened, worker.plan(grant, 600_000))
    assert opened.held_nanousd == 1_000_000
    opened.end_attempt(VOIDED)
    assert worker.ledger.finish(opened) == 400_000


async def test_a_begin_that_cannot_be_journaled_holds_nothing(
    control: FakeControl, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L21: 503, nothing is sent, the hold is free again, and readiness is off until a write succeeds."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(fsync_interval_s=60)
    await worker.request(secret)

    def fail(fd: int, data: bytes) -> int:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as full:
        full.setattr("edge.journal.os.write", fail)
        with pytest.raises(TollkeeperError) as refused:
            await worker.begin(secret)
        assert refused.value.reason == Reason.JOURNAL_UNAVAILABLE
        assert worker.ledger.ready() == "the journal can't be written"
    (lease,) = worker.ledger.book.leases.values()
    assert (lease.in_flight_nanousd, lease.open_count) == (0, 0)
    await worker.request(secret)
    assert worker.ledger.ready() is None
    assert worker.ledger.journal.last_sequence == 2


async def test_a_further_attempt_that_cannot_be_held_is_refused(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """When the budget can't cover a second try, the request keeps its first and ends with it."""
    assert control.budget is not None
    control.budget.limit, control.ahead_most = 1_500_000, 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(hold_wait_s=0.2)
    opened = await worker.begin(secret)
    opened.end_attempt(ESTIMATED, why="timeout")
    with pytest.raises(TollkeeperError) as refused:
        await worker.ledger.next_attempt(opened, worker.plan(opened.grant, 1_000_000))
    assert refused.value.reason == Reason.BUDGET_HELD
    assert worker.ledger.finish(opened) == 1_000_000
    worker.ledger.book.check()


async def test_a_burst_waits_in_line_and_spends_the_budget(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A burst far above a small budget: never past the limit, at least nine tenths used, the rest refused."""
    assert control.budget is not None
    control.budget.limit, control.ahead_most = 10_000_000, 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()

    async def one() -> str:
        try:
            opened = await worker.begin(secret, 1_000_000)
        except TollkeeperError as refused:
            return refused.reason_name
        await asyncio.sleep(0.01)
        opened.end_attempt(REPORTED, status=200, usage=UsageCounts(output_tokens=1600))
        worker.ledger.finish(opened)
        return "served"

    results = await asyncio.gather(*(one() for _ in range(60)))
    assert await worker.ledger.settler.flush(5)
    assert set(results) == {"served", "INSUFFICIENT_QUOTA"}
    assert control.budget.overrun == 0
    assert 9_000_000 <= control.budget.spent <= 10_000_000
    assert control.held == 0
    worker.ledger.book.check()


async def test_held_budgets_are_waited_for_then_refused(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """With only a hold in the way the second request waits its time, and is told to try again."""
    assert control.budget is not None
    control.budget.limit, control.ahead_most = 1_500_000, 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(hold_wait_s=0.3)
    opened = await worker.begin(secret)
    started_s = asyncio.get_running_loop().time()
    with pytest.raises(TollkeeperError) as refused:
        await worker.begin(secret)
    waited_s = asyncio.get_running_loop().time() - started_s
    assert (refused.value.reason, refused.value.retry_after_s) == (Reason.BUDGET_HELD, 1.0)
    assert 0.2 < waited_s < 4.0
    waiting = asyncio.create_task(worker.begin(secret))
    await asyncio.sleep(0.05)
    opened.end_attempt(VOIDED)
    worker.ledger.finish(opened)
    worker.ledger.finish(await waiting)


async def test_refusals_are_remembered_until_there_is_room(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A final refusal answers the next requests without a call, lets smaller ones through, and ends with a
    push."""
    assert control.budget is not None
    control.budget.limit, control.budget.spent, control.ahead_most = 1_000_000, 500_000, 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    for _ in range(20):
        with pytest.raises(TollkeeperError) as refused:
            await worker.begin(secret, 600_000)
        assert refused.value.reason == Reason.INSUFFICIENT_QUOTA
        assert refused.value.metadata["fits_nanousd"] == "500000"
    assert control.count("AcquireLease") == 1
    await worker.request(secret, 400_000, output_tokens=1)
    control.budget.limit = 10_000_000
    control.room()
    await until(lambda: not worker.ledger.book.purses[next(iter(worker.ledger.book.purses))].refusal)
    await worker.request(secret, 600_000)


async def test_an_unanswered_acquire_is_asked_again_and_never_added_back(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """When an answer is lost the same number is asked again, and the money is granted once."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["AcquireLease"].extend([Fault(lose_answer=True), Fault(error=error(Reason.UNAVAILABLE))])
    await worker.request(secret)
    acquires = control.requests("AcquireLease")
    assert [(a.lease_id, a.top_up) for a in acquires] == [(acquires[0].lease_id, 1)] * 3
    (lease,) = worker.ledger.book.leases.values()
    assert lease.granted_nanousd == control.leases[lease.lease_id].granted
    worker.ledger.book.check()


async def test_a_changed_chain_gets_a_new_lease(control: FakeControl, start_worker: StartWorker) -> None:
    """GRANT_STALE: the grant is read again, the old lease drains, and the request is held by a new one."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    opened = await worker.begin(secret)
    control.chain_version += 1
    control.recall(0.05)
    await until(lambda: opened.lease.undrawn_nanousd == 0)
    second = await worker.begin(secret)
    assert second.lease is not opened.lease
    assert opened.lease.retired
    worker.ledger.finish(opened)
    worker.ledger.finish(second)
    await until(lambda: opened.lease.lease_id not in worker.ledger.book.leases)
    assert control.leases[opened.lease.lease_id].closed
    assert not control.leases[second.lease.lease_id].closed


async def test_the_end_of_an_old_secret_spares_the_new_one(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """After a rotation two secrets wait in one line: who came with the one that is over is refused alone."""
    old, new = new_secret(), new_secret()
    grant = control.add_key(new)
    control.add_key(old, key_id=grant.key_id)
    worker = await start_worker()
    for secret in (old, new):
        await worker.ledger.authorize(secret)
    control.grants.pop(secret_hash(old))
    control.chain_version += 1
    control.faults["AcquireLease"].append(Fault(delay_s=0.1))
    waiting = [asyncio.create_task(worker.begin(secret)) for secret in (new, old, new, old)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    for answer in answers[1::2]:
        assert isinstance(answer, TollkeeperError)
        assert answer.reason == Reason.INVALID_API_KEY
    for answer in answers[::2]:
        assert not isinstance(answer, BaseException), answer
        worker.ledger.finish(answer)


async def test_a_closed_lease_is_replaced(control: FakeControl, start_worker: StartWorker) -> None:
    """LEASE_CLOSED on a top-up: the request gets a lease under a new id."""
    control.ahead_most = 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.request(secret)
    for lease in control.leases.values():
        lease.closed = True
    await worker.request(secret)
    assert len(control.leases) == 2


async def test_a_client_that_goes_away_leaves_the_line(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A cancelled waiter holds nothing, and what came for it goes back."""
    control.ahead_most = 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["AcquireLease"].append(Fault(delay_s=0.1))
    waiting = asyncio.create_task(worker.begin(secret))
    await until(lambda: control.count("AcquireLease"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: control.leases)
    await until(lambda: control.held == 0)
    assert worker.ledger.desk.waiting_count == 0
    worker.ledger.book.check()


async def test_the_control_plane_away_is_a_503(control: FakeControl, start_worker: StartWorker) -> None:
    """Requests within the lease are served; what needs a new one gets UNAVAILABLE with a time to retry."""
    control.ahead_most = 3_000_000
    secret, unknown = new_secret(), new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.request(secret)
    await control.stop()
    await worker.request(secret)
    with pytest.raises(TollkeeperError) as refused:
        await worker.begin(secret, 50_000_000)
    assert (refused.value.reason, refused.value.retry_after_s) == (Reason.UNAVAILABLE, 2.0)
    with pytest.raises(TollkeeperError) as refused:
        await worker.ledger.authorize(unknown)
    assert refused.value.reason == Reason.UNAVAILABLE
    await control.start()
    await until(lambda: len(control.posted) == 2)
    await worker.request(secret, 50_000_000)


async def test_unlimited_keys_draw_without_counting(tmp_path: Path) -> None:
    """Without a hard budget the lease has no amount, and one acquire serves everything."""
    unlimited = await FakeControl(limit=None).start()
    secret = new_secret()
    unlimited.add_key(secret)
    worker = await Worker(unlimited, tmp_path).start()
    for _ in range(50):
        await worker.request(secret, 10**15)
    opened = await worker.begin(secret)
    assert opened.remaining_nanousd is None
    worker.ledger.finish(opened)
    assert unlimited.count("AcquireLease") == 1
    assert await worker.ledger.drain(5)
    assert len(unlimited.posted) == 51
    await worker.close()
    await unlimited.stop()


async def test_draining_leaves_nothing_behind(control: FakeControl, start_worker: StartWorker) -> None:
    """After a drain all is posted, every lease is closed, and the incarnation is over with its last
    sequence."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    for _ in range(10):
        await worker.request(secret)
    assert await worker.ledger.drain(5)
    assert len(control.posted) == 10
    assert control.held == 0
    assert control.closed_incarnations == {worker.ledger.incarnation_id: 10}
    assert worker.ledger.ready() == "draining"
    with pytest.raises(TollkeeperError):
        await worker.begin(secret)


async def test_a_closed_incarnation_stops_admitting(control: FakeControl, start_worker: StartWorker) -> None:
    """When the control plane took the worker for dead, it says so and admits nothing more."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.closed_incarnations[worker.ledger.incarnation_id] = 0
    with pytest.raises(TollkeeperError):
        await worker.begin(secret)
    assert worker.ledger.ready() == "the incarnation was closed"
    assert worker.ledger.failed.is_set()
