"""The request log: a row for each request that people may ask about, refused ones too.

Costs and entries are the ledger's; they are joined to the log's rows, never copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.records import REFUSED
from control.store import rows as row_sets
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row, Target
from control.store.tables import entries, request_log, request_tags, usage_records

_BY_DATABASE = {"log_time"}
_INSERT = row_sets.insert_statement(request_log, ["usage_id"], "ON CONFLICT DO NOTHING", _BY_DATABASE)
_INSERT_NEW = row_sets.insert_statement(
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


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which requests are wanted; what is empty lets everything through."""

    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    end_user: str = ""
    tag: str = ""
    model: str = ""
    provider_id: str = ""
    state: int = 0
    status: int = 0
    without_refused: bool = False
    # Usage ids from `first` on, before `last`.
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose requests somebody may see: those of a user, and those of these teams."""

    user_id: str
    team_ids: Sequence[str]


async def add(connection: Target, log_rows: Sequence[Row]) -> None:
    """Adds new rows; ids that are there already stay as they are."""
    await row_sets.run(connection, _INSERT, log_rows)
    await _add_tags(connection, log_rows)


async def add_new(connection: AsyncConnection, log_rows: Sequence[Row]) -> list[str]:
    """As `add`; returns the ids that were not there."""
    added = [row[0] for row in await row_sets.run(connection, _INSERT_NEW, log_rows)]
    await _add_tags(connection, log_rows)
    return added


async def replace(connection: Target, log_rows: Sequence[Row]) -> None:
    """Writes rows over those with the same ids: a report's over its estimate's."""
    await row_sets.run(connection, _REPLACE, log_rows)
    await _add_tags(connection, log_rows)


async def _add_tags(connection: Target, log_rows: Sequence[Row]) -> None:
    tag_rows = [
        {"customer_id": row["customer_id"], "tag": tag, "usage_id": row["usage_id"]}
        for row in log_rows
        for tag in row["tags"]
    ]
    await row_sets.run(connection, _INSERT_TAGS, tag_rows)


async def list_requests(
    connection: AsyncConnection,
    customer_id: str,
    wanted: LogFilter,
    before: str | None,
    limit: int,
    owners: Owners | None = None,
) -> Sequence[Row]:
    """Requests from the newest on, from behind the id `before`; only those of `owners`, where some are
    given."""
    return await fetch_all(connection, list_statement(customer_id, wanted, before, limit, owners))


def list_statement(
    customer_id: str, wanted: LogFilter, before: str | None, limit: int, owners: Owners | None = None
) -> Select[Any]:
    """Each filter, and each owner, is answered from an index in the order of ids: a page costs what it
    holds."""
    conditions = _conditions(customer_id, wanted, before)
    source = _source(wanted)
    if owners is None:
        page = _newest(select(request_log), source, conditions, limit).subquery()
        return _with_costs(page)
    columns = request_log.c.customer_id, request_log.c.usage_id
    mine = [request_log.c.user_id == owners.user_id]
    mine += [request_log.c.team_id == team_id for team_id in owners.team_ids]
    branches = [
        select(_newest(select(*columns), source, [*conditions, owner], limit).subquery()) for owner in mine
    ]
    ids = union(*branches).subquery()
    newest = select(ids).order_by(ids.c.usage_id.desc()).limit(limit).subquery()
    page = select(request_log).where(tuple_(*columns).in_(select(newest))).subquery()
    return _with_costs(page)


async def load_request(connection: AsyncConnection, customer_id: str, usage_id: str) -> Row | None:
    """One request, if the log has it."""
    page = (
        select(request_log)
        .where(request_log.c.customer_id == customer_id, request_log.c.usage_id == usage_id)
        .subquery()
    )
    return await fetch_optional(connection, _with_costs(page))


async def load_record(connection: AsyncConnection, customer_id: str, usage_id: str) -> Row | None:
    """What the ledger knows of a request, however old."""
    statement = select(usage_records).where(
        usage_records.c.customer_id == customer_id, usage_records.c.usage_id == usage_id
    )
    return await fetch_optional(connection, statement)


async def load_entries(connection: AsyncConnection, customer_id: str, usage_id: str) -> Sequence[Row]:
    """The ledger entries of one request, in order."""
    statement = (
        select(entries)
        .where(entries.c.customer_id == customer_id, entries.c.usage_id == usage_id)
        .order_by(entries.c.part)
    )
    return await fetch_all(connection, statement)


def _conditions(customer_id: str, wanted: LogFilter, before: str | None) -> list[ColumnElement[bool]]:
    log = request_log.c
    # Tags are in a table of their own, whose index gives the order then.
    ids = request_tags.c.usage_id if wanted.tag else log.usage_id
    conditions = [log.customer_id == customer_id]
    equal: tuple[tuple[Any, Any], ...] = (
        (log.key_id, wanted.key_id),
        (log.user_id, wanted.user_id),
        (log.team_id, wanted.team_id),
        (log.end_user, wanted.end_user),
        (log.requested_model, wanted.model),
        (log.provider_id, wanted.provider_id),
        # Written out, so that the planner sees whether an index of rare states or statuses holds them.
        (log.state, literal_column(str(int(wanted.state))) if wanted.state else None),
        (log.status, literal_column(str(int(wanted.status))) if wanted.status else None),
    )
    conditions += [column == value for column, value in equal if value is not None and value != ""]
    if wanted.tag:
        conditions += [request_tags.c.customer_id == customer_id, request_tags.c.tag == wanted.tag]
    if wanted.without_refused:
        conditions.append(log.state != int(REFUSED))
    if wanted.first:
        conditions.append(ids >= wanted.first)
    if wanted.last:
        conditions.append(ids < wanted.last)
    if before is not None:
        conditions.append(ids < before)
    return conditions


def _source(wanted: LogFilter) -> FromClause:
    if not wanted.tag:
        return request_log
    same = and_(
        request_log.c.customer_id == request_tags.c.customer_id,
        request_log.c.usage_id == request_tags.c.usage_id,
    )
    return request_tags.join(request_log, same)


def _newest(
    statement: Select[Any], source: FromClause, conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[Any]:
    ids = request_log.c.usage_id if source is request_log else request_tags.c.usage_id
    return statement.select_from(source).where(*conditions).order_by(ids.desc()).limit(limit)


def _with_costs(page: FromClause) -> Select[Any]:
    """The page's rows with what they cost: one look by primary key each."""
    cost = (
        select(usage_records.c.cost_nanousd, usage_records.c.post_time)
        .where(usage_records.c.customer_id == page.c.customer_id, usage_records.c.usage_id == page.c.usage_id)
        .lateral()
    )
    return (
        select(page, func.coalesce(cost.c.cost_nanousd, literal(0)).label("cost_nanousd"), cost.c.post_time)
        .select_from(page.outerjoin(cost, true()))
        .order_by(page.c.usage_id.desc())
    )
