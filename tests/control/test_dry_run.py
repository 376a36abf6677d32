"""DryRunRouter: which attempts a request would get, exactly as an edge makes them."""

from itertools import product
from random import Random
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clients.control import ControlClient
from control.domain.identity import Role
from edge.candidates import candidates
from edge.families.chat import CHAT
from edge.families.embeddings import EMBEDDINGS
from edge.families.messages import MESSAGES
from edge.grants import GrantView
from edge.prices import PriceBook
from edge.routing import RouteTable
from edge.upstream.cloudflare import Gateway
from edge.upstream.limits import Origin
from tests.control.gateway import authorize, make_key, make_provider, make_router, refused
from tests.control.harness import RunningControl
from tollkeeper.conditions import CONDITIONS
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.expressions import Facts
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.customers_pb2 import Customer, UpdateCustomerRequest
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest
from tollkeeper.v1.prices_pb2 import CreatePriceRequest, ListPricesRequest, Price, Rates
from tollkeeper.v1.providers_pb2 import Provider, UpdateProviderRequest
from tollkeeper.v1.routers_pb2 import (
    CreateRouterRequest,
    Deadlines,
    DryRunRouterRequest,
    DryRunRouterResponse,
    Retries,
    Router,
    RoutingRule,
    UpdateRouterRequest,
)

GATEWAY = Gateway(Origin("https", "gateway.ai.cloudflare.com", 443), "a" * 32, "token", "shared")


async def dry(cli: ControlClient, model: str = "gpt-4o", **request: Any) -> DryRunRouterResponse:
    """What acme would get."""
    return await cli.routers.DryRunRouter(DryRunRouterRequest(customer_id="acme", model=model, **request))


async def set_rules(cli: ControlClient, router: Router, *rules: RoutingRule) -> None:
    """These rules and no others."""
    changed = Router(customer_id="acme", router_id=router.router_id, rules=rules)
    mask = FieldMask(paths=["rules"])
    await cli.routers.UpdateRouter(UpdateRouterRequest(router=changed, update_mask=mask))


async def global_price(cli: ControlClient, model: str, provider_type: str = "openai", rate: int = 1) -> str:
    """The id of a new global price."""
    price = Price(provider_type=provider_type, model=model, rates=Rates(input=rate, output=rate))
    return (await cli.prices.CreatePrice(CreatePriceRequest(price=price))).price_id


async def test_attempts_in_order_with_prices_and_skipped_rules_with_reasons(control: RunningControl) -> None:
    """A17: what is tried, by whom, with which model and price; what isn't, and why."""
    cli = await control.cli()
    await control.customer("acme")
    price_id = await global_price(cli, "gpt-4o")
    first, second = await make_provider(cli, "acme", "a"), await make_provider(cli, "acme", "b")
    off = await make_provider(cli, "acme", "off", disabled=True)
    router = await make_router(cli, "acme")
    await set_rules(
        cli,
        router,
        RoutingRule(provider_id=second.provider_id, priority=2, model_rewrite="gpt-4o", condition="fallback"),
        RoutingRule(provider_id=first.provider_id, weight=1),
        RoutingRule(provider_id=second.provider_id, weight=3),
        RoutingRule(provider_id=first.provider_id, allowed_models=["o3*"]),
        RoutingRule(provider_id=off.provider_id),
        RoutingRule(provider_id=first.provider_id, model_rewrite="unpriced"),
    )
    told = await dry(cli, router_id=router.router_id)
    assert [(each.provider_name, each.priority, each.first_share) for each in told.attempts] == [
        ("b", 1, 0.75),
        ("a", 1, 0.25),
        ("b", 2, 1.0),
    ]
    assert {each.price.price_id for each in told.attempts} == {price_id}
    assert {each.upstream_model for each in told.attempts} == {"gpt-4o"}
    assert sorted((each.provider_name, each.reason) for each in told.skipped) == [
        ("a", "model"),
        ("a", "not_priced"),
        ("off", "disabled"),
    ]
    assert (told.refusal, told.refusal_message) == (Reason.ERROR_REASON_UNSPECIFIED, "")
    named = await dry(cli, router_id=router.router_id, provider="a")
    assert [each.provider_name for each in named.attempts] == ["a"]


