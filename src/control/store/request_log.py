"""The request log: a row for each request that people may ask about, refused ones too.

Costs and entries are the ledger's; they are joined to the log's rows, never copied.
"""

from collections.abc import Sequence

from sqlalchemy import Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store import rows as row_sets
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row
from control.store.tables import entries, request_log, request_tags, team_members, usage_records
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid

# What the edge says; log_time is the database's.
_BY_DATABASE = {"log_time"}
_INSERT = row_sets.insert_statement(
    request_log, ["usage_id"], "ON CONFLICT DO NOTHING RETURNING CAST(usage_id AS text)", _BY_DATABASE
)
_REPLACE = row_sets.insert_statement(
    request_log,
    ["usage_id"],
    "ON CONFLICT (customer_id, usage_id) DO UPDATE SET "
    + ", ".join(
        f"{column.name} = excluded.{column.name}"
        for column in request_log.columns
        if not column.primary_key and column.name not in _BY_DATABASE
    ),
    _BY_DATABASE,
)
_INSERT_TAGS = row_sets.insert_statement(
    request_tags, ["customer_id", "tag", "usage_id"], "ON CONFLICT DO NOTHING"
)


async def add(connection: AsyncConnection, log_rows: Sequence[Row]) -> list[str]:
    """Adds new rows; ids that are there already stay as they are. Returns the ids that were new."""
    added = [row[0] for row in await row_sets.run(connection, _INSERT, log_rows)]
    await _add_tags(connection, log_rows)
    return added


async def replace(connection: AsyncConnection, log_rows: Sequence[Row]) -> None:
    """Writes rows over those with the same ids: a report's over its estimate's."""
    await row_sets.run(connection, _REPLACE, log_rows)
    await _add_tags(connection, log_rows)


async def _add_tags(connection: AsyncConnection, log_rows: Sequence[Row]) -> None:
    tag_rows = [
        {"customer_id": row["customer_id"], "tag": tag, "usage_id": row["usage_id"]}
        for row in log_rows
        for tag in row["tags"]
    ]
    await row_sets.run(connection, _INSERT_TAGS, tag_rows)


async def list_requests(
    connection: AsyncConnection,
    customer_id: str,
    before: str | None,
    limit: int,
    key_id: str = "",
    visible_to: str = "",
) -> Sequence[Row]:
    """Requests from the newest on, from behind the id `before`; of one key, or of one user and its teams."""
    statement = _logged().where(request_log.c.customer_id == customer_id)
    if key_id:
        statement = statement.where(request_log.c.key_id == key_id)
    if visible_to:
        teams = select(team_members.c.team_id).where(
            team_members.c.customer_id == customer_id, team_members.c.user_id == visible_to
        )
        statement = statement.where(
            or_(request_log.c.user_id == visible_to, request_log.c.team_id.in_(teams))
        )
    if before is not None:
        statement = statement.where(request_log.c.usage_id < before)
    return await fetch_all(connection, statement.order_by(request_log.c.usage_id.desc()).limit(limit))


async def load_request(connection: AsyncConnection, customer_id: str, usage_id: str) -> Row:
    """One request. Raises NOT_FOUND."""
    if is_uuid(usage_id):
        statement = _logged().where(
            request_log.c.customer_id == customer_id, request_log.c.usage_id == usage_id
        )
        row = await fetch_optional(connection, statement)
        if row is not None:
            return row
    raise not_found("usage record", usage_id)


async def load_entries(connection: AsyncConnection, customer_id: str, usage_id: str) -> Sequence[Row]:
    """The ledger entries of one request, in order."""
    statement = (
        select(entries)
        .where(entries.c.customer_id == customer_id, entries.c.usage_id == usage_id)
        .order_by(entries.c.part)
    )
    return await fetch_all(connection, statement)


def _logged() -> Select[tuple[object, ...]]:
    same = and_(
        usage_records.c.customer_id == request_log.c.customer_id,
        usage_records.c.usage_id == request_log.c.usage_id,
    )
    return select(
        request_log,
        func.coalesce(usage_records.c.cost_nanousd, literal(0)).label("cost_nanousd"),
        usage_records.c.post_time,
    ).select_from(request_log.outerjoin(usage_records, same))
