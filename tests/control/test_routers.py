"""RoutersService over real gRPC and a real database."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from tests.control.gateway import authorize, changes, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.customers_pb2 import Customer, GetCustomerRequest, UpdateCustomerRequest
from tollkeeper.v1.keys_pb2 import GetKeyRequest
from tollkeeper.v1.routers_pb2 import (
    CreateRouterRequest,
    Deadlines,
    DeleteRouterRequest,
    GetRouterRequest,
    ListRoutersRequest,
    Retries,
    Router,
    RoutingRule,
    UpdateRouterRequest,
)


async def test_rules_are_ordered_and_replaced_as_a_whole(control: RunningControl) -> None:
    """Lower priorities come first, equal ones as given; an update keeps the ids of rules that stay."""
    cli = await control.cli()
    customer = await control.customer("acme")
    first, second = await make_provider(cli, "acme", "a"), await make_provider(cli, "acme", "b")
    rules = [
        RoutingRule(provider_id=second.provider_id, priority=5),
        RoutingRule(provider_id=first.provider_id, allowed_models=["gpt-*", "gpt-*"], model_rewrite="gpt-x"),
        RoutingRule(provider_id=second.provider_id, condition="fallback"),
    ]
    request = CreateRouterRequest(
        router=Router(customer_id="acme", name="main", rules=rules), request_id="r1"
    )
    router = await cli.routers.CreateRouter(request)
    assert [(rule.priority, rule.condition) for rule in router.rules] == [
        (1, "primary"),
        (1, "fallback"),
        (5, "primary"),
    ]
    assert list(router.rules[0].allowed_models) == ["gpt-*"]
    assert await cli.routers.CreateRouter(request) == router
    assert list((await cli.routers.ListRouters(ListRoutersRequest(customer_id="acme"))).routers) == [router]

    kept = router.rules[2].rule_id
    del router.rules[:2]
    router.rules.add(provider_id=first.provider_id, rule_id=str(uuid7()))
    mask = FieldMask(paths=["rules"])
    async with changes(control, customer.customer_id) as told:
        updated = await cli.routers.UpdateRouter(UpdateRouterRequest(router=router, update_mask=mask))
    assert told["changed"]
    assert [rule.provider_id for rule in updated.rules] == [first.provider_id, second.provider_id]
    assert updated.rules[1].rule_id == kept
    assert updated.rules[0].rule_id != router.rules[1].rule_id
    assert updated.etag != router.etag
    with refused(Reason.ETAG_MISMATCH):
        await cli.routers.UpdateRouter(UpdateRouterRequest(router=router, update_mask=mask))


# "mine" stands for the customer's own provider.
UNSOUND = [
    (RoutingRule(), Reason.NOT_FOUND),
    (RoutingRule(provider_id=str(uuid7())), Reason.NOT_FOUND),
    (RoutingRule(provider_id="mine", priority=-1), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", allowed_models=[""]), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", model_rewrite="x" * 201), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", priority=1_000_001), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", weight=-1), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", weight=1_000_001), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", condition="sometimes"), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", condition="on_status"), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", condition="on_status", statuses=[399]), Reason.INVALID_ARGUMENT),
    (
        RoutingRule(provider_id="mine", condition="on_status", statuses=range(500, 533)),
        Reason.INVALID_ARGUMENT,
    ),
    (RoutingRule(provider_id="mine", statuses=[500]), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", condition="fallback", statuses=[500]), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", when="prompt_bytes <"), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", when="cheap"), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", when="stream" + " " * 500 + "&& stream"), Reason.INVALID_ARGUMENT),
    (RoutingRule(provider_id="mine", allowed_models=[f"m{n}" for n in range(501)]), Reason.INVALID_ARGUMENT),
]


async def test_one_unsound_rule_changes_nothing(control: RunningControl) -> None:
    """Rules are checked together before any is stored."""
    cli = await control.cli()
    await control.customer("acme")
    provider = await make_provider(cli, "acme")
    router = await make_router(cli, "acme", provider.provider_id)
    named = GetRouterRequest(customer_id="acme", router_id=router.router_id)
    for rule, reason in UNSOUND:
        changed = Router(customer_id="acme", router_id=router.router_id, rules=[*router.rules, rule])
        if rule.provider_id == "mine":
            changed.rules[-1].provider_id = provider.provider_id
        with refused(reason):
            await cli.routers.UpdateRouter(UpdateRouterRequest(router=changed))
        assert await cli.routers.GetRouter(named) == router


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"retries": Retries(count=6)}, "retries.count"),
        ({"retries": Retries(count=-1)}, "retries.count"),
        ({"retries": Retries(backoff_ms=30_001)}, "retries.backoff_ms"),
        ({"retries": Retries(backoff_ms=200, max_backoff_ms=100)}, "retries.backoff_ms"),
        ({"deadlines": Deadlines(total_ms=3_600_001)}, "deadlines.total_ms"),
        ({"deadlines": Deadlines(idle_ms=-1)}, "deadlines.idle_ms"),
        ({"cache_ttl_s": 59}, "cache_ttl_s"),
        ({"cache_ttl_s": 2_592_001}, "cache_ttl_s"),
        ({"cache_ttl_s": -1}, "cache_ttl_s"),
        ({"deadlines": Deadlines(first_byte_ms=2000, total_ms=1000)}, "deadlines.first_byte_ms"),
    ],
)
async def test_unsound_settings_change_nothing(
    control: RunningControl, fields: dict[str, Any], field: str
) -> None:
    """Numbers out of range, and ones that contradict each other, are named."""
    cli = await control.cli()
    await control.customer("acme")
    with refused(Reason.INVALID_ARGUMENT) as refusal:
        router = Router(customer_id="acme", name="main", **fields)
        await cli.routers.CreateRouter(CreateRouterRequest(router=router))
    assert refusal.metadata["field"] == field


async def test_routers_are_checked_as_a_whole(control: RunningControl) -> None:
    """A rule that waits for a failure needs one before it; in one priority that is a primary one."""
    cli = await control.cli()
    await control.customer("acme")
    provider_id = (await make_provider(cli, "acme")).provider_id

    async def create(name: str, *rules: tuple[int, str]) -> Router:
        made = [RoutingRule(provider_id=provider_id, priority=each[0], condition=each[1]) for each in rules]
        router = Router(customer_id="acme", name=name, rules=made)
        return await cli.routers.CreateRouter(CreateRouterRequest(router=router))

    for unsound in ([(1, "on_timeout")], [(1, "on_timeout"), (1, "fallback")], [(2, ""), (1, "on_timeout")]):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await create("unsound", *unsound)
        assert refusal.metadata["field"] == "rules.condition"
    await create("one", (1, "on_timeout"), (1, "primary"))
    await create("two", (1, "fallback"), (2, "on_rate_limit"))


async def test_conditions_and_settings_reach_the_grant(control: RunningControl) -> None:
    """What a router says of statuses, expressions, retries and deadlines is kept, shown and granted."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    provider_id = (await make_provider(cli, "acme")).provider_id
    rules = [
        RoutingRule(provider_id=provider_id, when='  "x" in tags '),
        RoutingRule(provider_id=provider_id, condition="on_status", statuses=[503, 401, 503]),
    ]
    retries = Retries(count=2, backoff_ms=100)
    sent = Router(customer_id="acme", name="main", rules=rules, retries=retries, cache_ttl_s=60)
    router = await cli.routers.CreateRouter(CreateRouterRequest(router=sent))
    assert [(rule.when, list(rule.statuses)) for rule in router.rules] == [
        ('"x" in tags', []),
        ("", [401, 503]),
    ]
    assert router.retries == retries
    assert not router.HasField("deadlines")

    deadlines = Deadlines(connect_ms=1, total_ms=9)
    change = Router(customer_id="acme", router_id=router.router_id, deadlines=deadlines)
    request = UpdateRouterRequest(router=change, update_mask=FieldMask(paths=["deadlines"]))
    changed = await cli.routers.UpdateRouter(request)
    assert (changed.retries, changed.deadlines, changed.cache_ttl_s) == (retries, deadlines, 60)
    change.cache_ttl_s = 120
    await cli.routers.UpdateRouter(
        UpdateRouterRequest(router=change, update_mask=FieldMask(paths=["cache_ttl_s"]))
    )
    made = await make_key(cli, "acme", router_id=router.router_id)
    grant = await authorize(edge, made.raw_key)
    assert (grant.retries, grant.deadlines, grant.cache_ttl_s) == (retries, deadlines, 120)
    assert [(rule.when, list(rule.statuses)) for rule in grant.rules] == [
        ('"x" in tags', []),
        ("", [401, 503]),
    ]