async def test_conditions_and_settings_are_shown(control: RunningControl) -> None:
    """Statuses, expressions, retries, deadlines; a rule whose expression isn't true says so."""
    cli = await control.cli()
    await control.customer("acme")
    await global_price(cli, "gpt-4o")
    provider_id = (await make_provider(cli, "acme")).provider_id
    rules = [
        RoutingRule(provider_id=provider_id, when='"batch" in tags || prompt_bytes > 1000'),
        RoutingRule(provider_id=provider_id, priority=2),
        RoutingRule(provider_id=provider_id, priority=2, condition="on_status", statuses=[429, 400]),
    ]
    settings = {"retries": Retries(count=1), "deadlines": Deadlines(total_ms=5000)}
    router = Router(customer_id="acme", name="main", rules=rules, **settings)
    made = await cli.routers.CreateRouter(CreateRouterRequest(router=router))
    told = await dry(cli, router_id=made.router_id)
    assert [(each.condition, list(each.statuses)) for each in told.attempts] == [
        ("primary", []),
        ("on_status", [400, 429]),
    ]
    assert [(each.rule_id, each.reason) for each in told.skipped] == [(made.rules[0].rule_id, "when")]
    assert (told.retries, told.deadlines) == (settings["retries"], settings["deadlines"])
    for fields in ({"tags": ["batch"]}, {"prompt_bytes": 2000}):
        told = await dry(cli, router_id=made.router_id, **fields)
        assert [each.when for each in told.attempts] == [rules[0].when, "", ""]


async def test_a_keys_own_lists_and_router_count(control: RunningControl) -> None:
    """Its allowed models, its customer's, its router or the default one; an ended key is refused."""
    cli = await control.cli()
    await control.customer("acme")
    await global_price(cli, "gpt-4o")
    router = await make_router(cli, "acme", (await make_provider(cli, "acme")).provider_id)
    key = (await make_key(cli, "acme", allowed_models=["gpt-*"])).key
    empty = await dry(cli, key_id=key.key_id)
    assert empty.refusal == Reason.ROUTER_WITHOUT_RULES
    customer = Customer(
        customer_id="acme", default_router_id=router.router_id, allowed_models=["gpt-4o", "o3"]
    )
    await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    assert len((await dry(cli, key_id=key.key_id)).attempts) == 1
    assert (await dry(cli, "o3", key_id=key.key_id)).refusal == Reason.MODEL_NOT_ALLOWED
    assert (await dry(cli, "gpt-5", key_id=key.key_id)).refusal == Reason.MODEL_NOT_ALLOWED
    assert (await dry(cli, "o3", router_id=router.router_id)).refusal == Reason.MODEL_NOT_PRICED
    await cli.keys.RevokeKey(RevokeKeyRequest(key_id=key.key_id))
    assert (await dry(cli, key_id=key.key_id)).refusal == Reason.INVALID_API_KEY


REFUSALS = [
    ([], Reason.ROUTER_WITHOUT_RULES),
    ([{"allowed_models": ["o3"]}], Reason.MODEL_NOT_ALLOWED),
    ([{"off": True}, {"off": True}], Reason.ALL_PROVIDERS_FAILED),
    ([{"model_rewrite": "unpriced"}], Reason.MODEL_NOT_PRICED),
]


@pytest.mark.parametrize(("rules", "reason"), REFUSALS)
async def test_refusals_are_answers(control: RunningControl, rules: list[Any], reason: Reason) -> None:
    """An empty router, a model that no rule takes, providers that are off, no price: as the edge says it."""
    cli = await control.cli()
    await control.customer("acme")
    await global_price(cli, "gpt-4o")
    on = await make_provider(cli, "acme", "on")
    off = await make_provider(cli, "acme", "off", disabled=True)
    router = await make_router(cli, "acme")
    made = [
        RoutingRule(provider_id=(off if fields.pop("off", False) else on).provider_id, **fields)
        for fields in (dict(each) for each in rules)
    ]
    await set_rules(cli, router, *made)
    told = await dry(cli, router_id=router.router_id)
    assert (told.refusal, len(told.attempts), len(told.skipped)) == (reason, 0, len(rules))
    assert told.refusal_message


async def test_questions_that_make_no_sense(control: RunningControl) -> None:
    """By reason and field."""
    cli = await control.cli()
    customer = await control.customer("acme")
    router = await make_router(cli, "acme")
    for fields, field in (
        ({"router_id": router.router_id, "model": ""}, "model"),
        ({"router_id": router.router_id, "model": "x" * 201}, "model"),
        ({"router_id": router.router_id, "provider": "x" * 201}, "provider"),
        ({"router_id": router.router_id, "family": "nonsense"}, "family"),
        ({}, "router_id"),
        ({"router_id": ""}, "router_id"),
        ({"key_id": ""}, "key_id"),
    ):
        with refused(Reason.INVALID_ARGUMENT) as refusal:
            await dry(cli, **{"model": "m", **fields})
        assert refusal.metadata["field"] == field
    for fields in ({"router_id": str(uuid7())}, {"key_id": str(uuid7())}, {"router_id": "nonsense"}):
        with refused(Reason.NOT_FOUND):
            await dry(cli, **fields)
    member = await control.person(customer.customer_id, Role.MEMBER)
    with refused(Reason.PERMISSION_DENIED):
        await dry(member.client, router_id=router.router_id)


