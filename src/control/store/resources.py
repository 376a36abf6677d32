"""What the tables of resources have in common: rows of one customer, named by an id that sorts by time.

Changing transactions begin with `lock_customer`. So the configuration of one customer changes by one
transaction at a time: bounds and references that were checked hold until the commit, and all lock in the same
order.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.budgets import Scope
from control.store.fetch import fetch_all, fetch_one, fetch_optional
from control.store.rows import Row
from control.store.tables import customers, keys, teams, users
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import is_uuid

_SCOPE_TABLES: Mapping[int, tuple[str, Table]] = {
    Scope.SCOPE_KEY: ("key", keys),
    Scope.SCOPE_USER: ("user", users),
    Scope.SCOPE_TEAM: ("team", teams),
    Scope.SCOPE_CUSTOMER: ("customer", customers),
}


async def lock_customer(connection: AsyncConnection, customer_id: str) -> Row:
    """The customer's row, locked against other changes. Raises NOT_FOUND."""
    statement = (
        select(customers)
        .where(customers.c.customer_id == customer_id, customers.c.delete_time.is_(None))
        .with_for_update(key_share=True)
    )
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("customer", customer_id)
    return row


async def lock_customers(connection: AsyncConnection, customer_ids: Sequence[str]) -> None:
    """Locks the rows of several customers, deleted ones too, always in the same order."""
    statement = select(customers.c.customer_id).where(customers.c.customer_id.in_(customer_ids))
    ordered = statement.order_by(customers.c.customer_id)
    await connection.execute(ordered.with_for_update(key_share=True))


async def transaction_time(connection: AsyncConnection) -> datetime:
    """The database's now, the same for the whole transaction."""
    now: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return now


async def insert_row(connection: AsyncConnection, table: Table, values: Row) -> Row:
    """A new row, with what the database filled in."""
    return await fetch_one(connection, insert(table).values(**values).returning(table))


async def find_row(
    connection: AsyncConnection, table: Table, customer_id: str, resource_id: str
) -> Row | None:
    """The customer's row of this id, ended ones too."""
    if not is_uuid(resource_id):
        return None
    statement = select(table).where(*_named(table, customer_id, resource_id))
    return await fetch_optional(connection, statement)


async def list_rows(
    connection: AsyncConnection,
    table: Table,
    customer_id: str,
    after: str | None,
    limit: int,
    *conditions: ColumnElement[bool],
) -> Sequence[Row]:
    """Up to `limit` rows of a customer in the order they were made, from behind the id `after`."""
    identifier = _id_column(table)
    statement = select(table).where(table.c.customer_id == customer_id, *conditions)
    if after is not None:
        statement = statement.where(identifier > after)
    return await fetch_all(connection, statement.order_by(identifier).limit(limit))


async def change_row(
    connection: AsyncConnection, table: Table, customer_id: str, resource_id: str, values: Mapping[str, Any]
) -> Row:
    """Writes the named columns and raises the revision. The row exists."""
    statement = update(table).where(*_named(table, customer_id, resource_id))
    statement = statement.values(**values, revision=table.c.revision + 1)
    return await fetch_one(connection, statement.returning(table))


async def raise_chain(connection: AsyncConnection, customer_id: str, scope: int, scope_id: str) -> None:
    """Makes grants of all keys below the scope stale (L3). Raises NOT_FOUND when the customer has no such
    scope."""
    if scope not in _SCOPE_TABLES:
        raise invalid("A budget needs a scope.", field="scope")
    kind, table = _SCOPE_TABLES[scope]
    changed = 0
    if is_uuid(scope_id) and (scope != Scope.SCOPE_CUSTOMER or scope_id == customer_id):
        live = table.c.revoke_time if table is keys else table.c.delete_time
        identified = table.c.customer_id == customer_id, _id_column(table) == scope_id, live.is_(None)
        statement = update(table).where(*identified).values(chain_version=table.c.chain_version + 1)
        changed = (await connection.execute(statement)).rowcount
    if changed == 0:
        raise not_found(kind, scope_id)


def _named(
    table: Table, customer_id: str, resource_id: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.customer_id == customer_id, _id_column(table) == resource_id


def _id_column(table: Table) -> ColumnElement[str]:
    return list(table.primary_key.columns)[-1]
