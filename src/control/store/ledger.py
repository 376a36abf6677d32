"""The ledger's rows, in the one order every path locks them: usage records by id, leases, windows, rollups
(L24).

Everything here works on one customer, inside a transaction the caller opened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.ledger import Alert, Lease, LeaseState, Window, WindowKey
from control.store import rows as row_sets
from control.store.rows import Row, Target
from control.store.tables import (
    budget_alerts,
    entries,
    lease_grants,
    lease_windows,
    leases,
    refused_records,
    usage_records,
    windows,
)
from tollkeeper.ids import uuid7

_INSERT_RECORDS = row_sets.insert_statement(
    usage_records, ["usage_id"], "ON CONFLICT DO NOTHING RETURNING CAST(usage_id AS text), clock_timestamp()"
)
_UPDATE_RECORDS = row_sets.update_statement(
    usage_records,
    [c.name for c in usage_records.columns if c.name not in ("customer_id", "usage_id", "begin_time")],
)
_INSERT_ENTRIES = row_sets.insert_statement(entries, ["usage_id", "part"])
_INSERT_LEASES = row_sets.insert_statement(leases, ["lease_id"])
_INSERT_LEASE_WINDOWS = row_sets.insert_statement(lease_windows, ["lease_id", "budget_id", "start_time"])
_INSERT_GRANTS = row_sets.insert_statement(lease_grants, ["lease_id", "top_up"])
_INSERT_REFUSED = row_sets.insert_statement(refused_records, ["usage_id"], "ON CONFLICT DO NOTHING")
_INSERT_WINDOWS = row_sets.insert_statement(
    windows,
    ["scope", "budget_id", "start_time"],
    "ON CONFLICT DO NOTHING RETURNING CAST(budget_id AS text), start_time",
)
_UPDATE_LEASES = row_sets.update_statement(
    leases,
    [
        "granted_nanousd",
        "posted_nanousd",
        "returned_nanousd",
        "undrawn_nanousd",
        "in_flight_nanousd",
        "top_up",
        "renewals",
        "state",
        "close_time",
    ],
)
_UPDATE_WINDOWS = row_sets.update_statement(
    windows, ["spent_nanousd", "held_nanousd", "highest_limit_nanousd", "recall_until", "alerted_percent"]
)
_INSERT_ALERTS = row_sets.insert_statement(
    budget_alerts, ["budget_id", "start_time", "threshold_percent"], "ON CONFLICT DO NOTHING"
)

_LOCK_RECORDS = text(
    """
    SELECT CAST(usage_id AS text) AS usage_id, CAST(lease_id AS text) AS lease_id, state, digest,
    cost_nanousd, input_tokens, output_tokens,
           (SELECT max(part) FROM entries e
             WHERE e.customer_id = u.customer_id AND e.usage_id = u.usage_id) AS last_part
    FROM usage_records u
    WHERE customer_id = :customer_id AND usage_id = ANY(CAST(:usage_ids AS uuid[]))
    ORDER BY usage_id FOR UPDATE
    """
)
_LOCK_LEASES = text(
    """
    SELECT CAST(lease_id AS text) AS lease_id, CAST(incarnation_id AS text) AS incarnation_id,
           CAST(key_id AS text) AS key_id, chain_version, unlimited, granted_nanousd, posted_nanousd,
           returned_nanousd, undrawn_nanousd, in_flight_nanousd, top_up, renewals, state,
           ARRAY(SELECT CAST(budget_id AS text) FROM lease_windows w
                 WHERE w.customer_id = l.customer_id AND w.lease_id = l.lease_id
                 ORDER BY budget_id, start_time) AS budget_ids,
           ARRAY(SELECT start_time FROM lease_windows w
                 WHERE w.customer_id = l.customer_id AND w.lease_id = l.lease_id
                 ORDER BY budget_id, start_time) AS start_times
    FROM leases l
    WHERE customer_id = :customer_id AND lease_id = ANY(CAST(:lease_ids AS uuid[]))
    ORDER BY lease_id FOR UPDATE
    """
)
_LOCK_WINDOWS = text(
    """
    SELECT CAST(w.budget_id AS text) AS budget_id, w.start_time, w.end_time, w.scope,
           CAST(b.scope_id AS text) AS scope_id, NOT b.soft AS hard,
           b.limit_nanousd + w.top_up_nanousd AS limit_nanousd, w.top_up_nanousd, b.thresholds,
           w.spent_nanousd, w.held_nanousd, w.highest_limit_nanousd, w.recall_until, w.alerted_percent
    FROM unnest(CAST(:budget_ids AS uuid[]), CAST(:start_times AS timestamptz[])) AS k(budget_id, start_time)
    JOIN windows w USING (budget_id, start_time)
    JOIN budgets b ON b.customer_id = w.customer_id AND b.budget_id = w.budget_id
    WHERE w.customer_id = :customer_id
    ORDER BY w.scope, w.budget_id, w.start_time FOR UPDATE OF w
    """
)

# A usage record of nothing, for estimates that stand for no single request.
BLANK_RECORD: Row = {
    "sequence": 0,
    "user_id": None,
    "team_id": None,
    "digest": b"",
    "input_tokens": 0,
    "output_tokens": 0,
    "why": "",
}


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """What is known of a usage id that was settled before."""

    lease_id: str
    state: int
    digest: bytes
    cost_nanousd: int
    # Number the next entry of this usage id gets.
    next_part: int
    input_tokens: int = 0
    output_tokens: int = 0


async def database_now(connection: Target) -> datetime:
    """The database's clock, the only one windows are compared with (L2)."""
    now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return now


