"""Objects whose end nobody has seen (L15): handed to whichever edge asks, until somebody tells of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text

from clients.control import ControlClient
from control.store.database import Database
from tests.control.gateway import make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tests.factories.tenants import Tenant, create_tenant
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.customers_pb2 import Customer, UpdateCustomerRequest
from tollkeeper.v1.edge_pb2 import PendingObject
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest
from tollkeeper.v1.providers_pb2 import DeleteProviderRequest, Provider, UpdateProviderRequest
from tollkeeper.v1.routers_pb2 import DeleteRouterRequest
from tollkeeper.v1.usage_pb2 import GetUsageRequest

ESTIMATED = edge_pb2.USAGE_STATE_ESTIMATED
REPORTED = edge_pb2.USAGE_STATE_REPORTED


class Maker:
    """A customer whose requests leave something pending, and the edges that ask."""

    def __init__(self, control: RunningControl, tenant: Tenant) -> None:
        self.database: Database = control.database
        self.tenant = tenant
        self.provider_id = ""

    async def start(self, control: RunningControl) -> "Maker":
        self.cli, self.edge = await control.cli(), await control.edge()
        self.provider_id = await self.provider()
        return self

    async def provider(self, **fields: Any) -> str:
        customer_id = self.tenant.customer_id
        return (await make_provider(self.cli, customer_id, str(uuid7()), **fields)).provider_id

    async def leave(self, *object_ids: str, cost: int = 100, **fields: Any) -> edge_pb2.UsageRecord:
        """One request that left these pending, booked."""
        record = self.tenant.record(str(uuid7()), cost, ESTIMATED)
        record.attempts[0].why = "background"
        values = {"kind": "response", "provider_id": self.provider_id, "pending": True, **fields}
        for object_id in object_ids:
            record.kept_objects.add(object_id=object_id, **values)
        request = edge_pb2.SettleRequest(incarnation_id=str(uuid7()), records=[record])
        assert list((await self.edge.edge.Settle(request)).outcomes) == [edge_pb2.POSTED]
        return record

    async def claim(self, *kinds: str, count: int = 100) -> edge_pb2.ClaimPendingObjectsResponse:
        request = edge_pb2.ClaimPendingObjectsRequest(kinds=kinds or ("response", "batch"), count=count)
        return await self.edge.edge.ClaimPendingObjects(request)

    async def later(self, by_s: float) -> None:
        """So much time passes for all objects."""
        async with self.database.write() as connection:
            await connection.execute(
                text(
                    "UPDATE kept_objects SET create_time = create_time - make_interval(secs => :by_s),"
                    " look_time = look_time - make_interval(secs => :by_s)"
                ),
                {"by_s": by_s},
            )

    async def report(self, object_id: str, **fields: Any) -> edge_pb2.ReportKeptObjectResponse:
        return await self.edge.edge.ReportKeptObject(
            edge_pb2.ReportKeptObjectRequest(
                customer_id=self.tenant.customer_id, object_id=object_id, **fields
            )
        )

    async def booked(self, record: edge_pb2.UsageRecord) -> tuple[int, int, str]:
        """State, cost and reason of a request, as people are told."""
        request = GetUsageRequest(customer_id=record.customer_id, usage_id=record.usage_id)
        entry = await self.cli.usage.GetUsage(request)
        assert [attempt.why for attempt in entry.attempts] == [entry.why]
        return entry.state, entry.cost_nanousd, entry.why


@pytest.fixture
async def maker(control: RunningControl) -> Maker:
    return await Maker(control, await create_tenant(control.database, {})).start(control)


def ids(claimed: Sequence[PendingObject]) -> list[str]:
    return sorted(each.object.object_id for each in claimed)


async def test_it_is_due_when_it_was_made_and_then_less_and_less(maker: Maker) -> None:
    """After two seconds first, and from then on whenever it is twice as old as it was; every five minutes at
    last."""
    await maker.leave("resp_1")
    early = await maker.claim()
    assert (ids(early.objects), 0 < early.next_in.ToTimedelta().total_seconds() <= 2) == ([], True)
    pauses_s = []
    for age_s in (2.0, 0.0, 8.0, 60.0, 4000.0):
        await maker.later(age_s)
        claimed = await maker.claim()
        pauses_s.append(claimed.next_in.ToTimedelta().total_seconds() if claimed.objects else None)
    assert pauses_s[1] is None
    expected = [2.0, None, 10.0, 70.0, 300.0]
    for pause_s, mean_s in zip(pauses_s, expected, strict=True):
        if pause_s is not None and mean_s is not None:
            assert 0.8 * mean_s <= pause_s <= 1.2 * mean_s + 5


async def test_two_edges_never_get_the_same(maker: Maker) -> None:
    """Many calls at once: each object goes to one of them, and no call gets more than it asked for. The next
    call after a pause gets them again, whoever had them."""
    for number in range(20):
        await maker.leave(f"resp_{number}")
    await maker.later(2)
    answers = await asyncio.gather(*(maker.claim(count=3) for _ in range(8)))
    assert max(len(answer.objects) for answer in answers) <= 3
    claimed = [object_id for answer in answers for object_id in ids(answer.objects)]
    assert (len(claimed), len(set(claimed))) == (20, 20)
    assert ids((await maker.claim()).objects) == []
    await maker.later(10)
    assert len((await maker.claim()).objects) == 20


async def test_the_longest_due_come_first(maker: Maker) -> None:
    """So none waits for ever while edges are busy."""
    await maker.leave("resp_old")
    await maker.later(5)
    await maker.leave("resp_new")
    await maker.later(5)
    assert ids((await maker.claim(count=1)).objects) == ["resp_old"]
    assert ids((await maker.claim(count=1)).objects) == ["resp_new"]


async def test_what_is_not_pending_is_not_handed_out(maker: Maker) -> None:
    """Nor what is of a kind that the edge can't look at, nor what its customer has deleted."""
    await maker.leave("resp_1")
    await maker.leave("batch_1", kind="batch")
    await maker.leave("resp_kept", pending=False)
    await maker.leave("resp_deleted")
    delete = edge_pb2.DeleteKeptObjectRequest(customer_id=maker.tenant.customer_id, object_id="resp_deleted")
    await maker.edge.edge.DeleteKeptObject(delete)
    await maker.later(2)
    responses = await maker.claim("response", "thread")
    assert ids(responses.objects) == ["resp_1"]
    assert ids((await maker.claim("batch")).objects) == ["batch_1"]
    await maker.report("resp_1", usage={"input_tokens": 7})
    assert not (await maker.claim("response")).HasField("next_in")


