"""Rows of providers, and what hangs on them: a customer's own, and the platform's that are granted to it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all, fetch_optional
from control.store.resource_grants import Kind, lock_customers_where, lock_for_change, visible_to
from control.store.resources import change_row, find_row, insert_row
from control.store.routers import uses_router
from control.store.rows import Row
from control.store.tables import (
    PLATFORM_CUSTOMER_ID,
    customers,
    prices,
    providers,
    resource_grants,
    routers,
    routing_rules,
)
from control.store.unique_names import check_name_free, free_name
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid

# Of one provider, as GetProvider shows them.
MAX_MODELS = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """How much went with a provider."""

    rule_count: int
    price_count: int


async def insert_provider(
    connection: AsyncConnection, customer_id: str, provider_id: str, values: Row
) -> Row:
    """A new provider. The id comes with it, since the credential is sealed for it. Raises ALREADY_EXISTS for
    a name that is taken."""
    await check_name_free(connection, providers, customer_id, values["name"])
    return await insert_row(
        connection, providers, {**values, "customer_id": customer_id, "provider_id": provider_id}
    )


async def free_provider_name(connection: AsyncConnection, customer_id: str, name: str, max_chars: int) -> str:
    """The name, with a number behind it when it is taken."""
    return await free_name(connection, providers, customer_id, name, max_chars)


async def load_provider(connection: AsyncConnection, customer_id: str, provider_id: str) -> Row:
    """A provider that the customer sees, its own also when deleted. Raises NOT_FOUND."""
    row = None
    if is_uuid(provider_id):
        statement = select(providers).where(
            providers.c.provider_id == provider_id, visible_to(Kind.PROVIDER, customer_id)
        )
        row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("provider", provider_id)
    return row


async def load_live_provider(connection: AsyncConnection, customer_id: str, provider_id: str) -> Row:
    """A provider of the customer's own that hasn't been deleted. Raises NOT_FOUND."""
    row = await find_row(connection, providers, customer_id, provider_id)
    if row is None or row["delete_time"] is not None:
        raise not_found("provider", provider_id)
    return row


async def list_providers(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Live providers that the customer sees, in the order they were made."""
    statement = select(providers).where(
        providers.c.delete_time.is_(None), visible_to(Kind.PROVIDER, customer_id)
    )
    if after is not None:
        statement = statement.where(providers.c.provider_id > after)
    return await fetch_all(connection, statement.order_by(providers.c.provider_id).limit(limit))


async def update_provider(connection: AsyncConnection, row: Row, values: Row) -> Row:
    """Changes the named columns. Raises ALREADY_EXISTS for a name that is taken."""
    customer_id, provider_id = row["customer_id"], row["provider_id"]
    if values.get("name", row["name"]) != row["name"]:
        await check_name_free(connection, providers, customer_id, values["name"])
    return await change_row(connection, providers, customer_id, provider_id, values)


async def lock_users(connection: AsyncConnection, provider_id: str) -> Sequence[str]:
    """Locks the customers whose grants hold a provider of the platform; first the provider itself and the
    platform's routers that lead to it, so that nobody comes to use them meanwhile."""
    router_ids = await _platform_routers(connection, provider_id)
    await lock_for_change(connection, Kind.PROVIDER, [provider_id])
    await lock_for_change(connection, Kind.ROUTER, router_ids)
    named = exists().where(
        routing_rules.c.customer_id == customers.c.customer_id, routing_rules.c.provider_id == provider_id
    )
    return await lock_customers_where(connection, or_(named, uses_router(router_ids)))


async def count_rules(
    connection: AsyncConnection, provider_id: str, customer_ids: Collection[str] | None = None
) -> int:
    """How many routing rules name the provider; of these customers, where given."""
    conditions: list[ColumnElement[bool]] = [routing_rules.c.provider_id == provider_id]
    if customer_ids is not None:
        conditions.append(routing_rules.c.customer_id.in_(customer_ids))
    statement = select(func.count()).select_from(routing_rules).where(*conditions)
    return int((await connection.execute(statement)).scalar_one())


async def delete_rules(
    connection: AsyncConnection, provider_id: str, customer_ids: Collection[str] | None = None
) -> int:
    """Takes the rules that name the provider out of their routers, of these customers, where given; returns
    how many went."""
    conditions: list[ColumnElement[bool]] = [routing_rules.c.provider_id == provider_id]
    if customer_ids is not None:
        conditions.append(routing_rules.c.customer_id.in_(customer_ids))
    deleted = delete(routing_rules).where(*conditions)
    gone = await fetch_all(
        connection, deleted.returning(routing_rules.c.customer_id, routing_rules.c.router_id)
    )
    router_ids = {row["router_id"] for row in gone}
    if router_ids:
        changed = update(routers).where(
            routers.c.customer_id.in_({row["customer_id"] for row in gone}),
            routers.c.router_id.in_(router_ids),
        )
        await connection.execute(changed.values(revision=routers.c.revision + 1))
    return len(gone)


async def delete_provider(connection: AsyncConnection, row: Row, now: datetime) -> tuple[Row, Taken]:
    """Ends the provider, forgets its credential and who may use it, and takes its rules and own prices with
    it."""
    customer_id, provider_id = row["customer_id"], row["provider_id"]
    only_own = None if customer_id == PLATFORM_CUSTOMER_ID else [customer_id]
    rule_count = await delete_rules(connection, provider_id, only_own)
    ended = await connection.execute(
        update(prices)
        .where(
            prices.c.customer_id == customer_id,
            prices.c.provider_id == provider_id,
            or_(prices.c.end_time.is_(None), prices.c.end_time > now),
        )
        .values(end_time=func.greatest(prices.c.effective_time, now))
    )
    await connection.execute(delete(resource_grants).where(resource_grants.c.resource_id == provider_id))
    values = {"delete_time": now, "sealed_credential": None, "granted_to_all": False}
    gone = await update_provider(connection, row, values)
    return gone, Taken(rule_count, ended.rowcount)


async def models_of(connection: AsyncConnection, row: Row) -> Sequence[str]:
    """Models with a price at the provider, by name; at most MAX_MODELS."""
    by_type = and_(
        prices.c.customer_id == PLATFORM_CUSTOMER_ID,
        prices.c.provider_id.is_(None),
        prices.c.provider_type == row["provider_type"],
    )
    own = and_(prices.c.customer_id == row["customer_id"], prices.c.provider_id == row["provider_id"])
    now = func.now()
    statement = (
        select(prices.c.model)
        .distinct()
        .where(
            or_(by_type, own),
            prices.c.effective_time <= now,
            or_(prices.c.end_time.is_(None), prices.c.end_time > now),
        )
    )
    found = await connection.execute(statement.order_by(prices.c.model).limit(MAX_MODELS))
    return list(found.scalars())


async def _platform_routers(connection: AsyncConnection, provider_id: str) -> Sequence[str]:
    statement = select(routing_rules.c.router_id).where(
        routing_rules.c.customer_id == PLATFORM_CUSTOMER_ID, routing_rules.c.provider_id == provider_id
    )
    return list((await connection.execute(statement.distinct())).scalars())
