"""Requests to be booked again at other prices, and the prices in force."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.re_rating import Wanted
from control.domain.records import REPORTED
from control.store import rows as row_sets
from control.store.fetch import fetch_all
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, prices, request_log, usage_records
from tollkeeper.ids import first_at

_SET_COSTS = row_sets.update_statement(usage_records, ["cost_nanousd"])
_SET_ATTEMPTS = text(
    """
    UPDATE request_log l SET attempts = CAST(r.attempts AS jsonb)
    FROM unnest(CAST(:usage_ids AS uuid[]), CAST(:attempts AS text[])) AS r(usage_id, attempts)
    WHERE l.customer_id = :customer_id AND l.usage_id = r.usage_id
    """
)


async def list_reported(
    connection: AsyncConnection,
    customer_id: str,
    wanted: Wanted,
    start_time: datetime,
    end_time: datetime,
    after: str,
    limit: int,
) -> Sequence[str]:
    """Ids of logged requests that began in a period, by time, from behind an id."""
    statement = select(request_log.c.usage_id).where(
        request_log.c.customer_id == customer_id,
        request_log.c.usage_id >= str(first_at(start_time)),
        request_log.c.usage_id < str(first_at(end_time)),
        request_log.c.state == int(REPORTED),
    )
    for name in ("provider_type", "model"):
        if value := getattr(wanted, name):
            statement = statement.where(request_log.c.attempts.contains([{name: value}]))
    if after:
        statement = statement.where(request_log.c.usage_id > after)
    found = await connection.execute(statement.order_by(request_log.c.usage_id).limit(limit))
    return found.scalars().all()


async def load_logged(
    connection: AsyncConnection, customer_id: str, usage_ids: Sequence[str]
) -> Sequence[Row]:
    """Rows of the log, with what their requests cost (`cost_nanousd`)."""
    return await fetch_all(
        connection,
        select(request_log, usage_records.c.cost_nanousd)
        .join(
            usage_records,
            (usage_records.c.customer_id == request_log.c.customer_id)
            & (usage_records.c.usage_id == request_log.c.usage_id),
        )
        .where(request_log.c.customer_id == customer_id, request_log.c.usage_id.in_(usage_ids))
        .order_by(request_log.c.usage_id),
    )


async def set_costs(
    connection: AsyncConnection,
    customer_id: str,
    costs_nanousd: Mapping[str, int],
    attempts: Mapping[str, list[dict[str, Any]]],
) -> None:
    """New costs of locked usage records, and the attempts with the prices they are from."""
    await row_sets.run(
        connection,
        _SET_COSTS,
        [
            {"customer_id": customer_id, "usage_id": usage_id, "cost_nanousd": cost}
            for usage_id, cost in costs_nanousd.items()
        ],
    )
    values = {
        "customer_id": customer_id,
        "usage_ids": list(attempts),
        "attempts": [row_sets.encode(rows) for rows in attempts.values()],
    }
    await connection.execute(_SET_ATTEMPTS, values)


async def prices_in_force(connection: AsyncConnection, now: datetime, customer_id: str = "") -> Sequence[Row]:
    """Global prices that are in force, or those of providers of a customer and of the platform."""
    owners = [customer_id, PLATFORM_CUSTOMER_ID] if customer_id else [PLATFORM_CUSTOMER_ID]
    return await fetch_all(
        connection,
        select(prices).where(
            prices.c.customer_id.in_(owners),
            prices.c.provider_id.is_not(None) if customer_id else prices.c.provider_id.is_(None),
            prices.c.effective_time <= now,
            prices.c.end_time.is_(None) | (prices.c.end_time > now),
        ),
    )


async def booked_rates(
    connection: AsyncConnection, customer_id: str, price_ids: Sequence[str]
) -> dict[str, Row]:
    """Rates of prices by id, whether they are in force or not."""
    found = await fetch_all(
        connection,
        select(prices.c.price_id, prices.c.rates).where(
            prices.c.customer_id.in_([customer_id, PLATFORM_CUSTOMER_ID]), prices.c.price_id.in_(price_ids)
        ),
    )
    return {row["price_id"]: row["rates"] for row in found}