async def test_it_carries_what_looking_takes(maker: Maker) -> None:
    """Whose it is, how old, and the way to its provider with the credential; nothing that would admit a
    request."""
    tenant = maker.tenant
    record = await maker.leave("resp_1")
    await maker.later(2)
    [pending] = (await maker.claim()).objects
    found, grant = pending.object, pending.grant
    assert (found.object_id, found.kind, found.pending) == ("resp_1", "response", True)
    assert (found.provider_id, found.usage_id) == (maker.provider_id, record.usage_id)
    assert 2 <= pending.age.ToTimedelta().total_seconds() < 30
    assert (grant.customer_id, grant.key_id) == (tenant.customer_id, tenant.key_id)
    assert (grant.team_id, grant.user_id) == (tenant.team_id, tenant.user_id)
    [rule] = grant.rules
    assert (rule.provider_id, rule.provider_type, rule.credential) == (
        maker.provider_id,
        "openai",
        "sk-secret",
    )
    assert rule.provider_enabled


async def test_it_is_followed_whatever_became_of_its_key(maker: Maker) -> None:
    """L15: the vendor's bill comes all the same. The key is revoked, its router deleted, the provider
    switched off, the customer suspended."""
    cli, named = maker.cli, {"customer_id": maker.tenant.customer_id}
    router = await make_router(cli, maker.tenant.customer_id, maker.provider_id)
    key = (await make_key(cli, maker.tenant.customer_id, router_id=router.router_id)).key
    maker.tenant.key_id = key.key_id
    await maker.leave("resp_1")
    await cli.keys.RevokeKey(RevokeKeyRequest(**named, key_id=key.key_id))
    await cli.routers.DeleteRouter(DeleteRouterRequest(**named, router_id=router.router_id))
    off = Provider(**named, provider_id=maker.provider_id, disabled=True)
    await cli.providers.UpdateProvider(UpdateProviderRequest(provider=off))
    suspended = UpdateCustomerRequest(
        customer=Customer(**named, suspended=True), update_mask=FieldMask(paths=["suspended"])
    )
    await cli.customers.UpdateCustomer(suspended)
    await maker.later(2)
    [pending] = (await maker.claim()).objects
    assert [(rule.credential, rule.provider_enabled) for rule in pending.grant.rules] == [("sk-secret", True)]
    assert (await maker.report("resp_1", usage={"input_tokens": 7})).cost_nanousd == 7


