"""Makes and deletes customers' Cloudflare gateways in the background, so that no registration waits for or
depends on Cloudflare (DESIGN §7, B1).

Any number of replicas run one: a try is claimed in the database, and a claim that never ends runs out.
Failures are tried again, later each time; what concerns the account as a whole puts off everybody.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from control.cloudflare.errors import ACCOUNT_WIDE, CloudflareError, Problem
from control.cloudflare.gateways import Gateways
from control.domain.gateways import GatewayState, gateway_id_of, quota_retry_after, retry_after
from control.metrics import Metrics
from control.services.audit import record_change
from control.services.gateway_message import gateway_message
from control.store import gateways as store
from control.store.database import Connection, Database
from control.store.rows import Row
from control.store.versions import customer_changed
from tollkeeper.errors import TollkeeperError
from tollkeeper.tasks import end

# Longer than any try, so that two replicas never try the same.
CLAIM = timedelta(seconds=90)
TRY_S = 60.0
POLL_S = 5.0
SWEEP_S = 30.0
CLOSE_S = 1.0
AT_ONCE = 4
SWEPT_AT_ONCE = 200

_SHOWN_STATES = {
    name.removeprefix("GATEWAY_STATE_").lower(): number for name, number in GatewayState.items() if number
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What the settings say about customers' own gateways."""

    per_customer: bool
    prefix: str
    # The Cloudflare account they are made in.
    account_id: str
    # How long edges may still use a gateway that is given up.
    drain: timedelta = timedelta(seconds=30)


