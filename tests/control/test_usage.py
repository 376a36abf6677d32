"""UsageService over real gRPC and a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from control.domain.identity import Role
from control.store.tables import entries, request_log, rollups, usage_records
from tests.control.gateway import make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import Scope
from tollkeeper.v1.edge_pb2 import USAGE_STATE_ESTIMATED
from tollkeeper.v1.keys_pb2 import GetKeyRequest, Key
from tollkeeper.v1.usage_pb2 import GetUsageRequest, GetUsageSummaryRequest, ListUsageRequest


async def post(control: RunningControl, key: Key, amounts: list[int], **fields: Any) -> str:
    """A request with its entries, as the ledger leaves them. `fields` are the log's."""
    usage_id, lease_id = str(uuid7()), str(uuid7())
    owners = {
        "customer_id": key.customer_id,
        "usage_id": usage_id,
        "key_id": key.key_id,
        "user_id": key.user_id or None,
        "team_id": key.team_id or None,
        "state": fields.get("state", 1),
    }
    record = {
        **owners,
        "incarnation_id": str(uuid7()),
        "sequence": 1,
        "lease_id": lease_id,
        "digest": b"",
        "cost_nanousd": sum(amounts),
    }
    posted = [
        {
            "customer_id": key.customer_id,
            "usage_id": usage_id,
            "part": part,
            "lease_id": lease_id,
            "label": "correction" if part else "post",
            "amount_nanousd": amount,
        }
        for part, amount in enumerate(amounts)
    ]
    async with control.database.write() as connection:
        await connection.execute(insert(usage_records).values(**record))
        await connection.execute(insert(request_log).values(**{**owners, **fields}))
        await connection.execute(insert(entries), posted)
    return usage_id


async def sum_up(
    control: RunningControl, customer_id: str, scope: Scope, scope_id: str, hour: datetime, cost: int
) -> None:
    """One hour's sums of a scope, as the ledger keeps them."""
    async with control.database.write() as connection:
        await connection.execute(
            insert(rollups).values(
                customer_id=customer_id,
                dimension=int(scope),
                value=scope_id,
                hour=hour.replace(minute=0, second=0, microsecond=0),
                request_count=1,
                cost_nanousd=cost,
                input_tokens=10,
                output_tokens=20,
            )
        )


async def test_records_come_newest_first_with_their_entries_on_request(control: RunningControl) -> None:
    """Pages cover the log once; one record shows what was posted for it, corrections included."""
    cli = await control.cli()
    await control.customer("acme")
    key = (await make_key(cli, "acme")).key
    other = (await make_key(cli, "acme")).key
    made = [await post(control, key, [n + 1]) for n in range(3)]
    estimated = await post(
        control,
        other,
        [100, -60],
        state=2,
        why="cut",
        failover=True,
        attempts=[{"number": 1, "usage": {"reasoning_tokens": 3}}],
        finish="stop",
    )
    seen: list[str] = []
    token = ""
    while True:
        request = ListUsageRequest(customer_id="acme", page_size=3, page_token=token)
        answer = await cli.usage.ListUsage(request)
        seen += [entry.usage_id for entry in answer.usage]
        token = answer.next_page_token
        if not token:
            break
    assert seen == [estimated, *reversed(made)]
    of_key = await cli.usage.ListUsage(ListUsageRequest(customer_id="acme", key_id=key.key_hash))
    assert [entry.usage_id for entry in of_key.usage] == made[::-1]

    entry = await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=estimated))
    assert (entry.state, entry.why, entry.failover, entry.cost_nanousd) == (
        USAGE_STATE_ESTIMATED,
        "cut",
        True,
        40,
    )
    assert entry.usage.reasoning_tokens == 3
    assert [(part.part, part.label, part.amount_nanousd) for part in entry.entries] == [
        (0, "post", 100),
        (1, "correction", -60),
    ]
    with refused(Reason.NOT_FOUND):
        await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=str(uuid7())))


async def test_sums_come_from_the_hours(control: RunningControl) -> None:
    """All time and the last day, of the customer or a key; a key without budget shows its sum as spend."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    key = (await make_key(cli, "acme")).key
    now = datetime.now(UTC)
    for hours, cost in ((0, 1), (23, 10), (24, 100), (26, 1000)):
        hour = now - timedelta(hours=hours)
        await sum_up(control, acme, Scope.SCOPE_CUSTOMER, acme, hour, 2 * cost)
        await sum_up(control, acme, Scope.SCOPE_KEY, key.key_id, hour, cost)
    whole = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme"))
    assert (whole.total_cost_nanousd, whole.day_cost_nanousd) == (2222, 222)
    assert (whole.total_requests, whole.day_requests) == (4, 3)
    assert (whole.input_tokens, whole.output_tokens) == (40, 80)
    of_key = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme", key_id=key.key_id))
    assert of_key.total_cost_nanousd == 1111
    assert (await cli.keys.GetKey(GetKeyRequest(key_id=key.key_id))).spend_nanousd == 1111
    nothing = (await control.customer("other")).customer_id
    assert (await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id=nothing))).total_requests == 0


async def test_members_see_what_is_theirs(control: RunningControl) -> None:
    """B4: a member's list, record, key and sum are its own; nobody sees another customer's."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    member = await control.person(acme.customer_id, Role.MEMBER)
    stranger = await control.person(other.customer_id, Role.OWNER)
    own = (await make_key(member.client, "")).key
    foreign = (await make_key(cli, "acme")).key
    mine, theirs = await post(control, own, [1]), await post(control, foreign, [2])
    await sum_up(control, acme.customer_id, Scope.SCOPE_USER, member.user_id, datetime.now(UTC), 1)
    usage = member.client.usage
    assert [entry.usage_id for entry in (await usage.ListUsage(ListUsageRequest())).usage] == [mine]
    assert (await usage.GetUsage(GetUsageRequest(usage_id=mine))).cost_nanousd == 1
    assert (await usage.GetUsageSummary(GetUsageSummaryRequest())).total_cost_nanousd == 1
    with refused(Reason.NOT_FOUND):
        await usage.GetUsage(GetUsageRequest(usage_id=theirs))
    with refused(Reason.NOT_FOUND):
        await usage.ListUsage(ListUsageRequest(key_id=foreign.key_id))
    with refused(Reason.NOT_FOUND):
        await usage.GetUsageSummary(GetUsageSummaryRequest(key_id=foreign.key_id))
    with refused(Reason.NOT_FOUND):
        await stranger.client.usage.GetUsage(GetUsageRequest(usage_id=mine))
    with refused(Reason.NOT_FOUND):
        await stranger.client.usage.ListUsage(ListUsageRequest(customer_id="acme"))