async def test_a_provider_of_the_platform(maker: Maker, control: RunningControl) -> None:
    """Also when the customer may not use it any more."""
    house = await make_provider(
        maker.cli, "platform", "house", granted_customer_ids=[maker.tenant.customer_id]
    )
    await maker.leave("resp_1", provider_id=house.provider_id)
    revoked = Provider(customer_id="platform", provider_id=house.provider_id)
    mask = FieldMask(paths=["granted_customer_ids"])
    await maker.cli.providers.UpdateProvider(UpdateProviderRequest(provider=revoked, update_mask=mask))
    await maker.later(2)
    [pending] = (await maker.claim()).objects
    assert [(rule.credential, rule.shared) for rule in pending.grant.rules] == [("sk-secret", True)]


async def test_a_deleted_provider_leads_nowhere(maker: Maker) -> None:
    """Its credential is forgotten with it."""
    await maker.leave("resp_1")
    await maker.cli.providers.DeleteProvider(
        DeleteProviderRequest(customer_id=maker.tenant.customer_id, provider_id=maker.provider_id)
    )
    await maker.later(2)
    [pending] = (await maker.claim()).objects
    assert (pending.object.provider_id, list(pending.grant.rules)) == (maker.provider_id, [])


async def test_a_credential_that_cannot_be_opened_holds_up_nobody(maker: Maker) -> None:
    """It was sealed with a key that is gone; others are handed out."""
    await maker.leave("resp_1")
    other = await maker.provider()
    await maker.leave("resp_2", provider_id=other)
    await maker.later(2)
    async with maker.database.write() as connection:
        await connection.execute(
            text("UPDATE providers SET sealed_credential = 'odd' WHERE provider_id = :id"), {"id": other}
        )
    assert ids((await maker.claim()).objects) == ["resp_1"]


async def test_an_end_that_will_not_be_known(maker: Maker) -> None:
    """The estimate stays, and says why; nobody looks any more. Whoever learns the usage after all may report
    it, and the first record that arrives once more is still a duplicate (L18)."""
    record = await maker.leave("resp_1", cost=100)
    assert await maker.booked(record) == (ESTIMATED, 100, "background")
    for _ in range(2):
        answer = await maker.report("resp_1", why_unknown="end_unseen")
        assert (answer.outcome, answer.cost_nanousd) == (edge_pb2.DUPLICATE, 0)
    assert await maker.booked(record) == (ESTIMATED, 100, "end_unseen")
    await maker.later(1000)
    answer = await maker.claim()
    assert (ids(answer.objects), answer.HasField("next_in")) == ([], False)
    again = edge_pb2.SettleRequest(incarnation_id=str(uuid7()), records=[record])
    assert list((await maker.edge.edge.Settle(again)).outcomes) == [edge_pb2.DUPLICATE]
    assert (await maker.report("resp_1", usage={"input_tokens": 7})).outcome == edge_pb2.POSTED
    assert await maker.booked(record) == (REPORTED, 7, "")
    await maker.report("resp_1", why_unknown="end_unseen")
    assert await maker.booked(record) == (REPORTED, 7, "")


async def test_bad_calls_are_refused(maker: Maker, control: RunningControl) -> None:
    """Counts, kinds, reasons that are no words, and others' objects."""
    await maker.leave("resp_1")
    for count in (0, -1, 101):
        with refused(Reason.INVALID_ARGUMENT):
            await maker.claim(count=count)
    with refused(Reason.INVALID_ARGUMENT):
        await maker.claim(*["response"] * 17)
    for why in ("End Unseen", "x" * 41, "_"):
        with refused(Reason.INVALID_ARGUMENT):
            await maker.report("resp_1", why_unknown=why)
    maker.tenant = await create_tenant(control.database, {})
    with refused(Reason.NOT_FOUND):
        await maker.report("resp_1", why_unknown="end_unseen")
    strangers: ControlClient = await control.cli()
    with refused(Reason.PERMISSION_DENIED):
        await strangers.edge.ClaimPendingObjects(edge_pb2.ClaimPendingObjectsRequest(count=1))
