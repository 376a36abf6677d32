"""BudgetsService: limits on customers, teams, users and keys. Every change makes grants below the scope stale
(L3)."""

from collections.abc import Callable
from typing import Any

from control.caller import caller
from control.domain.budgets import (
    FOREVER,
    MAX_TOP_UPS,
    Scope,
    check_limit,
    check_period,
    check_thresholds,
    check_top_up,
)
from control.services.access import require_operator
from control.services.audit import record_change
from control.services.budget_changes import (
    add_budget,
    budget_message,
    change_budget,
    end_budget,
    lock_current_window,
)
from control.services.convert import check_etag, checked_name, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import budgets as store
from control.store import top_ups
from control.store.budget_alerts import list_alerts
from control.store.database import Connection, Database
from control.store.ledger import database_now
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.versions import customer_changed
from tollkeeper.errors import invalid
from tollkeeper.v1 import budgets_pb2, budgets_pb2_grpc

Budget = budgets_pb2.Budget

_CHANGEABLE = ("limit_nanousd", "period", "soft", "thresholds")


class BudgetsService(budgets_pb2_grpc.BudgetsServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, on_room: Callable[[str, str], None]) -> None:
        self._database = database
        # Called with customer and budget once a limit has changed: edges forget refusals (L9).
        self._on_room = on_room

    async def CreateBudget(
        self, request: budgets_pb2.CreateBudgetRequest, context: object
    ) -> budgets_pb2.Budget:
        """A new budget, in force at once."""

        async def work(connection: Connection) -> Budget:
            customer_id = await scoped_customer(connection, request.budget.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                Budget,
                lambda: _create(connection, customer_id, request.budget),
            )

        return await self._database.write_again(work)

    async def GetBudget(self, request: budgets_pb2.GetBudgetRequest, context: object) -> budgets_pb2.Budget:
        """A budget with its window, deleted ones too."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            return await _load_message(connection, customer_id, resource_id("budget", request.budget_id))

    async def ListBudgets(
        self, request: budgets_pb2.ListBudgetsRequest, context: object
    ) -> budgets_pb2.ListBudgetsResponse:
        """Live budgets with their windows, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            now = await transaction_time(connection)
            scope_id = request.scope_id
            if scope_id and request.scope == Scope.SCOPE_CUSTOMER:
                scope_id = await scoped_customer(connection, scope_id)
            rows = await store.list_budgets(
                connection, customer_id, page.after, page.size + 1, now, request.scope, scope_id
            )
        shown = rows[: page.size]
        return budgets_pb2.ListBudgetsResponse(
            budgets=[budget_message(row, now) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["budget_id"]) if shown else "",
        )

    async def UpdateBudget(
        self, request: budgets_pb2.UpdateBudgetRequest, context: object
    ) -> budgets_pb2.Budget:
        """Changes the masked fields; spend is never reset."""
        sent = request.budget
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)

        async def work(connection: Connection) -> Budget:
            customer_id = await scoped_customer(connection, sent.customer_id)
            await lock_customer(connection, customer_id)
            now = await transaction_time(connection)
            budget_id = resource_id("budget", sent.budget_id)
            row = await store.load_live_budget(connection, customer_id, budget_id, now)
            _check_scope(row["scope"])
            check_etag(sent.etag, row["revision"])
            values = {field: _column(sent, field) for field in fields}
            await change_budget(connection, row, values, now)
            message = await _load_message(connection, customer_id, budget_id)
            await record_change(connection, customer_id, budget_message(row, now), message)
            await customer_changed(connection, customer_id)
            return message

        budget = await self._database.write_again(work)
        self._on_room(budget.customer_id, budget.budget_id)
        return budget

    async def DeleteBudget(
        self, request: budgets_pb2.DeleteBudgetRequest, context: object
    ) -> budgets_pb2.Budget:
        """Tombstones a budget; it limits nothing from now on."""

        async def work(connection: Connection) -> Budget:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            now = await transaction_time(connection)
            budget_id = resource_id("budget", request.budget_id)
            row = await store.load_live_budget(connection, customer_id, budget_id, now)
            _check_scope(row["scope"])
            check_etag(request.etag, row["revision"])
            await end_budget(connection, row, now)
            message = await _load_message(connection, customer_id, budget_id)
            await record_change(connection, customer_id, budget_message(row, now), message)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def TopUpBudget(self, request: budgets_pb2.TopUpBudgetRequest, context: object) -> Budget:
        """Another limit for the present window. Leases and grants stay as they are: nothing of the chain
        changes."""

        async def work(connection: Connection) -> Budget:
            customer_id = await scoped_customer(connection, request.customer_id)
            return await once(
                connection, customer_id, request, Budget, lambda: _top_up(connection, customer_id, request)
            )

        budget = await self._database.write_again(work)
        self._on_room(budget.customer_id, budget.budget_id)
        return budget

    async def ListTopUps(
        self, request: budgets_pb2.ListTopUpsRequest, context: object
    ) -> budgets_pb2.ListTopUpsResponse:
        """Top-ups of a budget, deleted ones' too, newest first."""
        page = page_of(request)
        budget_id = resource_id("budget", request.budget_id)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            now = await transaction_time(connection)
            await store.load_budget(connection, customer_id, budget_id, now)
            before = int(page.after) if page.after is not None else None
            rows = await top_ups.list_top_ups(connection, customer_id, budget_id, before, page.size + 1)
        shown = rows[: page.size]
        return budgets_pb2.ListTopUpsResponse(
            top_ups=[_top_up_message(row) for row in shown],
            next_page_token=page.next_token(rows, str(shown[-1]["number"])) if shown else "",
        )

    async def ListBudgetAlerts(
        self, request: budgets_pb2.ListBudgetAlertsRequest, context: object
    ) -> budgets_pb2.ListBudgetAlertsResponse:
        """Thresholds that spending has reached, newest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            budget_id = resource_id("budget", request.budget_id) if request.budget_id else ""
            if budget_id:
                now = await transaction_time(connection)
                await store.load_budget(connection, customer_id, budget_id, now)
            rows = await list_alerts(connection, customer_id, budget_id, page.after, page.size + 1)
        shown = rows[: page.size]
        return budgets_pb2.ListBudgetAlertsResponse(
            alerts=[_alert_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["alert_id"]) if shown else "",
        )


def _check_scope(scope: int) -> None:
    """A customer's own budget is what the platform grants it, so nobody of the customer may change it."""
    if scope == Scope.SCOPE_CUSTOMER:
        require_operator("change the budget of a whole customer")


