"""Top-ups: what one window of a budget has beyond the budget's limit. Rows are never edited."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.ledger import Window
from control.store.fetch import fetch_all
from control.store.rows import Row
from control.store.tables import budget_top_ups, windows


async def count_top_ups(connection: AsyncConnection, customer_id: str, budget_id: str) -> int:
    """How many a budget has had; the number of the latest. Exact under the customer's lock."""
    statement = select(func.count()).where(
        budget_top_ups.c.customer_id == customer_id, budget_top_ups.c.budget_id == budget_id
    )
    return int((await connection.execute(statement)).scalar_one())


async def add_top_up(connection: AsyncConnection, customer_id: str, window: Window, values: Row) -> None:
    """Adds a top-up, and its amount to the locked window."""
    total_nanousd = window.top_up_nanousd + values["amount_nanousd"]
    row = {
        **values,
        "customer_id": customer_id,
        "budget_id": window.budget_id,
        "start_time": window.start_time,
        "total_nanousd": total_nanousd,
    }
    await connection.execute(insert(budget_top_ups).values(row))
    await connection.execute(
        update(windows)
        .where(
            windows.c.customer_id == customer_id,
            windows.c.budget_id == window.budget_id,
            windows.c.start_time == window.start_time,
        )
        .values(top_up_nanousd=total_nanousd)
    )


async def list_top_ups(
    connection: AsyncConnection, customer_id: str, budget_id: str, before: int | None, limit: int
) -> Sequence[Row]:
    """Top-ups of a budget, all windows', newest first, from before a number."""
    statement = select(budget_top_ups).where(
        budget_top_ups.c.customer_id == customer_id, budget_top_ups.c.budget_id == budget_id
    )
    if before is not None:
        statement = statement.where(budget_top_ups.c.number < before)
    return await fetch_all(connection, statement.order_by(budget_top_ups.c.number.desc()).limit(limit))
