"""A17: rules are tried in order until one answers; what each try cost is known."""

import asyncio
from typing import Any

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import INPUT, OUTPUT, mini_nanousd
from tests.e2e.stack import Stack
from tests.e2e.wire import PATH, ask, chat
from tests.ports import free_port
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.routers_pb2 import RoutingRule

MODEL = "gpt-4o-mini"
RATES = {"input": INPUT * 1_000_000, "output": OUTPUT * 1_000_000}
# What becomes of the first try: where its price stands for.
NEXT = [
    "status=408", "status=429", "status=500", "status=502", "status=503", "status=504", "status=529",
    "code=2005", "cut_after=0", "cut_after=0+rst", "cut_body", "stall",
]  # fmt: skip
FINAL = [400, 401, 402, 403, 404, 409, 413, 415, 422]


def steered_rule(tenant: Tenant, provider_id: str, pairs: str, priority: int = 1) -> RoutingRule:
    """A rule whose answers the simulator steers: by the model's name, which therefore needs a price."""
    name = f"{MODEL}+{pairs}"
    tenant.price(provider_id, name, **RATES)
    return RoutingRule(provider_id=provider_id, priority=priority, model_rewrite=name)


def two_rules(tenant: Tenant, first: str, second: str = "") -> VirtualKey:
    """A key whose two rules lead to `first` and then to `second`."""
    one = tenant.provider("openai", name="first", credential="sk-first")
    two = tenant.provider("openai", name="second", credential="sk-second")
    rules = [steered_rule(tenant, one, first)]
    rules.append(steered_rule(tenant, two, second, 2) if second else RoutingRule(provider_id=two, priority=2))
    tenant.route(*rules)
    return tenant.key()


@pytest.mark.parametrize("failure", NEXT)
async def test_a17_next_rule_after(stack: Stack, tenant: Tenant, failure: str) -> None:
    """The second provider answers; both tries carry an event id of their own."""
    key = two_rules(tenant, failure)
    body = chat(max_tokens=16)
    reply = await ask(stack.edge, key.secret, body)
    assert reply.status == 200, reply.body
    assert reply.headers["x-tollkeeper-provider"] == "second"
    usage_id = reply.headers["x-tollkeeper-request-id"]
    first, second = [dict(each["headers"]) for each in stack.captured(2)]
    assert (first["authorization"], first["cf-aig-event-id"]) == ("Bearer sk-first", f"{usage_id}-1")
    assert (second["authorization"], second["cf-aig-event-id"]) == ("Bearer sk-second", f"{usage_id}-2")
    [entry] = tenant.settled(1)
    assert entry.failover
    assert entry.provider_name == "second"


async def test_a17_next_rule_within_a_stream_request(stack: Stack, tenant: Tenant) -> None:
    """Before the first byte a stream goes elsewhere like any other answer."""
    key = two_rules(tenant, "cut_after=0")
    reply = await ask(stack.edge, key.secret, chat(stream=True))
    assert reply.headers["x-tollkeeper-provider"] == "second"
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_a17_next_rule_after_a_refused_connection(stack: Stack, tenant: Tenant) -> None:
    """Nobody listens at the first provider: nothing was sent, so nothing is booked for it."""
    nobody = tenant.provider("custom", name="nobody", base_url=f"http://127.0.0.1:{free_port()}/v1")
    tenant.price(nobody, MODEL + "-nobody", **RATES)
    tenant.route(
        RoutingRule(provider_id=nobody, priority=1, model_rewrite=MODEL + "-nobody"),
        RoutingRule(provider_id=tenant.provider("openai", credential="sk"), priority=2),
    )
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, chat())
    assert reply.headers["x-tollkeeper-provider"] == "openai 2"
    [entry] = tenant.settled(1)
    assert entry.state == UsageState.USAGE_STATE_REPORTED
    assert [entry.cost_nanousd] == [mini_nanousd(row) for row in stack.bill(before)]


@pytest.mark.parametrize("status", FINAL)
async def test_a17_another_4xx_is_final(stack: Stack, tenant: Tenant, status: int) -> None:
    """The vendor's own body passes, nobody else is asked, nothing is booked."""
    key = two_rules(tenant, f"status={status}")
    reply = await ask(stack.edge, key.secret, chat())
    assert reply.status == status
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert reply.headers["x-tollkeeper-provider"] == "first"
    last = dict(stack.captured(1)[0]["headers"])
    assert last["cf-aig-event-id"] == reply.headers["x-tollkeeper-request-id"] + "-1"
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (UsageState.USAGE_STATE_VOIDED, 0)
    assert tenant.entries(entry.usage_id) == []


async def test_a17_all_failed(stack: Stack, tenant: Tenant) -> None:
    """502 with provider and status of each try; the SDK is told not to try again."""
    key = two_rules(tenant, "status=503", "status=429")
    reply = await ask(stack.edge, key.secret, chat())
    assert reply.status == 502
    assert reply.headers["x-should-retry"] == "false"
    assert reply.error == {
        "message": "All providers failed (first: 503; second: 429).",
        "type": "server_error",
        "param": None,
        "code": "all_providers_failed",
        "tollkeeper": {
            "attempts": [
                {"provider": "first", "status": 503, "why": "upstream_error"},
                {"provider": "second", "status": 429, "why": "rate_limited"},
            ]
        },
    }
    assert tenant.settled(1)[0].state == UsageState.USAGE_STATE_VOIDED


