"""The line of work of one customer: waiting, fairness, recall, and two replicas at once."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from control.domain.records import prepare
from control.ledger.batch import BatchResult
from control.ledger.queue import MAX_ACQUIRES_PER_BATCH, LedgerQueue
from control.metrics import Metrics
from control.store.database import Database
from control.verify import verify
from tests.factories.tenants import CUSTOMER, KEY, Tenant, create_tenant
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))


def make_queue(database: Database, results: list[BatchResult] | None = None) -> LedgerQueue:
    heard = results if results is not None else []
    return LedgerQueue(
        database, Metrics(), timedelta(seconds=60), lambda _customer, result: heard.append(result)
    )


async def settle(
    queue: LedgerQueue, tenant: Tenant, record: edge_pb2.UsageRecord, returned: int = 0
) -> list[edge_pb2.SettleOutcome]:
    prepared = prepare(record, {tenant.price_id: RATES}, datetime.now(UTC))
    report = edge_pb2.LeaseReport(
        customer_id=tenant.customer_id, lease_id=record.lease_id, returned_nanousd=returned
    )
    return await queue.settle(tenant.customer_id, [prepared], [report])


async def test_an_acquire_waits_for_a_settle(database: Database) -> None:
    """L11: held is not spent: room that a settle makes goes to who waits."""
    tenant = await create_tenant(database, {KEY: 100})
    results: list[BatchResult] = []
    queue = make_queue(database, results)
    first = str(uuid7())
    await queue.acquire(tenant.acquire(first, 1, [80]), 0)
    waiting = asyncio.create_task(queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 20))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert await settle(queue, tenant, tenant.record(first, 10), returned=70) == [edge_pb2.POSTED]
    assert (await waiting).covered_holds == 1
    assert any(result.recalled for result in results)


async def test_waiting_ends_with_budget_held(database: Database) -> None:
    """L11: nobody settles in time: a refusal that is worth another try."""
    tenant = await create_tenant(database, {KEY: 100})
    queue = make_queue(database)
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [80]), 0)
    with pytest.raises(TollkeeperError) as caught:
        await queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 0.3)
    assert caught.value.reason == Reason.BUDGET_HELD
    assert caught.value.retry_after_s == 1
    assert caught.value.metadata["held_nanousd"] == "80"


async def test_first_come_first_served(database: Database) -> None:
    """A small hold does not overtake a large one that waits for the same window."""
    tenant = await create_tenant(database, {KEY: 100})
    queue = make_queue(database)
    first = str(uuid7())
    await queue.acquire(tenant.acquire(first, 1, [60]), 0)
    order: list[str] = []

    async def acquire(name: str, hold: int) -> None:
        await queue.acquire(tenant.acquire(str(uuid7()), 1, [hold]), 20)
        order.append(name)

    large = asyncio.create_task(acquire("large", 90))
    await asyncio.sleep(0.1)
    small = asyncio.create_task(acquire("small", 5))
    await asyncio.sleep(0.3)
    assert order == []
    await settle(queue, tenant, tenant.record(first, 0), returned=60)
    await asyncio.gather(large, small)
    assert order == ["large", "small"]


async def test_a_crowd_that_waits_hides_nobody(database: Database) -> None:
    """More requests wait for one key's budget than one transaction takes; another key is served at once."""
    tenant = await create_tenant(database, {KEY: 100})
    metrics = Metrics()
    queue = LedgerQueue(database, metrics, timedelta(seconds=60), lambda *_: None)
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [80]), 0)
    crowd = [
        asyncio.create_task(queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 3))
        for _ in range(MAX_ACQUIRES_PER_BATCH + 40)
    ]
    await asyncio.sleep(0.5)
    assert metrics.registry.get_sample_value("tollkeeper_control_ledger_waiting") > 0
    other = str(uuid7())
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO keys (customer_id, key_id, name, key_hash, prefix)"
                " VALUES (:customer_id, :key_id, 'other', '', 'aig_')"
            ),
            {"customer_id": tenant.customer_id, "key_id": other},
        )
    request = tenant.acquire(str(uuid7()), 1, [50])
    request.key_id = other
    assert (await queue.acquire(request, 1)).unlimited
    assert not any(waiting.done() for waiting in crowd)
    refusals = await asyncio.gather(*crowd, return_exceptions=True)
    assert {getattr(refusal, "reason", None) for refusal in refusals} == {Reason.BUDGET_HELD}


async def test_a_repeated_acquire_returns_the_stored_answer(database: Database) -> None:
    """L5: over another replica too, the same (lease, top-up) grants once."""
    tenant = await create_tenant(database, {KEY: 100})
    other = Database(database.engine.url.render_as_string(hide_password=False))
    request = tenant.acquire(str(uuid7()), 1, [30])
    answers = await asyncio.gather(
        *(make_queue(replica).acquire(request, 5) for replica in [database, other] * 5)
    )
    await other.close()
    assert len({answer.SerializeToString() for answer in answers}) == 1
    async with database.read() as connection:
        held = (await connection.execute(text("SELECT held_nanousd FROM windows"))).scalar_one()
    assert held == answers[0].granted_nanousd


