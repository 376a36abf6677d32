"""Top-ups: one window of a budget gets more than the budget's limit, and no other window does."""

import asyncio
from typing import Any

import pytest

from control.domain.budgets import MAX_TOP_UPS
from control.domain.identity import Role
from control.store.tables import budget_top_ups
from control.verify import verify
from tests.control.gateway import changes, make_key, refused
from tests.control.harness import RunningControl
from tests.control.spending import Spender, pushes, unit_price
from tests.factories.tenants import Tenant, end_windows
from tollkeeper.errors import Reason
from tollkeeper.money import MAX_NANOUSD
from tollkeeper.v1.budgets_pb2 import (
    Budget,
    BudgetTopUp,
    CreateBudgetRequest,
    DeleteBudgetRequest,
    GetBudgetRequest,
    ListTopUpsRequest,
    Period,
    Scope,
    TopUpBudgetRequest,
)


async def monthly(control: RunningControl, limit: int = 100) -> Budget:
    """A monthly budget of the customer acme, which is made here."""
    await control.customer("acme")
    budget = Budget(
        customer_id="acme",
        scope=Scope.SCOPE_CUSTOMER,
        limit_nanousd=limit,
        period=Period.PERIOD_MONTHLY,
    )
    return await (await control.cli()).budgets.CreateBudget(CreateBudgetRequest(budget=budget))


def of(budget: Budget, amount: int, **fields: Any) -> TopUpBudgetRequest:
    return TopUpBudgetRequest(
        customer_id=budget.customer_id, budget_id=budget.budget_id, amount_nanousd=amount, **fields
    )


async def listed(control: RunningControl, budget: Budget) -> list[BudgetTopUp]:
    request = ListTopUpsRequest(customer_id=budget.customer_id, budget_id=budget.budget_id)
    return list((await (await control.cli()).budgets.ListTopUps(request)).top_ups)


async def test_a_top_up_raises_one_window_and_no_later_one(control: RunningControl) -> None:
    """B3: a spent budget serves again at once, without a stale grant; the next window has the old limit."""
    cli, edge = await control.cli(), await control.edge()
    budget = await monthly(control)
    spender = Spender(edge, (await make_key(cli, "acme")).raw_key)
    price = await unit_price(cli)
    await spender.spend(price, 90)
    with refused(Reason.INSUFFICIENT_QUOTA):
        await spender.acquire(50)
    async with changes(control, budget.customer_id) as told:
        topped_up = await cli.budgets.TopUpBudget(of(budget, 50, note="a busy week"))
    assert not told["changed"], "nothing of the chain has changed"
    assert (topped_up.limit_nanousd, topped_up.top_up_nanousd) == (100, 50)
    assert (topped_up.window.limit_nanousd, topped_up.window.spent_nanousd) == (150, 90)
    assert topped_up.window.HasField("end_time"), "the next reset"
    (window,) = (await spender.acquire(50)).windows
    assert window.limit_nanousd == 150
    with refused(Reason.INSUFFICIENT_QUOTA) as refusal:
        await spender.acquire(61)
    assert (refusal.metadata["limit_nanousd"], refusal.metadata["fits_nanousd"]) == ("150", "60")

    await end_windows(control.database, Tenant(customer_id=budget.customer_id))
    named = GetBudgetRequest(customer_id="acme", budget_id=budget.budget_id)
    later = await cli.budgets.GetBudget(named)
    assert (later.top_up_nanousd, later.window.limit_nanousd) == (0, 100)
    with refused(Reason.INSUFFICIENT_QUOTA):
        await spender.acquire(101)
    await spender.acquire(100)
    (row,) = await listed(control, budget)
    assert (row.amount_nanousd, row.total_nanousd, row.note) == (50, 50, "a busy week")
    assert row.start_time == topped_up.window.start_time
    assert row.created_by == "cli"
    assert (await verify(control.database)).violations == []


async def test_a_mistake_can_be_taken_back(control: RunningControl) -> None:
    """A negative amount, down to the budget's own limit; it resets no spend, and the limit holds again."""
    cli, edge = await control.cli(), await control.edge()
    budget = await monthly(control)
    spender = Spender(edge, (await make_key(cli, "acme")).raw_key)
    price = await unit_price(cli)
    await cli.budgets.TopUpBudget(of(budget, 1000))
    await spender.spend(price, 300)
    with refused(Reason.INVALID_ARGUMENT):
        await cli.budgets.TopUpBudget(of(budget, -1001))
    shown = await cli.budgets.TopUpBudget(of(budget, -1000))
    assert (shown.top_up_nanousd, shown.window.spent_nanousd) == (0, 300)
    with refused(Reason.INSUFFICIENT_QUOTA):
        await spender.acquire(1)
    assert [row.total_nanousd for row in await listed(control, budget)] == [0, 1000]
    assert (await verify(control.database)).violations == []


