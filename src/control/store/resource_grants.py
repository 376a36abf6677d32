"""Who may use what the platform owns: everybody (`granted_to_all` of the resource's row), or the customers
named here.

A transaction that names such a resource takes it through `usable`, one that changes it goes through
`lock_for_change`. The two exclude each other, so nobody comes to use what is being withdrawn.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import PLATFORM_CUSTOMER_ID, customers, providers, resource_grants, routers
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import is_uuid

MAX_GRANTED_CUSTOMERS = 1000


class Kind(StrEnum):
    """Kinds of resources that the platform grants; each has a table with `granted_to_all`."""

    PROVIDER = "provider"
    ROUTER = "router"


_TABLES = {Kind.PROVIDER: providers, Kind.ROUTER: routers}


def visible_to(kind: Kind, customer_id: str) -> ColumnElement[bool]:
    """Rows of the customer's own, and the platform's that are granted to it."""
    table = _TABLES[kind]
    named = exists().where(
        resource_grants.c.customer_id == customer_id,
        resource_grants.c.kind == kind,
        resource_grants.c.resource_id == _identifier(table),
    )
    granted = and_(table.c.customer_id == PLATFORM_CUSTOMER_ID, or_(table.c.granted_to_all, named))
    return or_(table.c.customer_id == customer_id, granted)


async def usable(
    connection: AsyncConnection, kind: Kind, customer_id: str, resource_ids: Collection[str]
) -> set[str]:
    """Which of the resources exist for the customer and are not deleted. The platform's stay as they are
    until the transaction ends."""
    table = _TABLES[kind]
    identifier = _identifier(table)
    wanted = [each for each in resource_ids if is_uuid(each)]
    platform = select(identifier).where(
        table.c.customer_id == PLATFORM_CUSTOMER_ID, identifier.in_(wanted), table.c.delete_time.is_(None)
    )
    await connection.execute(platform.order_by(identifier).with_for_update(read=True))
    statement = select(identifier).where(
        identifier.in_(wanted), table.c.delete_time.is_(None), visible_to(kind, customer_id)
    )
    return set((await connection.execute(statement)).scalars())


async def lock_for_change(connection: AsyncConnection, kind: Kind, resource_ids: Collection[str]) -> None:
    """Waits for transactions that are about to name one of these resources of the platform, and keeps others
    from it."""
    table = _TABLES[kind]
    identifier = _identifier(table)
    statement = select(identifier).where(
        table.c.customer_id == PLATFORM_CUSTOMER_ID, identifier.in_(resource_ids)
    )
    await connection.execute(statement.order_by(identifier).with_for_update())


async def granted_customers(
    connection: AsyncConnection, kind: Kind, resource_ids: Collection[str]
) -> dict[str, list[str]]:
    """The customers named for each resource, by id."""
    found: dict[str, list[str]] = {resource_id: [] for resource_id in resource_ids}
    if found:
        statement = select(resource_grants.c.resource_id, resource_grants.c.customer_id).where(
            resource_grants.c.resource_id.in_(found), resource_grants.c.kind == kind
        )
        for row in await connection.execute(statement.order_by(resource_grants.c.customer_id)):
            found[row.resource_id].append(row.customer_id)
    return found


async def set_granted_customers(
    connection: AsyncConnection, kind: Kind, resource_id: str, customer_ids: Collection[str]
) -> None:
    """Names these customers and no others. Raises NOT_FOUND for one that isn't there."""
    for customer_id in customer_ids:
        if not is_uuid(customer_id):
            raise not_found("customer", customer_id)
    wanted = sorted({each.lower() for each in customer_ids})
    live = select(customers.c.customer_id).where(
        customers.c.customer_id.in_(wanted), customers.c.delete_time.is_(None)
    )
    known = set((await connection.execute(live)).scalars())
    for customer_id in wanted:
        if customer_id not in known:
            raise not_found("customer", customer_id)
    await connection.execute(
        delete(resource_grants).where(
            resource_grants.c.resource_id == resource_id, resource_grants.c.kind == kind
        )
    )
    rows = [{"customer_id": each, "kind": kind, "resource_id": resource_id} for each in wanted]
    if rows:
        await connection.execute(insert(resource_grants), rows)


async def grant_to(
    connection: AsyncConnection, kind: Kind, resource_ids: Collection[str], customer_id: str
) -> None:
    """Lets one more customer use resources of the platform, where it can't yet. Raises INVALID_ARGUMENT when
    a resource names as many customers as it may."""
    for resource_id in sorted(set(resource_ids)):
        if not await without_grant(connection, kind, resource_id, [customer_id]):
            continue
        named = select(func.count()).where(
            resource_grants.c.resource_id == resource_id, resource_grants.c.kind == kind
        )
        if (await connection.execute(named)).scalar_one() >= MAX_GRANTED_CUSTOMERS:
            raise invalid(
                f"The {kind} {resource_id} is granted to {MAX_GRANTED_CUSTOMERS} customers: grant it to all.",
                field="template",
            )
        row = {"customer_id": customer_id, "kind": kind, "resource_id": resource_id}
        await connection.execute(insert(resource_grants).values(row))


async def without_grant(
    connection: AsyncConnection, kind: Kind, resource_id: str, customer_ids: Collection[str]
) -> list[str]:
    """Which of the customers may not use a resource of the platform."""
    table = _TABLES[kind]
    to_all = select(table.c.granted_to_all).where(
        table.c.customer_id == PLATFORM_CUSTOMER_ID, _identifier(table) == resource_id
    )
    if (await connection.execute(to_all)).scalar_one():
        return []
    named = set((await granted_customers(connection, kind, [resource_id]))[resource_id])
    return [each for each in customer_ids if each not in named and each != PLATFORM_CUSTOMER_ID]


async def lock_customers_where(connection: AsyncConnection, uses: ColumnElement[bool]) -> Sequence[str]:
    """Locks the customers that a condition on their row chooses, always in the same order."""
    statement = select(customers.c.customer_id).where(uses).order_by(customers.c.customer_id)
    locked = await connection.execute(statement.with_for_update(key_share=True, of=customers))
    return list(locked.scalars())


def _identifier(table: Table) -> ColumnElement[str]:
    return list(table.primary_key.columns)[-1]
