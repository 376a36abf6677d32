"""Sums by dimension and hour: kept as entries are posted, read instead of the log."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.rollups import Sums
from control.store import rows as row_sets
from control.store.fetch import fetch_one
from control.store.rows import Row
from control.store.tables import rollups

_ADD = text(
    """
    INSERT INTO rollups (customer_id, dimension, value, hour, request_count, refused_count, cost_nanousd,
    input_tokens, output_tokens)
    SELECT customer_id, dimension, value, hour, request_count, refused_count, cost_nanousd, input_tokens,
    output_tokens
    FROM jsonb_populate_recordset(CAST(NULL AS rollups), CAST(:rows AS jsonb))
    ORDER BY dimension, value, hour
    ON CONFLICT (customer_id, dimension, value, hour) DO UPDATE SET
        request_count = rollups.request_count + excluded.request_count,
        refused_count = rollups.refused_count + excluded.refused_count,
        cost_nanousd = rollups.cost_nanousd + excluded.cost_nanousd,
        input_tokens = rollups.input_tokens + excluded.input_tokens,
        output_tokens = rollups.output_tokens + excluded.output_tokens
    """
)


async def add(connection: AsyncConnection, customer_id: str, sums: Sums) -> None:
    """Adds to the sums, in one order on every path (L24)."""
    rows = [
        {
            "customer_id": customer_id,
            "dimension": int(dimension),
            "value": value,
            "hour": hour,
            "request_count": amount.request_count,
            "refused_count": amount.refused_count,
            "cost_nanousd": amount.cost_nanousd,
            "input_tokens": amount.input_tokens,
            "output_tokens": amount.output_tokens,
        }
        for (dimension, value, hour), amount in sums.items()
    ]
    if rows:
        await connection.execute(_ADD, {"rows": row_sets.encode(rows)})


async def values_of_day(
    connection: AsyncConnection, customer_id: str, dimension: int, day: datetime, limit: int
) -> set[str]:
    """Different values that a day's sums of a dimension have already, at most so many."""
    found = await connection.execute(
        select(rollups.c.value)
        .distinct()
        .where(
            rollups.c.customer_id == customer_id,
            rollups.c.dimension == dimension,
            rollups.c.hour >= day,
            rollups.c.hour < day + timedelta(days=1),
        )
        .limit(limit)
    )
    return set(found.scalars())


async def summarise(
    connection: AsyncConnection, customer_id: str, dimension: int, value: str, since: datetime
) -> Row:
    """Sums of one value over all time, and (`day_…`) of the hours from `since` on."""
    lately = rollups.c.hour >= since
    statement = select(
        func.coalesce(func.sum(rollups.c.cost_nanousd), 0).label("total_cost_nanousd"),
        func.coalesce(func.sum(rollups.c.request_count), 0).label("total_requests"),
        func.coalesce(func.sum(rollups.c.cost_nanousd).filter(lately), 0).label("day_cost_nanousd"),
        func.coalesce(func.sum(rollups.c.request_count).filter(lately), 0).label("day_requests"),
        func.coalesce(func.sum(rollups.c.input_tokens), 0).label("input_tokens"),
        func.coalesce(func.sum(rollups.c.output_tokens), 0).label("output_tokens"),
    ).where(rollups.c.customer_id == customer_id, rollups.c.dimension == dimension, rollups.c.value == value)
    return await fetch_one(connection, statement)
