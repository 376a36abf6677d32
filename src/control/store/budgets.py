"""Rows of budgets, with the window in force. Windows come into being in the ledger, on first use (L2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.budgets import FOREVER
from control.store.fetch import fetch_all, fetch_optional
from control.store.resources import change_row, insert_row
from control.store.rows import Row
from control.store.tables import budgets, customers, windows
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid, uuid7

# Beside the budget's own columns, rows that are read here have the customer's time zone, the current window
# (window_start, window_end, spent_nanousd, held_nanousd, top_up_nanousd; null before its first request) and
# the latest window's end.


async def insert_budget(connection: AsyncConnection, customer_id: str, values: Row) -> str:
    """A new budget; returns its id."""
    budget_id = str(uuid7())
    await insert_row(connection, budgets, {**values, "customer_id": customer_id, "budget_id": budget_id})
    return budget_id


async def load_budget(connection: AsyncConnection, customer_id: str, budget_id: str, now: datetime) -> Row:
    """A budget, deleted or not. Raises NOT_FOUND."""
    if is_uuid(budget_id):
        statement = _with_windows(now).where(
            budgets.c.customer_id == customer_id, budgets.c.budget_id == budget_id
        )
        row = await fetch_optional(connection, statement)
        if row is not None:
            return row
    raise not_found("budget", budget_id)


async def load_live_budget(
    connection: AsyncConnection, customer_id: str, budget_id: str, now: datetime
) -> Row:
    """A budget that can be changed. Raises NOT_FOUND."""
    row = await load_budget(connection, customer_id, budget_id, now)
    if row["delete_time"] is not None:
        raise not_found("budget", budget_id)
    return row


async def list_budgets(
    connection: AsyncConnection,
    customer_id: str,
    after: str | None,
    limit: int,
    now: datetime,
    scope: int = 0,
    scope_id: str = "",
) -> Sequence[Row]:
    """Live budgets in the order they were made; of one kind of scope or of one scope, where given."""
    conditions: list[ColumnElement[bool]] = [
        budgets.c.customer_id == customer_id,
        budgets.c.delete_time.is_(None),
    ]
    if scope:
        conditions.append(budgets.c.scope == scope)
    if scope_id:
        conditions.append(budgets.c.scope_id == scope_id if is_uuid(scope_id) else ~true())
    if after is not None:
        conditions.append(budgets.c.budget_id > after)
    statement = _with_windows(now).where(*conditions).order_by(budgets.c.budget_id).limit(limit)
    return await fetch_all(connection, statement)


async def budgets_of(
    connection: AsyncConnection, customer_id: str, scope_ids: Sequence[str], now: datetime
) -> dict[str, list[Row]]:
    """The live budgets of some scopes, each scope's in the order they were made."""
    grouped: dict[str, list[Row]] = {scope_id: [] for scope_id in scope_ids}
    if not grouped:
        return grouped
    statement = _with_windows(now).where(
        budgets.c.customer_id == customer_id,
        budgets.c.scope_id.in_(list(grouped)),
        budgets.c.delete_time.is_(None),
    )
    for row in await fetch_all(connection, statement.order_by(budgets.c.budget_id)):
        grouped[row["scope_id"]].append(row)
    return grouped


async def count_budgets(connection: AsyncConnection, customer_id: str, scope_id: str) -> int:
    """How many live budgets a scope has. Exact under the customer's lock."""
    statement = select(func.count()).where(
        budgets.c.customer_id == customer_id,
        budgets.c.scope_id == scope_id,
        budgets.c.delete_time.is_(None),
    )
    return int((await connection.execute(statement)).scalar_one())


async def update_budget(
    connection: AsyncConnection, customer_id: str, budget_id: str, values: Mapping[str, Any]
) -> None:
    """Changes the named columns."""
    await change_row(connection, budgets, customer_id, budget_id, values)


async def end_budgets_of(
    connection: AsyncConnection, customer_id: str, scope_id: str, end_time: datetime
) -> None:
    """Tombstones the budgets of a key, user or team that is gone."""
    await connection.execute(
        update(budgets)
        .where(
            budgets.c.customer_id == customer_id,
            budgets.c.scope_id == scope_id,
            budgets.c.delete_time.is_(None),
        )
        .values(delete_time=end_time, revision=budgets.c.revision + 1)
    )


async def end_endless_window(
    connection: AsyncConnection, customer_id: str, budget_id: str, end_time: datetime
) -> None:
    """Gives the window of a period of none an end, since its budget now has a period."""
    await connection.execute(
        update(windows)
        .where(
            windows.c.customer_id == customer_id,
            windows.c.budget_id == budget_id,
            windows.c.end_time == FOREVER,
        )
        .values(end_time=end_time)
    )


def _with_windows(now: datetime) -> Select[Any]:
    of_budget = windows.c.customer_id == budgets.c.customer_id, windows.c.budget_id == budgets.c.budget_id
    latest = (
        select(windows.c.end_time)
        .where(*of_budget)
        .order_by(windows.c.start_time.desc())
        .limit(1)
        .lateral("latest")
    )
    begun = (
        select(windows)
        .where(*of_budget, windows.c.start_time <= now)
        .order_by(windows.c.start_time.desc())
        .limit(1)
        .lateral("begun")
    )
    return (
        select(
            budgets,
            customers.c.time_zone,
            begun.c.start_time.label("window_start"),
            begun.c.end_time.label("window_end"),
            begun.c.spent_nanousd,
            begun.c.held_nanousd,
            begun.c.top_up_nanousd,
            latest.c.end_time.label("latest_end"),
        )
        .join(customers, customers.c.customer_id == budgets.c.customer_id)
        .outerjoin(begun, begun.c.end_time > literal(now))
        .outerjoin(latest, true())
    )