async def claim_records(
    connection: AsyncConnection, records: Sequence[Row]
) -> tuple[set[str], datetime | None]:
    """Inserts usage records; returns the ids that were really new, which are ours to post (I3), and the
    database's time if there were any."""
    claimed = await row_sets.run(connection, _INSERT_RECORDS, records)
    return {row[0] for row in claimed}, claimed[0][1] if claimed else None


async def replace_records(connection: Target, records: Sequence[Row]) -> None:
    """Overwrites locked usage records: an estimate by its report."""
    await row_sets.run(connection, _UPDATE_RECORDS, records)


async def set_costs(connection: Target, customer_id: str, costs_nanousd: Mapping[str, int]) -> None:
    """New costs of locked usage records: what is left of lost leases' estimates."""
    for usage_id, cost_nanousd in costs_nanousd.items():
        await connection.execute(
            update(usage_records)
            .where(usage_records.c.customer_id == customer_id, usage_records.c.usage_id == usage_id)
            .values(cost_nanousd=cost_nanousd)
        )


async def lock_records(
    connection: AsyncConnection, customer_id: str, usage_ids: Iterable[str]
) -> dict[str, StoredRecord]:
    """The stored records of these ids, locked in order."""
    ids = list(usage_ids)
    if not ids:
        return {}
    found = await connection.execute(_LOCK_RECORDS, {"customer_id": customer_id, "usage_ids": ids})
    return {
        row.usage_id: StoredRecord(
            row.lease_id,
            row.state,
            bytes(row.digest),
            row.cost_nanousd,
            0 if row.last_part is None else row.last_part + 1,
            row.input_tokens,
            row.output_tokens,
        )
        for row in found
    }


async def lock_leases(
    connection: AsyncConnection, customer_id: str, lease_ids: Iterable[str]
) -> tuple[dict[str, Lease], dict[str, list[WindowKey]]]:
    """Leases locked in order, and the windows each pins (not locked yet)."""
    ids = list(lease_ids)
    if not ids:
        return {}, {}
    found: dict[str, Lease] = {}
    pinned: dict[str, list[WindowKey]] = {}
    for row in await connection.execute(_LOCK_LEASES, {"customer_id": customer_id, "lease_ids": ids}):
        pinned[row.lease_id] = list(zip(row.budget_ids, row.start_times, strict=True))
        found[row.lease_id] = Lease(
            lease_id=row.lease_id,
            incarnation_id=row.incarnation_id,
            key_id=row.key_id,
            chain_version=row.chain_version,
            unlimited=row.unlimited,
            granted_nanousd=row.granted_nanousd,
            posted_nanousd=row.posted_nanousd,
            returned_nanousd=row.returned_nanousd,
            undrawn_nanousd=row.undrawn_nanousd,
            in_flight_nanousd=row.in_flight_nanousd,
            top_up=row.top_up,
            renewals=row.renewals,
            state=LeaseState(row.state),
        )
    return found, pinned


