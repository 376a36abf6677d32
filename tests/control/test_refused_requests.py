"""ReportRefusals over real gRPC: requests that an edge refused, in the log and in the sums (A5)."""

from typing import Any

import pytest

from clients.control import ControlClient
from control.verify import verify
from tests.control.gateway import authorize, make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.edge_pb2 import RefusedRequest, ReportRefusalsRequest
from tollkeeper.v1.usage_pb2 import GetUsageSummaryRequest, ListUsageRequest


async def grant_of(control: RunningControl) -> edge_pb2.Grant:
    await control.customer("acme")
    key = await make_key(await control.cli(), "acme")
    return await authorize(await control.edge(), key.raw_key)


def refusal(grant: edge_pb2.Grant, **fields: Any) -> RefusedRequest:
    return RefusedRequest(
        customer_id=grant.customer_id,
        key_id=grant.key_id,
        status=429,
        reason="INSUFFICIENT_QUOTA",
        scope="key",
        **{"usage_id": str(uuid7()), **fields},
    )


async def report(control: RunningControl, *refusals: RefusedRequest) -> None:
    await (await control.edge()).edge.ReportRefusals(ReportRefusalsRequest(refusals=refusals))


async def counted(cli: ControlClient, **chosen: str) -> int:
    summary = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme", **chosen))
    return summary.refused_requests


async def test_a_refusal_is_logged_and_counted_once(control: RunningControl) -> None:
    """Sent again, alone or among new ones, it counts no second time; those it stands for count with it."""
    cli, grant = await control.cli(), await grant_of(control)
    first, second = refusal(grant), refusal(grant, omitted_count=4)
    await report(control, first)
    for _ in range(2):
        await report(control, first, second)
    assert await counted(cli) == 6
    assert await counted(cli, key_id=grant.key_id) == 6
    listed = (await cli.usage.ListUsage(ListUsageRequest(customer_id="acme"))).usage
    assert {each.usage_id for each in listed} == {first.usage_id, second.usage_id}
    assert len(listed) == 2
    for each in listed:
        assert (each.cost_nanousd, each.why, each.refused_scope) == (0, "insufficient_quota", "key")
    assert (await verify(control.database)).violations == []


@pytest.mark.parametrize(
    "fields",
    [{"usage_id": "x"}, {"customer_id": ""}, {"key_id": "\x00"}, {"team_id": "web"}, {"time": 2**62}],
)
async def test_unusable_refusals_are_refused(control: RunningControl, fields: dict[str, Any]) -> None:
    """By field; nothing of the batch is logged."""
    cli, grant = await control.cli(), await grant_of(control)
    bad = refusal(grant)
    for name, value in fields.items():
        if name == "time":
            bad.time.seconds = value
        else:
            setattr(bad, name, value)
    with refused(Reason.INVALID_ARGUMENT):
        await report(control, refusal(grant), bad)
    assert await counted(cli) == 0
