"""What was used: the records of requests with their entries, and sums by hour."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.fetch import fetch_all, fetch_one, fetch_optional
from control.store.rows import Row
from control.store.tables import entries, rollups, team_members, usage_records
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid


async def list_usage(
    connection: AsyncConnection,
    customer_id: str,
    before: str | None,
    limit: int,
    key_id: str = "",
    visible_to: str = "",
) -> Sequence[Row]:
    """Records from the newest on, from behind the id `before`; of one key, or of one user and its teams."""
    statement = select(usage_records).where(usage_records.c.customer_id == customer_id)
    if key_id:
        statement = statement.where(usage_records.c.key_id == key_id)
    if visible_to:
        teams = select(team_members.c.team_id).where(
            team_members.c.customer_id == customer_id, team_members.c.user_id == visible_to
        )
        theirs = or_(usage_records.c.user_id == visible_to, usage_records.c.team_id.in_(teams))
        statement = statement.where(theirs)
    if before is not None:
        statement = statement.where(usage_records.c.usage_id < before)
    statement = statement.order_by(usage_records.c.usage_id.desc()).limit(limit)
    return await fetch_all(connection, statement)


async def load_usage(connection: AsyncConnection, customer_id: str, usage_id: str) -> Row:
    """One record. Raises NOT_FOUND."""
    if is_uuid(usage_id):
        statement = select(usage_records).where(
            usage_records.c.customer_id == customer_id, usage_records.c.usage_id == usage_id
        )
        row = await fetch_optional(connection, statement)
        if row is not None:
            return row
    raise not_found("usage record", usage_id)


async def load_entries(connection: AsyncConnection, customer_id: str, usage_id: str) -> Sequence[Row]:
    """The ledger entries of one record, in order."""
    statement = (
        select(entries)
        .where(entries.c.customer_id == customer_id, entries.c.usage_id == usage_id)
        .order_by(entries.c.part)
    )
    return await fetch_all(connection, statement)


async def summarise(
    connection: AsyncConnection, customer_id: str, scope: int, scope_id: str, since: datetime
) -> Row:
    """Sums of one scope over all time, and (`day_…`) of the hours from `since` on."""
    lately = rollups.c.hour >= since
    statement = select(
        func.coalesce(func.sum(rollups.c.cost_nanousd), 0).label("total_cost_nanousd"),
        func.coalesce(func.sum(rollups.c.request_count), 0).label("total_requests"),
        func.coalesce(func.sum(rollups.c.cost_nanousd).filter(lately), 0).label("day_cost_nanousd"),
        func.coalesce(func.sum(rollups.c.request_count).filter(lately), 0).label("day_requests"),
        func.coalesce(func.sum(rollups.c.input_tokens), 0).label("input_tokens"),
        func.coalesce(func.sum(rollups.c.output_tokens), 0).label("output_tokens"),
    ).where(
        rollups.c.customer_id == customer_id,
        rollups.c.scope == scope,
        rollups.c.scope_id == scope_id,
    )
    return await fetch_one(connection, statement)