async def test_a17_both_tries_are_booked_when_both_may_be_billed(stack: Stack, tenant: Tenant) -> None:
    """The gateway's 2005 doesn't tell whether the vendor billed: its whole hold is booked, as an estimate."""
    key = two_rules(tenant, "code=2005+billed")
    body = chat(max_tokens=16)
    before = stack.billed()
    reply = await ask(stack.edge, key.secret, body)
    assert reply.status == 200
    [entry] = tenant.settled(1)
    first, second = stack.bill(before)
    assert (first["event_id"], second["event_id"]) == (f"{entry.usage_id}-1", f"{entry.usage_id}-2")
    estimate = len(body) * INPUT + 16 * OUTPUT
    assert mini_nanousd(first) <= estimate
    assert entry.state == UsageState.USAGE_STATE_ESTIMATED
    assert entry.cost_nanousd == estimate + mini_nanousd(second)


async def test_a17_disabled_providers_are_skipped(stack: Stack, tenant: Tenant) -> None:
    """At once when a provider is switched off; with all of them off, 502 without any try."""
    one = tenant.provider("openai", name="first", credential="sk-first")
    two = tenant.provider("openai", name="second", credential="sk-second")
    tenant.route(one, two)
    key = tenant.key()
    assert await _served_by(stack, key) == "first"
    tenant.update_provider(one, disabled=True)
    await _until(stack, key, "second")
    tenant.update_provider(two, disabled=True)
    await _until(stack, key, None)
    reply = await ask(stack.edge, key.secret, chat())
    assert (reply.status, reply.error["code"]) == (502, "all_providers_failed")
    assert reply.error["tollkeeper"] == {"attempts": []}


async def _served_by(stack: Stack, key: VirtualKey) -> str | None:
    return (await ask(stack.edge, key.secret, chat())).headers.get("x-tollkeeper-provider")


async def _until(stack: Stack, key: VirtualKey, provider: str | None) -> None:
    """So many answers in a row that every worker has heard of it, whichever one each connection met."""
    async with asyncio.timeout(15):
        in_a_row = 0
        while in_a_row < 40:
            in_a_row = in_a_row + 1 if await _served_by(stack, key) == provider else 0
            await asyncio.sleep(0.02)


async def test_a17_rules_take_their_models_only(stack: Stack, tenant: Tenant) -> None:
    """Priority decides among rules that take the model; a model that none takes is 403."""
    one = tenant.provider("openai", name="first", credential="sk-first")
    two = tenant.provider("openai", name="second", credential="sk-second")
    tenant.route(
        RoutingRule(provider_id=two, priority=2, allowed_models=["gpt-4o*"]),
        RoutingRule(provider_id=one, priority=1, allowed_models=["gpt-3.5-turbo"]),
    )
    key = tenant.key()
    assert await _served_by(stack, key) == "second"
    other = await ask(stack.edge, key.secret, chat(model="gpt-3.5-turbo"))
    assert other.headers["x-tollkeeper-provider"] == "first"
    refused = await ask(stack.edge, key.secret, chat(model="gpt-4"))
    assert (refused.status, refused.error["code"]) == (403, "model_not_allowed")


async def test_a16_a_router_without_rules(stack: Stack, tenant: Tenant) -> None:
    """400, whatever is asked."""
    tenant.route()
    reply = await ask(stack.edge, tenant.key().secret, chat())
    assert (reply.status, reply.error["code"]) == (400, "router_without_rules")


@pytest.mark.parametrize(
    ("provider", "served_by"),
    [("first", "first"), ("second", "second"), ("openai", "first"), (None, "first")],
)
async def test_b6_the_provider_field_chooses_among_rules(
    stack: Stack, tenant: Tenant, provider: str | None, served_by: str
) -> None:
    """By name or type; it is consumed and not forwarded. Under /v1 it is the vendor's business."""
    one = tenant.provider("openai", name="first", credential="sk-first")
    two = tenant.provider("openai", name="second", credential="sk-second")
    tenant.route(one, two)
    fields: dict[str, Any] = {} if provider is None else {"provider": provider}
    reply = await ask(stack.edge, tenant.key().secret, chat(**fields), path="/v1/ai/chat/completions")
    assert reply.headers["x-tollkeeper-provider"] == served_by
    assert '"provider"' not in stack.captured(1)[0]["body"]


async def test_b6_an_unknown_provider_is_refused(stack: Stack, tenant: Tenant) -> None:
    """400 names the field; on OpenAI's own path the same body is forwarded as it is."""
    key = tenant.key()
    body = chat(provider="nobody")
    refused = await ask(stack.edge, key.secret, body, path="/v1/ai/chat/completions")
    assert (refused.status, refused.error["param"]) == (400, "provider")
    assert (await ask(stack.edge, key.secret, body, path=PATH)).status == 200
    assert stack.captured(1)[0]["body"].encode() == body
