"""Rows of prices, and models that were asked for without one. Global prices belong to the platform's
customer.

Of a row only `end_time` and `version` ever change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.price_list import Name, Schedule, Slot, new_rows
from control.store.fetch import fetch_all, fetch_optional
from control.store.resources import insert_row, list_rows
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, missing_models, prices
from control.store.versions import PRICES_COUNTER, raise_counter
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid, uuid7

# Prices of the platform's own providers belong to the platform too, and are own prices.
_GLOBAL = (prices.c.customer_id == PLATFORM_CUSTOMER_ID, prices.c.provider_id.is_(None))

# More distinct names than that from one customer are noise.
MAX_MISSING_MODELS = 1000
MAX_MISSING_MODEL_CHARS = 200
_ALL_MODELS = "prices"


async def lock_model(connection: AsyncConnection, model: str) -> None:
    """One creation of a price for a model name at a time, over all customers, until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(_hash(_ALL_MODELS))))
    await connection.execute(select(func.pg_advisory_xact_lock(_hash(f"price:{model}"))))


async def lock_models(connection: AsyncConnection) -> None:
    """No other creation of any price, until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(_hash(_ALL_MODELS))))


def _hash(name: str) -> ColumnElement[int]:
    return func.hashtextextended(name, 0)


async def insert_global_prices(connection: AsyncConnection, rows: Iterable[Row]) -> Sequence[Row]:
    """New global prices, the last thing a transaction does to them.

    Raises the price counter; prices that were ended before it get the same number."""
    version = await raise_counter(connection, PRICES_COUNTER)
    await connection.execute(
        update(prices).where(*_GLOBAL, prices.c.version == _PENDING).values(version=version)
    )
    values = [
        {**row, "customer_id": PLATFORM_CUSTOMER_ID, "price_id": str(uuid7()), "version": version}
        for row in rows
    ]
    if not values:
        return ()
    return await fetch_all(connection, insert(prices).returning(prices), values)


async def load_schedules(
    connection: AsyncConnection, models: Collection[str], now: datetime
) -> dict[Name, Schedule]:
    """Global prices in force or to come of these model names, by provider type and name."""
    statement = select(prices).where(*_GLOBAL, prices.c.model.in_(models), _still_in_force_at(now))
    schedules: dict[Name, Schedule] = {}
    for row in await fetch_all(connection, statement.order_by(prices.c.effective_time)):
        slot = Slot(
            row["price_id"],
            row["effective_time"],
            row["end_time"],
            row["rates"],
            row["max_output_tokens"],
            row["context_tokens"],
        )
        schedules.setdefault((row["provider_type"], row["model"]), Schedule()).append(slot)
    return schedules


async def save_schedules(connection: AsyncConnection, schedules: Mapping[Name, Schedule]) -> Sequence[Row]:
    """Writes the new ends of prices, and the new prices; returns these."""
    ended = [slot for schedule in schedules.values() for slot in schedule if slot.price_id and slot.changed]
    if ended:
        values = {
            "platform": PLATFORM_CUSTOMER_ID,
            "price_ids": [slot.price_id for slot in ended],
            "end_times": [slot.end_time for slot in ended],
            "pending": _PENDING,
        }
        await connection.execute(_SET_ENDS, values)
    return await insert_global_prices(connection, new_rows(schedules))


async def end_global(connection: AsyncConnection, price_id: str, now: datetime) -> None:
    """Ends a global price now; of one that was announced, the price before goes on instead."""
    ended = await load_price(connection, price_id, [PLATFORM_CUSTOMER_ID])
    await connection.execute(
        update(prices)
        .where(prices.c.customer_id == PLATFORM_CUSTOMER_ID, prices.c.price_id == price_id)
        .values(end_time=func.greatest(prices.c.effective_time, now), version=_PENDING)
    )
    if ended["effective_time"] > now:
        await connection.execute(
            update(prices)
            .where(
                *_GLOBAL,
                prices.c.provider_type == ended["provider_type"],
                prices.c.model == ended["model"],
                prices.c.price_id != price_id,
                prices.c.end_time == ended["effective_time"],
                prices.c.effective_time < ended["effective_time"],
            )
            .values(end_time=ended["end_time"], version=_PENDING)
        )
    await insert_global_prices(connection, ())


async def own_prices(connection: AsyncConnection, from_times: Mapping[str, datetime]) -> Sequence[Row]:
    """Own prices for these model names that go on past their times, by customer."""
    statement = select(prices).where(prices.c.provider_id.is_not(None), prices.c.model.in_(list(from_times)))
    found = await fetch_all(connection, statement.order_by(prices.c.customer_id, prices.c.price_id))
    return [row for row in found if row["end_time"] is None or row["end_time"] > from_times[row["model"]]]


async def insert_own(connection: AsyncConnection, customer_id: str, values: Row) -> Row:
    """A new price of a customer's own."""
    return await insert_row(
        connection, prices, {**values, "customer_id": customer_id, "price_id": str(uuid7())}
    )