async def test_rules_name_providers_of_the_same_customer_only(control: RunningControl) -> None:
    """Another customer's provider, and a deleted one, are as good as none; 101 rules are too many."""
    cli = await control.cli()
    await control.customer("acme")
    await control.customer("other")
    foreign = await make_provider(cli, "other")
    with refused(Reason.NOT_FOUND):
        await make_router(cli, "acme", foreign.provider_id)
    own = await make_provider(cli, "acme")
    with refused(Reason.INVALID_ARGUMENT):
        await make_router(cli, "acme", *[own.provider_id] * 101)


async def test_a_router_in_use_is_deleted_by_force_only(control: RunningControl) -> None:
    """Force revokes its keys at once, and leaves no default that points to it."""
    cli, edge = await control.cli(), await control.edge()
    customer = await control.customer("acme")
    router = await make_router(cli, "acme", (await make_provider(cli, "acme")).provider_id)
    default = Customer(customer_id="acme", default_router_id=router.router_id)
    await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=default))
    made = await make_key(cli, "acme")
    assert made.key.router_id == router.router_id
    request = DeleteRouterRequest(customer_id="acme", router_id=router.router_id)
    with refused(Reason.IN_USE) as refusal:
        await cli.routers.DeleteRouter(request)
    assert (refusal.metadata["keys"], refusal.metadata["default"]) == ("1", "true")

    request.force = True
    async with changes(control, customer.customer_id) as told:
        deleted = await cli.routers.DeleteRouter(request)
    assert told["urgent"]
    assert deleted.HasField("delete_time")
    assert (deleted.removed.routing_rule_count, deleted.removed.key_count) == (1, 1)
    assert (await cli.keys.GetKey(GetKeyRequest(key_id=made.key.key_id))).HasField("revoke_time")
    with refused(Reason.INVALID_API_KEY):
        await authorize(edge, made.raw_key)
    left = await cli.customers.GetCustomer(GetCustomerRequest(customer_id="acme"))
    assert left.default_router_id == ""


