"""Refused requests go to the request log and into the sums of whose they were, and never to the ledger."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from control.domain.rollups import Sum, Sums
from control.store import request_log, rollups
from control.store.database import Database
from control.store.rows import Row


async def log_refusals(database: Database, log_rows: Sequence[Row]) -> None:
    """Logs and counts them, customer by customer. Those that are there already count once."""
    by_customer = itemgetter("customer_id")
    for customer_id, group in groupby(sorted(log_rows, key=by_customer), key=by_customer):
        async with database.write() as connection:
            rows = {row["usage_id"]: row for row in group}
            added = await request_log.add_new(connection, list(rows.values()))
            sums = Sums()
            for usage_id in added:
                row = rows[usage_id]
                sums.count_owners(row, Sum(refused_count=1 + row["omitted_count"]))
            await rollups.add(connection, customer_id, sums)
