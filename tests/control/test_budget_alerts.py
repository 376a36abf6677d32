"""Alerts: a row once a window and threshold, written with the entries that reach it."""

from typing import Any

import pytest

from control.domain.identity import Role
from control.verify import verify
from tests.control.gateway import make_key, refused
from tests.control.harness import RunningControl
from tests.control.spending import Spender, unit_price
from tests.factories.tenants import Tenant, end_windows
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import (
    Budget,
    BudgetAlert,
    CreateBudgetRequest,
    ListBudgetAlertsRequest,
    Period,
    Scope,
    TopUpBudgetRequest,
    UpdateBudgetRequest,
)
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, DeleteTeamRequest, Team


async def budget_of(control: RunningControl, **fields: Any) -> Budget:
    given = {
        "customer_id": "acme",
        "scope": Scope.SCOPE_CUSTOMER,
        "limit_nanousd": 100,
        "thresholds": [50, 80, 100],
        **fields,
    }
    return await (await control.cli()).budgets.CreateBudget(CreateBudgetRequest(budget=Budget(**given)))


async def alerts(control: RunningControl, **chosen: Any) -> list[BudgetAlert]:
    request = ListBudgetAlertsRequest(customer_id="acme", **chosen)
    return list((await (await control.cli()).budgets.ListBudgetAlerts(request)).alerts)


@pytest.mark.parametrize("soft", [False, True])
async def test_a_threshold_alerts_once_in_a_window(control: RunningControl, soft: bool) -> None:
    """B3: soft budgets alert as hard ones do; what is passed in one step alerts for each threshold."""
    cli = await control.cli()
    await control.customer("acme")
    budget = await budget_of(control, soft=soft, period=Period.PERIOD_DAILY)
    spender = Spender(await control.edge(), (await make_key(cli, "acme")).raw_key)
    price = await unit_price(cli)
    await spender.spend(price, 49)
    assert await alerts(control) == []
    await spender.spend(price, 1)
    (half,) = await alerts(control)
    assert (half.threshold_percent, half.spent_nanousd, half.limit_nanousd) == (50, 50, 100)
    assert (half.scope, half.scope_id, half.soft) == (budget.scope, budget.scope_id, soft)
    assert (half.start_time, half.end_time) == (budget.window.start_time, budget.window.end_time)
    await spender.spend(price, 50)
    *both, first = await alerts(control)
    assert sorted(each.threshold_percent for each in both) == [80, 100], "of one transaction, in any order"
    assert first == half
    assert _counted(control) == 3

    await end_windows(control.database, Tenant(customer_id=budget.customer_id))
    await spender.spend(price, 60)
    newest = (await alerts(control))[0]
    assert (newest.threshold_percent, newest.spent_nanousd) == (50, 60)
    assert newest.start_time != half.start_time
    assert len(await alerts(control)) == 4
    assert (await verify(control.database)).violations == []


async def test_a_changed_limit_moves_the_thresholds_that_are_to_come(control: RunningControl) -> None:
    """Per cent are of the window's limit, top-ups included; no threshold is told of twice."""
    cli = await control.cli()
    await control.customer("acme")
    budget = await budget_of(control)
    named = {"customer_id": budget.customer_id, "budget_id": budget.budget_id}
    spender = Spender(await control.edge(), (await make_key(cli, "acme")).raw_key)
    price = await unit_price(cli)
    await spender.spend(price, 50)
    await cli.budgets.TopUpBudget(TopUpBudgetRequest(**named, amount_nanousd=100))
    await spender.spend(price, 50)
    assert [each.threshold_percent for each in await alerts(control)] == [50]
    await spender.spend(price, 60)
    shown = [(each.threshold_percent, each.limit_nanousd) for each in await alerts(control)]
    assert shown == [(80, 200), (50, 100)]
    raised = Budget(**named, thresholds=[70, 85])
    await cli.budgets.UpdateBudget(UpdateBudgetRequest(budget=raised))
    await spender.spend(price, 10)
    assert [each.threshold_percent for each in await alerts(control)] == [85, 80, 50]


async def test_alerts_of_every_budget_above_a_key(control: RunningControl) -> None:
    """One record reaches thresholds of several budgets; they are listed together, or of one budget."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    key = await make_key(cli, "acme", team_id=team.team_id)
    of_customer = await budget_of(control, thresholds=[90])
    of_team = await budget_of(control, scope=Scope.SCOPE_TEAM, scope_id=team.team_id, thresholds=[95])
    spender = Spender(await control.edge(), key.raw_key)
    await spender.spend(await unit_price(cli), 95)
    assert {each.budget_id for each in await alerts(control)} == {of_customer.budget_id, of_team.budget_id}
    (one,) = await alerts(control, budget_id=of_team.budget_id)
    assert (one.scope, one.threshold_percent) == (Scope.SCOPE_TEAM, 95)
    first = ListBudgetAlertsRequest(customer_id="acme", page_size=1)
    page = await cli.budgets.ListBudgetAlerts(first)
    first.page_token = page.next_page_token
    assert (await cli.budgets.ListBudgetAlerts(first)).alerts[0] != page.alerts[0]
    # A budget that ended with its team keeps its alerts.
    await cli.teams.DeleteTeam(DeleteTeamRequest(customer_id=acme, team_id=team.team_id))
    assert await alerts(control, budget_id=of_team.budget_id) == [one]
    with refused(Reason.NOT_FOUND):
        await alerts(control, budget_id=str(uuid7()))
    member = (await control.person(acme, Role.MEMBER)).client
    with refused(Reason.PERMISSION_DENIED):
        await member.budgets.ListBudgetAlerts(ListBudgetAlertsRequest())


def _counted(control: RunningControl) -> float:
    values = [
        replica.metrics.registry.get_sample_value(
            "tollkeeper_control_budget_alerts_total", {"scope": "customer"}
        )
        for replica in control.replicas
    ]
    return sum(value or 0 for value in values)