async def test_names_are_unique_among_live_routers(control: RunningControl) -> None:
    """A taken name is refused on create and rename, or numbered where asked; an empty one always."""
    cli = await control.cli()
    await control.customer("acme")
    await make_router(cli, "acme", name="main")
    with refused(Reason.ALREADY_EXISTS) as refusal:
        await make_router(cli, "acme", name="main")
    assert refusal.metadata["resource"] == "router"
    sent = Router(customer_id="acme", name="main")
    second = await cli.routers.CreateRouter(CreateRouterRequest(router=sent, number_taken_name=True))
    assert second.name == "main 2"
    second.name = "main"
    with refused(Reason.ALREADY_EXISTS):
        await cli.routers.UpdateRouter(UpdateRouterRequest(router=second))
    with refused(Reason.INVALID_ARGUMENT):
        await make_router(cli, "acme", name=" ")


async def test_members_read_routers_and_change_none(control: RunningControl) -> None:
    """A member picks a router for a key; making one takes an administrator."""
    cli = await control.cli()
    customer = await control.customer("acme")
    router = await make_router(cli, "acme")
    member = await control.person(customer.customer_id, Role.MEMBER)
    named = GetRouterRequest(router_id=router.router_id)
    assert await member.client.routers.GetRouter(named) == router
    with refused(Reason.PERMISSION_DENIED):
        await make_router(member.client, "acme")
