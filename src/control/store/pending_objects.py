"""Pending objects, as they are handed to edges that look for their end (L15).

Works for all customers at once, as no posting does: it locks only rows that nobody else has locked, and no
others.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.kept_objects import FIRST_PAUSE, LONGEST_PAUSE
from control.domain.records import ESTIMATED, PreparedRecord
from control.store import request_log
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, kept_objects, usage_records

# The provider is taken as it is, granted, enabled or in any rule or not: what its vendor was asked to do, it
# bills.
_CLAIM = text(
    """
    WITH due AS (
        SELECT customer_id, object_id, provider_id, look_time FROM kept_objects
        WHERE look_time <= now() AND kind = ANY(:kinds)
        ORDER BY look_time LIMIT :count FOR UPDATE SKIP LOCKED
    )
    UPDATE kept_objects k
    SET look_time = now() + (0.8 + 0.4 * random())
        * least(greatest(now() - k.create_time, CAST(:first AS interval)), CAST(:longest AS interval))
    FROM due d
    JOIN customers c ON c.customer_id = d.customer_id
    LEFT JOIN providers p ON p.customer_id IN (d.customer_id, CAST(:platform AS uuid))
        AND p.provider_id = d.provider_id AND p.delete_time IS NULL
    WHERE k.customer_id = d.customer_id AND k.object_id = d.object_id
    RETURNING k.object_id, k.kind, k.usage_id::text, k.provider_id::text AS kept_by, k.pending_record,
              k.batch_input, now() - k.create_time AS age, now() - d.look_time AS late, c.cf_gateway_id,
              p.provider_id::text, p.customer_id::text AS provider_customer_id, p.name, p.provider_type,
              p.base_url, p.sealed_credential, p.stored_key_alias, p.direct
    """
)
_NEXT_IN = text(
    """
    SELECT look_time - now() AS next_in FROM kept_objects
    WHERE look_time IS NOT NULL AND kind = ANY(:kinds) ORDER BY look_time LIMIT 1
    """
)


async def claim(connection: AsyncConnection, kinds: Sequence[str], count: int) -> Sequence[Row]:
    """Up to so many whose end it is time to look for, with their providers' columns (null: deleted); none of
    them is handed out again before a pause has passed."""
    values = {
        "kinds": kinds,
        "count": count,
        "first": FIRST_PAUSE,
        "longest": LONGEST_PAUSE,
        "platform": PLATFORM_CUSTOMER_ID,
    }
    return await fetch_all(connection, _CLAIM, values)


async def next_in(connection: AsyncConnection, kinds: Sequence[str]) -> timedelta | None:
    """Until the next one is due, below zero when it is; None: there is none."""
    row = await fetch_optional(connection, _NEXT_IN, {"kinds": kinds})
    return row["next_in"] if row is not None else None


async def stop_looking(connection: AsyncConnection, record: PreparedRecord) -> None:
    """Nobody looks any more, and the estimate has a new reason; `record` is the estimate with it. Locks in
    the order of postings (L24)."""
    customer_id = record.message.customer_id
    estimate = (
        update(usage_records)
        .where(
            usage_records.c.customer_id == customer_id,
            usage_records.c.usage_id == record.usage_id,
            usage_records.c.state == ESTIMATED,
        )
        .values(why=record.row["why"])
    )
    if (await connection.execute(estimate)).rowcount:
        await request_log.replace(connection, [record.log_row])
    await connection.execute(
        update(kept_objects)
        .where(kept_objects.c.customer_id == customer_id, kept_objects.c.usage_id == record.usage_id)
        .values(look_time=None)
    )
