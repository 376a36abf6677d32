"""Removes rows that are older than they are to be kept."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from control.store import audit
from control.store.database import Connection, Database
from tollkeeper.ids import first_at
from tollkeeper.tasks import end

INTERVAL_S = 3600.0
# In one look; the rest waits for the next.
MOST_REMOVALS = 1000

log = structlog.get_logger()

# Removes some of the rows from before a time, and says how many; 0: none is left.
Removal = Callable[[Connection, datetime], Awaitable[int]]


class Retention:
    """Looks each hour. Any number of replicas may run one: they remove the same rows."""

    def __init__(self, database: Database, what: str, remove: Removal, kept: timedelta = timedelta()) -> None:
        """`what` names the rows in the log; `kept` is how long they stay, where they don't say it
        themselves."""
        self._database = database
        self._what = what
        self._remove = remove
        self._kept = kept
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks at once, and then every hour."""
        self._task = asyncio.create_task(self._run(), name=f"retention of {self._what}")

    async def close(self) -> None:
        """Stops."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self.look(datetime.now(UTC))
            except Exception:
                log.exception("rows_not_removed", what=self._what)
            await asyncio.sleep(INTERVAL_S * random.uniform(0.9, 1.1))

    async def look(self, now: datetime) -> int:
        """Removes what is too old, some rows a transaction; returns how many."""
        removed = 0
        for _ in range(MOST_REMOVALS):
            async with self._database.write() as connection:
                count = await self._remove(connection, now - self._kept)
            removed += count
            if not count:
                break
        if removed:
            log.info("rows_removed", what=self._what, count=removed)
        return removed


async def old_audit_entries(connection: Connection, time: datetime) -> int:
    """Removes some entries of the audit log that were made before; returns how many."""
    return await audit.delete_before(connection, str(first_at(time)))
