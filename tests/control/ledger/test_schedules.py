"""Schedules that break simpler ledgers: crossing transactions, leases that nobody waits for, a database set
back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, text, update

from control.domain.records import RejectedRecord, check, prepare
from control.expiry import Expiry
from control.ledger import closing
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.services.edge import EdgeService
from control.store import tables
from control.store.database import Database
from control.store.notices import Notices
from control.verify import verify
from control.watch import STREAM_CAPACITY, Hub
from tests.factories.tenants import CUSTOMER, KEY, Tenant, add_budget, create_tenant, raise_chain
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))
REPORTED, ESTIMATED, VOIDED = (
    edge_pb2.USAGE_STATE_REPORTED,
    edge_pb2.USAGE_STATE_ESTIMATED,
    edge_pb2.USAGE_STATE_VOIDED,
)
DAILY = 2


@pytest.fixture
def queue(database: Database) -> LedgerQueue:
    return LedgerQueue(database, Metrics(), timedelta(seconds=60), lambda *_: None)


async def settle(
    queue: LedgerQueue, tenant: Tenant, *records: edge_pb2.UsageRecord
) -> list[edge_pb2.SettleOutcome]:
    now = datetime.now(UTC)
    prepared = [prepare(record, {tenant.price_id: RATES}, now) for record in records]
    return await queue.settle(tenant.customer_id, prepared, [])


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def spent_and_held(database: Database) -> list[tuple[object, ...]]:
    return await rows(database, "SELECT spent_nanousd, held_nanousd FROM windows ORDER BY scope, start_time")


async def labels(database: Database) -> list[tuple[object, ...]]:
    return await rows(
        database, "SELECT label, amount_nanousd FROM entries ORDER BY post_time, usage_id, part"
    )


# ---- lost leases


async def test_a_record_that_crosses_the_loss_of_its_lease_replaces_the_estimate(
    database: Database, queue: LedgerQueue
) -> None:
    """L22: grace runs out while a record of the lease is being booked: it counts once, not on top."""
    tenant = await create_tenant(database, {KEY: 1000})
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [100]), 0)
    async with database.write() as connection:
        await connection.execute(text("SELECT 1 FROM leases FOR UPDATE"))
        losing = asyncio.create_task(closing.lose_lease(database, tenant.customer_id, lease_id, 1))
        await asyncio.sleep(0.2)
        settling = asyncio.create_task(settle(queue, tenant, tenant.record(lease_id, 30)))
        await asyncio.sleep(0.2)
    assert await losing is not None
    assert await settling == [edge_pb2.POSTED]
    assert await spent_and_held(database) == [(100, 0)]
    assert (await verify(database)).violations == []


async def test_a_lost_lease_without_a_budget_is_estimated_too(database: Database, queue: LedgerQueue) -> None:
    """L22, L9: a lease without an amount loses what it had in flight like any other."""
    tenant = await create_tenant(database, {})
    async with database.write() as connection:
        await add_budget(connection, tenant, CUSTOMER, 10, soft=True)
    lease_id = str(uuid7())
    assert (await queue.acquire(tenant.acquire(lease_id, 1, [70]), 0)).unlimited
    assert await closing.lose_lease(database, tenant.customer_id, lease_id, 1)
    assert await labels(database) == [("lease_lost", 70)]
    assert await spent_and_held(database) == [(70, 0)]
    assert (await verify(database)).violations == []


async def test_once_every_record_is_in_nothing_of_the_estimate_stays(
    database: Database, queue: LedgerQueue
) -> None:
    """I5: an edge that comes back after grace and settles all it began leaves just what was billed."""
    tenant = await create_tenant(database, {KEY: 1000})
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [100]), 0)
    await closing.lose_lease(database, tenant.customer_id, lease_id, 1)
    await settle(queue, tenant, tenant.record(lease_id, 30))
    # One record is missing: what is left of the estimate may stand for it.
    assert await closing.close_incarnation(database, tenant.incarnation_id, 2) == (0, 1)
    assert await spent_and_held(database) == [(100, 0)]
    assert await closing.close_incarnation(database, tenant.incarnation_id, 1) == (0, 0)
    assert await spent_and_held(database) == [(30, 0)]
    assert await closing.close_incarnation(database, tenant.incarnation_id, 1) == (0, 0)
    assert await spent_and_held(database) == [(30, 0)]
    assert (await verify(database)).violations == []


# ---- incarnations


async def test_an_acquire_that_crosses_the_close_of_its_incarnation_leaves_no_lease(
    database: Database, queue: LedgerQueue
) -> None:
    """L20: what an acquire under way opens is closed at the next look, and is no lost lease."""
    tenant = await create_tenant(database, {KEY: 1000})
    async with database.write() as connection:
        await connection.execute(
            text("INSERT INTO incarnations (incarnation_id) VALUES (:id)"), {"id": tenant.incarnation_id}
        )
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    async with database.write() as connection:
        # The acquire gets as far as the window.
        await connection.execute(text("SELECT 1 FROM windows FOR UPDATE"))
        acquiring = asyncio.create_task(queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 0))
        await asyncio.sleep(0.2)
        close = asyncio.create_task(closing.close_incarnation(database, tenant.incarnation_id, 0))
        await asyncio.sleep(0.3)
    await asyncio.gather(acquiring, close, return_exceptions=True)
    await Expiry(database, Hub(database, Notices(""), Metrics()), Metrics(), 3600).look(0)
    assert await rows(database, "SELECT count(*) FROM leases WHERE close_time IS NULL") == [(0,)]
    assert await spent_and_held(database) == [(0, 0)]
    assert await labels(database) == []


async def test_a_late_watch_closes_no_lease_that_is_younger(database: Database, queue: LedgerQueue) -> None:
    """L5: a Watch that was held up names the leases of its time, and closes none opened since."""
    tenant = await create_tenant(database, {KEY: 1000})
    forgotten, since = str(uuid7()), str(uuid7())
    await queue.acquire(tenant.acquire(forgotten, 1, [10]), 0)
    (asked,) = (await rows(database, "SELECT clock_timestamp()"))[0]
    assert isinstance(asked, datetime)
    await queue.acquire(tenant.acquire(since, 1, [50]), 0)
    assert await closing.close_forgotten(database, tenant.incarnation_id, (), asked) == 10
    assert await rows(database, "SELECT CAST(lease_id AS text) FROM leases WHERE close_time IS NULL") == [
        (since,)
    ]


# ---- windows


async def test_after_a_restore_records_bring_their_windows_with_them(
    database: Database, queue: LedgerQueue
) -> None:
    """L21: a database set back to before a window began still counts there what is sent again."""
    tenant = await create_tenant(database, {KEY: 100, CUSTOMER: 500}, period=DAILY)
    granted = await queue.acquire(tenant.acquire(str(uuid7()), 1, [60]), 0)
    async with database.write() as connection:
        for table in (tables.lease_grants, tables.lease_windows, tables.leases, tables.windows):
            await connection.execute(delete(table))
    record = tenant.record(str(uuid7()), 60)
    record.windows.extend(granted.windows)
    # A budget made after the backup is gone for good.
    record.windows.add(budget_id=str(uuid7())).CopyFrom(granted.windows[0])
    record.windows[-1].budget_id = str(uuid7())
    assert await settle(queue, tenant, record) == [edge_pb2.POSTED]
    assert await spent_and_held(database) == [(60, 0), (60, 0)]
    with pytest.raises(TollkeeperError) as caught:
        await queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 0)
    assert caught.value.reason == Reason.INSUFFICIENT_QUOTA
    assert (await verify(database)).violations == []


async def test_the_next_window_taken_first_leaves_room_for_the_present_one(
    database: Database, queue: LedgerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L7, L2: a budget's very first acquire may be for the next window; the present one is still today's."""
    tenant = await create_tenant(database, {KEY: 1000}, period=DAILY)
    late = datetime(2026, 11, 21, 23, 59, 30, tzinfo=UTC)

    async def just_before_midnight(_: object) -> datetime:
        return late

    monkeypatch.setattr("control.store.ledger.database_now", just_before_midnight)
    async with database.write() as connection:
        await connection.execute(update(tables.budgets).values(create_time=late - timedelta(hours=1)))
    ahead = await queue.acquire(tenant.acquire(str(uuid7()), 1, [], 50, next_window=True), 0)
    present = await queue.acquire(tenant.acquire(str(uuid7()), 1, [20]), 0)
    spans = [
        (w.start_time.ToDatetime(), w.end_time.ToDatetime()) for w in (present.windows[0], ahead.windows[0])
    ]
    assert spans == [
        (datetime(2026, 11, 21), datetime(2026, 11, 22)),
        (datetime(2026, 11, 22), datetime(2026, 11, 23)),
    ]


