"""BudgetsService over real gRPC and a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import insert

from clients.control import ControlClient
from control.domain.budgets import FOREVER, MAX_BUDGETS_PER_SCOPE
from control.domain.identity import Role
from control.store.tables import windows
from tests.control.gateway import authorize, changes, make_key, refused
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason
from tollkeeper.ids import uuid7
from tollkeeper.v1.budgets_pb2 import (
    Budget,
    CreateBudgetRequest,
    DeleteBudgetRequest,
    GetBudgetRequest,
    ListBudgetsRequest,
    Period,
    Scope,
    TopUpBudgetRequest,
    UpdateBudgetRequest,
)
from tollkeeper.v1.customers_pb2 import Customer, UpdateCustomerRequest
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, DeleteTeamRequest, Team
from tollkeeper.v1.users_pb2 import DeleteUserRequest

CUSTOMER, TEAM, USER, KEY = Scope.SCOPE_CUSTOMER, Scope.SCOPE_TEAM, Scope.SCOPE_USER, Scope.SCOPE_KEY


async def make_budget(client: ControlClient, scope: Scope, scope_id: str = "", **fields: Any) -> Budget:
    given = {"customer_id": "acme", "limit_nanousd": 1000, **fields}
    budget = Budget(scope=scope, scope_id=scope_id, **given)
    return await client.budgets.CreateBudget(CreateBudgetRequest(budget=budget))


async def open_window(
    control: RunningControl, budget: Budget, start: datetime, end: datetime, spent: int, held: int = 0
) -> None:
    """A window as the ledger makes them."""
    async with control.database.write() as connection:
        await connection.execute(
            insert(windows).values(
                customer_id=budget.customer_id,
                budget_id=budget.budget_id,
                start_time=start,
                end_time=end,
                scope=budget.scope,
                spent_nanousd=spent,
                held_nanousd=held,
            )
        )


async def test_every_change_makes_grants_of_the_whole_chain_stale(control: RunningControl) -> None:
    """L3: on key, user, team and customer, making, changing and ending a budget raises the chain's
    version."""
    cli, edge = await control.cli(), await control.edge()
    acme = (await control.customer("acme")).customer_id
    user = await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    key = await make_key(cli, acme, user_id=user.user_id, team_id=team.team_id)
    grant = await authorize(edge, key.raw_key)
    assert grant.unlimited
    for scope, scope_id in (
        (CUSTOMER, ""),
        (TEAM, team.team_id),
        (USER, user.user_id),
        (KEY, key.key.key_id),
    ):
        async with changes(control, acme) as told:
            budget = await make_budget(cli, scope, scope_id)
        assert told["changed"]
        made = await authorize(edge, key.raw_key)
        assert (made.chain_version, made.unlimited) == (grant.chain_version + 1, False)
        budget.soft = True
        await cli.budgets.UpdateBudget(
            UpdateBudgetRequest(budget=budget, update_mask=FieldMask(paths=["soft"]))
        )
        softened = await authorize(edge, key.raw_key)
        assert (softened.chain_version, softened.unlimited) == (grant.chain_version + 2, True)
        named = DeleteBudgetRequest(customer_id=acme, budget_id=budget.budget_id)
        deleted = await cli.budgets.DeleteBudget(named)
        assert deleted.HasField("delete_time")
        grant = await authorize(edge, key.raw_key)
        assert grant.chain_version == made.chain_version + 2
        with refused(Reason.NOT_FOUND):
            await cli.budgets.DeleteBudget(named)
        assert await cli.budgets.GetBudget(GetBudgetRequest(**_name(budget))) == deleted


async def test_a_budget_shows_the_window_in_force(control: RunningControl) -> None:
    """Before the first request it is empty, by the customer's calendar; then it is what the ledger has."""
    cli = await control.cli()
    customer = await control.customer("acme")
    zoned = Customer(customer_id="acme", time_zone="Asia/Kolkata")
    await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=zoned))
    budget = await make_budget(cli, CUSTOMER, "acme", period=Period.PERIOD_DAILY, thresholds=[90, 50, 90])
    assert (budget.scope_id, list(budget.thresholds)) == (customer.customer_id, [50, 90])
    start, end = (t.ToDatetime(tzinfo=UTC) for t in (budget.window.start_time, budget.window.end_time))
    assert (start.hour, start.minute, end - start) == (18, 30, timedelta(days=1))
    assert start <= datetime.now(UTC) < end
    endless = await make_budget(cli, CUSTOMER)
    assert endless.period == Period.PERIOD_NONE
    assert endless.window.start_time == endless.create_time
    assert not endless.window.HasField("end_time")

    await open_window(control, budget, start - timedelta(days=1), start, spent=9)
    await open_window(control, budget, start, end, spent=5, held=2)
    shown = await cli.budgets.GetBudget(GetBudgetRequest(**_name(budget)))
    assert (shown.window.spent_nanousd, shown.window.held_nanousd) == (5, 2)
    assert shown.window.end_time == budget.window.end_time