async def test_a_repeated_top_up_counts_once(control: RunningControl) -> None:
    """The same request_id gives the first answer; concurrent ones add up without losing any."""
    cli = await control.cli()
    budget = await monthly(control)
    first = await cli.budgets.TopUpBudget(of(budget, 5, request_id="r"))
    assert await cli.budgets.TopUpBudget(of(budget, 5, request_id="r")) == first
    with refused(Reason.REQUEST_ID_REUSED):
        await cli.budgets.TopUpBudget(of(budget, 6, request_id="r"))
    await asyncio.gather(*(cli.budgets.TopUpBudget(of(budget, 10)) for _ in range(5)))
    assert [row.total_nanousd for row in await listed(control, budget)] == [55, 45, 35, 25, 15, 5]
    page = ListTopUpsRequest(customer_id="acme", budget_id=budget.budget_id, page_size=4)
    answer = await cli.budgets.ListTopUps(page)
    page.page_token = answer.next_page_token
    rest = await cli.budgets.ListTopUps(page)
    assert [row.number for row in (*answer.top_ups, *rest.top_ups)] == [6, 5, 4, 3, 2, 1]
    assert not rest.next_page_token


async def test_edges_forget_refusals(control: RunningControl) -> None:
    """L9: a top-up is pushed as room, so that no edge goes on refusing from memory."""
    cli = await control.cli()
    budget = await monthly(control)
    async with pushes(await control.edge()) as heard:
        await cli.budgets.TopUpBudget(of(budget, 5))
        while not (message := await asyncio.wait_for(heard.get(), 20)).HasField("room"):
            continue
    assert (message.room.customer_id, message.room.budget_id) == (budget.customer_id, budget.budget_id)


@pytest.mark.parametrize("amount", [0, -1, MAX_NANOUSD + 1, 2**63 - 1, -(2**63)])
async def test_unusable_amounts_are_refused(control: RunningControl, amount: int) -> None:
    """Nothing, less than was given, and more than a billion dollars, up to the ends of int64."""
    budget = await monthly(control)
    with refused(Reason.INVALID_ARGUMENT):
        await (await control.cli()).budgets.TopUpBudget(of(budget, amount))
    assert await listed(control, budget) == []


async def test_only_what_is_there_can_be_topped_up(control: RunningControl) -> None:
    """Unknown, foreign and deleted budgets answer alike; notes are bounded; so is the number of top-ups."""
    cli = await control.cli()
    budget = await monthly(control)
    other = await control.customer("other")
    manager = (await control.person(other.customer_id, Role.MANAGER)).client
    for customer_id in (other.customer_id, "acme", ""):
        request = of(budget, 5)
        request.customer_id = customer_id
        with refused(Reason.NOT_FOUND):
            await manager.budgets.TopUpBudget(request)
        with refused(Reason.NOT_FOUND):
            await manager.budgets.ListTopUps(
                ListTopUpsRequest(customer_id=customer_id, budget_id=budget.budget_id)
            )
    member = (await control.person(budget.customer_id, Role.MEMBER)).client
    with refused(Reason.PERMISSION_DENIED):
        await member.budgets.TopUpBudget(of(budget, 5))
    for note in ("x" * 201, "a\x07bell"):
        with refused(Reason.INVALID_ARGUMENT):
            await cli.budgets.TopUpBudget(of(budget, 5, note=note))
    row = {"customer_id": budget.customer_id, "budget_id": budget.budget_id, "amount_nanousd": 1}
    start = budget.window.start_time.ToDatetime()
    async with control.database.write() as connection:
        await connection.execute(
            budget_top_ups.insert(),
            [
                {**row, "number": number, "start_time": start, "total_nanousd": number}
                for number in range(1, MAX_TOP_UPS + 1)
            ],
        )
    with refused(Reason.INVALID_ARGUMENT):
        await cli.budgets.TopUpBudget(of(budget, 5))
    named = DeleteBudgetRequest(customer_id="acme", budget_id=budget.budget_id)
    await cli.budgets.DeleteBudget(named)
    with refused(Reason.NOT_FOUND):
        await cli.budgets.TopUpBudget(of(budget, 5))
    assert len(await listed(control, budget)) == 50, "history stays"
