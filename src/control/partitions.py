"""The request log's partitions: made ahead of time, dropped when they have been kept long enough."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import structlog

from control.domain.months import is_over, months_needed, suffix
from control.metrics import Metrics
from control.store import partitions
from control.store.database import Database
from tollkeeper.tasks import end

INTERVAL_S = 3600.0
# After a lock that wasn't to be had, or a database that wasn't there.
RETRY_S = 60.0
# Batches of rows with odd ids that one round deletes at most.
MOST_PRUNES = 100

log = structlog.get_logger()


class Partitions:
    """Keeps the partitions. Any number of replicas may run one: a lock lets one at a time work."""

    def __init__(self, database: Database, metrics: Metrics, retention: timedelta | None) -> None:
        """No `retention` keeps everything."""
        self._database = database
        self._metrics = metrics
        self._retention = retention
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks at once, and then every hour."""
        self._task = asyncio.create_task(self._run(), name="partitions")

    async def close(self) -> None:
        """Stops."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            pause_s = INTERVAL_S
            try:
                await self.look(datetime.now(UTC))
            except Exception:
                log.exception("partitions_not_kept")
                pause_s = RETRY_S
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))

    async def look(self, now: datetime) -> None:
        """Makes the months that are needed, drops those that are over, and prunes rows with odd ids."""
        async with self._database.write() as connection:
            if not await partitions.alone(connection):
                return
            have = await partitions.months(connection)
            self._metrics.request_log_months.set(len(have))
            for month in sorted(set(months_needed(now)) - have):
                await partitions.create(connection, month)
                log.info("partition_made", month=suffix(month))
        if self._retention is not None:
            for month in sorted(month for month in have if is_over(month, now, self._retention)):
                await self._drop(month)
            await self._prune(self._retention)

    async def _drop(self, month: datetime) -> None:
        async with self._database.write() as connection:
            if await partitions.alone(connection) and month in await partitions.months(connection):
                await partitions.drop(connection, month)
                log.info("partition_dropped", month=suffix(month))

    async def _prune(self, retention: timedelta) -> None:
        for _ in range(MOST_PRUNES):
            async with self._database.write() as connection:
                if not await partitions.alone(connection):
                    return
                if await partitions.prune_default(connection, retention) < partitions.PRUNED_AT_ONCE:
                    return
