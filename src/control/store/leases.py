"""Open leases, page by page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.database import Database
from control.store.tables import incarnations, leases

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """An open lease as the expiry task sees it."""

    customer_id: str
    lease_id: str
    renewals: int
    # Its incarnation has been closed: an acquire under way at that moment opened it all the same.
    over: bool


async def open_leases(database: Database) -> AsyncIterator[Standing]:
    """Every open lease, in short transactions."""
    after = ("00000000-0000-0000-0000-000000000000",) * 2
    while True:
        async with database.read() as connection:
            page = await _page(connection, after)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1].customer_id, page[-1].lease_id


async def _page(connection: AsyncConnection, after: tuple[str, str]) -> list[Standing]:
    over = incarnations.c.close_time.is_not(None)
    found = await connection.execute(
        select(leases.c.customer_id, leases.c.lease_id, leases.c.renewals, over.label("over"))
        .outerjoin(incarnations, incarnations.c.incarnation_id == leases.c.incarnation_id)
        .where(leases.c.close_time.is_(None))
        .where(tuple_(leases.c.customer_id, leases.c.lease_id) > after)
        .order_by(leases.c.customer_id, leases.c.lease_id)
        .limit(PAGE)
    )
    return [Standing(row.customer_id, row.lease_id, row.renewals, row.over) for row in found]
