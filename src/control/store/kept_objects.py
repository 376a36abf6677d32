"""What vendors keep for customers, by the vendors' ids."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.kept_objects import FIRST_PAUSE, kept_for
from control.domain.records import ESTIMATED, PreparedRecord
from control.store import rows as row_sets
from control.store.fetch import fetch_all
from control.store.rows import Row, Target
from control.store.tables import kept_objects

DELETED_AT_ONCE = 1000
# An id that is there already stays what it is: nobody takes an object over by naming it.
_INSERT = row_sets.insert_statement(kept_objects, ["object_id"], "ON CONFLICT DO NOTHING")
_REPORTED = text(
    """
    UPDATE kept_objects k SET pending_record = NULL, look_time = NULL
    FROM jsonb_populate_recordset(CAST(NULL AS kept_objects), CAST(:rows AS jsonb)) r
    WHERE k.customer_id = r.customer_id AND k.usage_id = r.usage_id AND k.pending_record IS NOT NULL
    """
)


async def add(connection: Target, records: Sequence[PreparedRecord], now: datetime) -> None:
    """The objects of records that are posted now."""
    rows = [row for record in records if record.message.kept_objects for row in _rows(record, now)]
    await row_sets.run(connection, _INSERT, rows)


async def reported(connection: Target, records: Sequence[PreparedRecord]) -> None:
    """What these records' requests made is pending no more: their end is known."""
    rows = [{"customer_id": r.message.customer_id, "usage_id": r.usage_id} for r in records]
    await row_sets.run(connection, _REPORTED, rows)


def _rows(record: PreparedRecord, now: datetime) -> list[Row]:
    estimate = record.message.SerializeToString() if record.state == ESTIMATED else None
    objects = {kept.object_id: kept for kept in record.message.kept_objects}
    rows: list[Row] = []
    for kept in objects.values():
        lasts = kept_for(kept.kind)
        pending = estimate if kept.pending else None
        rows.append(
            {
                "customer_id": record.message.customer_id,
                "object_id": kept.object_id,
                "kind": kept.kind,
                "provider_id": kept.provider_id,
                "usage_id": record.usage_id,
                "pending_record": pending,
                "batch_input": kept.batch_input.SerializeToString() if kept.HasField("batch_input") else None,
                "create_time": now,
                "expire_time": now + lasts if lasts is not None else None,
                "look_time": now + FIRST_PAUSE if pending is not None else None,
            }
        )
    return rows


async def find(connection: AsyncConnection, customer_id: str, object_ids: Sequence[str]) -> Sequence[Row]:
    """Those that are the customer's."""
    statement = select(kept_objects).where(
        kept_objects.c.customer_id == customer_id, kept_objects.c.object_id.in_(object_ids)
    )
    return await fetch_all(connection, statement)


async def newest(
    connection: AsyncConnection, customer_id: str, kind: str, before_object_id: str, limit: int
) -> Sequence[Row]:
    """The customer's objects of a kind, the newest first, from behind one of them where it is given."""
    columns = kept_objects.c
    statement = select(kept_objects).where(columns.customer_id == customer_id, columns.kind == kind)
    if before_object_id:
        found = await find(connection, customer_id, [before_object_id])
        if not found:
            return ()
        after = columns.usage_id, columns.object_id
        statement = statement.where(tuple_(*after) < (found[0]["usage_id"], before_object_id))
    order = columns.usage_id.desc(), columns.object_id.desc()
    return await fetch_all(connection, statement.order_by(*order).limit(limit))


async def remove(connection: AsyncConnection, customer_id: str, object_id: str) -> None:
    """Forgets one, if it is there."""
    await connection.execute(
        delete(kept_objects).where(
            kept_objects.c.customer_id == customer_id, kept_objects.c.object_id == object_id
        )
    )


async def remove_expired(connection: AsyncConnection, now: datetime) -> int:
    """Forgets up to 1000 that their vendors have forgotten too; returns how many."""
    return await _remove_before(connection, kept_objects.c.expire_time, now)


async def remove_made_before(connection: AsyncConnection, time: datetime) -> int:
    """Forgets up to 1000 that were made before, of the kinds that vendors never forget; returns how many."""
    return await _remove_before(
        connection, kept_objects.c.create_time, time, kept_objects.c.expire_time.is_(None)
    )


async def _remove_before(
    connection: AsyncConnection, column: ColumnElement[datetime], time: datetime, *which: ColumnElement[bool]
) -> int:
    columns = kept_objects.c
    old = (
        select(columns.customer_id, columns.object_id)
        .where(column < time, *which)
        .order_by(column)
        .limit(DELETED_AT_ONCE)
        .cte()
    )
    statement = delete(kept_objects).where(
        columns.customer_id == old.c.customer_id, columns.object_id == old.c.object_id
    )
    return (await connection.execute(statement)).rowcount
