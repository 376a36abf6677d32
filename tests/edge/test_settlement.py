"""Settlement: batches, outcomes, repetition, and reports, against a fake control plane over gRPC."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.settlement import settle_request
from tests.edge.conftest import StartWorker, until
from tests.edge.fake_control import FakeControl, Fault, error, new_secret
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

Outcome = edge_pb2.SettleOutcome


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40_000), max_size=3))
def test_the_request_is_built_from_serialized_records(lengths: list[int]) -> None:
    """Records as journaled, framed by hand, parse as a SettleRequest with them."""
    records = [edge_pb2.UsageRecord(usage_id="u", requested_model="m" * length) for length in lengths]
    reports = [edge_pb2.LeaseReport(lease_id="l", returned_nanousd=7)]
    data = settle_request("incarnation", (record.SerializeToString() for record in records), reports)
    expected = edge_pb2.SettleRequest(incarnation_id="incarnation", records=records, reports=reports)
    assert edge_pb2.SettleRequest.FromString(data) == expected


async def test_records_go_in_batches(control: FakeControl, start_worker: StartWorker) -> None:
    """Many finished requests share few calls, none larger than a batch, one at a time."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_batch=40, settle_interval_s=60)
    await worker.request(secret)
    assert await worker.ledger.settler.flush(5)
    control.calls.clear()
    for _ in range(100):
        await worker.request(secret, output_tokens=1)
    assert await worker.ledger.settler.flush(5)
    assert [len(request.records) for request in control.requests("Settle")] == [40, 40, 20]
    assert worker.ledger.settler.outcomes[Outcome.POSTED] == 101
    assert worker.ledger.journal.open_count == 0


async def test_only_what_must_come_again_comes_again(control: FakeControl, start_worker: StartWorker) -> None:
    """Conflicts and rejections are acknowledged; RETRY alone stays, and blocks nobody else (L17)."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    script = {1: Outcome.CONFLICT, 2: Outcome.REJECTED, 3: Outcome.RETRY, 4: Outcome.DUPLICATE}
    control.outcome_of = lambda record: script.pop(record.sequence, None)
    for _ in range(6):
        await worker.request(secret)
    await until(lambda: worker.ledger.journal.open_count == 0)
    assert sorted(record.sequence for record in control.received) == [1, 2, 3, 3, 4, 5, 6]
    assert sorted(record.sequence for record in control.posted.values()) == [3, 5, 6]


async def test_a_lost_answer_posts_nothing_twice(control: FakeControl, start_worker: StartWorker) -> None:
    """A batch whose answer is lost comes again, equal to the byte, and is a duplicate."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Settle"].append(Fault(lose_answer=True))
    cost = sum([await worker.request(secret) for _ in range(5)])
    assert await worker.ledger.settler.flush(5)
    assert len(control.received) == 10
    assert control.received[:5] == control.received[5:]
    assert worker.ledger.settler.outcomes == {Outcome.DUPLICATE: 5}
    assert control.budget is not None
    assert control.budget.spent == cost


async def test_the_control_plane_away_keeps_records(control: FakeControl, start_worker: StartWorker) -> None:
    """Records wait while nobody answers, are tried again with growing pauses, and arrive once."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Settle"].extend([Fault(error=error(Reason.UNAVAILABLE))] * 3)
    started_s = asyncio.get_running_loop().time()
    await worker.request(secret)
    await until(lambda: control.posted)
    assert asyncio.get_running_loop().time() - started_s > 0.2 + 0.4 + 0.8
    assert control.count("Settle") == 4


async def test_a_full_backlog_refuses_new_requests(control: FakeControl, start_worker: StartWorker) -> None:
    """When too much waits to be settled nothing more is admitted, until it is settled."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_backlog=5, settle_interval_s=60)
    for _ in range(5):
        await worker.request(secret)
    assert worker.ledger.ready() == "too many requests wait to be settled"
    try:
        await worker.begin(secret)
    except TollkeeperError as refused:
        assert refused.reason == Reason.JOURNAL_UNAVAILABLE  # noqa: PT017 - the else branch says why
    else:
        raise AssertionError("admitted")
    assert await worker.ledger.settler.flush(5)
    assert worker.ledger.ready() is None
    await worker.request(secret)


async def test_waited_for_money_settles_at_once(control: FakeControl, start_worker: StartWorker) -> None:
    """An exact lease's request settles within milliseconds, not with the next batch (L11)."""
    control.ahead_most = 0
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_interval_s=60)
    await worker.request(secret, 1_000_000, output_tokens=100)
    await until(lambda: control.posted)
    assert control.held == 0
    (request,) = control.requests("Settle")
    assert request.reports[0].returned_nanousd == 1_000_000 - 60_000


async def test_a_recall_is_answered_at_once(control: FakeControl, start_worker: StartWorker) -> None:
    """L10: what isn't drawn is back within the time the control plane waits, without any record to send."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_interval_s=60)
    opened = await worker.begin(secret)
    assert control.held > 1_000_000
    control.recall()
    await until(lambda: control.held == 1_000_000)
    assert control.count("ReturnLease") == 1
    worker.ledger.finish(opened)


async def test_reports_are_repeated_until_they_arrive(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A report whose call failed is sent again."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(settle_interval_s=60)
    opened = await worker.begin(secret)
    control.faults["ReturnLease"].extend([Fault(error=error(Reason.UNAVAILABLE))] * 2)
    control.recall()
    await until(lambda: control.held == 1_000_000)
    assert control.count("ReturnLease") == 3
    worker.ledger.finish(opened)


async def test_an_idle_lease_is_closed(control: FakeControl, start_worker: StartWorker) -> None:
    """A key that isn't used gives its money back without being asked."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker(idle_lease_s=0.2)
    await worker.request(secret)
    assert control.held > 0
    await until(lambda: not worker.ledger.book.leases)
    assert all(lease.closed for lease in control.leases.values())
    await worker.request(secret)
    assert len(control.leases) == 2
