"""Rows of providers, and what hangs on them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.resources import change_row, find_row, insert_row, list_rows
from control.store.rows import Row
from control.store.tables import prices, providers, routing_rules
from tollkeeper.errors import not_found


async def insert_provider(
    connection: AsyncConnection, customer_id: str, provider_id: str, values: Row
) -> Row:
    """A new provider. The id comes with it, since the credential is sealed for it."""
    return await insert_row(
        connection, providers, {**values, "customer_id": customer_id, "provider_id": provider_id}
    )


async def load_provider(connection: AsyncConnection, customer_id: str, provider_id: str) -> Row:
    """A provider, deleted or not. Raises NOT_FOUND."""
    row = await find_row(connection, providers, customer_id, provider_id)
    if row is None:
        raise not_found("provider", provider_id)
    return row


async def load_live_provider(connection: AsyncConnection, customer_id: str, provider_id: str) -> Row:
    """A provider that can be changed and referred to. Raises NOT_FOUND."""
    row = await load_provider(connection, customer_id, provider_id)
    if row["delete_time"] is not None:
        raise not_found("provider", provider_id)
    return row


async def list_providers(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Live providers in the order they were made."""
    return await list_rows(
        connection, providers, customer_id, after, limit, providers.c.delete_time.is_(None)
    )


async def update_provider(
    connection: AsyncConnection, customer_id: str, provider_id: str, values: Row
) -> Row:
    """Changes the named columns."""
    return await change_row(connection, providers, customer_id, provider_id, values)


async def count_rules(connection: AsyncConnection, customer_id: str, provider_id: str) -> int:
    """How many routing rules name the provider."""
    statement = select(func.count()).where(
        routing_rules.c.customer_id == customer_id, routing_rules.c.provider_id == provider_id
    )
    return int((await connection.execute(statement)).scalar_one())


async def delete_provider(
    connection: AsyncConnection, customer_id: str, provider_id: str, now: datetime
) -> Row:
    """Ends the provider, forgets its credential, and takes its rules and own prices with it."""
    await connection.execute(
        delete(routing_rules).where(
            routing_rules.c.customer_id == customer_id, routing_rules.c.provider_id == provider_id
        )
    )
    await connection.execute(
        update(prices)
        .where(
            prices.c.customer_id == customer_id,
            prices.c.provider_id == provider_id,
            or_(prices.c.end_time.is_(None), prices.c.end_time > now),
        )
        .values(end_time=func.greatest(prices.c.effective_time, now))
    )
    ended = {"delete_time": now, "sealed_credential": None}
    return await update_provider(connection, customer_id, provider_id, ended)
