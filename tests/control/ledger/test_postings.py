"""What becomes of a record that comes more than once (L17, L18), late (L21) or for a lost lease (L22)."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from control.domain.records import prepare
from control.ledger import closing
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.store.database import Database
from control.verify import verify
from tests.factories.tenants import CUSTOMER, KEY, Tenant, create_tenant
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))
REPORTED, ESTIMATED, VOIDED = (
    edge_pb2.USAGE_STATE_REPORTED,
    edge_pb2.USAGE_STATE_ESTIMATED,
    edge_pb2.USAGE_STATE_VOIDED,
)
POSTED, DUPLICATE, CONFLICT = edge_pb2.POSTED, edge_pb2.DUPLICATE, edge_pb2.CONFLICT


@dataclass
class Scene:
    """A tenant with one lease of 100 over a key and a customer budget."""

    database: Database
    queue: LedgerQueue
    tenant: Tenant
    lease_id: str

    async def settle(self, *records: edge_pb2.UsageRecord) -> list[edge_pb2.SettleOutcome]:
        rates = {self.tenant.price_id: RATES}
        prepared = [prepare(record, rates, datetime.now(UTC)) for record in records]
        return await self.queue.settle(self.tenant.customer_id, prepared, [])

    async def row(self, query: str) -> list[tuple[object, ...]]:
        async with self.database.read() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]

    async def spent_and_held(self) -> list[tuple[object, ...]]:
        return await self.row("SELECT spent_nanousd, held_nanousd FROM windows ORDER BY scope")

    async def entries(self) -> list[tuple[object, ...]]:
        return await self.row("SELECT label, amount_nanousd FROM entries ORDER BY usage_id, part")


@pytest.fixture
async def scene(database: Database) -> Scene:
    tenant = await create_tenant(database, {KEY: 1000, CUSTOMER: 5000})
    queue = LedgerQueue(database, Metrics(), timedelta(seconds=60), lambda *_: None)
    lease_id = str(uuid7())
    await queue.acquire(tenant.acquire(lease_id, 1, [100], 100), 0)
    return Scene(database, queue, tenant, lease_id)


@pytest.mark.parametrize(
    ("first", "second", "outcome", "entries", "spent"),
    [
        # Equal content.
        ((REPORTED, 30), (REPORTED, 30), DUPLICATE, [("post", 30)], 30),
        ((ESTIMATED, 30), (ESTIMATED, 30), DUPLICATE, [("post", 30)], 30),
        ((VOIDED, 0), (VOIDED, 0), DUPLICATE, [], 0),
        # A report over an estimate corrects it, either way.
        ((ESTIMATED, 30), (REPORTED, 20), POSTED, [("post", 30), ("correction", -10)], 20),
        ((ESTIMATED, 30), (REPORTED, 45), POSTED, [("post", 30), ("correction", 15)], 45),
        ((ESTIMATED, 30), (REPORTED, 30), POSTED, [("post", 30)], 30),
        # An estimate after a report is late news.
        ((REPORTED, 30), (ESTIMATED, 90), DUPLICATE, [("post", 30)], 30),
        # Anything else is kept for a person.
        ((REPORTED, 30), (REPORTED, 31), CONFLICT, [("post", 30)], 30),
        ((ESTIMATED, 30), (ESTIMATED, 31), CONFLICT, [("post", 30)], 30),
        ((REPORTED, 30), (VOIDED, 0), CONFLICT, [("post", 30)], 30),
        ((VOIDED, 0), (REPORTED, 30), CONFLICT, [], 0),
    ],
)
async def test_the_same_id_again(
    scene: Scene,
    first: tuple[int, int],
    second: tuple[int, int],
    outcome: edge_pb2.SettleOutcome,
    entries: list[tuple[str, int]],
    spent: int,
) -> None:
    """One id is booked once; what may replace it does, in the same windows, and the rest is stored."""
    record = scene.tenant.record(scene.lease_id, first[1], first[0])
    again = scene.tenant.record(scene.lease_id, second[1], second[0], record.usage_id)
    again.sequence = record.sequence
    again.latency_ms = 1234
    assert await scene.settle(record) == [POSTED]
    assert await scene.settle(again) == [outcome]
    assert await scene.entries() == entries
    held = 100 - (0 if first[0] == VOIDED else first[1])
    assert await scene.spent_and_held() == [(spent, held)] * 2
    kept = await scene.row("SELECT outcome FROM refused_records")
    assert kept == ([("conflict",)] if outcome == CONFLICT else [])
    report = await verify(scene.database)
    assert report.violations == []
    if outcome == CONFLICT:
        # Sent for ever, it is stored once.
        assert await scene.settle(again) == [CONFLICT]
        assert len(await scene.row("SELECT outcome FROM refused_records")) == 1


async def test_concurrent_batches_in_any_order_post_once(scene: Scene) -> None:
    """I3: batches with the same ids in opposite order, over two queues, neither deadlock nor post twice."""
    records = [scene.tenant.record(scene.lease_id, 1) for _ in range(40)]
    other = Scene(
        scene.database,
        LedgerQueue(scene.database, Metrics(), timedelta(seconds=60), lambda *_: None),
        scene.tenant,
        scene.lease_id,
    )
    sent = [(scene, records), (other, records[::-1])] * 3
    outcomes = await asyncio.gather(*(replica.settle(*batch) for replica, batch in sent))
    assert sum(outcome.count(POSTED) for outcome in outcomes) == 40
    assert await scene.spent_and_held() == [(40, 60)] * 2
    assert (await verify(scene.database)).violations == []


async def test_more_than_the_lease_holds_is_an_overrun(scene: Scene) -> None:
    """I1: what exceeds the hold is posted in full, and labelled."""
    assert await scene.settle(scene.tenant.record(scene.lease_id, 130)) == [POSTED]
    assert await scene.entries() == [("post", 100), ("overrun", 30)]
    assert await scene.spent_and_held() == [(130, 0)] * 2
    assert (await verify(scene.database)).excused == {"overrun": 1}


async def test_a_lost_lease_is_estimated_and_then_replaced(scene: Scene) -> None:
    """L22: what was last reported in flight is booked, and the records replace it as they arrive."""
    assert await closing.lose_lease(scene.database, scene.tenant.customer_id, scene.lease_id, 1)
    assert await scene.entries() == [("lease_lost", 100)]
    assert await scene.spent_and_held() == [(100, 0)] * 2
    assert await scene.settle(scene.tenant.record(scene.lease_id, 30)) == [POSTED]
    assert await scene.spent_and_held() == [(100, 0)] * 2
    assert await scene.settle(scene.tenant.record(scene.lease_id, 90)) == [POSTED]
    assert await scene.spent_and_held() == [(120, 0)] * 2
    amounts = [amount for _, amount in await scene.entries()]
    assert sorted(map(int, map(str, amounts))) == [-70, -30, 30, 90, 100]
    assert (await verify(scene.database)).violations == []


async def test_a_sign_of_life_saves_a_lease(scene: Scene) -> None:
    """L6: a lease that was renewed since the last look is not lost."""
    await scene.settle(scene.tenant.record(scene.lease_id, 10))
    assert await closing.lose_lease(scene.database, scene.tenant.customer_id, scene.lease_id, 1) is None
    assert await scene.spent_and_held() == [(10, 90)] * 2


async def test_an_incarnation_frees_its_leases_and_names_its_gaps(scene: Scene) -> None:
    """L20: closing frees what is held at once, and counts sequences that never came."""
    await scene.settle(scene.tenant.record(scene.lease_id, 10))
    assert await closing.close_incarnation(scene.database, scene.tenant.incarnation_id, 3) == (90, 2)
    assert await closing.close_incarnation(scene.database, scene.tenant.incarnation_id, 3) == (0, 2)
    assert await scene.spent_and_held() == [(10, 0)] * 2
    report = await verify(scene.database)
    assert report.violations == []
    assert [gap["gap_count"] for gap in report.gaps] == [2]


async def test_a_forgotten_lease_is_closed(scene: Scene) -> None:
    """L5: an edge names its leases when it connects; its others are closed."""
    kept = str(uuid7())
    await scene.queue.acquire(scene.tenant.acquire(kept, 1, [50], 50), 0)
    assert await closing.close_forgotten(scene.database, scene.tenant.incarnation_id, {kept}) == 100
    assert await scene.spent_and_held() == [(0, 50)] * 2