async def end_own(connection: AsyncConnection, customer_id: str, price_id: str, now: datetime) -> None:
    """Ends a customer's own price now."""
    await connection.execute(
        update(prices)
        .where(prices.c.customer_id == customer_id, prices.c.price_id == price_id)
        .values(end_time=func.greatest(prices.c.effective_time, now))
    )


async def has_global(connection: AsyncConnection, model: str, now: datetime) -> bool:
    """Whether a global price for the model name is in force or to come, whatever the provider type."""
    statement = select(
        select(prices.c.price_id).where(*_GLOBAL, prices.c.model == model, _still_in_force_at(now)).exists()
    )
    return bool((await connection.execute(statement)).scalar_one())


async def has_own(
    connection: AsyncConnection, customer_id: str, provider_id: str, model: str, now: datetime
) -> bool:
    """Whether the customer has a price for this model at this provider that hasn't ended."""
    statement = select(
        select(prices.c.price_id)
        .where(
            prices.c.customer_id == customer_id,
            prices.c.provider_id == provider_id,
            prices.c.model == model,
            _still_in_force_at(now),
        )
        .exists()
    )
    return bool((await connection.execute(statement)).scalar_one())


async def load_price(
    connection: AsyncConnection, price_id: str, customer_ids: Sequence[str] | None = None
) -> Row:
    """A price of one of the customers, or of any. Raises NOT_FOUND."""
    if is_uuid(price_id):
        statement = select(prices).where(prices.c.price_id == price_id)
        if customer_ids is not None:
            statement = statement.where(prices.c.customer_id.in_(customer_ids))
        row = await fetch_optional(connection, statement)
        if row is not None:
            return row
    raise not_found("price", price_id)


async def list_prices(
    connection: AsyncConnection,
    customer_id: str,
    after: str | None,
    limit: int,
    now: datetime,
    model: str = "",
    show_ended: bool = False,
    own: bool = False,
) -> Sequence[Row]:
    """Prices of a customer's own providers, or the global ones of the platform, in the order they were made;
    only those in force or to come."""
    conditions = [prices.c.model == model] if model else []
    if customer_id == PLATFORM_CUSTOMER_ID:
        conditions.append(prices.c.provider_id.is_not(None) if own else prices.c.provider_id.is_(None))
    if not show_ended:
        conditions.append(_still_in_force_at(now))
    return await list_rows(connection, prices, customer_id, after, limit, *conditions)


async def global_prices(connection: AsyncConnection, models: Sequence[str], now: datetime) -> Sequence[Row]:
    """Global prices of models by their name, whatever the provider type, in force or to come."""
    statement = select(prices).where(*_GLOBAL, prices.c.model.in_(models), _still_in_force_at(now))
    return await fetch_all(connection, statement.order_by(prices.c.effective_time))