async def test_changes_leave_spend_and_the_present_window_alone(control: RunningControl) -> None:
    """L2: a new limit acts at once on the same window; a new period acts when that window ends."""
    cli = await control.cli()
    await control.customer("acme")
    budget = await make_budget(cli, CUSTOMER, period=Period.PERIOD_MONTHLY)
    start, end = (t.ToDatetime(tzinfo=UTC) for t in (budget.window.start_time, budget.window.end_time))
    await open_window(control, budget, start, end, spent=5)
    changed = Budget(**_name(budget), limit_nanousd=3, period=Period.PERIOD_DAILY)
    shown = await cli.budgets.UpdateBudget(UpdateBudgetRequest(budget=changed))
    assert (shown.limit_nanousd, shown.period) == (3, Period.PERIOD_DAILY)
    assert shown.window.spent_nanousd == 5
    assert shown.window.end_time == budget.window.end_time


async def test_an_endless_window_ends_with_the_first_period(control: RunningControl) -> None:
    """Without an end a new period would never act; what was spent counts until then."""
    cli = await control.cli()
    await control.customer("acme")
    budget = await make_budget(cli, CUSTOMER)
    await open_window(control, budget, budget.create_time.ToDatetime(tzinfo=UTC), FOREVER, spent=5)
    monthly = Budget(**_name(budget), period=Period.PERIOD_MONTHLY)
    shown = await cli.budgets.UpdateBudget(UpdateBudgetRequest(budget=monthly))
    assert shown.window.spent_nanousd == 5
    end = shown.window.end_time.ToDatetime(tzinfo=UTC)
    assert end.day == 1
    assert datetime.now(UTC) < end <= datetime.now(UTC) + timedelta(days=31)


async def test_a_scope_has_a_bounded_number_of_budgets(control: RunningControl) -> None:
    """L1: eight; ended ones don't count."""
    cli = await control.cli()
    await control.customer("acme")
    budgets = [await make_budget(cli, CUSTOMER) for _ in range(MAX_BUDGETS_PER_SCOPE)]
    with refused(Reason.INVALID_ARGUMENT):
        await make_budget(cli, CUSTOMER)
    await cli.budgets.DeleteBudget(DeleteBudgetRequest(**_name(budgets[0])))
    added = await make_budget(cli, CUSTOMER)
    key = (await make_key(cli, "acme", limit_nanousd=1)).key
    listed = await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="acme"))
    assert list(listed.budgets) == [*budgets[1:], added, *key.budgets]
    of_key = ListBudgetsRequest(customer_id="acme", scope=KEY, scope_id=key.key_id)
    assert list((await cli.budgets.ListBudgets(of_key)).budgets) == list(key.budgets)
    of_customer = ListBudgetsRequest(customer_id="acme", scope=CUSTOMER, scope_id="acme", page_size=3)
    page = await cli.budgets.ListBudgets(of_customer)
    assert list(page.budgets) == budgets[1:4]
    of_customer.page_token = page.next_page_token
    assert list((await cli.budgets.ListBudgets(of_customer)).budgets) == budgets[4:7]


async def test_budgets_end_with_what_they_limit(control: RunningControl) -> None:
    """Of a revoked key, a deleted user and a deleted team; they stay readable, and the customer's stays."""
    cli = await control.cli()
    acme = (await control.customer("acme")).customer_id
    kept = await make_budget(cli, CUSTOMER)
    user = await control.person(acme, Role.MEMBER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id=acme, name="Search")))
    key = await make_key(cli, acme, limit_nanousd=5)
    of_team = await make_budget(cli, TEAM, team.team_id)
    of_user = await make_budget(cli, USER, user.user_id)
    named = {"customer_id": acme}
    await cli.keys.RevokeKey(RevokeKeyRequest(**named, key_id=key.key.key_id))
    await cli.users.DeleteUser(DeleteUserRequest(**named, user_id=user.user_id))
    await cli.teams.DeleteTeam(DeleteTeamRequest(**named, team_id=team.team_id))
    assert list((await cli.budgets.ListBudgets(ListBudgetsRequest(**named))).budgets) == [kept]
    for budget in (key.key.budgets[0], of_team, of_user):
        ended = await cli.budgets.GetBudget(GetBudgetRequest(**_name(budget)))
        assert ended.HasField("delete_time")