@pytest.mark.parametrize("seed", range(6))
async def test_edge_and_dry_run_agree(control: RunningControl, seed: int) -> None:
    """Random routers: for every model the edge's attempts, or its refusal, are those of the dry run."""
    random = Random(seed)
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    models = ["gpt-4o", "own", "nobody-sells", "shared-name"]
    await global_price(cli, "gpt-4o", rate=3)
    await global_price(cli, "shared-name", "groq", rate=5)
    await global_price(cli, "shared-name", "mistral", rate=9)
    providers = []
    for number in range(4):
        provider = await make_provider(
            cli, "acme", f"p{number}", provider_type=random.choice(["openai", "groq", "anthropic"])
        )
        providers.append(provider.provider_id)
        if random.random() < 0.5:
            own = Price(customer_id="acme", provider_id=provider.provider_id, model="own")
            own.rates.CopyFrom(Rates(input=number, output=1))
            await cli.prices.CreatePrice(CreatePriceRequest(price=own))
        if random.random() < 0.25:
            off = Provider(customer_id="acme", provider_id=provider.provider_id, disabled=True)
            await cli.providers.UpdateProvider(UpdateProviderRequest(provider=off))
    router = await make_router(cli, "acme")
    rules = [
        RoutingRule(
            provider_id=random.choice(providers),
            priority=random.randint(1, 3) if number else 1,
            condition=random.choice(CONDITIONS) if number else "primary",
            when=random.choice(["", "", "stream", "!stream && size(key_id) > 0", 'model.startsWith("gpt")']),
            # Weights that leave no doubt about the order.
            weight=random.choice([0, 0, 1_000_000]) if number else 0,
            allowed_models=random.choice([[], ["*o*"], ["gpt-*", "own"]]),
            model_rewrite=random.choice(["", "", "gpt-4o"]),
        )
        for number in range(random.randint(0, 7))
    ]
    for rule in rules:
        rule.statuses.extend([503] if rule.condition == "on_status" else [])
    await set_rules(cli, router, *rules)
    key = await make_key(cli, "acme", router_id=router.router_id, allowed_models=["*-*", "own"])
    view = GrantView(b"h" * 32, await authorize(edge, key.raw_key), 0.0, 0.0)
    book = PriceBook()
    prices = [
        Price(price_id=p.price_id, provider_type=p.provider_type, model=p.model, rates=p.rates)
        for p in (await cli.prices.ListPrices(ListPricesRequest(page_size=1000))).prices
    ]
    book.apply(edge_pb2.PriceBook(version=1, prices=prices, full=True, last=True), 0.0)
    table = RouteTable(view, GATEWAY)
    for model, stream, family in product(models, (False, True), (CHAT, EMBEDDINGS, MESSAGES)):
        told = await dry(cli, model, key_id=key.key.key_id, stream=stream, family=family.name)
        facts = Facts(model=model, family=family.name, stream=stream, key_id=view.key_id)
        refusal = None
        try:
            routes = table.routes(family, stream, model, None, facts)
            found = candidates(routes, lambda r, m: _price(view, book, r, m), model)
        except TollkeeperError as error:
            refusal = error
        if refusal is not None:
            assert (told.refusal, told.refusal_message) == (refusal.reason, refusal.message)
            continue
        assert told.refusal == Reason.ERROR_REASON_UNSPECIFIED
        expected = [(each.route.rule.rule_id, each.route.model, each.price.price_id) for each in found]
        planned = [(each.rule_id, each.upstream_model, each.price.price_id) for each in told.attempts]
        assert sorted(planned) == sorted(expected)
        fixed = {each.rule_id for each in told.attempts if each.first_share == 1.0}
        assert [each for each in planned if each[0] in fixed] == [
            each for each in expected if each[0] in fixed
        ]


def _price(view: GrantView, book: PriceBook, rule: Any, model: str) -> Any:
    """As the edge's ledger looks prices up."""
    price = book.lookup(rule.provider_type, model, 0.0)
    if price is None:
        own = view.own_prices.get((rule.provider_id, model))
        price = own.at(0.0) if own is not None else None
    return price