async def lock_windows(
    connection: AsyncConnection, customer_id: str, keys: Iterable[WindowKey]
) -> dict[WindowKey, Window]:
    """Windows locked in the order key, user, team, customer, with the limits in force."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    found = await connection.execute(
        _LOCK_WINDOWS,
        {
            "customer_id": customer_id,
            "budget_ids": [budget_id for budget_id, _ in wanted],
            "start_times": [start_time for _, start_time in wanted],
        },
    )
    locked = (
        Window(
            budget_id=row.budget_id,
            start_time=row.start_time,
            end_time=row.end_time,
            scope=row.scope,
            scope_id=row.scope_id,
            hard=row.hard,
            limit_nanousd=row.limit_nanousd,
            spent_nanousd=row.spent_nanousd,
            held_nanousd=row.held_nanousd,
            highest_limit_nanousd=row.highest_limit_nanousd,
            recall_until=row.recall_until,
            top_up_nanousd=row.top_up_nanousd,
            thresholds=tuple(row.thresholds),
            alerted_percent=row.alerted_percent,
        )
        for row in found
    )
    return {window.key: window for window in locked}


async def insert_windows(connection: AsyncConnection, rows: Sequence[Row]) -> set[WindowKey]:
    """Brings windows into being; returns those that nobody else had."""
    return {(row[0], row[1]) for row in await row_sets.run(connection, _INSERT_WINDOWS, rows)}


async def insert_entries(connection: Target, rows: Sequence[Row]) -> None:
    """Appends entries. A number that exists already is a bug, and fails the transaction."""
    await row_sets.run(connection, _INSERT_ENTRIES, rows)


async def insert_grants(connection: Target, rows: Sequence[Row]) -> None:
    """Stores the answers of top-ups, with what was seen under the lock (I1)."""
    await row_sets.run(connection, _INSERT_GRANTS, rows)


async def insert_refused(connection: Target, rows: Sequence[Row]) -> None:
    """Keeps what could not be posted for a person; a repetition changes nothing."""
    await row_sets.run(connection, _INSERT_REFUSED, rows)


async def save_leases(connection: Target, customer_id: str, changed: Sequence[Lease], now: datetime) -> None:
    """Writes new leases with their windows, and what changed in others."""
    new = [lease for lease in changed if lease.new]
    await row_sets.run(connection, _INSERT_LEASES, [_lease_row(customer_id, lease, now) for lease in new])
    await row_sets.run(
        connection,
        _INSERT_LEASE_WINDOWS,
        [
            {
                "customer_id": customer_id,
                "lease_id": lease.lease_id,
                "budget_id": window.budget_id,
                "start_time": window.start_time,
            }
            for lease in new
            for window in lease.windows
        ],
    )
    old = [_lease_row(customer_id, lease, now) for lease in changed if not lease.new]
    await row_sets.run(connection, _UPDATE_LEASES, old)


async def save_windows(connection: Target, customer_id: str, changed: Sequence[Window]) -> list[Alert]:
    """Writes what changed in locked windows, and an alert for each threshold that is newly reached."""
    alerts = [alert for window in changed if window.thresholds for alert in window.reach()]
    await row_sets.run(
        connection,
        _UPDATE_WINDOWS,
        [
            {
                "customer_id": customer_id,
                "budget_id": window.budget_id,
                "start_time": window.start_time,
                "spent_nanousd": window.spent_nanousd,
                "held_nanousd": window.held_nanousd,
                "highest_limit_nanousd": window.highest_limit_nanousd,
                "recall_until": window.recall_until,
                "alerted_percent": window.alerted_percent,
            }
            for window in changed
        ],
    )
    if alerts:
        now = await database_now(connection)
        await row_sets.run(
            connection, _INSERT_ALERTS, [_alert_row(customer_id, each, now) for each in alerts]
        )
    return alerts


def _alert_row(customer_id: str, alert: Alert, now: datetime) -> Row:
    window = alert.window
    return {
        "customer_id": customer_id,
        "alert_id": str(uuid7()),
        "budget_id": window.budget_id,
        "start_time": window.start_time,
        "end_time": window.end_time,
        "threshold_percent": alert.percent,
        "limit_nanousd": window.limit_nanousd,
        "spent_nanousd": window.spent_nanousd,
        "create_time": now,
    }


def _lease_row(customer_id: str, lease: Lease, now: datetime) -> Row:
    return {
        "customer_id": customer_id,
        "lease_id": lease.lease_id,
        "incarnation_id": lease.incarnation_id,
        "key_id": lease.key_id,
        "chain_version": lease.chain_version,
        "unlimited": lease.unlimited,
        "granted_nanousd": lease.granted_nanousd,
        "posted_nanousd": lease.posted_nanousd,
        "returned_nanousd": lease.returned_nanousd,
        "undrawn_nanousd": lease.undrawn_nanousd,
        "in_flight_nanousd": lease.in_flight_nanousd,
        "top_up": lease.top_up,
        "renewals": lease.renewals,
        "state": int(lease.state),
        "create_time": now,
        "close_time": None if lease.state is LeaseState.OPEN else now,
    }
