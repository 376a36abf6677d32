"""Windows come into being on first use, follow the calendar, and never overlap (L2, L3, L7)."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from control.domain.records import prepare
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.store.database import Database
from control.verify import verify
from tests.factories.tenants import CUSTOMER, KEY, Tenant, add_budget, create_tenant, end_windows, raise_chain
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))
DAILY, MONTHLY = 2, 4


@pytest.fixture
def queue(database: Database) -> LedgerQueue:
    return LedgerQueue(database, Metrics(), timedelta(seconds=60), lambda *_: None)


async def spend(queue: LedgerQueue, tenant: Tenant, lease_id: str, cost: int) -> None:
    prepared = prepare(tenant.record(lease_id, cost), {tenant.price_id: RATES}, datetime.now(UTC))
    assert await queue.settle(tenant.customer_id, [prepared], []) == [edge_pb2.POSTED]


async def windows(database: Database) -> list[tuple[int, int, int]]:
    async with database.read() as connection:
        found = await connection.execute(
            text("SELECT scope, spent_nanousd, held_nanousd FROM windows ORDER BY scope, start_time")
        )
        return [(row.scope, row.spent_nanousd, row.held_nanousd) for row in found]


async def test_a_request_belongs_to_the_windows_it_began_in(database: Database, queue: LedgerQueue) -> None:
    """A cost that arrives after midnight counts in yesterday's window; today's starts at nothing."""
    tenant = await create_tenant(database, {KEY: 1000}, period=MONTHLY)
    yesterday = str(uuid7())
    await queue.acquire(tenant.acquire(yesterday, 1, [50]), 0)
    await end_windows(database, tenant)
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [70]), 0)
    await spend(queue, tenant, yesterday, 50)
    assert await windows(database) == [(KEY, 50, 0), (KEY, 0, 70)]
    with pytest.raises(TollkeeperError) as caught:
        await queue.acquire(tenant.acquire(yesterday, 2, [1]), 0)
    assert caught.value.reason == Reason.LEASE_CLOSED
    assert (await verify(database)).violations == []


async def test_a_budget_born_mid_period_starts_with_an_opening_entry(
    database: Database, queue: LedgerQueue
) -> None:
    """L3: what was spent since the month began counts against a monthly budget made today."""
    tenant = await create_tenant(database, {CUSTOMER: 10_000}, period=MONTHLY)
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [400]), 0)
    await spend(queue, tenant, lease_id, 400)
    async with database.write() as connection:
        await add_budget(connection, tenant, KEY, 1000, period=MONTHLY)
        await raise_chain(connection, tenant)
    answer = await queue.acquire(tenant.acquire(str(uuid7()), 1, [100]), 0)
    assert {(w.scope, w.spent_nanousd) for w in answer.windows} == {("key", 400), ("customer", 400)}
    with pytest.raises(TollkeeperError) as caught:
        await queue.acquire(tenant.acquire(str(uuid7()), 1, [700]), 0)
    assert caught.value.metadata["scope"] == "key"
    report = await verify(database)
    assert report.violations == []
    assert report.excused == {"opening": 1}


async def test_a_budget_that_never_resets_starts_at_nothing(database: Database, queue: LedgerQueue) -> None:
    """A period of none counts from the budget's birth."""
    tenant = await create_tenant(database, {CUSTOMER: 10_000})
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [400]), 0)
    await spend(queue, tenant, lease_id, 400)
    async with database.write() as connection:
        await add_budget(connection, tenant, KEY, 1000)
        await raise_chain(connection, tenant)
    answer = await queue.acquire(tenant.acquire(str(uuid7()), 1, [100]), 0)
    assert {(w.scope, w.spent_nanousd) for w in answer.windows} == {("key", 0), ("customer", 400)}


async def test_the_next_window_can_be_taken_before_it_begins(database: Database, queue: LedgerQueue) -> None:
    """L7: in the last minute a lease over the next window is lent, to be drawn from later."""
    tenant = await create_tenant(database, {KEY: 1000}, period=DAILY)
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    async with database.write() as connection:
        await connection.execute(text("UPDATE windows SET end_time = clock_timestamp() + interval '30 s'"))
    ahead = await queue.acquire(tenant.acquire(str(uuid7()), 1, [500], next_window=True), 0)
    assert 25 < ahead.not_before.ToTimedelta().total_seconds() <= 30
    assert ahead.draw_for.ToTimedelta() > ahead.not_before.ToTimedelta()
    present = await queue.acquire(tenant.acquire(str(uuid7()), 1, [20]), 0)
    assert present.not_before.ToTimedelta() == timedelta()
    assert present.draw_for.ToTimedelta() <= timedelta(seconds=30)
    assert await windows(database) == [(KEY, 0, 30), (KEY, 0, 500)]
    assert (await verify(database)).violations == []


async def test_unused_windows_leave_no_gap_and_no_overlap(database: Database, queue: LedgerQueue) -> None:
    """A new period acts when the present window ends."""
    tenant = await create_tenant(database, {KEY: 1000}, period=MONTHLY)
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    async with database.write() as connection:
        await connection.execute(text("UPDATE budgets SET period = 2"))
    same = await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    assert same.windows[0].end_time.ToDatetime(tzinfo=UTC).day == 1
    await end_windows(database, tenant)
    after = await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    span = after.windows[0].end_time.ToDatetime() - after.windows[0].start_time.ToDatetime()
    assert span <= timedelta(days=1)
    assert (await verify(database)).violations == []
