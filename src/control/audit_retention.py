"""Removes entries of the audit log that are older than it is to be kept."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import structlog

from control.store import audit
from control.store.database import Database
from tollkeeper.ids import first_at
from tollkeeper.tasks import end

INTERVAL_S = 3600.0
# In one look; the rest waits for the next.
MOST_REMOVALS = 1000

log = structlog.get_logger()


class AuditRetention:
    """Looks each hour. Any number of replicas may run one: they remove the same rows."""

    def __init__(self, database: Database, kept: timedelta) -> None:
        self._database = database
        self._kept = kept
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks at once, and then every hour."""
        self._task = asyncio.create_task(self._run(), name="audit_retention")

    async def close(self) -> None:
        """Stops."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self.look(datetime.now(UTC))
            except Exception:
                log.exception("audit_entries_not_removed")
            await asyncio.sleep(INTERVAL_S * random.uniform(0.9, 1.1))

    async def look(self, now: datetime) -> int:
        """Removes what is too old, a thousand rows a transaction; returns how many."""
        removed = 0
        for _ in range(MOST_REMOVALS):
            async with self._database.write() as connection:
                count = await audit.delete_before(connection, str(first_at(now - self._kept)))
            removed += count
            if count < audit.DELETED_AT_ONCE:
                break
        if removed:
            log.info("audit_entries_removed", count=removed)
        return removed
