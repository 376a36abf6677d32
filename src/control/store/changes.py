"""What changed since an edge last heard, and the price book it works with (L27, L16)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.prices import rates_to_proto
from control.store import tables
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, prices
from control.store.versions import CUSTOMERS_COUNTER, PRICES_COUNTER
from tollkeeper.v1 import edge_pb2, prices_pb2

_CHANGED = select(
    customers.c.customer_id, customers.c.version, customers.c.urgent_version, customers.c.change_time
)
_TIMELINE = text(
    "SELECT s.system_identifier || ':' || c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c"
)


async def counters(connection: AsyncConnection) -> tuple[int, int]:
    """The customers' and the prices' counters."""
    found = {row.name: row.value for row in await connection.execute(select(tables.counters))}
    return found.get(CUSTOMERS_COUNTER, 0), found.get(PRICES_COUNTER, 0)


async def customers_since(connection: AsyncConnection, version: int) -> list[edge_pb2.CustomerChanged]:
    """Customers changed after a number of the counter, in order."""
    found = await connection.execute(
        _CHANGED.where(customers.c.version > version).order_by(customers.c.version)
    )
    return [_changed(row) for row in found]


async def customers_behind(
    connection: AsyncConnection, known: Mapping[str, int]
) -> list[edge_pb2.CustomerChanged]:
    """Those of the known customers whose version is another now."""
    if not known:
        return []
    found = await connection.execute(_CHANGED.where(customers.c.customer_id.in_(list(known))))
    return [_changed(row) for row in found if row.version != known[row.customer_id]]


def _changed(row: Any) -> edge_pb2.CustomerChanged:
    change = edge_pb2.CustomerChanged(
        customer_id=row.customer_id,
        version=row.version,
        urgent_version=row.urgent_version,
    )
    change.change_time.FromDatetime(row.change_time)
    return change


async def timeline(connection: AsyncConnection) -> str:
    """Another text once the database has been restored from a backup."""
    return str((await connection.execute(_TIMELINE)).scalar_one())


async def price_book(connection: AsyncConnection) -> tuple[int, Sequence[prices_pb2.Price]]:
    """Version of the book, and every global price in force or to come."""
    _, version = await counters(connection)
    now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    found = await connection.execute(
        select(prices)
        .where(prices.c.customer_id == PLATFORM_CUSTOMER_ID, prices.c.provider_id.is_(None))
        .where((prices.c.end_time.is_(None)) | (prices.c.end_time > now))
        .order_by(prices.c.provider_type, prices.c.model, prices.c.effective_time)
    )
    return version, [_price(row, now) for row in found]


def _price(row: Row[Any], now: datetime) -> prices_pb2.Price:
    price = prices_pb2.Price(
        price_id=row.price_id,
        provider_type=row.provider_type,
        model=row.model,
        rates=rates_to_proto(row.rates),
        max_output_tokens=row.max_output_tokens,
        context_tokens=row.context_tokens,
    )
    effective_time = row.effective_time.astimezone(UTC)
    price.effective_time.FromDatetime(effective_time)
    if effective_time > now:
        price.starts_in.FromTimedelta(effective_time - now)
    if row.end_time is not None:
        price.end_time.FromDatetime(row.end_time)
        price.ends_in.FromTimedelta(row.end_time - now)
    return price