async def test_a_lease_without_an_amount_obeys_a_budget_that_hardened_since(
    database: Database, queue: LedgerQueue
) -> None:
    """I1: what passes a limit that came after the lease is labelled; spend from before it is no violation."""
    tenant = await create_tenant(database, {})
    async with database.write() as connection:
        await add_budget(connection, tenant, CUSTOMER, 100, soft=True)
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [10]), 0)
    await settle(queue, tenant, tenant.record(lease_id, 70))
    async with database.write() as connection:
        await connection.execute(text("UPDATE budgets SET soft = false"))
        await raise_chain(connection, tenant)
    await settle(queue, tenant, tenant.record(lease_id, 50))
    assert await labels(database) == [("post", 70), ("post", 30), ("overrun", 20)]
    assert await spent_and_held(database) == [(120, 0)]
    assert (await verify(database)).violations == []


async def test_what_a_soft_budget_let_pass_is_no_violation_of_a_later_limit(
    database: Database, queue: LedgerQueue
) -> None:
    """I1: hard, then soft, then hard again: what was spent in between was allowed."""
    tenant = await create_tenant(database, {CUSTOMER: 100})
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [10]), 0)
    for soft in (True, False):
        async with database.write() as connection:
            await connection.execute(text("UPDATE budgets SET soft = :soft"), {"soft": soft})
            await raise_chain(connection, tenant)
        if soft:
            lease_id = str(uuid7())
            assert (await queue.acquire(tenant.acquire(lease_id, 1, [10]), 0)).unlimited
            await settle(queue, tenant, tenant.record(lease_id, 500))
    assert (await verify(database)).violations == []


