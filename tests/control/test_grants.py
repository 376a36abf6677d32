"""What a grant holds, when there is none, and what it costs to make."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import event, update

from control.domain.identity import Role
from control.store.grants import load_grant
from control.store.tables import keys
from tests.control.gateway import (
    authorize,
    make_key,
    make_provider,
    make_router,
    refused,
    versions,
)
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.key_format import KEY_PREFIX, mint, secret_hash
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.customers_pb2 import Customer, DeleteCustomerRequest, UpdateCustomerRequest
from tollkeeper.v1.prices_pb2 import CreatePriceRequest, Price, Rates
from tollkeeper.v1.providers_pb2 import Provider, UpdateProviderRequest
from tollkeeper.v1.routers_pb2 import Router, RoutingRule, UpdateRouterRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team, UpdateTeamRequest
from tollkeeper.v1.users_pb2 import UpdateUserRequest, User


async def test_a_grant_has_all_that_serving_takes(control: RunningControl) -> None:
    """Rules in order with their providers folded in, credentials in clear, own prices, limits, versions."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    vendor = await make_provider(cli, "acme", "vendor", credential="sk-1")
    local = await make_provider(
        cli, "acme", "local", provider_type="custom", base_url="https://llm.example.com/v1", credential=""
    )
    unused = await make_provider(cli, "acme", "unused")
    disabled = Provider(customer_id="acme", provider_id=local.provider_id, disabled=True)
    await cli.providers.UpdateProvider(UpdateProviderRequest(provider=disabled))
    router = await make_router(cli, "acme")
    rules = [
        RoutingRule(provider_id=local.provider_id, priority=2, model_rewrite="llama"),
        RoutingRule(provider_id=vendor.provider_id, allowed_models=["gpt-*"]),
    ]
    router = await cli.routers.UpdateRouter(
        UpdateRouterRequest(router=Router(customer_id="acme", router_id=router.router_id, rules=rules))
    )
    for provider in (local, unused):
        own = Price(customer_id="acme", provider_id=provider.provider_id, model="llama")
        own.rates.CopyFrom(Rates(input=1, output=2))
        await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    key = await make_key(
        cli, "acme", router_id=router.router_id, allowed_models=["gpt-*", "llama"], clamp_output=True
    )
    grant = await authorize(edge, key.raw_key)
    assert (grant.customer_id, grant.key_id, grant.user_id, grant.team_id) == (acme, key.key.key_id, "", "")
    assert (list(grant.allowed_models), grant.clamp_output) == (["gpt-*", "llama"], True)
    assert (grant.unlimited, grant.cf_gateway_id, grant.HasField("expire_time")) == (True, "", False)
    assert grant.version == (await versions(control, acme))[0]
    first, second = grant.rules
    assert (first.provider_name, first.provider_type, first.credential) == ("vendor", "openai", "sk-1")
    assert (first.provider_enabled, list(first.allowed_models), first.rule_id) == (
        True,
        ["gpt-*"],
        router.rules[0].rule_id,
    )
    assert (second.provider_name, second.provider_enabled, second.credential) == ("local", False, "")
    assert (second.base_url, second.model_rewrite) == ("https://llm.example.com/v1", "llama")
    (own_price,) = grant.own_prices
    assert (own_price.provider_id, own_price.rates.output) == (local.provider_id, 2)


async def test_defaults_of_the_customer_fill_in(control: RunningControl) -> None:
    """A key without a router uses the customer's, also a later one; likewise the output limit."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    key = await make_key(cli, "acme")
    limited = await make_key(cli, "acme", default_output_limit=5)
    assert not (await authorize(edge, key.raw_key)).rules
    router = await make_router(cli, "acme", (await make_provider(cli, "acme")).provider_id)
    customer = Customer(customer_id="acme", default_router_id=router.router_id, default_output_limit=9)
    await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer))
    grant = await authorize(edge, key.raw_key)
    assert (len(grant.rules), grant.default_output_limit) == (1, 9)
    assert (await authorize(edge, limited.raw_key)).default_output_limit == 5


async def test_unknown_expired_and_orphaned_keys_get_one_answer(control: RunningControl) -> None:
    """The refusal says neither which key nor why."""
    cli, edge = await control.cli(), await control.edge()
    await control.customer("acme")
    expired, orphaned = await make_key(cli, "acme"), await make_key(cli, "acme")
    async with control.database.write() as connection:
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        statement = update(keys).where(keys.c.key_id == expired.key.key_id).values(expire_time=an_hour_ago)
        await connection.execute(statement)
    with refused(Reason.INVALID_API_KEY) as refusal:
        await authorize(edge, expired.raw_key)
    await cli.customers.DeleteCustomer(DeleteCustomerRequest(customer_id="acme", force=True))
    answers = {str(refusal.error)}
    for raw_key in (orphaned.raw_key, mint(KEY_PREFIX)):
        with refused(Reason.INVALID_API_KEY) as refusal:
            await authorize(edge, raw_key)
        assert not refusal.metadata
        answers.add(str(refusal.error))
    assert len(answers) == 1


async def test_suspending_customer_team_or_user_stops_a_key(control: RunningControl) -> None:
    """Each is enough, also against leases under an older grant; lifting it lets the key work again."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    user = await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    key = await make_key(cli, acme, user_id=user.user_id, team_id=team.team_id)
    mask = FieldMask(paths=["suspended"])

    async def suspend(kind: str, suspended: bool) -> None:
        if kind == "customer":
            customer = Customer(customer_id=acme, suspended=suspended)
            await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer, update_mask=mask))
        elif kind == "team":
            changed = Team(customer_id=acme, team_id=team.team_id, suspended=suspended)
            await cli.teams.UpdateTeam(UpdateTeamRequest(team=changed, update_mask=mask))
        else:
            person = User(customer_id=acme, user_id=user.user_id, suspended=suspended)
            await cli.users.UpdateUser(UpdateUserRequest(user=person, update_mask=mask))

    grant = await authorize(edge, key.raw_key)
    for kind in ("customer", "team", "user"):
        await suspend(kind, True)
        with refused(Reason.CUSTOMER_SUSPENDED):
            await authorize(edge, key.raw_key)
        lease = edge_pb2.AcquireLeaseRequest(
            incarnation_id=str(uuid7()),
            customer_id=acme,
            key_id=grant.key_id,
            lease_id=str(uuid7()),
            top_up=1,
            chain_version=grant.chain_version,
            holds_nanousd=[1],
        )
        with refused(Reason.GRANT_STALE):
            await edge.edge.AcquireLease(lease)
        await suspend(kind, False)
        assert (await authorize(edge, key.raw_key)).key_id == key.key.key_id


async def test_a_grant_takes_three_queries(control: RunningControl) -> None:
    """However many rules and prices there are: every statement is a round trip while a request waits."""
    cli = await control.cli()
    await control.customer("acme")
    providers = [(await make_provider(cli, "acme", f"p{n}")).provider_id for n in range(3)]
    router = await make_router(cli, "acme", *providers)
    for provider_id in providers:
        own = Price(customer_id="acme", provider_id=provider_id, model="m", rates=Rates(input=1, output=1))
        await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    key = await make_key(cli, "acme", limit_nanousd=1, router_id=router.router_id)
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    async with control.database.read() as connection:
        engine = control.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count)
        grant = await load_grant(
            connection, secret_hash(key.raw_key), datetime.now(UTC), lambda sealed, context: "opened"
        )
        event.remove(engine, "before_cursor_execute", count)
    assert len(grant.own_prices) == 3
    assert {rule.credential for rule in grant.rules} == {"opened"}
    assert len(statements) == 3