class Provisioner:
    """Asks Cloudflare for what the database wants. `cloudflare` None: no account is configured, and wishes
    wait."""

    def __init__(
        self, database: Database, cloudflare: Gateways | None, plan: GatewayPlan, metrics: Metrics
    ) -> None:
        self._database = database
        self._cloudflare = cloudflare
        self._plan = plan
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._stopping = False
        self._swept_s = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def per_customer(self) -> bool:
        """Whether customers may have gateways of their own at all."""
        return self._plan.per_customer

    @property
    def makes_gateways(self) -> bool:
        """Whether new customers get one."""
        return self._plan.per_customer and self._cloudflare is not None

    def start(self) -> None:
        """Begins to look for work, where there is an account."""
        self._stopping = False
        if self._cloudflare is not None:
            self._keep(asyncio.create_task(self._run(), name="provisioner"))

    async def close(self) -> None:
        """Stops, after the look under way if it is a short one; a try that is cut off is made again by
        whoever comes next."""
        self._stopping = True
        self._woken.set()
        if self._tasks:
            # A query that is cut off costs its connection, and time.
            await asyncio.wait(list(self._tasks), timeout=CLOSE_S)
        await end(*self._tasks)

    def wake(self) -> None:
        """There may be work: looks at once. Other replicas look every few seconds."""
        self._woken.set()

    async def want(self, connection: Connection, customer: Row) -> Row:
        """A gateway shall be made for the customer, whose row is locked or new; until then it shares."""
        await store.use_gateway(connection, customer["customer_id"], None)
        return await self._decide(connection, customer, GatewayState.GATEWAY_STATE_PENDING, timedelta())

    async def give_up(self, connection: Connection, customer: Row) -> Row:
        """The customer, whose row is locked, goes without from now on; what was made is deleted. A try under
        way is waited out, and so are edges that haven't heard yet, unless the customer is gone altogether."""
        ready = customer["gateway_state"] == GatewayState.GATEWAY_STATE_READY
        deleted = customer["delete_time"] is not None
        if not customer["gateway_id"] and deleted:
            return customer
        if not customer["gateway_id"] or (self._cloudflare is None and not ready):
            return await self._decide(connection, customer, GatewayState.GATEWAY_STATE_SHARED, None)
        after = timedelta()
        if ready and not deleted:
            after = self._plan.drain
        elif not ready and customer["gateway_tries"]:
            after = CLAIM
        return await store.decide(
            connection,
            customer["customer_id"],
            GatewayState.GATEWAY_STATE_DELETING,
            after,
            cf_gateway_id=None,
        )

    async def provision(self, customer_id: str, timeout_s: float) -> None:
        """Tries a customer's gateway now, and waits so long for the outcome; afterwards it goes on by
        itself."""
        if self._cloudflare is None:
            return
        async with self._database.write() as connection:
            rows = await store.claim_due(connection, 1, CLAIM, self._plan.per_customer, customer_id)
        if rows:
            task = self._keep(asyncio.create_task(self._try(rows[0]), name="provision"))
            await asyncio.wait([task], timeout=timeout_s)

    async def look(self) -> bool:
        """Decides about new customers now and then, and tries what is due; whether there was anything."""
        if time.monotonic() - self._swept_s >= SWEEP_S:
            await self._sweep()
            self._swept_s = time.monotonic()
        async with self._database.write() as connection:
            rows = await store.claim_due(connection, AT_ONCE, CLAIM, self._plan.per_customer)
        await asyncio.gather(*(self._try(row) for row in rows))
        return bool(rows)

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            more = False
            try:
                more = await self.look()
            except TollkeeperError as error:
                log.info("gateways_wait", reason=error.reason_name)
            except Exception:
                log.exception("provisioner_failed")
            if not more and not self._stopping:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_S * random.uniform(0.8, 1.2)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _sweep(self) -> None:
        """Customers from before there was this account, and those that nobody announced."""
        while self._plan.per_customer:
            async with self._database.write() as connection:
                rows = await store.undecided(connection, self._plan.account_id, SWEPT_AT_ONCE)
                for row in rows:
                    await self.want(connection, row)
                    if row["cf_gateway_id"] is not None:
                        # It is in an account that requests don't go to any more.
                        await customer_changed(connection, row["customer_id"])
            if len(rows) < SWEPT_AT_ONCE:
                break
        async with self._database.read() as connection:
            counts = await store.count_by_state(connection)
        for name, state in _SHOWN_STATES.items():
            self._metrics.gateways.labels(name).set(counts.get(state, 0))

    async def _decide(
        self, connection: Connection, customer: Row, state: GatewayState, after: timedelta | None
    ) -> Row:
        customer_id, gateway_id = customer["customer_id"], customer["gateway_id"]
        if not gateway_id:
            gateway_id = gateway_id_of(self._plan.prefix, customer["slug"], customer_id)
            await store.claim_gateway_id(connection, customer_id, gateway_id)
        return await store.decide(connection, customer_id, state, after, gateway_id=gateway_id)

    async def _try(self, row: Row) -> None:
        """One claimed try, from asking Cloudflare to writing what came of it; what can't be written is tried
        again when the claim has run out."""
        deleting = row["gateway_state"] == GatewayState.GATEWAY_STATE_DELETING
        outcome = "ok"
        try:
            async with asyncio.timeout(TRY_S):
                try:
                    await (self._delete(row) if deleting else self._create(row))
                except CloudflareError as error:
                    outcome = error.problem.value
                    await self._failed(row, error)
        except (TollkeeperError, TimeoutError) as error:
            outcome = "unknown"
            log.warning("gateway_try_unknown", customer_id=row["customer_id"], error=str(error))
        self._metrics.gateway_tries.labels("delete" if deleting else "create", outcome).inc()

    async def _create(self, row: Row) -> None:
        assert self._cloudflare is not None
        gateway_id = row["gateway_id"]
        try:
            await self._cloudflare.create(gateway_id)
        except CloudflareError as error:
            if error.problem is not Problem.EXISTS:
                raise
            # The id is made from the customer's: it is ours, of a try whose answer got lost.
            await self._cloudflare.get(gateway_id)

        async def work(connection: Connection) -> bool:
            after = await store.settle(
                connection,
                row,
                None,
                gateway_state=int(GatewayState.GATEWAY_STATE_READY),
                gateway_error="",
                gateway_account_id=self._plan.account_id,
                cf_gateway_id=gateway_id,
            )
            if after is not None:
                await record_change(
                    connection, row["customer_id"], gateway_message(row), gateway_message(after)
                )
                await customer_changed(connection, row["customer_id"])
            return after is not None

        if await self._database.write_again(work):
            log.info("gateway_ready", customer_id=row["customer_id"], gateway_id=gateway_id)

    async def _delete(self, row: Row) -> None:
        assert self._cloudflare is not None
        await self._cloudflare.delete(row["gateway_id"])

        async def work(connection: Connection) -> None:
            gone = row["delete_time"] is not None
            state = GatewayState.GATEWAY_STATE_UNSPECIFIED if gone else GatewayState.GATEWAY_STATE_SHARED
            values = {"gateway_state": int(state), "gateway_error": ""}
            after = await store.settle(connection, row, None, **values)
            if after is not None:
                if gone:
                    await store.release_gateway_id(connection, row["gateway_id"])
                await record_change(
                    connection, row["customer_id"], gateway_message(row), gateway_message(after)
                )
                await store.try_one_more(connection)

        await self._database.write_again(work)
        log.info("gateway_deleted", customer_id=row["customer_id"], gateway_id=row["gateway_id"])
        self.wake()

    async def _failed(self, row: Row, error: CloudflareError) -> None:
        """Writes when it is tried again; a full account isn't a failure, only a reason to share."""
        deleting = row["gateway_state"] == GatewayState.GATEWAY_STATE_DELETING
        full = error.problem is Problem.QUOTA and not deleting
        wait = quota_retry_after() if full else retry_after(row["gateway_tries"])
        if error.retry_after_s is not None:
            wait = max(wait, timedelta(seconds=error.retry_after_s))
        state = GatewayState.GATEWAY_STATE_SHARED if full else GatewayState.GATEWAY_STATE_FAILED
        values: dict[str, object] = {"gateway_error": error.message}
        if not deleting:
            values["gateway_state"] = int(state)
        async with self._database.write() as connection:
            written = await store.settle(connection, row, wait, **values)
            if written is not None and not deleting and error.problem in ACCOUNT_WIDE:
                await store.put_off(connection, wait, values)
        log.warning(
            "gateway_try_failed",
            customer_id=row["customer_id"],
            deleting=deleting,
            problem=error.problem.value,
            status=error.status,
            error=error.message,
            retry_in_s=round(wait.total_seconds(), 1),
        )

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("gateway_try_broke", exc_info=error)