# ---- the line


async def test_a_lease_for_the_next_window_is_not_stuck_behind_who_waits(
    database: Database, queue: LedgerQueue
) -> None:
    """L7, L11: acquires that wait for room in the present windows don't hold up those for the next."""
    tenant = await create_tenant(database, {KEY: 100})
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [80]), 0)
    waiting = asyncio.create_task(queue.acquire(tenant.acquire(str(uuid7()), 1, [50]), 60))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        answer = await queue.acquire(tenant.acquire(str(uuid7()), 1, [], 0, next_window=True), 0)
    assert answer.granted_nanousd == 0
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


# ---- records


def test_no_record_can_break_the_batch_it_comes_in() -> None:
    """L17: what the ledger couldn't take is refused by itself, whatever is wrong with it."""
    tenant = Tenant()
    upper = tenant.record(str(uuid7()), 1, usage_id=str(uuid7()).upper())
    far = tenant.record(str(uuid7()), 1)
    far.windows.add(budget_id=str(uuid7())).start_time.seconds = 10**15
    twice = tenant.record(str(uuid7()), 1, windows=[(str(uuid7()), datetime.now(UTC))] * 2)
    stateless = tenant.record(str(uuid7()), 1)
    stateless.attempts[0].state = edge_pb2.USAGE_STATE_UNSPECIFIED
    check(tenant.record(str(uuid7()), 1, windows=[(str(uuid7()), datetime.now(UTC))]))
    for record in (upper, far, twice, stateless):
        with pytest.raises(RejectedRecord):
            check(record)


