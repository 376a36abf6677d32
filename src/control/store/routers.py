"""Rows of routers, with their rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all
from control.store.resources import change_row, find_row, insert_row, list_rows
from control.store.rows import Row
from control.store.tables import customers, keys, providers, routers, routing_rules
from tollkeeper.errors import not_found
from tollkeeper.ids import uuid7


async def insert_router(connection: AsyncConnection, customer_id: str, name: str) -> Row:
    """A new router without rules."""
    return await insert_row(
        connection, routers, {"customer_id": customer_id, "router_id": str(uuid7()), "name": name}
    )


async def load_router(connection: AsyncConnection, customer_id: str, router_id: str) -> Row:
    """A router, deleted or not. Raises NOT_FOUND."""
    row = await find_row(connection, routers, customer_id, router_id)
    if row is None:
        raise not_found("router", router_id)
    return row


async def load_live_router(connection: AsyncConnection, customer_id: str, router_id: str) -> Row:
    """A router that can be changed and referred to. Raises NOT_FOUND."""
    row = await load_router(connection, customer_id, router_id)
    if row["delete_time"] is not None:
        raise not_found("router", router_id)
    return row


async def list_routers(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Live routers in the order they were made."""
    return await list_rows(connection, routers, customer_id, after, limit, routers.c.delete_time.is_(None))


async def update_router(
    connection: AsyncConnection, customer_id: str, router_id: str, values: Mapping[str, Any]
) -> Row:
    """Changes the named columns; with none, still a new revision, since rules are part of a router."""
    return await change_row(connection, routers, customer_id, router_id, values)


async def load_rules(
    connection: AsyncConnection, customer_id: str, router_ids: Sequence[str]
) -> dict[str, list[Row]]:
    """The rules of routers, each router's in the order they are tried."""
    statement = (
        select(routing_rules)
        .where(routing_rules.c.customer_id == customer_id, routing_rules.c.router_id.in_(router_ids))
        .order_by(routing_rules.c.priority, routing_rules.c.position)
    )
    rules: dict[str, list[Row]] = {router_id: [] for router_id in router_ids}
    for row in await fetch_all(connection, statement):
        rules[row["router_id"]].append(row)
    return rules


async def replace_rules(
    connection: AsyncConnection, customer_id: str, router_id: str, rules: Sequence[Row]
) -> None:
    """All rules of a router at once. A rule with a `rule_id` keeps it."""
    await _delete_rules(connection, customer_id, router_id)
    rows = [
        {
            **rule,
            "customer_id": customer_id,
            "router_id": router_id,
            "rule_id": rule["rule_id"] or str(uuid7()),
            "position": position,
        }
        for position, rule in enumerate(rules)
    ]
    if rows:
        await connection.execute(insert(routing_rules), rows)


async def live_providers(
    connection: AsyncConnection, customer_id: str, provider_ids: Sequence[str]
) -> set[str]:
    """Which of the providers exist and are not deleted."""
    statement = select(providers.c.provider_id).where(
        providers.c.customer_id == customer_id,
        providers.c.provider_id.in_(provider_ids),
        providers.c.delete_time.is_(None),
    )
    return set((await connection.execute(statement)).scalars())


async def count_keys(connection: AsyncConnection, customer_id: str, router_id: str) -> int:
    """How many keys that are not revoked name the router."""
    statement = select(func.count()).where(
        keys.c.customer_id == customer_id, keys.c.router_id == router_id, keys.c.revoke_time.is_(None)
    )
    return int((await connection.execute(statement)).scalar_one())


async def is_default(connection: AsyncConnection, customer_id: str, router_id: str) -> bool:
    """Whether keys made without a router get this one."""
    statement = select(customers.c.default_router_id).where(customers.c.customer_id == customer_id)
    return bool((await connection.execute(statement)).scalar_one() == router_id)


async def delete_router(connection: AsyncConnection, customer_id: str, router_id: str, now: datetime) -> Row:
    """Ends the router, revokes its keys, takes its rules with it, and leaves no default that points to it."""
    await _delete_rules(connection, customer_id, router_id)
    await connection.execute(
        update(keys)
        .where(keys.c.customer_id == customer_id, keys.c.router_id == router_id, keys.c.revoke_time.is_(None))
        .values(revoke_time=now, revision=keys.c.revision + 1)
    )
    await connection.execute(
        update(customers)
        .where(customers.c.customer_id == customer_id, customers.c.default_router_id == router_id)
        .values(default_router_id=None, revision=customers.c.revision + 1)
    )
    return await update_router(connection, customer_id, router_id, {"delete_time": now})


async def _delete_rules(connection: AsyncConnection, customer_id: str, router_id: str) -> None:
    await connection.execute(
        delete(routing_rules).where(
            routing_rules.c.customer_id == customer_id, routing_rules.c.router_id == router_id
        )
    )
