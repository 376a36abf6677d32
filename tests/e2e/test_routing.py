"""A17: conditions, expressions, retries, deadlines and sick providers, from the router to the ledger."""

import asyncio
from typing import Any

import httpx

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import INPUT, OUTPUT, mini_nanousd
from tests.e2e.stack import Stack, found
from tests.e2e.test_failover import MODEL, RATES, steered_rule
from tests.e2e.wire import PATH, ask, chat
from tests.ports import free_port
from tollkeeper.v1 import routers_pb2
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.routers_pb2 import Deadlines, Retries, RoutingRule
from tollkeeper.v1.usage_pb2 import GetUsageRequest


def routed(tenant: Tenant, *rules: RoutingRule, **settings: Any) -> VirtualKey:
    """A key over a router with these rules and settings."""
    router = routers_pb2.Router(customer_id=tenant.customer_id, name="routed", rules=rules, **settings)
    request = routers_pb2.CreateRouterRequest(router=router, number_taken_name=True)
    tenant.router_id = tenant.admin.routers.CreateRouter(request).router_id
    return tenant.key()


def attempts_of(tenant: Tenant, usage_id: str) -> list[tuple[str, int, str]]:
    """Provider, status and why of each attempt, as the request log has them."""
    request = GetUsageRequest(customer_id=tenant.customer_id, usage_id=usage_id)
    attempts = tenant.admin.usage.GetUsage(request).attempts
    return [(each.provider_name, each.status, each.why) for each in attempts]


async def test_a17_conditions_answer_to_their_failure(stack: Stack, tenant: Tenant) -> None:
    """Each kind of failure goes to the rule that waits for it; all attempts are in the request log."""
    first = tenant.provider("openai", name="first", credential="sk-1")
    others = {
        condition: tenant.provider("openai", name=condition, credential="sk-2")
        for condition in ("on_status", "on_rate_limit", "on_timeout", "fallback")
    }
    expected = {
        "status=400": ("on_status", 400, "refused"),
        "status=429": ("on_rate_limit", 429, "rate_limited"),
        "status=504": ("on_timeout", 504, "upstream_timeout"),
        "status=500": ("fallback", 500, "upstream_error"),
    }
    waiting = [
        RoutingRule(
            provider_id=provider_id, condition=name, statuses=[400, 413] if name == "on_status" else []
        )
        for name, provider_id in others.items()
    ]
    for pairs, (provider, status, why) in expected.items():
        key = routed(tenant, steered_rule(tenant, first, pairs), *waiting)
        reply = await ask(stack.edge, key.secret, chat(max_tokens=4))
        assert (reply.status, reply.headers["x-tollkeeper-provider"]) == (200, provider)
        [entry] = tenant.settled(1, key)
        assert entry.failover
        assert attempts_of(tenant, entry.usage_id) == [("first", status, why), (provider, 200, "")]


async def test_a17_expressions_choose_the_rule(stack: Stack, tenant: Tenant) -> None:
    """By tag; the dry run says the same, and a tag that comes with the next request counts at once."""
    cheap = tenant.provider("openai", name="cheap", credential="sk-1")
    dear = tenant.provider("openai", name="dear", credential="sk-2")
    key = routed(
        tenant,
        RoutingRule(provider_id=cheap, when='"batch" in tags && prompt_bytes < 10000'),
        RoutingRule(provider_id=dear, priority=2),
    )
    async with httpx.AsyncClient(base_url=stack.edge, trust_env=False) as client:
        for tags, provider in (("batch,eu", "cheap"), ("eu", "dear"), ("", "dear")):
            headers = {"authorization": f"Bearer {key.secret}", "x-tollkeeper-tags": tags}
            answer = await client.post(PATH, content=chat(), headers=headers)
            assert answer.headers["x-tollkeeper-provider"] == provider
    asked = ["routers", "dry-run", tenant.router_id, "--customer", tenant.customer_id, "--model", MODEL]
    told = stack.cli_json(*asked, "--tag", "batch")
    assert [each["provider_name"] for each in told["attempts"]] == ["cheap", "dear"]
    told = stack.cli_json(*asked)
    assert [each["provider_name"] for each in told["attempts"]] == ["dear"]
    assert [each["reason"] for each in told["skipped"]] == ["when"]