async def count_own(connection: AsyncConnection, customer_id: str, now: datetime) -> int:
    """How many own prices of a customer haven't ended; all of them travel in its grants."""
    statement = select(func.count()).where(
        prices.c.customer_id == customer_id, prices.c.provider_id.is_not(None), _still_in_force_at(now)
    )
    return int((await connection.execute(statement)).scalar_one())


async def known_models(connection: AsyncConnection) -> set[tuple[str, str]]:
    """Provider type and name of every model that has, or ever had, a global price."""
    statement = select(prices.c.provider_type, prices.c.model).where(*_GLOBAL)
    return {(row.provider_type, row.model) for row in await connection.execute(statement.distinct())}


async def count_missing_model(
    connection: AsyncConnection, customer_id: str, model: str, request_count: int = 1
) -> None:
    """Counts requests for a model without a price. Names past MAX_MISSING_MODELS are not taken up."""
    values: Mapping[str, Any] = {
        "customer_id": customer_id,
        "model": model.replace("\0", "")[:MAX_MISSING_MODEL_CHARS],
        "bound": MAX_MISSING_MODELS,
        "request_count": request_count,
    }
    counted = await connection.execute(_COUNT_AGAIN, values)
    if counted.rowcount == 0:
        await connection.execute(_COUNT_FIRST, values)


async def list_missing_models(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int, now: datetime
) -> Sequence[Row]:
    """Models without a price, by name; without a customer those of all, added up. A model that has a price
    now is left out: a global one, or one of the customer's own since it was last asked for."""
    in_force = prices.c.effective_time <= now, _still_in_force_at(now)
    same = prices.c.model == missing_models.c.model
    has_global = select(prices.c.price_id).where(
        *_GLOBAL, prices.c.model == missing_models.c.model, *in_force
    )
    has_own = select(prices.c.price_id).where(
        prices.c.customer_id == missing_models.c.customer_id,
        prices.c.provider_id.is_not(None),
        same,
        prices.c.effective_time >= missing_models.c.last_seen_time,
        *in_force,
    )
    statement = (
        select(
            missing_models.c.model,
            func.sum(missing_models.c.request_count).label("request_count"),
            func.max(missing_models.c.last_seen_time).label("last_seen_time"),
            func.count().label("customer_count"),
        )
        .where(~has_global.exists(), ~has_own.exists())
        .group_by(missing_models.c.model)
    )
    if customer_id:
        statement = statement.where(missing_models.c.customer_id == customer_id)
    if after is not None:
        statement = statement.where(missing_models.c.model > after)
    return await fetch_all(connection, statement.order_by(missing_models.c.model).limit(limit))


def _still_in_force_at(time: datetime) -> ColumnElement[bool]:
    return or_(prices.c.end_time.is_(None), prices.c.end_time > time)


# Of rows that were changed in this transaction; the counter's lock is taken late, and then they get its
# number.
_PENDING = -1
_SET_ENDS = text(
    """
    UPDATE prices p SET end_time = k.end_time, version = :pending
    FROM unnest(CAST(:price_ids AS uuid[]), CAST(:end_times AS timestamptz[])) AS k(price_id, end_time)
    WHERE p.customer_id = :platform AND p.price_id = k.price_id
    """
)

_COUNT_AGAIN = text(
    """
    UPDATE missing_models SET request_count = request_count + :request_count, last_seen_time = now()
    WHERE customer_id = :customer_id AND model = :model
    """
)
_COUNT_FIRST = text(
    """
    INSERT INTO missing_models (customer_id, model, request_count, last_seen_time)
    SELECT :customer_id, :model, :request_count, now()
    WHERE (SELECT count(*) FROM missing_models WHERE customer_id = :customer_id) < :bound
    ON CONFLICT (customer_id, model) DO UPDATE
    SET request_count = missing_models.request_count + :request_count, last_seen_time = now()
    """
)
