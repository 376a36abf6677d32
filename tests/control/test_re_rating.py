"""ReRateUsage: a period at today's prices, by correcting entries, through real gRPC."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from clients.control import ControlClient
from control.domain.identity import Role
from control.domain.rollups import OTHER, Dimension
from control.verify import verify
from tests.control.gateway import make_key, make_provider, refused
from tests.control.harness import RunningControl
from tests.control.spending import UNIT, Spender, unit_price
from tests.factories.tenants import Tenant, end_windows
from tollkeeper.errors import Reason
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.budgets_pb2 import Budget, CreateBudgetRequest, GetBudgetRequest, Period, Scope
from tollkeeper.v1.prices_pb2 import (
    CreatePriceRequest,
    CustomerReRating,
    DeletePriceRequest,
    Price,
    Rates,
    RateTier,
    ReRateUsageRequest,
)
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.usage_pb2 import GetUsageRequest, GetUsageSummaryRequest

NOW = datetime.now(UTC)
DOUBLE = Rates(input=2_000_000, output=2_000_000)


def period(**fields: Any) -> ReRateUsageRequest:
    """An hour to both sides of now."""
    request = ReRateUsageRequest(**fields)
    request.start_time.FromDatetime(NOW - timedelta(hours=1))
    request.end_time.FromDatetime(NOW + timedelta(hours=1))
    return request


async def re_rate(cli: ControlClient, **fields: Any) -> list[CustomerReRating]:
    return list((await cli.prices.ReRateUsage(period(**fields))).customers)


async def cost(cli: ControlClient, usage_id: str) -> tuple[int, list[tuple[str, int]]]:
    entry = await cli.usage.GetUsage(GetUsageRequest(customer_id="acme", usage_id=usage_id))
    return entry.cost_nanousd, [(each.label, each.amount_nanousd) for each in entry.entries]


async def spender_of(control: RunningControl, customer: str = "acme") -> Spender:
    await control.customer(customer)
    key = await make_key(await control.cli(), customer)
    return Spender(await control.edge(), key.raw_key)


async def test_a_fixed_price_corrects_what_was_booked(control: RunningControl) -> None:
    """Correcting entries, sums that follow, and no change when it is done again; a dry run tells it first."""
    cli = await control.cli()
    spender = await spender_of(control)
    price = await unit_price(cli)
    first, second = await spender.spend(price, 100), await spender.spend(price, 7)
    assert (await re_rate(cli))[0].changed_count == 0
    await unit_price(cli, rates=DOUBLE)
    expected = {"request_count": 2, "changed_count": 2, "before_nanousd": 107, "after_nanousd": 214}
    for dry_run in (True, False):
        (done,) = await re_rate(cli, dry_run=dry_run)
        assert {name: getattr(done, name) for name in expected} == expected
    assert await cost(cli, first) == (200, [("post", 100), ("correction", 100)])
    assert await cost(cli, second) == (14, [("post", 7), ("correction", 7)])
    (again,) = await re_rate(cli)
    assert (again.changed_count, again.request_count) == (0, 2)
    await unit_price(cli, rates=Rates(input=500_000, output=0))
    await re_rate(cli)
    assert await cost(cli, second) == (4, [("post", 7), ("correction", 7), ("correction", -10)])
    summary = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id="acme"))
    assert summary.total_cost_nanousd == 54
    assert (await verify(control.database)).violations == []


async def test_corrections_count_in_the_windows_the_requests_began_in(control: RunningControl) -> None:
    """L3: yesterday's requests correct yesterday's window, past its hard limit if need be: that is listed."""
    cli = await control.cli()
    spender = await spender_of(control)
    budget = Budget(
        customer_id="acme",
        scope=Scope.SCOPE_CUSTOMER,
        limit_nanousd=100,
        period=Period.PERIOD_MONTHLY,
        thresholds=[100],
    )
    budget = await cli.budgets.CreateBudget(CreateBudgetRequest(budget=budget))
    price = await unit_price(cli)
    await spender.spend(price, 60)
    await end_windows(control.database, Tenant(customer_id=budget.customer_id))
    await spender.spend(price, 10)
    await unit_price(cli, rates=DOUBLE)
    await re_rate(cli)
    named = GetBudgetRequest(customer_id="acme", budget_id=budget.budget_id)
    assert (await cli.budgets.GetBudget(named)).window.spent_nanousd == 20
    report = await verify(control.database)
    assert report.violations == []
    assert report.excused_nanousd["correction"] == 70
    with refused(Reason.INSUFFICIENT_QUOTA):
        await spender.acquire(81)
    await spender.acquire(80)


async def test_only_what_is_asked_for_is_booked_again(control: RunningControl) -> None:
    """By model, by type of provider, by time, by customer; estimates and voids have no price."""
    cli = await control.cli()
    spender, other = await spender_of(control), await spender_of(control, "other")
    price, another = await unit_price(cli), await unit_price(cli, "another")
    usage_id = await spender.spend(price, 100)
    await spender.spend(another, 10)
    await other.spend(price, 1)
    estimate = await spender.record(price, 50, state=edge_pb2.USAGE_STATE_ESTIMATED)
    voided = await spender.record(price, 0, state=edge_pb2.USAGE_STATE_VOIDED)
    assert await spender.settle(estimate, voided) == [edge_pb2.POSTED] * 2
    for model in ("unit", "another"):
        await unit_price(cli, model, DOUBLE)

    async def changed(**fields: Any) -> list[tuple[int, int]]:
        found = await re_rate(cli, dry_run=True, **fields)
        return [(each.request_count, each.after_nanousd) for each in found]

    assert await changed() == [(2, 220), (1, 2)]
    assert await changed(customer_id="other") == [(1, 2)]
    assert await changed(model="unit", customer_id="acme") == [(1, 200)]
    assert await changed(model="un*") == []
    assert await changed(provider_type="openai", customer_id="acme") == [(2, 220)]
    assert await changed(provider_type="google") == []
    past = period(dry_run=True)
    past.end_time.FromDatetime(NOW - timedelta(minutes=30))
    assert not (await cli.prices.ReRateUsage(past)).customers
    await re_rate(cli, model="unit", customer_id="acme")
    assert (await cost(cli, usage_id))[0] == 200
    assert (await cost(cli, estimate.usage_id))[0] == 50
    assert await changed() == [(2, 20), (1, 2)]
    assert (await verify(control.database)).violations == []


async def test_tiers_markups_and_every_attempt_count(control: RunningControl) -> None:
    """What was pinned stays: the markup, the tier; of two attempts only the wanted one gets a new price, also
    when it is done in two steps."""
    cli = await control.cli()
    spender = await spender_of(control)
    price, fallback = await unit_price(cli), await unit_price(cli, "fallback")
    usage = edge_pb2.Usage(input_tokens=10, service_tier="flex")
    record = await spender.record(price, usage=usage, cost_nanousd=12, markup_ppm=200_000)
    more = await spender.record(fallback, 5)
    record.attempts.append(more.attempts[0])
    record.attempts[1].number = 2
    record.cost_nanousd += 5
    assert await spender.settle(record) == [edge_pb2.POSTED]
    cheaper = RateTier(service_tier="flex", rates=Rates(input=500_000, output=0))
    await unit_price(cli, rates=Rates(input=1_000_000, output=0, tiers=[cheaper]))
    await re_rate(cli, model="unit")
    assert (await cost(cli, record.usage_id))[0] == 6 + 5
    await unit_price(cli, "fallback", DOUBLE)
    await re_rate(cli, model="fallback")
    assert (await cost(cli, record.usage_id))[0] == 6 + 10
    assert (await re_rate(cli))[0].changed_count == 0
    assert (await verify(control.database)).violations == []


async def test_own_prices_and_models_without_one(control: RunningControl) -> None:
    """A customer's own price corrects its own requests; what has no price now stays as it is."""
    cli = await control.cli()
    spender = await spender_of(control)
    provider = await make_provider(cli, "acme")
    own = Price(customer_id="acme", provider_id=provider.provider_id, model="own", rates=UNIT)
    made = await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    await spender.acquire(10)
    record = await spender.record(made, 10)
    await spender.settle(record)
    await cli.prices.DeletePrice(DeletePriceRequest(price_id=made.price_id))
    (done,) = await re_rate(cli)
    assert (done.request_count, done.changed_count, done.unpriced_count) == (1, 0, 1)
    own.rates.CopyFrom(DOUBLE)
    await cli.prices.CreatePrice(CreatePriceRequest(price=own))
    await re_rate(cli)
    assert (await cost(cli, record.usage_id))[0] == 20


