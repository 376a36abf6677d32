"""The edge's ledger against the real control plane and PostgreSQL, without HTTP: budgets under load, to the
end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control.verify import verify
from edge.admission import AttemptPlan, Ledger, LedgerSettings, UsageState
from edge.control_link import open_channel
from tests.control.harness import RunningControl, running_control
from tests.edge.conftest import until
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1 import (
    budgets_pb2,
    keys_pb2,
    price_plans_pb2,
    prices_pb2,
    providers_pb2,
    routers_pb2,
    usage_pb2,
)

MODEL = "gpt-4o-mini"
# 600 nano-dollars an output token; holds are for exactly what will be used.
TOKENS = 1000
HOLD_NANOUSD = 600_000
NONE = budgets_pb2.Period.PERIOD_NONE


@dataclass
class Stand:
    """A control plane, a customer with one provider and router, and workers over one data directory."""

    control: RunningControl
    customer_id: str
    router_id: str
    data_dir: Path
    stack: AsyncExitStack

    async def key(self, limit_nanousd: int | None = None) -> str:
        """The secret of a new key."""
        key = keys_pb2.Key(customer_id=self.customer_id, router_id=self.router_id, name="key")
        budget = budgets_pb2.InitialBudget(limit_nanousd=limit_nanousd, period=NONE)
        request = keys_pb2.CreateKeyRequest(key=key, budget=budget)
        return str((await (await self.control.cli()).keys.CreateKey(request)).raw_key)

    async def worker(self, **settings: Any) -> Ledger:
        """A worker's ledger, drained and closed in the end."""
        channel = open_channel(self.control.addresses)
        self.stack.push_async_callback(channel.close)
        ledger = Ledger(LedgerSettings(self.data_dir, **settings), channel, self.control.edge_secret)
        await ledger.start()
        self.stack.push_async_callback(ledger.close)
        await until(lambda: len(ledger.prices))
        return ledger

    async def violations(self) -> list[Any]:
        """What `ledger verify` finds."""
        return list((await verify(self.control.database)).violations)


@pytest.fixture
async def stand(database_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    """A customer without a budget."""
    async with standing(database_url, tmp_path) as stand:
        yield stand


@asynccontextmanager
async def standing(
    database_url: str, data_dir: Path, limit_nanousd: int | None = None
) -> AsyncIterator[Stand]:
    """A control plane with a customer."""
    async with running_control(database_url, data_dir) as control, AsyncExitStack() as stack:
        cli = await control.cli()
        customer = await control.customer("acme", limit_nanousd)
        provider = providers_pb2.Provider(
            customer_id=customer.customer_id, name="main", provider_type="openai", credential="sk-vendor"
        )
        made = await cli.providers.CreateProvider(providers_pb2.CreateProviderRequest(provider=provider))
        rule = routers_pb2.RoutingRule(provider_id=made.provider_id, priority=1)
        router = routers_pb2.Router(customer_id=customer.customer_id, name="r", rules=[rule])
        routed = await cli.routers.CreateRouter(routers_pb2.CreateRouterRequest(router=router))
        rates = prices_pb2.Rates(input=150_000_000, output=600_000_000)
        price = prices_pb2.Price(provider_type="openai", model=MODEL, rates=rates)
        await cli.prices.CreatePrice(prices_pb2.CreatePriceRequest(price=price))
        yield Stand(control, customer.customer_id, routed.router_id, data_dir, stack)


async def request(ledger: Ledger, secret: str, tokens: int = TOKENS, hold_nanousd: int = HOLD_NANOUSD) -> str:
    """One request; says what became of it."""
    try:
        grant = await ledger.authorize(secret)
        price = ledger.price(grant, grant.rules[0], MODEL)
        assert price is not None
        plan = AttemptPlan(grant.rules[0], MODEL, price, hold_nanousd)
        opened = await ledger.begin(grant, plan, requested_model=MODEL, stream=False)
    except TollkeeperError as refused:
        return refused.reason_name
    try:
        await asyncio.sleep(0.005)
        usage = UsageCounts(output_tokens=tokens)
        opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=usage)
    finally:
        ledger.finish(opened)
    return "served"


async def spend_until_refused(ledgers: list[Ledger], secrets: list[str], limit_nanousd: int) -> int:
    """Bursts of two hundred until a lone request is refused for good; returns the share spent, in percent."""
    served: Counter[str] = Counter()
    for _ in range(20):
        served.update(
            await asyncio.gather(
                *(
                    request(ledgers[number % len(ledgers)], secrets[number % len(secrets)])
                    for number in range(200)
                )
            )
        )
        if await request(ledgers[0], secrets[0]) == "INSUFFICIENT_QUOTA":
            break
        served["served"] += 1
    else:
        raise AssertionError(f"never refused: {served}")
    assert set(served) <= {"served", "INSUFFICIENT_QUOTA", "BUDGET_HELD"}
    spent_nanousd = served["served"] * HOLD_NANOUSD
    assert spent_nanousd <= limit_nanousd
    return spent_nanousd * 100 // limit_nanousd


async def drain(ledgers: list[Ledger]) -> None:
    """Ends every worker as a shutdown does."""
    assert all(await asyncio.gather(*(ledger.drain(10) for ledger in ledgers)))


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_small_key_budget_is_spent_and_never_passed(stand: Stand, workers: int) -> None:
    """Two hundred at once on a $0.01 key, again and again: at least 90 % spent, never more than the limit."""
    secret = await stand.key(10_000_000)
    ledgers = [await stand.worker() for _ in range(workers)]
    assert await spend_until_refused(ledgers, [secret], 10_000_000) >= 90
    await drain(ledgers)
    assert await stand.violations() == []


