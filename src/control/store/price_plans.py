"""Rows of price plans, and which customers have which. All belong to the platform's customer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all, fetch_optional
from control.store.resources import change_row, find_row, insert_row, list_rows
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, price_plans
from tollkeeper.errors import not_found

_LIVE = price_plans.c.customer_id == PLATFORM_CUSTOMER_ID, price_plans.c.delete_time.is_(None)


async def insert_plan(connection: AsyncConnection, price_plan_id: str, values: Row) -> Row:
    """A new plan."""
    named = {"customer_id": PLATFORM_CUSTOMER_ID, "price_plan_id": price_plan_id}
    return await insert_row(connection, price_plans, {**values, **named})


async def load_plan(connection: AsyncConnection, price_plan_id: str) -> Row:
    """A plan, deleted or not. Raises NOT_FOUND."""
    row = await find_row(connection, price_plans, PLATFORM_CUSTOMER_ID, price_plan_id)
    if row is None:
        raise not_found("price plan", price_plan_id)
    return row


async def load_live_plan(connection: AsyncConnection, price_plan_id: str) -> Row:
    """A plan that can be changed or chosen. Raises NOT_FOUND."""
    row = await load_plan(connection, price_plan_id)
    if row["delete_time"] is not None:
        raise not_found("price plan", price_plan_id)
    return row


async def list_plans(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[Row]:
    """Live plans in the order they were made."""
    live = price_plans.c.delete_time.is_(None)
    return await list_rows(connection, price_plans, PLATFORM_CUSTOMER_ID, after, limit, live)


async def plan_of(connection: AsyncConnection, customer_id: str) -> Row | None:
    """The plan that a customer has: the one it has chosen, else the one granted to all."""
    chosen = select(customers.c.price_plan_id).where(customers.c.customer_id == customer_id)
    price_plan_id = (await connection.execute(chosen)).scalar_one_or_none()
    condition = price_plans.c.price_plan_id == price_plan_id
    if price_plan_id is None:
        condition = price_plans.c.granted_to_all
    return await fetch_optional(connection, select(price_plans).where(*_LIVE, condition))


async def other_plans(
    connection: AsyncConnection, price_plan_id: str, name: str, granted_to_all: bool
) -> Sequence[Row]:
    """Live plans that have the name of this one, or that are granted to all as it is. Exact under the lock of
    the platform's customer."""
    alike = price_plans.c.granted_to_all if granted_to_all else false()
    statement = select(price_plans).where(
        *_LIVE, price_plans.c.price_plan_id != price_plan_id, or_(price_plans.c.name == name, alike)
    )
    return await fetch_all(connection, statement)


async def update_plan(connection: AsyncConnection, price_plan_id: str, values: Mapping[str, Any]) -> Row:
    """Changes the named columns."""
    return await change_row(connection, price_plans, PLATFORM_CUSTOMER_ID, price_plan_id, values)


async def count_customers(connection: AsyncConnection, price_plan_id: str) -> int:
    """How many live customers have chosen a plan."""
    statement = select(func.count()).where(_chose(price_plan_id), customers.c.delete_time.is_(None))
    return int((await connection.execute(statement)).scalar_one())


async def delete_plan(connection: AsyncConnection, price_plan_id: str, now: datetime) -> Row:
    """Ends a plan; who had chosen it has the one granted to all."""
    await connection.execute(
        update(customers)
        .where(_chose(price_plan_id))
        .values(price_plan_id=None, revision=customers.c.revision + 1)
    )
    return await update_plan(connection, price_plan_id, {"delete_time": now})


async def lock_customers_of(
    connection: AsyncConnection, price_plan_id: str, without_plan: bool
) -> Sequence[str]:
    """Customers that have chosen a plan, and those that have chosen none where asked, locked in order."""
    affected = _chose(price_plan_id)
    if without_plan:
        affected = or_(affected, customers.c.price_plan_id.is_(None))
    statement = select(customers.c.customer_id).where(affected, customers.c.delete_time.is_(None))
    ordered = statement.order_by(customers.c.customer_id).with_for_update(key_share=True)
    return (await connection.execute(ordered)).scalars().all()


def _chose(price_plan_id: str) -> ColumnElement[bool]:
    return customers.c.price_plan_id == price_plan_id
