"""Alerts: thresholds of budgets that spending has reached. The ledger writes them (store/ledger.py)."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all
from control.store.rows import Row
from control.store.tables import budget_alerts, budgets


async def list_alerts(
    connection: AsyncConnection, customer_id: str, budget_id: str, before: str | None, limit: int
) -> Sequence[Row]:
    """Alerts of a customer, or of one budget, newest first, from before an id; with the budget's scope."""
    of_budget = (
        budgets.c.customer_id == budget_alerts.c.customer_id,
        budgets.c.budget_id == budget_alerts.c.budget_id,
    )
    statement = (
        select(budget_alerts, budgets.c.scope, budgets.c.scope_id, budgets.c.soft)
        .join(budgets, of_budget[0] & of_budget[1])
        .where(budget_alerts.c.customer_id == customer_id)
    )
    if budget_id:
        statement = statement.where(budget_alerts.c.budget_id == budget_id)
    if before is not None:
        statement = statement.where(budget_alerts.c.alert_id < before)
    return await fetch_all(connection, statement.order_by(budget_alerts.c.alert_id.desc()).limit(limit))
