"""All ledger work of a customer, one transaction at a time (L25).

Settles and acquires that wait are combined into the next transaction. Acquires that only holds stand in the
way of stay in line, first come first served, until room appears or their time is up (L11).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.records import PreparedRecord
from control.ledger import batch
from control.ledger.batch import AcquireWork, BatchResult, SettleWork
from control.ledger.value_caps import ValueCaps
from control.metrics import Metrics
from control.store.database import UNIQUE_VIOLATION, Database
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

Outcome = edge_pb2.SettleOutcome

# Bounds on one customer's line and on one transaction.
MAX_WAITING = 4096
MAX_RECORDS_PER_BATCH = 2000
MAX_ACQUIRES_PER_BATCH = 256
# Another replica may have freed room without this one knowing.
PARKED_RETRY_S = 0.1
MAX_WAIT_S = 30.0
# Transactions at a time. With more, each gathers less work, and no connection is left to others.
DEFAULT_CONCURRENCY = 8


@dataclass(slots=True)
class SettleJob:
    work: SettleWork
    done: "asyncio.Future[list[Outcome]]"


@dataclass(slots=True)
class AcquireJob:
    work: AcquireWork
    deadline_s: float
    done: "asyncio.Future[edge_pb2.AcquireLeaseResponse]"

    @property
    def next_window(self) -> bool:
        return self.work.request.next_window


class LedgerQueue:
    """The way into the ledger. `on_result` hears of recalls and of room, after commit."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        draw_for: timedelta,
        on_result: Callable[[str, BatchResult], None],
        caps: ValueCaps | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._draw_for = draw_for
        self._on_result = on_result
        self._caps = caps or ValueCaps()
        self._turns = asyncio.Semaphore(concurrency)
        self._lines: dict[str, _Line] = {}
        metrics.ledger_waiting.set_function(lambda: sum(len(line) for line in self._lines.values()))

    async def settle(
        self,
        customer_id: str,
        records: Sequence[PreparedRecord],
        reports: Sequence[edge_pb2.LeaseReport],
    ) -> list[Outcome]:
        """Books records and takes reports; one outcome per record. Raises UNAVAILABLE when nothing was
        booked."""
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._line(customer_id).add_settle(SettleJob(SettleWork(records, reports), done))
        return await done

    async def acquire(
        self, request: edge_pb2.AcquireLeaseRequest, wait_s: float
    ) -> edge_pb2.AcquireLeaseResponse:
        """Grants, or raises INSUFFICIENT_QUOTA, GRANT_STALE, LEASE_CLOSED, INCARNATION_CLOSED at once and
        BUDGET_HELD when `wait_s` is over."""
        done: asyncio.Future[edge_pb2.AcquireLeaseResponse] = asyncio.get_running_loop().create_future()
        deadline_s = time.monotonic() + min(wait_s, MAX_WAIT_S)
        self._line(request.customer_id).add_acquire(AcquireJob(AcquireWork(request), deadline_s, done))
        return await done

    def _line(self, customer_id: str) -> "_Line":
        line = self._lines.get(customer_id)
        if line is None:
            line = self._lines[customer_id] = _Line(self, customer_id)
        return line

    async def run_batch(
        self, customer_id: str, settles: Sequence[SettleJob], acquires: Sequence[AcquireJob]
    ) -> BatchResult:
        """One transaction, run again when the database undid it."""

        async def work(connection: AsyncConnection) -> BatchResult:
            return await batch.run(
                connection,
                customer_id,
                [job.work for job in settles],
                [job.work for job in acquires],
                self._draw_for,
                self._caps,
            )

        started_s = time.monotonic()
        # Lines that have to wait here gather more work for their next transaction.
        async with self._turns:
            # A lease id may be opened over two replicas at once: the loser finds the stored answer when it
            # runs again.
            result = await self._database.write_again(work, also={UNIQUE_VIOLATION})
        self._metrics.ledger_batch_seconds.observe(time.monotonic() - started_s)
        self._metrics.ledger_batch_records.observe(len(result.posted))
        self._on_result(customer_id, result)
        return result

    def forget(self, customer_id: str) -> None:
        """A line with nothing to do costs nothing."""
        self._lines.pop(customer_id, None)


