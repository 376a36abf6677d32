"""GET /v1/key: what an app may know of the key that it has; and what models the key may ask for."""

import json
from typing import Any

import pytest

from tests.control.gateway import refused
from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack
from tests.e2e.wire import Reply, ask, steered
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.money import format_usd
from tollkeeper.v1 import budgets_pb2
from tollkeeper.v1.edge_pb2 import ShowKeyRequest


async def get(stack: Stack, key: VirtualKey, path: str) -> Reply:
    return await ask(stack.edge, key.secret, b"", method="GET", path=f"/v1/{path}")


@pytest.mark.parametrize("path", ["key", "ai/key"])
async def test_what_a_key_may_know(stack: Stack, path: str) -> None:
    """Its limits, spend, what is left until when, and its models; of every budget above it."""
    tenant = stack.admin.tenant(budget_nanousd=5_000_000_000)
    daily = budgets_pb2.Period.PERIOD_DAILY
    key = tenant.key(
        1_000_000,
        daily,
        requests_per_minute=60,
        max_concurrent_requests=5,
        allowed_models=["gpt-4o*", "text-embedding-3-small"],
    )
    reply = await ask(stack.edge, key.secret, steered("prompt=100 tokens=10", max_tokens=16))
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    told = (await get(stack, key, path)).json()
    spent, left = format_usd(entry.cost_nanousd), format_usd(1_000_000 - entry.cost_nanousd)
    assert (told["object"], told["id"], told["name"]) == ("key", key.key_id, "key")
    assert (told["spend_usd"], told["limit_usd"], told["remaining_usd"]) == (spent, "0.001", left)
    assert told["reset_time"].endswith("T00:00:00Z")
    assert [(each["scope"], each["spent_usd"], each["period"]) for each in told["budgets"]] == [
        ("key", spent, "daily"),
        ("customer", spent, "none"),
    ]
    assert told["budgets"][1]["reset_time"] is None
    assert told["limits"]["requests_per_minute"] == 60
    assert told["limits"]["max_concurrent_requests"] == 5
    [rate] = told["rates"]
    assert (rate["scope"], rate["model"], rate["requests_per_minute"]) == ("key", None, 60)
    assert {"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"} <= set(told["models"])
    assert "gpt-4.1" not in told["models"]
    assert key.secret not in json.dumps(told)


async def test_a_key_without_limits(stack: Stack, tenant: Tenant) -> None:
    """Nothing stands against it, so nothing is left to tell."""
    told = (await get(stack, tenant.key(), "key")).json()
    assert (told["spend_usd"], told["limit_usd"], told["remaining_usd"]) == ("0.00", None, None)
    assert (told["budgets"], told["expires_at"], told["reset_time"]) == ([], None, None)


async def test_no_key_no_answer(stack: Stack) -> None:
    """An app with a wrong key learns nothing."""
    reply = await get(stack, VirtualKey("", "aig_wrong"), "key")
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


def test_only_edges_ask(stack: Stack) -> None:
    """And what isn't there is not found."""

    with refused(Reason.PERMISSION_DENIED):
        stack.admin.edge.ShowKey(ShowKeyRequest(customer_id=str(uuid7()), key_id=str(uuid7())))


async def test_models_say_what_their_provider_serves(stack: Stack) -> None:
    """B5: by name, of all providers or one, with the operations."""
    tenant = stack.admin.customer()
    tenant.route(tenant.provider("openai", credential="sk-v"), tenant.provider("mistral", credential="sk-v"))
    key = tenant.key()
    listed: dict[str, Any] = {each["id"]: each for each in (await get(stack, key, "models")).json()["data"]}
    assert {"responses", "embeddings"} <= set(listed["gpt-4o-mini"]["operations"])
    only = (await get(stack, key, "models?provider=mistral")).json()["data"]
    assert only
    assert {each["owned_by"] for each in only} == {"mistral"}
    assert "responses" not in only[0]["operations"]
    assert "omni-moderation-latest" in listed
