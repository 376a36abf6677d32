"""Rows of routers with their rules: a customer's own, and the platform's that are granted to it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all, fetch_optional
from control.store.resource_grants import Kind, lock_customers_where, lock_for_change, usable, visible_to
from control.store.resources import change_row, insert_row
from control.store.rows import Row
from control.store.tables import (
    PLATFORM_CUSTOMER_ID,
    customers,
    keys,
    resource_grants,
    routers,
    routing_rules,
)
from control.store.unique_names import check_name_free, free_name
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid, uuid7


async def insert_router(
    connection: AsyncConnection, customer_id: str, name: str, values: Mapping[str, Any] | None = None
) -> Row:
    """A new router without rules. Raises ALREADY_EXISTS."""
    await check_name_free(connection, routers, customer_id, name)
    row = {**(values or {}), "customer_id": customer_id, "router_id": str(uuid7()), "name": name}
    return await insert_row(connection, routers, row)


async def free_router_name(connection: AsyncConnection, customer_id: str, name: str, max_chars: int) -> str:
    """The name, with a number behind it when it is taken."""
    return await free_name(connection, routers, customer_id, name, max_chars)


async def load_router(connection: AsyncConnection, customer_id: str, router_id: str) -> Row:
    """A router that the customer sees, its own also when deleted. Raises NOT_FOUND."""
    row = None
    if is_uuid(router_id):
        statement = select(routers).where(
            routers.c.router_id == router_id, visible_to(Kind.ROUTER, customer_id)
        )
        row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("router", router_id)
    return row


async def load_live_router(connection: AsyncConnection, customer_id: str, router_id: str) -> Row:
    """A router that the customer may use: its own, or one of the platform's that is granted to it, which
    stays so until the transaction ends. Raises NOT_FOUND."""
    if router_id.lower() not in await usable(connection, Kind.ROUTER, customer_id, [router_id.lower()]):
        raise not_found("router", router_id)
    return await load_router(connection, customer_id, router_id)


async def list_routers(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Live routers that the customer sees, in the order they were made."""
    statement = select(routers).where(routers.c.delete_time.is_(None), visible_to(Kind.ROUTER, customer_id))
    if after is not None:
        statement = statement.where(routers.c.router_id > after)
    return await fetch_all(connection, statement.order_by(routers.c.router_id).limit(limit))


async def update_router(connection: AsyncConnection, row: Row, values: Mapping[str, Any]) -> Row:
    """Changes the named columns; with none, still a new revision, since rules are part of a router. Raises
    ALREADY_EXISTS for a name that is taken."""
    customer_id = row["customer_id"]
    if values.get("name", row["name"]) != row["name"]:
        await check_name_free(connection, routers, customer_id, values["name"])
    return await change_row(connection, routers, customer_id, row["router_id"], values)


async def load_rules(connection: AsyncConnection, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rules of routers, each router's by priority and as given."""
    rules: dict[str, list[Row]] = {row["router_id"]: [] for row in rows}
    statement = (
        select(routing_rules)
        .where(
            routing_rules.c.customer_id.in_({row["customer_id"] for row in rows}),
            routing_rules.c.router_id.in_(rules),
        )
        .order_by(routing_rules.c.priority, routing_rules.c.position)
    )
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


def uses_router(router_ids: Collection[str]) -> ColumnElement[bool]:
    """Customers that have one of the routers as their default, or name it in a key that wasn't revoked."""
    named = exists().where(
        keys.c.customer_id == customers.c.customer_id,
        keys.c.router_id.in_(router_ids),
        keys.c.revoke_time.is_(None),
    )
    return or_(customers.c.default_router_id.in_(router_ids), named)


async def lock_users(connection: AsyncConnection, router_id: str) -> Sequence[str]:
    """Locks the customers whose grants hold a router of the platform, and first the router itself, so that
    nobody comes to use it meanwhile."""
    await lock_for_change(connection, Kind.ROUTER, [router_id])
    return await lock_customers_where(connection, uses_router([router_id]))


async def count_keys(
    connection: AsyncConnection, router_id: str, customer_ids: Collection[str] | None = None
) -> int:
    """How many keys that are not revoked name the router; of these customers, where given."""
    conditions = [keys.c.router_id == router_id, keys.c.revoke_time.is_(None)]
    if customer_ids is not None:
        conditions.append(keys.c.customer_id.in_(customer_ids))
    statement = select(func.count()).select_from(keys).where(*conditions)
    return int((await connection.execute(statement)).scalar_one())


async def count_defaults(
    connection: AsyncConnection, router_id: str, customer_ids: Collection[str] | None = None
) -> int:
    """For how many customers keys made without a router get this one; among these, where given."""
    conditions = [customers.c.default_router_id == router_id]
    if customer_ids is not None:
        conditions.append(customers.c.customer_id.in_(customer_ids))
    statement = select(func.count()).select_from(customers).where(*conditions)
    return int((await connection.execute(statement)).scalar_one())


async def delete_router(connection: AsyncConnection, row: Row, now: datetime) -> tuple[Row, int, int]:
    """Ends the router, revokes its keys, takes its rules with it, and leaves no default that points to it.

    Returns the row, and how many rules and keys went.
    """
    customer_id, router_id = row["customer_id"], row["router_id"]
    only_own = customer_id != PLATFORM_CUSTOMER_ID
    rule_count = await _delete_rules(connection, customer_id, router_id)
    used = [keys.c.customer_id == customer_id] if only_own else []
    revoked = await connection.execute(
        update(keys)
        .where(keys.c.router_id == router_id, keys.c.revoke_time.is_(None), *used)
        .values(revoke_time=now, revision=keys.c.revision + 1)
    )
    defaulted = [customers.c.customer_id == customer_id] if only_own else []
    await connection.execute(
        update(customers)
        .where(customers.c.default_router_id == router_id, *defaulted)
        .values(default_router_id=None, revision=customers.c.revision + 1)
    )
    await connection.execute(delete(resource_grants).where(resource_grants.c.resource_id == router_id))
    gone = await update_router(connection, row, {"delete_time": now, "granted_to_all": False})
    return gone, rule_count, revoked.rowcount


async def _delete_rules(connection: AsyncConnection, customer_id: str, router_id: str) -> int:
    deleted = await connection.execute(
        delete(routing_rules).where(
            routing_rules.c.customer_id == customer_id, routing_rules.c.router_id == router_id
        )
    )
    return deleted.rowcount
