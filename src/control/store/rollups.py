"""Sums by dimension and hour: kept as entries are posted, read instead of the log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, literal, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.rollups import OTHER, SumKey, Sums
from control.store import rows as row_sets
from control.store.fetch import fetch_all, fetch_one
from control.store.rows import Row, Target
from control.store.tables import rollups

AMOUNTS = ("cost_nanousd", "request_count", "refused_count", "input_tokens", "output_tokens")

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

_COUNTED = text(
    """
    SELECT dimension, value, hour
    FROM unnest(CAST(:dimensions AS smallint[]), CAST(:values AS text[]), CAST(:hours AS timestamptz[]))
         AS asked(dimension, value, hour)
    JOIN rollups USING (dimension, value, hour)
    WHERE customer_id = :customer_id
    """
)


async def add(connection: Target, customer_id: str, sums: Sums) -> None:
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
    await row_sets.run(connection, _ADD, rows)


async def counted(connection: AsyncConnection, customer_id: str, keys: Collection[SumKey]) -> set[SumKey]:
    """Those of the sums that there are."""
    parameters = {
        "customer_id": customer_id,
        "dimensions": [int(dimension) for dimension, _, _ in keys],
        "values": [value for _, value, _ in keys],
        "hours": [hour for _, _, hour in keys],
    }
    found = await connection.execute(_COUNTED, parameters)
    return {(row.dimension, row.value, row.hour) for row in found}


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


@dataclass(frozen=True, slots=True)
class SumFilter:
    """Which sums are wanted: of one dimension, of these values or all, from one hour on, before another."""

    customer_id: str
    dimension: int
    values: Sequence[str] | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


async def totals(connection: AsyncConnection, wanted: SumFilter, day_start: datetime) -> Row:
    """Sums over the period, and (`day_…`) over the hours from `day_start` on, whatever the period."""
    lately = rollups.c.hour >= day_start
    within = and_(true(), *_within(wanted))
    columns = [
        func.coalesce(func.sum(rollups.c[name]).filter(within), 0).label(f"total_{name}") for name in AMOUNTS
    ]
    columns += [
        func.coalesce(func.sum(rollups.c[name]).filter(lately), 0).label(f"day_{name}") for name in AMOUNTS
    ]
    return await fetch_one(connection, select(*columns).where(*_of(wanted)))


async def by_value(connection: AsyncConnection, wanted: SumFilter, limit: int) -> Sequence[Row]:
    """Sums over the period of each value (`shown`), the dearest `limit` first and then the others
    together."""
    summed = (
        select(rollups.c.value, *_sums())
        .where(*_of(wanted), *_within(wanted))
        .group_by(rollups.c.value)
        .subquery()
    )
    rank = func.row_number().over(order_by=(summed.c.cost_nanousd.desc(), summed.c.value))
    ranked = select(summed, func.least(rank, limit + 1).label("rank")).subquery()
    value = case((ranked.c.rank <= limit, ranked.c.value), else_=OTHER).label("shown")
    statement = select(value, *(func.sum(ranked.c[name]).label(name) for name in AMOUNTS))
    return await fetch_all(connection, statement.group_by("shown", ranked.c.rank).order_by(ranked.c.rank))


async def by_time(
    connection: AsyncConnection, wanted: SumFilter, interval: str, zone: str, values: Sequence[str] | None
) -> Sequence[Row]:
    """Sums by interval (`hour`, `day`, `month` of a time zone); with `values` for each of these and the
    others together (`shown`)."""
    start = func.date_trunc(interval, rollups.c.hour, zone).label("start_time")
    value: ColumnElement[str] = literal("")
    if values is not None:
        value = case((rollups.c.value.in_(values), rollups.c.value), else_=OTHER)
    statement = select(value.label("shown"), start, *_sums()).where(*_of(wanted), *_within(wanted))
    return await fetch_all(
        connection, statement.group_by("shown", "start_time").order_by("shown", "start_time")
    )


def _of(wanted: SumFilter) -> list[ColumnElement[bool]]:
    conditions = [rollups.c.customer_id == wanted.customer_id, rollups.c.dimension == int(wanted.dimension)]
    if wanted.values is not None:
        conditions.append(rollups.c.value.in_(wanted.values))
    return conditions


def _within(wanted: SumFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.start_time is not None:
        conditions.append(rollups.c.hour >= wanted.start_time)
    if wanted.end_time is not None:
        conditions.append(rollups.c.hour < wanted.end_time)
    return conditions


def _sums() -> list[ColumnElement[int]]:
    return [func.sum(rollups.c[name]).label(name) for name in AMOUNTS]