async def _create(connection: Connection, customer_id: str, sent: Budget) -> Budget:
    _check_scope(sent.scope)
    await lock_customer(connection, customer_id)
    values = {field: _column(sent, field) for field in _CHANGEABLE}
    values |= {"scope": sent.scope, "scope_id": await _scope_id(connection, customer_id, sent)}
    budget_id = await add_budget(connection, customer_id, values)
    message = await _load_message(connection, customer_id, budget_id)
    await record_change(connection, customer_id, None, message)
    await customer_changed(connection, customer_id)
    return message


async def _top_up(
    connection: Connection, customer_id: str, request: budgets_pb2.TopUpBudgetRequest
) -> Budget:
    note = checked_name(request.note, "note") if request.note else ""
    await lock_customer(connection, customer_id)
    budget_id = resource_id("budget", request.budget_id)
    row = await store.load_live_budget(connection, customer_id, budget_id, await database_now(connection))
    _check_scope(row["scope"])
    window = await lock_current_window(connection, row)
    amount_nanousd = check_top_up(request.amount_nanousd, window.top_up_nanousd)
    count = await top_ups.count_top_ups(connection, customer_id, budget_id)
    if count >= MAX_TOP_UPS:
        raise invalid(f"A budget has at most {MAX_TOP_UPS} top-ups: raise its limit.", field="budget_id")
    values = {
        "number": count + 1,
        "amount_nanousd": amount_nanousd,
        "note": note,
        "created_by": caller().user_id or caller().kind.value,
    }
    before = await _load_message(connection, customer_id, budget_id)
    await top_ups.add_top_up(connection, customer_id, window, values)
    message = await _load_message(connection, customer_id, budget_id)
    await record_change(connection, customer_id, before, message)
    return message


async def _scope_id(connection: Connection, customer_id: str, sent: Budget) -> str:
    if sent.scope == Scope.SCOPE_CUSTOMER:
        return await scoped_customer(connection, sent.scope_id) if sent.scope_id else customer_id
    if not sent.scope_id:
        raise invalid("scope_id is needed.", field="scope_id")
    return sent.scope_id.lower()


def _column(sent: Budget, field: str) -> Any:
    """What one field of the message writes to the row's column of the same name."""
    match field:
        case "limit_nanousd":
            return check_limit(sent.limit_nanousd)
        case "period":
            return check_period(sent.period)
        case "thresholds":
            return check_thresholds(sent.thresholds)
        case _:
            return sent.soft


def _top_up_message(row: Row) -> budgets_pb2.BudgetTopUp:
    return budgets_pb2.BudgetTopUp(
        customer_id=row["customer_id"],
        budget_id=row["budget_id"],
        number=row["number"],
        start_time=timestamp(row["start_time"]),
        amount_nanousd=row["amount_nanousd"],
        total_nanousd=row["total_nanousd"],
        note=row["note"],
        created_by=row["created_by"],
        create_time=timestamp(row["create_time"]),
    )


def _alert_message(row: Row) -> budgets_pb2.BudgetAlert:
    return budgets_pb2.BudgetAlert(
        alert_id=row["alert_id"],
        customer_id=row["customer_id"],
        budget_id=row["budget_id"],
        scope=row["scope"],
        scope_id=row["scope_id"],
        start_time=timestamp(row["start_time"]),
        end_time=timestamp(row["end_time"]) if row["end_time"] < FOREVER else None,
        threshold_percent=row["threshold_percent"],
        limit_nanousd=row["limit_nanousd"],
        spent_nanousd=row["spent_nanousd"],
        soft=row["soft"],
        create_time=timestamp(row["create_time"]),
    )


async def _load_message(connection: Connection, customer_id: str, budget_id: str) -> Budget:
    now = await database_now(connection)
    return budget_message(await store.load_budget(connection, customer_id, budget_id, now), now)