@pytest.mark.parametrize(
    ("attempts", "state"),
    [
        ([REPORTED], REPORTED),
        ([ESTIMATED], ESTIMATED),
        ([VOIDED], VOIDED),
        ([VOIDED, REPORTED], REPORTED),
        ([ESTIMATED, REPORTED], ESTIMATED),
        ([VOIDED, VOIDED], VOIDED),
    ],
)
def test_the_attempts_say_what_a_record_is(attempts: list[int], state: int) -> None:
    """L13, I4: an estimate anywhere makes a record one, and what costs is never void, whatever it claims."""
    tenant = Tenant()
    record = tenant.record(str(uuid7()), 5)
    del record.attempts[:]
    for number, each in enumerate(attempts):
        one = tenant.record(str(uuid7()), 5, each).attempts[0]
        one.number = number + 1
        record.attempts.append(one)
    for claimed in (REPORTED, ESTIMATED, VOIDED):
        record.state = claimed
        prepared = prepare(record, {tenant.price_id: RATES}, datetime.now(UTC))
        assert (prepared.state, prepared.row["state"]) == (state, state)


async def test_a_report_over_an_estimate_replaces_its_tokens_in_the_sums(
    database: Database, queue: LedgerQueue
) -> None:
    """L18: rollups count the model tokens of the record that stands, not of both."""
    tenant = await create_tenant(database, {KEY: 1000})
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [100]), 0)
    guess = tenant.record(lease_id, 30, ESTIMATED)
    await settle(queue, tenant, guess)
    await settle(queue, tenant, tenant.record(lease_id, 20, REPORTED, guess.usage_id))
    assert await rows(database, "SELECT DISTINCT request_count, cost_nanousd, input_tokens FROM rollups") == [
        (1, 20, 20)
    ]


async def test_a_record_the_database_refuses_takes_no_report_with_it(
    database: Database, queue: LedgerQueue
) -> None:
    """L17, L5: what a lease reports is taken even where the one record beside it can't be."""
    tenant = await create_tenant(database, {KEY: 1000})
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [100]), 0)
    async with database.write() as connection:
        await connection.execute(text("UPDATE windows SET spent_nanousd = 9223372036854775800"))
    service = EdgeService(database, queue, Hub(database, Notices(""), Metrics()), Metrics(), lambda *_: "")
    request = edge_pb2.SettleRequest(records=[tenant.record(lease_id, 100, ESTIMATED)])
    request.reports.add(customer_id=tenant.customer_id, lease_id=lease_id, closing=True)
    answer = await service.Settle(request, None)  # type: ignore[arg-type]
    assert list(answer.outcomes) == [edge_pb2.REJECTED]
    assert await rows(database, "SELECT outcome FROM refused_records") == [("rejected",)]
    assert await rows(database, "SELECT count(*) FROM leases WHERE close_time IS NULL") == [(0,)]


# ---- push


async def test_an_edge_that_missed_much_hears_all_of_it(database: Database) -> None:
    """L27: what a reconnecting edge missed doesn't count against the bound of its stream."""
    ids = [str(uuid7()) for _ in range(STREAM_CAPACITY + 100)]
    async with database.write() as connection:
        await connection.execute(
            tables.customers.insert(),
            [{"customer_id": id, "slug": id, "name": "c", "version": 2} for id in ids],
        )
    hub = Hub(database, Notices(""), Metrics())
    request = edge_pb2.WatchRequest()
    for customer_id in ids:
        request.customers.add(customer_id=customer_id, version=1)
    await hub._poll()
    stream = await hub.open(request)
    assert not stream.closed
    heard = []
    while (message := await stream.next(0.01)) is not None:
        heard.append(message.WhichOneof("event"))
    assert heard[0] == "hello"
    assert heard.count("customer_changed") == len(ids)
    # From here on the bound holds.
    for _ in range(STREAM_CAPACITY + 1):
        hub.room(ids[0], ids[0])
    assert stream.closed
