"""Settlement: finished requests go to the control plane in batches, each record until it is acknowledged
(L17)."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from edge.control_link import ControlLink
from edge.journal import Journal
from edge.lease_book import LeaseBook
from edge.leases import Lease
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

COALESCE_S = 0.005
# A call for each would cost as much as the request; look-ups wait longer than this (`edge.kept_objects`).
SOON_S = 0.1
BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 5.0
MOST_REPORTS = 1000
# Reports that give nothing back (a change of what is in flight) ride along, or go alone this often.
QUIET_REPORT_INTERVAL_S = 5.0

Outcome = edge_pb2.SettleOutcome
_FINAL = frozenset({Outcome.POSTED, Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.REJECTED})
_RECORDS_TAG = bytes((edge_pb2.SettleRequest.RECORDS_FIELD_NUMBER << 3 | 2,))


class Finished:
    """One record that waits to be settled: its bytes as journaled, and what to do when it is."""

    __slots__ = ("cost_nanousd", "lease", "payload", "sequence")

    def __init__(self, sequence: int, payload: bytes, lease: Lease, cost_nanousd: int) -> None:
        self.sequence = sequence
        self.payload = payload
        self.lease = lease
        self.cost_nanousd = cost_nanousd


def settle_request(
    incarnation_id: str, payloads: Iterable[bytes], reports: Iterable[edge_pb2.LeaseReport] = ()
) -> bytes:
    """A serialized SettleRequest around records that are serialized already."""
    head = edge_pb2.SettleRequest(incarnation_id=incarnation_id, reports=reports).SerializeToString()
    parts = [head]
    for payload in payloads:
        parts += (_RECORDS_TAG, _varint(len(payload)), payload)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Settler:
    """The queue of finished requests and the one task that empties it. One batch is in flight at a time."""

    def __init__(
        self,
        link: ControlLink,
        book: LeaseBook,
        journal: Journal,
        *,
        interval_s: float,
        batch: int,
        backlog: int,
        on_closed: Callable[[], None],
    ) -> None:
        self._link = link
        self._book = book
        self._journal = journal
        self._interval_s = interval_s
        self._batch = batch
        self._backlog = backlog
        self._on_closed = on_closed
        self._queue: deque[Finished] = deque()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = 0.0
        self._backoff_s = 0.0
        self._quiet_since_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._sending = False
        # How often each SettleOutcome came, for the metrics.
        self.outcomes: Counter[int] = Counter()

    def start(self) -> None:
        """Starts settling in the background."""
        self._task = asyncio.create_task(self._run(), name="settle")

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def backlogged(self) -> bool:
        """Too much waits: nothing more should be admitted."""
        return len(self._queue) >= self._backlog

    # ---- what the request path calls

    def add(self, finished: Finished, *, urgent: bool, soon: bool = False) -> None:
        """Queues a record, to be sent with the next batch, or at once when somebody waits for its money;
        `soon` where somebody may ask for what it made."""
        self._book.queued(finished.lease)
        self._queue.append(finished)
        if urgent:
            self.urge()
        elif soon:
            self._hasten(SOON_S)
        elif self._timer is None:
            self._set_timer(self._interval_s)

    def urge(self) -> None:
        """Somebody waits for money that is given back or posted here: settle within milliseconds."""
        self._hasten(COALESCE_S)

    def _hasten(self, delay_s: float) -> None:
        if self._timer is not None:
            if self._timer_at_s - self._loop.time() <= delay_s:
                return
            self._timer.cancel()
        self._set_timer(delay_s)

    def tick(self) -> None:
        """About once a second: sees that reports go even when nothing is finished."""
        if self._timer is not None:
            return
        quiet_s = self._loop.time() - self._quiet_since_s
        if self._book.owing or (self._book.dirty and quiet_s >= QUIET_REPORT_INTERVAL_S):
            self._set_timer(0.0)

    def _set_timer(self, delay_s: float) -> None:
        self._timer_at_s = self._loop.time() + delay_s
        self._timer = self._loop.call_later(delay_s, self._wake.set)

    # ---- sending

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._timer = None
            self._sending = True
            try:
                await self._send_all()
            except Exception:
                log.exception("settlement_failed")
                self._back_off()
            finally:
                self._sending = False
            if self._backoff_s:
                await asyncio.sleep(self._backoff_s)
                self._wake.set()

    async def _send_all(self) -> None:
        """Everything that waits now, batch by batch; what comes meanwhile waits for its own timer."""
        waiting = len(self._queue)
        while True:
            count = min(waiting, self._batch)
            batch = [self._queue.popleft() for _ in range(count)]
            waiting -= count
            if not await self._send(batch):
                self._back_off()
                return
            self._backoff_s = 0.0
            if waiting <= 0:
                return

    def _back_off(self) -> None:
        self._backoff_s = min(BACKOFF_MOST_S, max(BACKOFF_FIRST_S, self._backoff_s * 2))

    async def _send(self, batch: Sequence[Finished]) -> bool:
        """One call. False when something of it must be sent again; that is back in its place then."""
        reports = self._book.take_reports(MOST_REPORTS)
        if not batch and not reports:
            return True
        self._quiet_since_s = self._loop.time()
        again = batch
        try:
            outcomes = await self._call(batch, [report for _, report in reports])
            self._book.confirm(reports)
            reports = []
            again = self._acknowledge(batch, outcomes)
        except TollkeeperError as error:
            self._failed(error)
            return False
        finally:
            # Whatever ended the call, cancellation included.
            self._book.put_back(reports)
            self._queue.extendleft(reversed(again))
        return not again

    async def _call(self, batch: Sequence[Finished], reports: list[edge_pb2.LeaseReport]) -> Sequence[int]:
        incarnation_id = self._book.incarnation_id
        if not batch:
            request = edge_pb2.ReturnLeaseRequest(incarnation_id=incarnation_id, reports=reports)
            await self._link.return_lease(request)
            return ()
        payloads = (finished.payload for finished in batch)
        outcomes = await self._link.settle(settle_request(incarnation_id, payloads, reports))
        if len(outcomes) != len(batch):
            raise TollkeeperError(Reason.INTERNAL, "Settle answered with another number of outcomes.")
        return outcomes

    def _failed(self, error: TollkeeperError) -> None:
        if error.reason == Reason.INCARNATION_CLOSED:
            self._on_closed()
        log.warning("settle_failed", reason=error.reason_name, waiting=len(self._queue))

    def _acknowledge(self, batch: Sequence[Finished], outcomes: Sequence[int]) -> list[Finished]:
        again: list[Finished] = []
        for finished, outcome in zip(batch, outcomes, strict=True):
            if outcome not in _FINAL:
                again.append(finished)
                continue
            self._journal.acknowledged(finished.sequence)
            self._book.acknowledged(finished.lease, finished.cost_nanousd)
        self.outcomes.update(outcomes)
        return again

    # ---- ending

    async def flush(self, timeout_s: float) -> bool:
        """Sends everything, reports included, until nothing waits or time is up; says whether nothing
        waits."""
        deadline_s = self._loop.time() + timeout_s
        while self._queue or self._book.owing or self._sending:
            if self._loop.time() >= deadline_s:
                return False
            self._backoff_s = min(self._backoff_s, BACKOFF_FIRST_S)
            self._wake.set()
            await asyncio.sleep(COALESCE_S)
        return True

    async def close(self) -> None:
        """Stops sending."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
