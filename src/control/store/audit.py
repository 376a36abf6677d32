"""Rows of the audit log. They are only ever added, and removed when they are older than the log is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.identity import Identity
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row
from control.store.tables import audit_entries, users
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid

DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is empty or None chooses nothing."""

    actor: str = ""
    resource_type: str = ""
    resource_id: str = ""
    method: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None


async def insert_entry(connection: AsyncConnection, values: Row, actor: Identity) -> None:
    """A new entry; the email is the one that the acting user has at this moment."""
    email = (
        select(users.c.email)
        .where(users.c.customer_id == actor.home_customer_id, users.c.user_id == actor.user_id)
        .scalar_subquery()
    )
    row = {**values, "actor_email": func.coalesce(email, "") if actor.user_id else ""}
    await connection.execute(insert(audit_entries).values(**row))


async def load_entry(connection: AsyncConnection, customer_id: str, audit_entry_id: str) -> Row:
    """One entry. Raises NOT_FOUND."""
    statement = select(audit_entries).where(
        audit_entries.c.customer_id == customer_id, audit_entries.c.audit_entry_id == audit_entry_id
    )
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("audit_entry", audit_entry_id)
    return row


async def list_entries(
    connection: AsyncConnection, customer_id: str | None, after: str | None, limit: int, chosen: AuditFilter
) -> Sequence[Row]:
    """Entries of one customer, or without one of all, newest first."""
    statement = select(audit_entries).where(*_conditions(chosen))
    if customer_id is not None:
        statement = statement.where(audit_entries.c.customer_id == customer_id)
    if after is not None:
        statement = statement.where(audit_entries.c.audit_entry_id < after)
    return await fetch_all(connection, statement.order_by(audit_entries.c.audit_entry_id.desc()).limit(limit))


async def delete_before(connection: AsyncConnection, first_kept_id: str) -> int:
    """Removes up to 1000 of the oldest entries before an id; returns how many."""
    old = (
        select(audit_entries.c.customer_id, audit_entries.c.audit_entry_id)
        .where(audit_entries.c.audit_entry_id < first_kept_id)
        .order_by(audit_entries.c.audit_entry_id)
        .limit(DELETED_AT_ONCE)
        .cte()
    )
    statement = delete(audit_entries).where(
        audit_entries.c.customer_id == old.c.customer_id,
        audit_entries.c.audit_entry_id == old.c.audit_entry_id,
    )
    return (await connection.execute(statement)).rowcount


def _conditions(chosen: AuditFilter) -> list[ColumnElement[bool]]:
    columns = audit_entries.c
    conditions: list[ColumnElement[bool]] = []
    if chosen.actor:
        by_email = columns.actor_email == chosen.actor
        by_id = is_uuid(chosen.actor)
        conditions.append(columns.actor_id == chosen.actor if by_id else by_email)
    if chosen.resource_type:
        conditions.append(columns.resource_type == chosen.resource_type)
    if chosen.resource_id:
        conditions.append(columns.resource_id == chosen.resource_id)
    if chosen.method:
        whole_service = columns.method.startswith(chosen.method + "/", autoescape=True)
        conditions.append(or_(columns.method == chosen.method, whole_service))
    if chosen.start_time is not None:
        conditions.append(columns.create_time >= chosen.start_time)
    if chosen.end_time is not None:
        conditions.append(columns.create_time < chosen.end_time)
    return conditions