async def test_a_long_period_goes_in_bounded_calls(control: RunningControl) -> None:
    """Pages over customers and requests look at each once, and a stale or foreign token is refused."""
    cli = await control.cli()
    price = await unit_price(cli)
    for slug in ("acme", "other", "third"):
        spender = await spender_of(control, slug)
        records = [await spender.record(price, 1) for _ in range(3)]
        await spender.settle(*records)
    await unit_price(cli, rates=DOUBLE)
    looked_at = changed = calls = 0
    token = ""
    while token or not calls:
        answer = await cli.prices.ReRateUsage(period(page_size=2, page_token=token))
        looked_at += sum(each.request_count for each in answer.customers)
        changed += sum(each.changed_count for each in answer.customers)
        token, calls = answer.next_page_token, calls + 1
    assert (looked_at, changed) == (9, 9)
    assert calls >= 5
    first = await cli.prices.ReRateUsage(period(page_size=2))
    with refused(Reason.INVALID_ARGUMENT):
        await cli.prices.ReRateUsage(period(page_token=first.next_page_token, model="unit"))
    assert (await verify(control.database)).violations == []


async def test_unusable_periods_are_refused(control: RunningControl) -> None:
    """Both ends are needed, in order; unknown customers; only operators may do it."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    no_start, no_end, empty = period(), period(), period()
    no_start.ClearField("start_time")
    no_end.ClearField("end_time")
    empty.end_time.CopyFrom(empty.start_time)
    negative = period(page_size=-1)
    far = period()
    far.end_time.CopyFrom(Timestamp(seconds=2**62))
    for request in (no_start, no_end, empty, negative, far):
        with refused(Reason.INVALID_ARGUMENT):
            await cli.prices.ReRateUsage(request)
    with refused(Reason.NOT_FOUND):
        await cli.prices.ReRateUsage(period(customer_id="nobody"))
    owner = (await control.person(acme, Role.OWNER)).client
    with refused(Reason.PERMISSION_DENIED):
        await owner.prices.ReRateUsage(period())


@pytest.mark.parametrize("limit", [150, 10_000])
async def test_alerts_and_room_follow_corrections(control: RunningControl, limit: int) -> None:
    """A correction reaches thresholds as any entry does."""
    cli = await control.cli()
    spender = await spender_of(control)
    budget = Budget(customer_id="acme", scope=Scope.SCOPE_CUSTOMER, limit_nanousd=limit, thresholds=[100])
    await cli.budgets.CreateBudget(CreateBudgetRequest(budget=budget))
    price = await unit_price(cli)
    await spender.spend(price, 100)
    await unit_price(cli, rates=DOUBLE)
    await re_rate(cli)
    counted = [
        replica.metrics.registry.get_sample_value(
            "tollkeeper_control_budget_alerts_total", {"scope": "customer"}
        )
        for replica in control.replicas
    ]
    assert sum(value or 0 for value in counted) == (1 if limit == 150 else 0)


async def sums(control: RunningControl) -> dict[tuple[Dimension, str], tuple[int, ...]]:
    """All of the sums by hour: cost, requests, model tokens in and out."""
    query = """
        SELECT dimension, value, sum(cost_nanousd), sum(request_count), sum(input_tokens), sum(output_tokens)
        FROM rollups GROUP BY 1, 2"""
    async with control.database.read() as connection:
        rows = await connection.execute(text(query))
    return {(Dimension(row[0]), row[1]): tuple(map(int, row[2:])) for row in rows}


async def test_corrections_reach_the_sums_of_every_dimension(control: RunningControl) -> None:
    """A5: key, user, team, customer, end user, tags, model and provider cost what the requests cost now, and
    count as many requests and tokens as before; again, when it is done again, nothing moves."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    user = await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="web")))
    provider = await make_provider(cli, "acme")
    key = await make_key(cli, "acme", user_id=user.user_id, team_id=team.team_id)
    spender = Spender(await control.edge(), key.raw_key)
    price = await unit_price(cli)
    await spender.acquire(1000)
    records = [await spender.record(price, cost) for cost in (100, 7)]
    for record in records:
        record.end_user, record.requested_model = "ann", "fast"
        record.tags.extend(["blue", "red"])
        record.attempts[0].provider_id = provider.provider_id
    assert await spender.settle(*records) == [edge_pb2.POSTED] * 2
    owners = [
        (Dimension.KEY, key.key.key_id),
        (Dimension.USER, user.user_id),
        (Dimension.TEAM, team.team_id),
        (Dimension.CUSTOMER, acme),
        (Dimension.END_USER, "ann"),
        (Dimension.TAG, "blue"),
        (Dimension.TAG, "red"),
        (Dimension.MODEL, "fast"),
        (Dimension.PROVIDER, provider.provider_id),
    ]
    assert {dimension for dimension, _ in owners} == set(Dimension)
    assert await sums(control) == dict.fromkeys(owners, (107, 2, 107, 0))
    await unit_price(cli, rates=DOUBLE)
    await re_rate(cli, dry_run=True)
    assert await sums(control) == dict.fromkeys(owners, (107, 2, 107, 0))
    for _ in range(2):
        await re_rate(cli)
        assert await sums(control) == dict.fromkeys(owners, (214, 2, 107, 0))
        assert (await verify(control.database)).violations == []
    assert await spender.settle(*records) == [edge_pb2.DUPLICATE] * 2
    await unit_price(cli, rates=Rates(input=500_000, output=0))
    await re_rate(cli)
    assert await sums(control) == dict.fromkeys(owners, (54, 2, 107, 0))
    assert (await verify(control.database)).violations == []


async def test_corrections_go_where_the_requests_were_counted(control: RunningControl) -> None:
    """What was beyond a day's cap is under (other) and stays there, whatever room the day has now."""
    cli = await control.cli()
    spender = await spender_of(control)
    price = await unit_price(cli)
    await spender.acquire(100)
    for end_user in ("ann", "bob", "eve"):
        record = await spender.record(price, 10)
        record.end_user = end_user
        await spender.settle(record)
    beyond = """
        UPDATE rollups SET value = '(other)', cost_nanousd = 20, request_count = 2, input_tokens = 20
        WHERE dimension = 5 AND value = 'bob'"""
    async with control.database.write() as connection:
        await connection.execute(text(beyond))
        await connection.execute(text("DELETE FROM rollups WHERE dimension = 5 AND value = 'eve'"))
    await unit_price(cli, rates=DOUBLE)
    await re_rate(cli)
    found = await sums(control)
    assert {value: amount for (dimension, value), amount in found.items() if dimension == 5} == {
        "ann": (20, 1, 10, 0),
        OTHER: (40, 2, 20, 0),
    }
