"""Leases of edges that never come back (L6, L22).

Time is counted on this process's monotonic clock, only between two looks at the database that both
succeeded, and anew after a restart: an outage of anything but the edge never expires a lease.
"""

import asyncio
import time

import structlog

from control.ledger.closing import close_leases, lose_lease
from control.metrics import Metrics
from control.store import leases as lease_store
from control.store.database import Database
from control.store.incarnations import OpenLease
from control.watch import Hub
from tollkeeper.errors import TollkeeperError
from tollkeeper.tasks import end

LOOKS_PER_GRACE = 20
MAX_LOOK_S = 30.0

log = structlog.get_logger()


class Expiry:
    """Watches open leases stand still. Any number of replicas may run one."""

    def __init__(self, database: Database, hub: Hub, metrics: Metrics, grace_s: float) -> None:
        self._database = database
        self._metrics = metrics
        self._hub = hub
        self._grace_s = grace_s
        self._look_s = min(MAX_LOOK_S, grace_s / LOOKS_PER_GRACE)
        # (customer_id, lease_id) → (renewals when last seen, how long it has stood still).
        self._still: dict[tuple[str, str], tuple[int, float]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="expiry")

    async def close(self) -> None:
        await end(self._task)

    async def _run(self) -> None:
        last_look_s: float | None = None
        while True:
            await asyncio.sleep(self._look_s)
            now_s = time.monotonic()
            try:
                # A pause much longer than planned (suspend, a stopped process) is not the edge's silence.
                passed_s = 0.0 if last_look_s is None else min(now_s - last_look_s, 2 * self._look_s)
                await self.look(passed_s)
                last_look_s = now_s
            except TollkeeperError:
                last_look_s = None
            except Exception:
                last_look_s = None
                log.exception("expiry_failed")

    async def look(self, passed_s: float) -> None:
        """One look at every open lease, `passed_s` after the one before."""
        seen: dict[tuple[str, str], tuple[int, float]] = {}
        async for lease in lease_store.open_leases(self._database):
            name = lease.customer_id, lease.lease_id
            if lease.over:
                # Its incarnation was closed with all records in: nothing is in flight (L20).
                await close_leases(self._database, [OpenLease(*name)])
                continue
            before, still_s = self._still.get(name, (None, 0.0))
            still_s = still_s + passed_s if before == lease.renewals else 0.0
            if still_s < self._grace_s:
                seen[name] = (lease.renewals, still_s)
            else:
                await self._lose(*name, lease.renewals)
        self._still = seen

    async def _lose(self, customer_id: str, lease_id: str, renewals: int) -> None:
        result = await lose_lease(self._database, customer_id, lease_id, renewals)
        if result is not None:
            self._metrics.expired_leases.inc()
            log.warning("lease_lost", customer_id=customer_id, lease_id=lease_id)
            self._hub.on_ledger_result(customer_id, result)