async def test_a_closed_incarnation_gets_nothing(database: Database) -> None:
    """L20: an incarnation never reopens."""
    tenant = await create_tenant(database, {KEY: 100})
    async with database.write() as connection:
        await connection.execute(
            text("INSERT INTO incarnations (incarnation_id, close_time) VALUES (:id, now())"),
            {"id": tenant.incarnation_id},
        )
    with pytest.raises(TollkeeperError) as caught:
        await make_queue(database).acquire(tenant.acquire(str(uuid7()), 1, [1]), 0)
    assert caught.value.reason == Reason.INCARNATION_CLOSED


async def test_a_late_record_of_an_unknown_lease_posts(database: Database) -> None:
    """L21: the record names its windows, and counts there, labelled late."""
    tenant = await create_tenant(database, {KEY: 100, CUSTOMER: 500})
    queue = make_queue(database)
    granted = await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    windows = [(w.budget_id, w.start_time.ToDatetime(tzinfo=UTC)) for w in granted.windows]
    record = tenant.record(str(uuid7()), 25, windows=windows)
    assert await settle(queue, tenant, record) == [edge_pb2.POSTED]
    async with database.read() as connection:
        spent = (await connection.execute(text("SELECT spent_nanousd FROM windows"))).scalars().all()
        labels = (await connection.execute(text("SELECT label FROM entries"))).scalars().all()
    assert spent == [25, 25]
    assert labels == ["late"]
    assert (await verify(database)).violations == []


async def test_an_undone_decision_is_forgotten(database: Database, database_url: str) -> None:
    """A transaction that PostgreSQL undid decides again, by what is true then."""
    tenant = await create_tenant(database, {KEY: 100})

    def undo_once(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO lease_grants" in statement:
            event.remove(database.engine.sync_engine, "before_cursor_execute", undo_once)
            url = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("UPDATE budgets SET limit_nanousd = 10")
            raise DBAPIError(statement, None, psycopg.errors.SerializationFailure())

    event.listen(database.engine.sync_engine, "before_cursor_execute", undo_once)
    with pytest.raises(TollkeeperError) as caught:
        await make_queue(database).acquire(tenant.acquire(str(uuid7()), 1, [50]), 0)
    assert caught.value.reason == Reason.INSUFFICIENT_QUOTA


async def acquire_or_spent(
    queue: LedgerQueue, request: edge_pb2.AcquireLeaseRequest
) -> edge_pb2.AcquireLeaseResponse | None:
    """None once the budget is spent; any other refusal fails the test."""
    try:
        return await queue.acquire(request, 10)
    except TollkeeperError as error:
        if error.reason != Reason.INSUFFICIENT_QUOTA:
            raise
        return None


@pytest.mark.timeout(180)
async def test_a_cap_holds_under_two_replicas(database: Database) -> None:
    """I1 with 8 incarnations over two replicas racing for one customer budget: nothing passes the limit, no
    deadlock is lost, and at least 90 % of the budget gets used."""
    limit, hold, cost = 10_000, 300, 210
    tenant = await create_tenant(database, {KEY: 50_000, CUSTOMER: limit})
    other = Database(database.engine.url.render_as_string(hide_password=False))
    queues = [make_queue(database), make_queue(other)]
    posted: list[int] = []

    async def incarnation(number: int) -> None:
        queue, lease_id, top_up, left, returned = queues[number % 2], str(uuid7()), 0, 0, 0
        while True:
            if left < hold:
                # What can't serve a request is given back with the call that asks for more.
                returned, left, top_up = returned + left, 0, top_up + 1
                report = edge_pb2.LeaseReport(
                    customer_id=tenant.customer_id, lease_id=lease_id, returned_nanousd=returned
                )
                request = tenant.acquire(lease_id, top_up, [hold], hold * 3, reports=[report])
                answer = await acquire_or_spent(queue, request)
                if answer is None:
                    return
                left += answer.granted_nanousd
            record = tenant.record(lease_id, cost, hold=hold)
            assert await settle(queue, tenant, record, returned) == [edge_pb2.POSTED]
            left -= cost
            posted.append(cost)

    await asyncio.gather(*(incarnation(number) for number in range(8)))
    await other.close()
    async with database.read() as connection:
        spent, held = (
            await connection.execute(text("SELECT spent_nanousd, held_nanousd FROM windows WHERE scope = 4"))
        ).one()
    assert spent == sum(posted)
    assert limit - hold < spent <= limit
    assert held == 0
    assert (await verify(database)).violations == []
