"""What vendors keep (DESIGN §7): posted with the record that made it, found by its customer only."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from clients.control import ControlClient
from control.retention import Retention
from control.store import kept_objects
from tests.control.gateway import refused
from tests.control.harness import RunningControl, running_control
from tests.factories.tenants import Tenant, create_tenant
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

ESTIMATED = edge_pb2.USAGE_STATE_ESTIMATED
VOIDED = edge_pb2.USAGE_STATE_VOIDED
PROVIDER = str(uuid7())
_BOOKED = "SELECT state, cost_nanousd FROM usage_records WHERE usage_id = :usage_id"
_PARTS = "SELECT label, amount_nanousd FROM entries WHERE usage_id = :usage_id ORDER BY part"


@pytest.fixture
async def control(database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    async with running_control(database_url, tmp_path) as control:
        yield control


@pytest.fixture
async def edge(control: RunningControl) -> ControlClient:
    return await control.edge()


@pytest.fixture
async def tenant(control: RunningControl) -> Tenant:
    return await create_tenant(control.database, {})


def made(
    tenant: Tenant, *objects: tuple[str, str], state: int = 1, pending: bool = False, cost: int = 5
) -> edge_pb2.UsageRecord:
    """A record whose request made these (id, kind)."""
    record = tenant.record(str(uuid7()), cost, state)
    for object_id, kind in objects:
        record.kept_objects.add(object_id=object_id, kind=kind, provider_id=PROVIDER, pending=pending)
    return record


async def settle(edge: ControlClient, *records: edge_pb2.UsageRecord) -> list[int]:
    request = edge_pb2.SettleRequest(incarnation_id=str(uuid7()), records=records)
    return list((await edge.edge.Settle(request)).outcomes)


async def find(
    edge: ControlClient, customer_id: str, *object_ids: str, wait_s: float = 0
) -> list[edge_pb2.FoundObject]:
    request = edge_pb2.FindKeptObjectsRequest(customer_id=customer_id, object_ids=object_ids)
    request.wait.FromMicroseconds(int(wait_s * 1e6))
    return list((await edge.edge.FindKeptObjects(request)).objects)


async def test_only_its_customer_finds_it(
    control: RunningControl, edge: ControlClient, tenant: Tenant
) -> None:
    """Another customer's id and one that never was look the same."""
    other = await create_tenant(control.database, {})
    record = made(tenant, ("resp_1", "response"), ("file-1", "file"))
    assert await settle(edge, record) == [edge_pb2.POSTED]
    found = await find(edge, tenant.customer_id, "file-1", "nothing", "resp_1")
    assert [(each.object_id, each.kind, each.provider_id) for each in found] == [
        ("file-1", "file", PROVIDER),
        ("resp_1", "response", PROVIDER),
    ]
    assert {each.usage_id for each in found} == {record.usage_id}
    assert await find(edge, other.customer_id, "resp_1") == []


async def test_settling_again_changes_nothing(edge: ControlClient, tenant: Tenant) -> None:
    """The same record twice, and another one that names an id that is taken (I3)."""
    first, second = made(tenant, ("resp_1", "response")), made(tenant, ("resp_1", "file"))
    assert await settle(edge, first) == [edge_pb2.POSTED]
    assert await settle(edge, first) == [edge_pb2.DUPLICATE]
    assert await settle(edge, second) == [edge_pb2.POSTED]
    (found,) = await find(edge, tenant.customer_id, "resp_1")
    assert (found.kind, found.usage_id) == ("response", first.usage_id)


async def test_a_request_that_cost_nothing_may_make_one(edge: ControlClient, tenant: Tenant) -> None:
    """A file's upload is a void record."""
    assert await settle(edge, made(tenant, ("file-1", "file"), state=VOIDED)) == [edge_pb2.POSTED]
    assert len(await find(edge, tenant.customer_id, "file-1")) == 1


async def test_a_look_up_waits_for_what_is_being_settled(edge: ControlClient, tenant: Tenant) -> None:
    """It comes back as soon as the object is there, and not before the time is up where it never is."""
    looking = asyncio.create_task(find(edge, tenant.customer_id, "resp_1", wait_s=2))
    await asyncio.sleep(0.1)
    await settle(edge, made(tenant, ("resp_1", "response")))
    assert len(await looking) == 1
    began = asyncio.get_running_loop().time()
    assert await find(edge, tenant.customer_id, "resp_2", wait_s=0.3) == []
    assert asyncio.get_running_loop().time() - began >= 0.3


async def test_a_pending_object_keeps_the_estimate_until_the_report(
    control: RunningControl, edge: ControlClient, tenant: Tenant
) -> None:
    """L15: whoever sees the end reports it; a correcting entry posts the difference, and nothing is pending
    any more. What the end left behind is kept too."""
    record = made(tenant, ("batch_1", "batch"), state=ESTIMATED, pending=True, cost=100)
    assert await settle(edge, record) == [edge_pb2.POSTED]
    (found,) = await find(edge, tenant.customer_id, "batch_1")
    assert found.pending
    report = edge_pb2.ReportKeptObjectRequest(
        customer_id=tenant.customer_id, object_id="batch_1", usage={"input_tokens": 7}, finish="completed"
    )
    report.kept_objects.add(object_id="file-out", kind="file", provider_id=PROVIDER)
    answer = await edge.edge.ReportKeptObject(report)
    assert (answer.outcome, answer.cost_nanousd) == (edge_pb2.POSTED, 7)
    assert (await edge.edge.ReportKeptObject(report)).outcome == edge_pb2.DUPLICATE
    ended = await find(edge, tenant.customer_id, "batch_1", "file-out")
    assert [each.pending for each in ended] == [False, False]
    async with control.database.read() as connection:
        state, cost = (await connection.execute(text(_BOOKED), {"usage_id": record.usage_id})).one()
        parts = (await connection.execute(text(_PARTS), {"usage_id": record.usage_id})).all()
    assert (state, cost) == (edge_pb2.USAGE_STATE_REPORTED, 7)
    assert parts == [("late", 100), ("correction", -93)]


