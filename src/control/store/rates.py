"""Meters of rates and of concurrent requests (L4): one row each, changed in place."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.rates import SLOT_MS, Answer, Kind, Meter, Share
from control.store.fetch import fetch_all
from control.store.rows import Row, encode, insert_statement, run, update_statement
from control.store.tables import rate_meters

# What an answer costs if the database crashes the moment after it was lent: the last moments' loans are
# forgotten. A commit that waits for the disk would cost every one of them more.
_DONT_WAIT_FOR_DISK = text("SET LOCAL synchronous_commit = off")
_LIMITS = text(
    """
    SELECT 'key' AS scope, key_id::text AS scope_id, requests_per_minute, tokens_per_minute,
           max_concurrent_requests, model_limits
    FROM keys WHERE customer_id = :customer_id AND key_id = ANY(CAST(:keys AS uuid[]))
    UNION ALL
    SELECT 'user', user_id::text, requests_per_minute, tokens_per_minute, max_concurrent_requests, '[]'
    FROM users WHERE customer_id = :customer_id AND user_id = ANY(CAST(:users AS uuid[]))
    UNION ALL
    SELECT 'team', team_id::text, requests_per_minute, tokens_per_minute, max_concurrent_requests, '[]'
    FROM teams WHERE customer_id = :customer_id AND team_id = ANY(CAST(:teams AS uuid[]))
    UNION ALL
    SELECT 'customer', customer_id::text, requests_per_minute, tokens_per_minute, max_concurrent_requests,
           '[]'
    FROM customers WHERE customer_id = :customer_id AND customer_id = ANY(CAST(:customers AS uuid[]))
    """
)
_KEY = ("scope_id", "model", "kind")
_MAKE = insert_statement(rate_meters, _KEY, "ON CONFLICT DO NOTHING")
_LOCK = text(
    """
    SELECT m.scope_id::text, m.model, m.kind, m.first_slot, m.used, m.shares
    FROM rate_meters m
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(scope_id uuid, model text, kind smallint)
        ON m.scope_id = r.scope_id AND m.model = r.model AND m.kind = r.kind
    WHERE m.customer_id = :customer_id
    ORDER BY m.scope_id, m.model, m.kind
    FOR UPDATE OF m
    """
)
# Not the transaction's time: that is before it waited for its locks.
_NOW_MS = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")
_SAVE = update_statement(rate_meters, ["first_slot", "used", "shares"])
# Of a scope that is limited no more, or gone. What counts is forgotten after two minutes.
_IDLE = timedelta(days=1)
DELETED_AT_ONCE = 10_000
_REMOVE_IDLE = text(
    """
    WITH idle AS (
        SELECT customer_id, scope_id, model, kind FROM rate_meters m
        WHERE (m.first_slot + cardinality(m.used)) * :slot_ms < :before_ms
            AND NOT EXISTS (
                SELECT FROM jsonb_each(m.shares) s
                WHERE CAST(s.value->>'until_ms' AS bigint) >= :before_ms)
        LIMIT :count FOR UPDATE SKIP LOCKED
    )
    DELETE FROM rate_meters m USING idle i
    WHERE (m.customer_id, m.scope_id, m.model, m.kind) = (i.customer_id, i.scope_id, i.model, i.kind)
    """
)
_COLUMNS = {
    Kind.REQUESTS_PER_MINUTE: "requests_per_minute",
    Kind.TOKENS_PER_MINUTE: "tokens_per_minute",
    Kind.CONCURRENT_REQUESTS: "max_concurrent_requests",
}


class MeterKey(NamedTuple):
    """What names a meter within a customer. `model` is the pattern of a key's model limit, or empty."""

    scope_id: str
    model: str
    kind: int


async def load_limits(
    connection: AsyncConnection, customer_id: str, scopes: Collection[tuple[str, str]]
) -> dict[MeterKey, int]:
    """The limits in force of these scopes (name and id), above zero only."""
    values: dict[str, Any] = {"customer_id": customer_id}
    for name in ("key", "user", "team", "customer"):
        values[f"{name}s"] = [scope_id for scope, scope_id in scopes if scope == name]
    limits: dict[MeterKey, int] = {}
    for row in await fetch_all(connection, _LIMITS, values):
        for model, source in [("", row), *((limit["model"], limit) for limit in row["model_limits"])]:
            for kind, column in _COLUMNS.items():
                if source.get(column):
                    limits[MeterKey(row["scope_id"], model, kind)] = source[column]
    return limits


async def lock_meters(
    connection: AsyncConnection, customer_id: str, keys: Sequence[MeterKey]
) -> tuple[dict[MeterKey, Meter], int]:
    """The meters, locked in one order and made where they are missing, and the database's time in
    milliseconds once they are."""
    await connection.execute(_DONT_WAIT_FOR_DISK)
    rows = [key._asdict() for key in keys]
    meters = await _lock(connection, customer_id, rows)
    missing = [key for key in keys if key not in meters]
    if missing:
        blank = {"customer_id": customer_id, "first_slot": 0, "used": [], "shares": {}}
        await run(connection, _MAKE, [{**blank, **key._asdict()} for key in missing])
        meters = await _lock(connection, customer_id, rows)
    return meters, int((await connection.execute(_NOW_MS)).scalar_one())


async def save_meters(connection: AsyncConnection, customer_id: str, meters: dict[MeterKey, Meter]) -> None:
    """Writes locked meters back."""
    await run(
        connection,
        _SAVE,
        [{"customer_id": customer_id, **key._asdict(), **_packed(meter)} for key, meter in meters.items()],
    )


async def remove_idle(connection: AsyncConnection, now: datetime) -> int:
    """Removes up to 10,000 meters that nothing was asked of for a day; returns how many. They are made again
    when they are needed."""
    before_ms = int((now - _IDLE).timestamp() * 1000)
    values = {"slot_ms": SLOT_MS, "before_ms": before_ms, "count": DELETED_AT_ONCE}
    return (await connection.execute(_REMOVE_IDLE, values)).rowcount


async def _lock(connection: AsyncConnection, customer_id: str, rows: Sequence[Row]) -> dict[MeterKey, Meter]:
    values = {"customer_id": customer_id, "rows": encode(rows)}
    return {
        MeterKey(row["scope_id"], row["model"], row["kind"]): _meter(row)
        for row in await fetch_all(connection, _LOCK, values)
    }


def _meter(row: Row) -> Meter:
    first: int = row["first_slot"]
    return Meter(
        row["kind"],
        {first + index: amount for index, amount in enumerate(row["used"]) if amount},
        {incarnation_id: _share(stored) for incarnation_id, stored in row["shares"].items()},
    )


def _share(stored: dict[str, Any]) -> Share:
    return Share(**{**stored, "answer": Answer(**stored["answer"])})


def _packed(meter: Meter) -> Row:
    """Slots as one dense array: there are few more than a hundred."""
    first = min(meter.slots, default=0)
    last = max(meter.slots, default=-1)
    return {
        "first_slot": first,
        "used": [meter.slots.get(slot, 0) for slot in range(first, last + 1)],
        # orjson writes dataclasses as objects.
        "shares": meter.shares,
    }