async def test_five_keys_share_a_customers_budget(database_url: str, tmp_path: Path) -> None:
    """Four workers and five keys under one $0.01 budget use it up to nine tenths, and not past it."""
    async with standing(database_url, tmp_path, limit_nanousd=10_000_000) as stand:
        secrets = [await stand.key() for _ in range(5)]
        ledgers = [await stand.worker() for _ in range(4)]
        assert await spend_until_refused(ledgers, secrets, 10_000_000) >= 90
        await drain(ledgers)
        assert await stand.violations() == []


async def test_a_warm_key_costs_few_calls(stand: Stand) -> None:
    """Four thousand requests under a large budget: one call for some fifty of them, settlement included."""
    secret = await stand.key(10**12)
    ledger = await stand.worker()

    async def client() -> None:
        for _ in range(250):
            assert await request(ledger, secret) == "served"

    await asyncio.gather(*(client() for _ in range(16)))
    assert await ledger.settler.flush(10)
    calls = sum(ledger.link.calls.values())
    assert calls <= 80, ledger.link.calls
    await drain([ledger])
    assert await stand.violations() == []


async def test_a_raised_limit_and_a_new_budget_act(stand: Stand) -> None:
    """A refused key serves again when its limit is raised, and an unlimited one stops when it gets a
    budget."""
    limited, unlimited = await stand.key(600_000), await stand.key()
    ledger = await stand.worker()
    assert await request(ledger, limited) == "served"
    assert await request(ledger, limited) == "INSUFFICIENT_QUOTA"
    assert await request(ledger, unlimited) == "served"
    cli = await stand.control.cli()
    grant = await ledger.authorize(limited)
    listed = await cli.budgets.ListBudgets(budgets_pb2.ListBudgetsRequest(customer_id=stand.customer_id))
    (budget,) = [budget for budget in listed.budgets if budget.scope_id == grant.key_id]
    budget.limit_nanousd = 60_000_000
    update = budgets_pb2.UpdateBudgetRequest(budget=budget)
    update.update_mask.paths.append("limit_nanousd")
    await cli.budgets.UpdateBudget(update)
    for _ in range(40):
        if await request(ledger, limited) == "served":
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("still refused two seconds after the limit was raised")
    other = await ledger.authorize(unlimited)
    made = budgets_pb2.Budget(
        customer_id=stand.customer_id,
        scope=budgets_pb2.Scope.SCOPE_KEY,
        scope_id=other.key_id,
        limit_nanousd=1,
        period=NONE,
    )
    await cli.budgets.CreateBudget(budgets_pb2.CreateBudgetRequest(budget=made))
    for _ in range(60):
        if await request(ledger, unlimited) == "INSUFFICIENT_QUOTA":
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("still unlimited three seconds after it got a budget")
    await drain([ledger])
    assert await stand.violations() == []


async def test_a_dead_workers_journal_is_replayed(stand: Stand) -> None:
    """Requests of a worker that never said goodbye are posted by the next one, and its leases are freed."""
    secret = await stand.key(10**9)
    dead = await stand.worker(settle_interval_s=600.0)
    for _ in range(5):
        assert await request(dead, secret) == "served"
    grant = await dead.authorize(secret)
    price = dead.price(grant, grant.rules[0], MODEL)
    assert price is not None
    plan = AttemptPlan(grant.rules[0], MODEL, price, HOLD_NANOUSD)
    opened = await dead.begin(grant, plan, requested_model=MODEL, stream=False)
    await dead.close()
    opened.finished = True
    heir = await stand.worker(adopt_interval_s=0.2)
    await until(lambda: heir.replayer.counts.journals == 1)
    await until(lambda: not [p for p in heir.journal.path.parent.iterdir() if p.name == dead.incarnation_id])
    cli = await stand.control.cli()
    key = await cli.keys.GetKey(keys_pb2.GetKeyRequest(customer_id=stand.customer_id, key_id=grant.key_id))
    assert key.spend_nanousd == 6 * HOLD_NANOUSD
    await drain([heir])
    assert await stand.violations() == []


async def test_a_markup_goes_from_plan_to_booked_cost(stand: Stand) -> None:
    """L16: held and billed with the plan's markup for the model, pinned in the record, booked as the edge
    said."""
    cli = await stand.control.cli()
    markup = price_plans_pb2.ModelMarkup(pattern="gpt-4o*", markup_ppm=500_000)
    plan = price_plans_pb2.PricePlan(name="resale", markup_ppm=7, model_markups=[markup], granted_to_all=True)
    await cli.price_plans.CreatePricePlan(price_plans_pb2.CreatePricePlanRequest(price_plan=plan))
    ledger = await stand.worker()
    secret = await stand.key(1_500_000)
    grant = await ledger.authorize(secret)
    price = ledger.price(grant, grant.rules[0], MODEL)
    assert price is not None
    assert price.worst.cost_nanousd(0, TOKENS) == 900_000
    assert [await request(ledger, secret, hold_nanousd=900_000) for _ in range(2)] == [
        "served",
        "INSUFFICIENT_QUOTA",
    ]
    await until(lambda: ledger.settler.outcomes)
    usage = await cli.usage.ListUsage(usage_pb2.ListUsageRequest(customer_id=stand.customer_id))
    assert usage.usage[0].cost_nanousd == 900_000
    mismatches = stand.control.replicas[0].metrics.registry.get_sample_value(
        "tollkeeper_control_cost_mismatch_total"
    )
    assert not mismatches
    assert await stand.violations() == []
