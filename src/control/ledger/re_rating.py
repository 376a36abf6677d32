"""Booking requests again at other prices: correcting entries in the windows of the first ones, never edits.

Locks are taken in the one order of docs/ledger.md (L24), a bounded batch in each transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain import ledger as rules
from control.domain.prices import price_rates
from control.domain.re_rating import PricesInForce, ReRated, Wanted, re_rated
from control.domain.records import REPORTED
from control.domain.rollups import MADE_UP, OTHER, Sum, Sums
from control.ledger.batch import BatchResult
from control.store import ledger, rollups
from control.store import re_rating as store
from control.store.ledger import StoredRecord
from control.store.rows import Row
from tollkeeper.money import MAX_NANOUSD

# Requests in one transaction: windows of a busy customer aren't locked for long.
BATCH = 500


@dataclass(slots=True)
class Tally:
    """What came of some requests of a customer."""

    request_count: int = 0
    changed_count: int = 0
    before_nanousd: int = 0
    after_nanousd: int = 0
    unpriced_count: int = 0
    result: BatchResult = field(default_factory=BatchResult)

    def changed(self, before_nanousd: int, after_nanousd: int) -> None:
        """One more request that costs something else."""
        self.changed_count += 1
        self.before_nanousd += before_nanousd
        self.after_nanousd += after_nanousd

    def add(self, other: "Tally") -> None:
        """Adds another batch's."""
        self.request_count += other.request_count
        self.changed_count += other.changed_count
        self.before_nanousd += other.before_nanousd
        self.after_nanousd += other.after_nanousd
        self.unpriced_count += other.unpriced_count


async def preview(
    connection: AsyncConnection,
    customer_id: str,
    usage_ids: Sequence[str],
    wanted: Wanted,
    prices: PricesInForce,
) -> Tally:
    """What `re_rate` would do."""
    tally = Tally()
    for row, new in await _computed(connection, customer_id, usage_ids, wanted, prices, tally):
        if new.cost_nanousd != row["cost_nanousd"]:
            tally.changed(row["cost_nanousd"], new.cost_nanousd)
    return tally


async def re_rate(
    connection: AsyncConnection,
    customer_id: str,
    usage_ids: Sequence[str],
    wanted: Wanted,
    prices: PricesInForce,
) -> Tally:
    """Corrects those of a batch of requests that cost something else now. The caller commits."""
    tally = Tally()
    stored = await ledger.lock_records(connection, customer_id, usage_ids)
    reported = [usage_id for usage_id, record in stored.items() if record.state == REPORTED]
    changed = [
        (row, new, stored[row["usage_id"]])
        for row, new in await _computed(connection, customer_id, reported, wanted, prices, tally)
        if new.cost_nanousd != stored[row["usage_id"]].cost_nanousd
    ]
    if changed:
        await _correct(connection, customer_id, changed, tally)
    return tally


async def _computed(
    connection: AsyncConnection,
    customer_id: str,
    usage_ids: Sequence[str],
    wanted: Wanted,
    prices: PricesInForce,
    tally: Tally,
) -> list[tuple[Row, ReRated]]:
    """Requests of the log at today's prices; those that can't be are counted."""
    logged = await store.load_logged(connection, customer_id, usage_ids)
    tally.request_count += len(logged)
    named = {attempt.get("price_id") for row in logged for attempt in row["attempts"]}
    price_ids = sorted(price_id for price_id in named if price_id)
    rates = await store.booked_rates(connection, customer_id, price_ids)
    booked = {price_id: price_rates(row) for price_id, row in rates.items()}
    computed = []
    for row in logged:
        new = re_rated(row["attempts"], wanted, prices, booked)
        if new is None or new.cost_nanousd > MAX_NANOUSD:
            tally.unpriced_count += 1
        else:
            computed.append((row, new))
    return computed


async def _correct(
    connection: AsyncConnection,
    customer_id: str,
    changed: Sequence[tuple[Row, ReRated, StoredRecord]],
    tally: Tally,
) -> None:
    lease_ids = {record.lease_id for _, _, record in changed}
    leases, pinned = await ledger.lock_leases(connection, customer_id, lease_ids)
    keys = {key for lease_keys in pinned.values() for key in lease_keys}
    windows = await ledger.lock_windows(connection, customer_id, keys)
    for lease_id, lease in leases.items():
        lease.windows = [windows[key] for key in pinned[lease_id] if key in windows]
    now = await ledger.database_now(connection)
    entries, sums = [], Sums()
    for row, new, record in changed:
        difference = new.cost_nanousd - record.cost_nanousd
        tally.changed(record.cost_nanousd, new.cost_nanousd)
        lease = leases[record.lease_id]
        part = rules.correct(lease, difference)
        entries.append(_entry(customer_id, row["usage_id"], record, part, now))
        sums.count(row, Sum(cost_nanousd=difference))
        if difference < 0:
            tally.result.roomier.extend(window.key for window in lease.windows)
    changed_windows = rules.changed_windows(list(leases.values()))
    tally.result.alerts = await ledger.save_windows(connection, customer_id, changed_windows)
    await ledger.insert_entries(connection, entries)
    await store.set_costs(
        connection,
        customer_id,
        {row["usage_id"]: new.cost_nanousd for row, new, _ in changed},
        {row["usage_id"]: new.attempts for row, new, _ in changed},
    )
    await rollups.add(connection, customer_id, await _as_counted(connection, customer_id, sums))


async def _as_counted(connection: AsyncConnection, customer_id: str, sums: Sums) -> Sums:
    """The same sums where the requests were counted: under OTHER what was beyond its day's cap then."""
    there = await rollups.counted(connection, customer_id, sums)
    corrected = Sums()
    for (dimension, value, hour), amount in sums.items():
        if dimension in MADE_UP and (dimension, value, hour) not in there:
            value = OTHER
        corrected.count_value((dimension, value, hour), amount)
    return corrected


def _entry(
    customer_id: str, usage_id: str, record: StoredRecord, part: rules.Part, now: datetime
) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "usage_id": usage_id,
        "part": record.next_part,
        "lease_id": record.lease_id,
        "label": part.label,
        "amount_nanousd": part.amount_nanousd,
        "estimated": False,
        "post_time": now,
    }
