"""Partitions of the request log and its tags: one of each a month, and one for ids of odd times.

All of them live in the schema `partitions`. A statement that can't have its lock soon gives up, rather than
make everybody wait behind it; it is tried again later.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.months import bounds, month_named, suffix

TABLES = ("request_log", "request_tags")
# Any number that nothing else on this database locks.
_ADVISORY_LOCK = 7_421_006_511_482_313_908
_LOCK_TIMEOUT = "500ms"
PRUNED_AT_ONCE = 1000

_MONTHS = text(
    r"""
    SELECT substr(c.relname, 13) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'partitions' AND c.relkind = 'r' AND c.relname LIKE 'request\_log\_%'
    """
)
_PRUNE_LOG = text(
    """
    DELETE FROM partitions.request_log_default WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM partitions.request_log_default WHERE log_time < now() - :retention LIMIT :most))
    """
)
_PRUNE_TAGS = text(
    """
    DELETE FROM partitions.request_tags_default WHERE ctid = ANY(ARRAY(
        SELECT t.ctid FROM partitions.request_tags_default t
        WHERE NOT EXISTS (SELECT FROM request_log l
            WHERE l.customer_id = t.customer_id AND l.usage_id = t.usage_id)
        LIMIT :most))
    """
)


async def alone(connection: AsyncConnection) -> bool:
    """Whether no other replica is at it, until this transaction ends."""
    locked = await connection.execute(
        text("SELECT pg_try_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK}
    )
    await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
    return bool(locked.scalar_one())


async def months(connection: AsyncConnection) -> set[datetime]:
    """The months that have partitions."""
    found = (month_named(name) for name in (await connection.execute(_MONTHS)).scalars())
    return {month for month in found if month is not None}


async def create(connection: AsyncConnection, month: datetime) -> None:
    """Makes a month's partitions, with what the default ones hold of it: a partition can't be added over
    them."""
    first, last = bounds(month)
    for table in TABLES:
        name = f"partitions.{table}_{suffix(month)}"
        # Names and bounds come from the calendar.
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
        await connection.execute(
            text(
                f"WITH moved AS (DELETE FROM partitions.{table}_default"  # noqa: S608
                f" WHERE usage_id >= '{first}' AND usage_id < '{last}' RETURNING *)"
                f" INSERT INTO {name} SELECT * FROM moved"
            )
        )
        await connection.execute(
            text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{last}')")
        )


async def drop(connection: AsyncConnection, month: datetime) -> None:
    """Drops a month's partitions with all that is in them."""
    for table in TABLES:
        await connection.execute(text(f"DROP TABLE partitions.{table}_{suffix(month)}"))


async def prune_default(connection: AsyncConnection, retention: timedelta) -> int:
    """Deletes some of the rows with odd ids that were logged before the retention; returns how many."""
    pruned = await connection.execute(_PRUNE_LOG, {"retention": retention, "most": PRUNED_AT_ONCE})
    await connection.execute(_PRUNE_TAGS, {"most": PRUNED_AT_ONCE})
    return pruned.rowcount