async def test_only_its_customer_reports_its_end(
    control: RunningControl, edge: ControlClient, tenant: Tenant
) -> None:
    """Another one is told that there is nothing."""
    other = await create_tenant(control.database, {})
    await settle(edge, made(tenant, ("batch_1", "batch"), state=ESTIMATED, pending=True, cost=100))
    with refused(Reason.NOT_FOUND):
        await edge.edge.ReportKeptObject(
            edge_pb2.ReportKeptObjectRequest(customer_id=other.customer_id, object_id="batch_1")
        )


async def test_listed_by_kind_the_newest_first(edge: ControlClient, tenant: Tenant) -> None:
    """Page by page, from behind an object; one that isn't the customer's leads nowhere."""
    for number in range(3):
        await settle(edge, made(tenant, (f"file-{number}a", "file"), (f"file-{number}b", "file")))
    await settle(edge, made(tenant, ("resp_1", "response")))

    async def page(before: str) -> list[str]:
        request = edge_pb2.ScanKeptObjectsRequest(
            customer_id=tenant.customer_id, kind="file", page_size=4, before_object_id=before
        )
        return [each.object_id for each in (await edge.edge.ScanKeptObjects(request)).objects]

    assert await page("") == ["file-2b", "file-2a", "file-1b", "file-1a"]
    assert await page("file-1a") == ["file-0b", "file-0a"]
    assert await page("file-9") == []


async def test_deleted_ones_are_forgotten(edge: ControlClient, tenant: Tenant) -> None:
    """As often as asked."""
    await settle(edge, made(tenant, ("resp_1", "response")))
    request = edge_pb2.DeleteKeptObjectRequest(customer_id=tenant.customer_id, object_id="resp_1")
    for _ in range(2):
        await edge.edge.DeleteKeptObject(request)
    assert await find(edge, tenant.customer_id, "resp_1") == []


async def test_what_vendors_forget_is_forgotten(
    control: RunningControl, edge: ControlClient, tenant: Tenant
) -> None:
    """Responses after a month; files stay until they are deleted."""
    await settle(edge, made(tenant, ("resp_1", "response"), ("file-1", "file")))
    retention = Retention(control.database, "kept_objects", kept_objects.remove_expired)
    now = datetime.now(UTC)
    assert await retention.look(now + timedelta(days=30)) == 0
    assert await retention.look(now + timedelta(days=32)) == 1
    assert [each.object_id for each in await find(edge, tenant.customer_id, "resp_1", "file-1")] == ["file-1"]


async def test_what_vendors_never_forget_is_forgotten_late(
    control: RunningControl, edge: ControlClient, tenant: Tenant
) -> None:
    """After the time of a setting, which is no concern of what has an end of its own."""
    await settle(edge, made(tenant, ("resp_1", "response"), ("file-1", "file"), ("batch_1", "batch")))
    retention = Retention(
        control.database, "kept_objects", kept_objects.remove_made_before, timedelta(days=400)
    )
    now = datetime.now(UTC)
    assert await retention.look(now + timedelta(days=399)) == 0
    assert await retention.look(now + timedelta(days=401)) == 2
    assert [each.object_id for each in await find(edge, tenant.customer_id, "resp_1", "file-1")] == ["resp_1"]


@pytest.mark.parametrize(
    "fields",
    [
        {"object_id": ""},
        {"object_id": "a b"},
        {"object_id": "x" * 201},
        {"object_id": "naïve"},
        {"kind": ""},
        {"kind": "File"},
        {"provider_id": "p"},
    ],
    ids=str,
)
async def test_a_record_with_a_malformed_object_is_rejected(
    edge: ControlClient, tenant: Tenant, fields: dict[str, str]
) -> None:
    """It is kept for a person, like any record that can't be posted (L17)."""
    record = tenant.record(str(uuid7()), 5)
    record.kept_objects.add(**{"object_id": "resp_1", "kind": "response", "provider_id": PROVIDER, **fields})
    assert await settle(edge, record) == [edge_pb2.REJECTED]


async def test_bad_look_ups_are_refused(edge: ControlClient, tenant: Tenant) -> None:
    """An id that no vendor can have is simply not found."""
    assert await find(edge, tenant.customer_id, "a b", wait_s=2) == []
    for customer_id, ids in (
        ("x", ["a"]),
        (tenant.customer_id, []),
        (tenant.customer_id, [str(n) for n in range(101)]),
    ):
        with refused(Reason.INVALID_ARGUMENT):
            await find(edge, customer_id, *ids)