class _Line:
    """What waits for one customer. Its task lives while there is anything to do."""

    def __init__(self, queue: LedgerQueue, customer_id: str) -> None:
        self._queue = queue
        self._customer_id = customer_id
        self._settles: deque[SettleJob] = deque()
        self._acquires: deque[AcquireJob] = deque()
        # Whose turn it was: acquires of the present windows, or of the next ones.
        self._next_windows = False
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._settles) + len(self._acquires)

    def add_settle(self, job: SettleJob) -> None:
        self._check_room()
        self._settles.append(job)
        self._wake()

    def add_acquire(self, job: AcquireJob) -> None:
        self._check_room()
        self._acquires.append(job)
        self._wake()

    def _check_room(self) -> None:
        if len(self) >= MAX_WAITING:
            raise TollkeeperError(
                Reason.UNAVAILABLE, "Too much ledger work is waiting for this customer.", retry_after_s=1
            )

    def _wake(self) -> None:
        self._arrived.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"ledger {self._customer_id}")

    async def _run(self) -> None:
        while self._settles or self._acquires:
            self._arrived.clear()
            settles, acquires = self._take()
            if settles or acquires:
                waiting = await self._work(settles, acquires)
                self._acquires.extendleft(reversed(waiting))
            if not self._settles and self._acquires:
                await self._wait_for_room()
        self._task = None
        self._queue.forget(self._customer_id)

    def _take(self) -> tuple[list[SettleJob], list[AcquireJob]]:
        """The next transaction's share."""
        settles: list[SettleJob] = []
        records = 0
        while self._settles and records < MAX_RECORDS_PER_BATCH:
            settles.append(self._settles.popleft())
            records += len(settles[-1].work.records)
        return settles, self._take_acquires()

    def _take_acquires(self) -> list[AcquireJob]:
        """Those of the present or of the next windows: they don't mix (L7), and take turns, so that neither
        is stuck behind others that wait for room; nor is a newcomer behind a crowd that was tried before."""
        waiting = [job for job in self._acquires if not job.done.done()]
        kinds = {job.next_window for job in waiting}
        if kinds != {self._next_windows}:
            self._next_windows = not self._next_windows
        places = {True: MAX_ACQUIRES_PER_BATCH, False: MAX_ACQUIRES_PER_BATCH}
        taken: list[AcquireJob] = []
        left: deque[AcquireJob] = deque()
        for job in waiting:
            tried = job.work.held is not None
            mine = job.next_window == self._next_windows and places[tried] > 0
            places[tried] -= mine
            (taken if mine else left).append(job)
        self._acquires = left
        return taken

    async def _work(self, settles: list[SettleJob], acquires: list[AcquireJob]) -> list[AcquireJob]:
        """Runs one transaction and tells what came of it; returns the acquires that go on waiting."""
        try:
            await self._queue.run_batch(self._customer_id, settles, acquires)
        except TollkeeperError as error:
            self._fail(settles, acquires, error)
        except Exception as error:
            if len(settles) + len(acquires) > 1:
                return await self._work_one_by_one(settles, acquires)
            self._fail(settles, acquires, error)
        else:
            return self._deliver(settles, acquires)
        return []

    async def _work_one_by_one(
        self, settles: list[SettleJob], acquires: list[AcquireJob]
    ) -> list[AcquireJob]:
        """One job the database can't take must not take the others with it."""
        for settle in settles:
            await self._work([settle], [])
        waiting: list[AcquireJob] = []
        for acquire in acquires:
            waiting += await self._work([], [acquire])
        return waiting

    @staticmethod
    def _deliver(settles: list[SettleJob], acquires: list[AcquireJob]) -> list[AcquireJob]:
        for settle in settles:
            if not settle.done.done():
                settle.done.set_result(settle.work.outcomes)
        now_s = time.monotonic()
        waiting: list[AcquireJob] = []
        for job in acquires:
            work = job.work
            if job.done.done():
                continue
            if work.response is not None:
                job.done.set_result(work.response)
            elif work.error is not None:
                job.done.set_exception(work.error)
            elif job.deadline_s <= now_s and work.held is not None:
                job.done.set_exception(work.held)
            else:
                waiting.append(job)
        return waiting

    @staticmethod
    def _fail(settles: list[SettleJob], acquires: list[AcquireJob], error: Exception) -> None:
        waiting: list[asyncio.Future[Any]] = [job.done for job in settles]
        waiting += [job.done for job in acquires]
        for done in waiting:
            if not done.done():
                done.set_exception(error)

    async def _wait_for_room(self) -> None:
        """Until something arrives, another replica may have made room, or somebody's time is up."""
        pause_s = min(
            PARKED_RETRY_S, max(0.0, min(job.deadline_s for job in self._acquires) - time.monotonic())
        )
        try:
            async with asyncio.timeout(pause_s or 0.001):
                await self._arrived.wait()
        except TimeoutError:
            return
