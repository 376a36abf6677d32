"""Ending leases: of an incarnation that is over, of one that forgot them, and of edges that never came
back."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain import ledger as rules
from control.domain.ledger import Lease, LeaseState, Part
from control.domain.records import ESTIMATED
from control.ledger.batch import BatchResult
from control.store import incarnations, ledger
from control.store.database import Database
from control.store.incarnations import OpenLease


async def close_leases(database: Database, leases: Sequence[OpenLease]) -> int:
    """Closes these leases, customer by customer; returns what came free."""
    freed = 0
    for customer_id, group in groupby(leases, key=attrgetter("customer_id")):
        lease_ids = [lease.lease_id for lease in group]

        async def work(
            connection: AsyncConnection, customer_id: str = customer_id, lease_ids: Sequence[str] = lease_ids
        ) -> int:
            locked = await _lock(connection, customer_id, lease_ids)
            amount = sum(rules.close(lease) for lease in locked)
            await _save(connection, customer_id, locked)
            return amount

        freed += await database.write_again(work)
    return freed


async def close_forgotten(
    database: Database, incarnation_id: str, known: Collection[str], asked: datetime | None = None
) -> int:
    """An edge names its leases when it connects; its others are closed (L5). Returns what came free.

    Leases opened since it `asked` (database time) stay: a call that was held up knows nothing of them.
    """
    async with database.read() as connection:
        leases = await incarnations.open_leases(connection, incarnation_id, asked)
    return await close_leases(database, [lease for lease in leases if lease.lease_id not in known])


async def close_incarnation(database: Database, incarnation_id: str, last_sequence: int) -> tuple[int, int]:
    """All records of the incarnation are in: frees its leases at once (L20), and takes back what is left of
    estimates for those that were lost, unless a gap says that records are missing (L22). Returns what came
    free and the gap count."""
    async with database.write() as connection:
        gap_count = await incarnations.close(connection, incarnation_id, last_sequence)
    freed = await close_forgotten(database, incarnation_id, ())
    if not gap_count:
        await _take_back_estimates(database, incarnation_id)
    return freed, gap_count


async def _take_back_estimates(database: Database, incarnation_id: str) -> None:
    async with database.read() as connection:
        lost = await incarnations.lost_leases(connection, incarnation_id)
    for lease in lost:

        async def work(connection: AsyncConnection, lease: OpenLease = lease) -> None:
            locked = await _lock(connection, lease.customer_id, [lease.lease_id])
            await _take_back_estimate(connection, lease.customer_id, locked[0])

        await database.write_again(work)


async def _take_back_estimate(connection: AsyncConnection, customer_id: str, lease: Lease) -> None:
    stored = (await ledger.lock_records(connection, customer_id, [lease.lease_id]))[lease.lease_id]
    if not stored.cost_nanousd:
        return
    part = rules.correct(lease, -stored.cost_nanousd)
    await _insert_entry(connection, customer_id, lease, stored.next_part, part)
    await ledger.set_costs(connection, customer_id, {lease.lease_id: 0})
    await ledger.save_windows(connection, customer_id, rules.changed_windows([lease]))


async def lose_lease(
    database: Database, customer_id: str, lease_id: str, renewals: int
) -> BatchResult | None:
    """Grace ran out, unless the lease gave a sign of life meanwhile: its last reported in-flight holds are
    booked as an estimate, the rest is freed (L22)."""

    async def work(connection: AsyncConnection) -> BatchResult | None:
        locked = await _lock(connection, customer_id, [lease_id])
        if not locked or locked[0].renewals != renewals or locked[0].state is not LeaseState.OPEN:
            return None
        lease = locked[0]
        part = rules.lose(lease)
        now = await ledger.database_now(connection)
        if part is not None:
            await _insert_estimate(connection, customer_id, lease, part)
        await ledger.save_leases(connection, customer_id, locked, now)
        alerts = await ledger.save_windows(connection, customer_id, rules.changed_windows(locked))
        return BatchResult(roomier=[window.key for window in lease.windows], alerts=alerts)

    return await database.write_again(work)


async def _insert_estimate(connection: AsyncConnection, customer_id: str, lease: Lease, part: Part) -> None:
    """The estimate's usage id is the lease's id; sequence 0 stands for no request."""
    now = await ledger.database_now(connection)
    await ledger.claim_records(
        connection,
        [
            {
                **ledger.BLANK_RECORD,
                "customer_id": customer_id,
                "usage_id": lease.lease_id,
                "incarnation_id": lease.incarnation_id,
                "lease_id": lease.lease_id,
                "key_id": lease.key_id,
                "state": int(ESTIMATED),
                "cost_nanousd": part.amount_nanousd,
                "why": "lease_lost",
                "begin_time": now,
                "post_time": now,
            }
        ],
    )
    await _insert_entry(connection, customer_id, lease, 0, part)


async def _insert_entry(
    connection: AsyncConnection, customer_id: str, lease: Lease, number: int, part: Part
) -> None:
    """An entry of the estimate for a lost lease."""
    await ledger.insert_entries(
        connection,
        [
            {
                "customer_id": customer_id,
                "usage_id": lease.lease_id,
                "part": number,
                "lease_id": lease.lease_id,
                "label": part.label,
                "amount_nanousd": part.amount_nanousd,
                "estimated": True,
                "post_time": await ledger.database_now(connection),
            }
        ],
    )


async def _lock(connection: AsyncConnection, customer_id: str, lease_ids: Sequence[str]) -> list[Lease]:
    found, pinned = await ledger.lock_leases(connection, customer_id, lease_ids)
    windows = await ledger.lock_windows(
        connection, customer_id, {key for keys in pinned.values() for key in keys}
    )
    for lease_id, lease in found.items():
        lease.windows = [windows[key] for key in pinned[lease_id] if key in windows]
    return list(found.values())


async def _save(connection: AsyncConnection, customer_id: str, locked: Sequence[Lease]) -> None:
    changed = [lease for lease in locked if lease.changed]
    await ledger.save_leases(connection, customer_id, changed, await ledger.database_now(connection))
    await ledger.save_windows(connection, customer_id, rules.changed_windows(changed))