async def test_a17_every_retry_is_held_for_and_booked(stack: Stack, tenant: Tenant) -> None:
    """Two retries that may have been billed are booked with the answer of the next rule: the sum, exactly."""
    first = tenant.provider("openai", name="first", credential="sk-1")
    second = tenant.provider("openai", name="second", credential="sk-2")
    key = routed(
        tenant,
        steered_rule(tenant, first, "code=2005+billed"),
        RoutingRule(provider_id=second, priority=2),
        retries=Retries(count=2, backoff_ms=1),
    )
    body = chat(max_tokens=16)
    before = stack.billed()
    reply = await ask(stack.edge, key.secret, body)
    assert (reply.status, reply.headers["x-tollkeeper-provider"]) == (200, "second")
    [entry] = tenant.settled(1)
    rows = stack.bill(before)
    assert [row["event_id"] for row in rows] == [f"{entry.usage_id}-{number}" for number in (1, 2, 3, 4)]
    estimate = len(body) * INPUT + 16 * OUTPUT
    assert entry.cost_nanousd == 3 * estimate + mini_nanousd(rows[-1])
    assert entry.state == UsageState.USAGE_STATE_ESTIMATED
    assert attempts_of(tenant, entry.usage_id) == [("first", 400, "gateway_2005")] * 3 + [("second", 200, "")]


async def test_a17_retries_stop_where_the_budget_does(stack: Stack, tenant: Tenant) -> None:
    """What was possibly billed counts: a further attempt that doesn't fit on top isn't sent."""
    first = tenant.provider("openai", name="first", credential="sk-1")
    rule = steered_rule(tenant, first, "code=2005+billed")
    routed(tenant, rule, retries=Retries(count=5, backoff_ms=1))
    body = chat(max_tokens=16)
    estimate = len(body) * INPUT + 16 * OUTPUT
    key = tenant.key(budget_nanousd=2 * estimate + estimate // 2)
    before = stack.billed()
    reply = await ask(stack.edge, key.secret, body)
    assert reply.status == 502
    assert len(stack.bill(before)) == 2
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == 2 * estimate
    assert not entry.failover


async def test_a17_a_routers_deadline(stack: Stack, tenant: Tenant) -> None:
    """Shorter than the edge's own: 504, an estimate of the hold, and no further rule."""
    first = tenant.provider("openai", name="first", credential="sk-1")
    second = tenant.provider("openai", name="second", credential="sk-2")
    rules = steered_rule(tenant, first, "stall"), RoutingRule(provider_id=second, priority=2)
    key = routed(tenant, *rules, deadlines=Deadlines(total_ms=500))
    body = chat(max_tokens=16)
    reply = await ask(stack.edge, key.secret, body)
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == len(body) * INPUT + 16 * OUTPUT
    assert attempts_of(tenant, entry.usage_id) == [("first", 0, "deadline")]


async def test_a17_sick_providers_are_known(stack: Stack, tenant: Tenant) -> None:
    """Who keeps failing is passed over; operators see it in /statusz, metrics and `tollkeeper doctor`."""
    name = f"{MODEL}-nobody"
    nobody = tenant.provider("custom", name="nobody", base_url=f"http://127.0.0.1:{free_port()}/v1")
    tenant.price(nobody, name, **RATES)
    key = routed(
        tenant,
        RoutingRule(provider_id=nobody, model_rewrite=name),
        RoutingRule(provider_id=tenant.provider("openai", name="spare", credential="sk"), priority=2),
    )
    for _ in range(40):
        reply = await ask(stack.edge, key.secret, chat(max_tokens=1))
        assert reply.headers["x-tollkeeper-provider"] == "spare"
    entries = tenant.settled(40)
    tried = [len(attempts_of(tenant, entry.usage_id)) for entry in entries]
    # Each worker tries it five times, and then as a probe now and then.
    assert 1 in tried
    assert 5 <= tried.count(2) <= 5 * len(stack.workers()) + 4

    def rows() -> list[dict[str, Any]]:
        told = stack.http.get(f"{stack.edge}/statusz").json()["breakers"]
        return [each for each in told if each["provider_id"] == nobody]

    [row, *_] = found(rows)
    assert (row["customer_id"], row["model"], row["last_failure"]) == (tenant.customer_id, name, "other")
    assert row["state"] in ("open", "half_open")
    assert (
        'tollkeeper_edge_breaker_changes_total{state="open"}' in stack.http.get(f"{stack.edge}/metrics").text
    )
    doctor = await asyncio.to_thread(stack.cli, "doctor", "--data-dir", str(stack.up.data_dir))
    assert f"{nobody} keeps failing for {name}" in doctor.stdout