async def test_unusable_budgets_are_refused(control: RunningControl) -> None:
    """Limits, periods, thresholds and scopes out of range; scopes of another customer are as good as none."""
    cli = await control.cli()
    await control.customer("acme")
    await control.customer("other")
    foreign = (await make_key(cli, "other")).key.key_id
    unusable: list[tuple[Scope, str, dict[str, Any], Reason]] = [
        (CUSTOMER, "", {"limit_nanousd": 0}, Reason.INVALID_ARGUMENT),
        (CUSTOMER, "", {"limit_nanousd": -1}, Reason.INVALID_ARGUMENT),
        (CUSTOMER, "", {"limit_nanousd": 2**62}, Reason.INVALID_ARGUMENT),
        (CUSTOMER, "", {"period": 9}, Reason.INVALID_ARGUMENT),
        (CUSTOMER, "", {"thresholds": [0]}, Reason.INVALID_ARGUMENT),
        (CUSTOMER, "", {"thresholds": range(1, 12)}, Reason.INVALID_ARGUMENT),
        (Scope.SCOPE_UNSPECIFIED, str(uuid7()), {}, Reason.INVALID_ARGUMENT),
        (KEY, "", {}, Reason.INVALID_ARGUMENT),
        (KEY, "nonsense", {}, Reason.NOT_FOUND),
        (KEY, foreign, {}, Reason.NOT_FOUND),
        (USER, foreign, {}, Reason.NOT_FOUND),
        (CUSTOMER, "other", {}, Reason.NOT_FOUND),
    ]
    for scope, scope_id, fields, reason in unusable:
        with refused(reason):
            await make_budget(cli, scope, scope_id, **fields)
    assert not (await cli.budgets.ListBudgets(ListBudgetsRequest(customer_id="acme"))).budgets


async def test_stale_etags_are_refused(control: RunningControl) -> None:
    """A change that was made from an older reading doesn't undo a newer one."""
    cli = await control.cli()
    await control.customer("acme")
    budget = await make_budget(cli, CUSTOMER)
    await cli.budgets.UpdateBudget(UpdateBudgetRequest(budget=Budget(**_name(budget), limit_nanousd=7)))
    with refused(Reason.ETAG_MISMATCH):
        budget.limit_nanousd = 9
        await cli.budgets.UpdateBudget(
            UpdateBudgetRequest(budget=budget, update_mask=FieldMask(paths=["limit_nanousd"]))
        )
    with refused(Reason.ETAG_MISMATCH):
        await cli.budgets.DeleteBudget(DeleteBudgetRequest(**_name(budget), etag=budget.etag))


async def test_members_neither_see_nor_change_budgets(control: RunningControl) -> None:
    """Who is limited can't lift the limit; an administrator can."""
    acme = (await control.customer("acme")).customer_id
    member = await control.person(acme, Role.MEMBER)
    admin = (await control.person(acme, Role.ADMIN)).client
    budget = await make_budget(admin, USER, scope_id=member.user_id)
    raised = UpdateBudgetRequest(budget=Budget(**_name(budget), limit_nanousd=9))
    with refused(Reason.PERMISSION_DENIED):
        await member.client.budgets.ListBudgets(ListBudgetsRequest())
    with refused(Reason.PERMISSION_DENIED):
        await member.client.budgets.UpdateBudget(raised)
    with refused(Reason.PERMISSION_DENIED):
        await make_budget(member.client, USER, scope_id=member.user_id)
    assert (await admin.budgets.UpdateBudget(raised)).limit_nanousd == 9


async def test_only_operators_change_what_a_whole_customer_may_spend(control: RunningControl) -> None:
    """The platform's limit on a customer: its own people see it, and neither lift, raise nor end it."""
    acme = (await control.customer("acme", budget_nanousd=5)).customer_id
    owner = (await control.person(acme, Role.OWNER)).client
    (budget,) = (await owner.budgets.ListBudgets(ListBudgetsRequest())).budgets
    raised = UpdateBudgetRequest(budget=Budget(**_name(budget), limit_nanousd=9))
    with refused(Reason.PERMISSION_DENIED):
        await owner.budgets.UpdateBudget(raised)
    with refused(Reason.PERMISSION_DENIED):
        await owner.budgets.TopUpBudget(TopUpBudgetRequest(**_name(budget), amount_nanousd=9))
    with refused(Reason.PERMISSION_DENIED):
        await owner.budgets.DeleteBudget(DeleteBudgetRequest(**_name(budget)))
    with refused(Reason.PERMISSION_DENIED):
        await make_budget(owner, CUSTOMER)
    assert (await owner.budgets.GetBudget(GetBudgetRequest(**_name(budget)))).limit_nanousd == 5
    assert (await (await control.cli()).budgets.UpdateBudget(raised)).limit_nanousd == 9


def _name(budget: Budget) -> dict[str, Any]:
    return {"customer_id": budget.customer_id, "budget_id": budget.budget_id}
