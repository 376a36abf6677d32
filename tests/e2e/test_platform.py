"""What the platform owns, as apps of customers use it: served and billed, and never seen into."""

import json
from collections import Counter
from typing import Any
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

from tests.e2e.admin import Admin, Tenant
from tests.e2e.stack import Stack
from tests.e2e.upstreams import MODEL, answers, vendor
from tests.e2e.wire import ask, chat, until
from tollkeeper.v1 import price_plans_pb2, providers_pb2, routers_pb2

SECRET = "sk-of-the-platform-0123456789"
OURS = b'{"usage":{"prompt_tokens":7,"completion_tokens":5}}'


def platform(admin: Admin) -> Tenant:
    """The platform as a customer."""
    return Tenant(admin, "platform")


def regrant(admin: Admin, provider_id: str, force: bool = False, **fields: Any) -> None:
    """Changes who may use a provider of the platform."""
    changed = providers_pb2.Provider(customer_id="platform", provider_id=provider_id, **fields)
    mask = FieldMask(paths=list(fields))
    request = providers_pb2.UpdateProviderRequest(provider=changed, update_mask=mask, force=force)
    admin.providers.UpdateProvider(request)


async def test_a_customers_key_over_a_provider_of_the_platform(stack: Stack) -> None:
    """The vendor gets the platform's credential, the customer pays; no answer shows the credential; a grant
    that is withdrawn by force stops what comes next."""
    tenant = stack.admin.customer()
    house = platform(stack.admin).provider(
        "openai",
        name=f"house-{tenant.customer_id}",
        credential=SECRET,
        granted_customer_ids=[tenant.customer_id],
    )
    tenant.route(house)
    key = tenant.key()
    reply = await ask(stack.edge, key.secret, chat())
    assert reply.status == 200, reply.body
    assert reply.headers["x-tollkeeper-provider"].startswith("house-")
    captured = stack.captured(1)[0]
    assert dict(captured["headers"])["authorization"] == f"Bearer {SECRET}"
    assert json.loads(dict(captured["headers"])["cf-aig-metadata"])["customer"] == tenant.customer_id
    [entry] = tenant.settled(1)
    assert (entry.provider_id, entry.cost_nanousd > 0) == (house, True)
    assert SECRET not in repr(reply.headers) + repr(reply.body) + repr(entry)

    regrant(stack.admin, house, force=True, granted_customer_ids=[])

    refusal = await until(stack.edge, key.secret, chat(), 400)
    assert refusal.error["code"] == "router_without_rules"


async def test_a_router_of_the_platform_with_its_own_price(stack: Stack) -> None:
    """A custom provider and its price are the platform's; a customer's key names the platform's router. The
    customer's markup comes on top."""
    plan = price_plans_pb2.PricePlan(name=f"plan-{uuid4().hex[:8]}", markup_ppm=500_000)
    plan = stack.admin.price_plans.CreatePricePlan(price_plans_pb2.CreatePricePlanRequest(price_plan=plan))
    tenant = stack.admin.customer(price_plan_id=plan.price_plan_id)
    ours = platform(stack.admin)
    async with vendor(answers(OURS)) as upstream:
        house = ours.provider(
            "custom", name=f"local-{tenant.customer_id}", base_url=upstream.base_url, credential=SECRET
        )
        model = f"{MODEL}-{tenant.customer_id}"
        ours.price(house, model, input=1_000_000, output=2_000_000)
        ours.route(house)
        granted = routers_pb2.Router(customer_id="platform", router_id=ours.router_id, granted_to_all=True)
        mask = FieldMask(paths=["granted_to_all"])
        stack.admin.routers.UpdateRouter(routers_pb2.UpdateRouterRequest(router=granted, update_mask=mask))
        tenant.router_id = ours.router_id
        key = tenant.key()
        reply = await ask(stack.edge, key.secret, chat(model=model))
        assert reply.status == 200, reply.body
        assert f"authorization: bearer {SECRET}".encode() in upstream.heads[0].lower()
    assert tenant.settled(1)[0].cost_nanousd == 26, "(7 x 1 + 5 x 2) x 1.5, rounded up"


async def test_weights_share_requests(stack: Stack) -> None:
    """Of two equal rules each is first about as often as its weight says."""
    tenant = stack.admin.customer()
    rules = [
        routers_pb2.RoutingRule(
            provider_id=tenant.provider("openai", name=name, credential="sk-x"), weight=weight
        )
        for name, weight in (("heavy", 3), ("light", 1))
    ]
    tenant.route(*rules)
    key = tenant.key()
    served: Counter[str] = Counter()
    for _ in range(120):
        reply = await ask(stack.edge, key.secret, chat(max_tokens=1))
        served[reply.headers["x-tollkeeper-provider"]] += 1
    assert 65 <= served["heavy"] <= 112
    assert served["heavy"] + served["light"] == 120
