"""Lives of edge workers, and the leases they leave behind (L20)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import incarnations, leases, usage_records

_SETTLED = text(
    """
    SELECT count(DISTINCT sequence) FROM (
        SELECT sequence FROM usage_records WHERE incarnation_id = :incarnation_id AND sequence BETWEEN 1 AND
        :last
        UNION ALL
        SELECT sequence FROM refused_records WHERE incarnation_id = :incarnation_id AND sequence BETWEEN 1
        AND :last
    ) settled
    """
)


@dataclass(frozen=True, slots=True)
class OpenLease:
    customer_id: str
    lease_id: str


async def register(connection: AsyncConnection, incarnation_id: str, edge_name: str) -> bool:
    """Notes that an incarnation lives. False when it has been closed: it never reopens."""
    statement = insert(incarnations).values(incarnation_id=incarnation_id, edge_name=edge_name)
    await connection.execute(statement.on_conflict_do_nothing())
    closed = await connection.execute(
        select(incarnations.c.close_time).where(incarnations.c.incarnation_id == incarnation_id)
    )
    return closed.scalar_one() is None


async def open_leases(
    connection: AsyncConnection, incarnation_id: str, before: datetime | None = None
) -> list[OpenLease]:
    """Leases of one incarnation that still hold or may hold something; those opened `before` a time, where
    one is given."""
    wanted = (
        select(leases.c.customer_id, leases.c.lease_id)
        .where(leases.c.incarnation_id == incarnation_id, leases.c.close_time.is_(None))
        .order_by(leases.c.customer_id, leases.c.lease_id)
    )
    if before is not None:
        wanted = wanted.where(leases.c.create_time < before)
    return [OpenLease(row.customer_id, row.lease_id) for row in await connection.execute(wanted)]


async def lost_leases(connection: AsyncConnection, incarnation_id: str) -> list[OpenLease]:
    """Leases of one incarnation whose estimates still stand for something (L22): sequence 0 is no
    request's."""
    found = await connection.execute(
        select(usage_records.c.customer_id, usage_records.c.usage_id)
        .where(
            usage_records.c.incarnation_id == incarnation_id,
            usage_records.c.sequence == 0,
            usage_records.c.cost_nanousd > 0,
        )
        .order_by(usage_records.c.customer_id, usage_records.c.usage_id)
    )
    return [OpenLease(row.customer_id, row.usage_id) for row in found]


async def close(connection: AsyncConnection, incarnation_id: str, last_sequence: int) -> int:
    """Marks an incarnation as over; returns how many sequences were never settled."""
    settled = await connection.execute(_SETTLED, {"incarnation_id": incarnation_id, "last": last_sequence})
    gap_count = max(0, last_sequence - int(settled.scalar_one()))
    statement = insert(incarnations).values(
        incarnation_id=incarnation_id,
        close_time=func.now(),
        last_sequence=last_sequence,
        gap_count=gap_count,
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[incarnations.c.incarnation_id],
            set_={
                "close_time": func.coalesce(incarnations.c.close_time, func.now()),
                "last_sequence": last_sequence,
                "gap_count": gap_count,
            },
        )
    )
    return gap_count
