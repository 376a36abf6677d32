"""Open leases, page by page."""

from collections.abc import AsyncIterator

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.database import Database
from control.store.tables import leases

PAGE = 1000


async def open_leases(database: Database) -> AsyncIterator[tuple[str, str, int]]:
    """(customer_id, lease_id, renewals) of every open lease, in short transactions."""
    after = ("00000000-0000-0000-0000-000000000000",) * 2
    while True:
        async with database.read() as connection:
            page = await _page(connection, after)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1][0], page[-1][1]


async def _page(connection: AsyncConnection, after: tuple[str, str]) -> list[tuple[str, str, int]]:
    found = await connection.execute(
        select(leases.c.customer_id, leases.c.lease_id, leases.c.renewals)
        .where(leases.c.close_time.is_(None))
        .where(tuple_(leases.c.customer_id, leases.c.lease_id) > after)
        .order_by(leases.c.customer_id, leases.c.lease_id)
        .limit(PAGE)
    )
    return [(row.customer_id, row.lease_id, row.renewals) for row in found]
