"""Push to the edges: every change that concerns them, on one stream per edge worker (L27).

Changes are found by polling a counter that is raised in the changing transaction; NOTIFY only wakes the
poll sooner.
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter

from control.ledger.answers import scope_name
from control.ledger.batch import RECALL_SPAN, BatchResult
from control.metrics import Metrics
from control.store import changes
from control.store.database import Database
from control.store.notices import Notices
from tollkeeper.errors import TollkeeperError
from tollkeeper.tasks import end
from tollkeeper.v1 import edge_pb2, prices_pb2

HEARTBEAT_S = 0.5
POLL_S = 0.4
# Without a successful poll for so long, heartbeats stop: edges must not believe that they hear all.
BLIND_AFTER_S = 1.5
# Messages that wait for one edge worker; more, and its stream ends, which makes it resync.
STREAM_CAPACITY = 1000
PRICES_PER_MESSAGE = 500

log = structlog.get_logger()


class Stream:
    """One edge worker's messages. Closed when it is too slow, or when the server drains."""

    def __init__(self, overflows: Counter) -> None:
        self._overflows = overflows
        self._queue: asyncio.Queue[edge_pb2.WatchResponse | None] = asyncio.Queue()
        self._capacity = STREAM_CAPACITY
        self.closed = False

    def begin(self, messages: Collection[edge_pb2.WatchResponse]) -> None:
        """What an edge hears first. As much as it named, so it has room of its own: a stream that closed over
        it would close again at every try."""
        self._capacity += len(messages)
        for message in messages:
            self.push(message)

    def push(self, message: edge_pb2.WatchResponse) -> None:
        """Never waits: a full queue closes the stream."""
        if self.closed:
            return
        if self._queue.qsize() >= self._capacity:
            self._overflows.inc()
            self.close()
        else:
            self._queue.put_nowait(message)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)

    async def next(self, timeout_s: float) -> edge_pb2.WatchResponse | None:
        """The next message; None when time is up or the stream is closed."""
        try:
            async with asyncio.timeout(timeout_s):
                message = await self._queue.get()
        except TimeoutError:
            return None
        self._capacity = max(STREAM_CAPACITY, self._capacity - 1)
        return message


class Hub:
    """Every Watch stream of this replica, and the poll that feeds them."""

    def __init__(self, database: Database, notices: Notices, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._notices = notices
        self._streams: set[Stream] = set()
        self._wake = asyncio.Event()
        self._polled = asyncio.Event()
        self._last_poll_s = 0.0
        self._customer_version: int | None = None
        self._price_version: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to poll and to listen."""
        self._notices.subscribe(self._on_notice)
        self._tasks = [asyncio.create_task(self._poll_forever(), name="watch poll")]

    async def close(self) -> None:
        """Ends every stream, then the poll."""
        for stream in list(self._streams):
            stream.close()
        await end(*self._tasks)

    @property
    def sees(self) -> bool:
        """Whether changes are being noticed."""
        return time.monotonic() - self._last_poll_s < BLIND_AFTER_S

    async def open(self, request: edge_pb2.WatchRequest) -> Stream:
        """Registers a stream first, and then tells it what it missed, so that nothing falls between."""
        stream = Stream(self._metrics.watch_overflows)
        self._streams.add(stream)
        self._metrics.watch_streams.set(len(self._streams))
        try:
            # The first poll only learns where to count from: changes before it are heard by nobody.
            await self._polled.wait()
            async with self._database.read() as connection:
                timeline = await changes.timeline(connection)
                missed = await changes.customers_behind(
                    connection, {c.customer_id: c.version for c in request.customers}
                )
                book_version, prices = await changes.price_book(connection)
        except BaseException:
            self.leave(stream)
            raise
        first = [edge_pb2.WatchResponse(hello=edge_pb2.Hello(database_timeline=timeline))]
        if book_version != request.price_version or not request.price_version:
            first += book_messages(book_version, prices)
        first += [edge_pb2.WatchResponse(customer_changed=change) for change in missed]
        stream.begin(first)
        return stream

    def leave(self, stream: Stream) -> None:
        """The stream is over."""
        self._streams.discard(stream)
        self._metrics.watch_streams.set(len(self._streams))

    def on_ledger_result(self, customer_id: str, result: BatchResult) -> None:
        """Recalls and room, from a transaction that has committed."""
        for window in result.recalled:
            self._metrics.recalls.inc()
            self.recall(customer_id, window.budget_id, window.start_time)
            self._notices.send(f"recall:{customer_id}:{window.budget_id}:{window.start_time.isoformat()}")
        for budget_id in {budget_id for budget_id, _ in result.roomier}:
            self.tell_room(customer_id, budget_id)
        for alert in result.alerts:
            self._metrics.budget_alerts.labels(scope_name(alert.window)).inc()
            log.info(
                "budget_alert",
                customer_id=customer_id,
                budget_id=alert.window.budget_id,
                threshold_percent=alert.percent,
            )

    def tell_room(self, customer_id: str, budget_id: str) -> None:
        """Tells every edge, over all replicas, that a budget has room it hadn't."""
        self.room(customer_id, budget_id)
        self._notices.send(f"room:{customer_id}:{budget_id}")

    def recall(self, customer_id: str, budget_id: str, start_time: datetime) -> None:
        """Asks every edge here to return what it hasn't drawn (L10)."""
        recall = edge_pb2.Recall(customer_id=customer_id, budget_id=budget_id)
        recall.start_time.FromDatetime(start_time)
        recall.mark_for.FromTimedelta(RECALL_SPAN)
        self._broadcast(edge_pb2.WatchResponse(recall=recall))

    def room(self, customer_id: str, budget_id: str) -> None:
        """Tells every edge here to forget cached refusals (L9)."""
        room = edge_pb2.Room(customer_id=customer_id, budget_id=budget_id)
        self._broadcast(edge_pb2.WatchResponse(room=room))

    def _broadcast(self, message: edge_pb2.WatchResponse) -> None:
        for stream in list(self._streams):
            stream.push(message)

    def _on_notice(self, payload: str) -> None:
        """Of other replicas, and of changes (which are polled for: the notice only wakes the poll)."""
        kind, _, rest = payload.partition(":")
        if kind == "recall":
            customer_id, budget_id, start_time = rest.split(":", 2)
            self.recall(customer_id, budget_id, datetime.fromisoformat(start_time))
        elif kind == "room":
            customer_id, budget_id = rest.split(":", 1)
            self.room(customer_id, budget_id)
        else:
            self._wake.set()

    async def _poll_forever(self) -> None:
        while True:
            try:
                await self._poll()
                self._last_poll_s = time.monotonic()
            except TollkeeperError as error:
                log.warning("watch_poll_failed", error=str(error))
            except Exception:
                log.exception("watch_poll_failed")
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _poll(self) -> None:
        async with self._database.read() as connection:
            customer_version, price_version = await changes.counters(connection)
            first = self._customer_version is None
            changed: Sequence[edge_pb2.CustomerChanged] = ()
            if self._customer_version is not None and customer_version != self._customer_version:
                changed = await changes.customers_since(connection, self._customer_version)
            if self._price_version is not None and price_version != self._price_version:
                book = await changes.price_book(connection)
            else:
                book = None
        if not first:
            for change in changed:
                self._metrics.pushes.labels("customer_changed").inc(len(self._streams))
                self._metrics.change_push_seconds.observe(
                    max(0.0, time.time() - change.change_time.ToMicroseconds() / 1e6)
                )
                self._broadcast(edge_pb2.WatchResponse(customer_changed=change))
            for message in book_messages(*book) if book is not None else ():
                self._broadcast(message)
        self._customer_version, self._price_version = customer_version, price_version
        self._polled.set()


def book_messages(version: int, prices: Sequence[prices_pb2.Price]) -> Iterator[edge_pb2.WatchResponse]:
    """The whole book, in messages of bounded size."""
    for start in range(0, max(1, len(prices)), PRICES_PER_MESSAGE):
        part = prices[start : start + PRICES_PER_MESSAGE]
        book = edge_pb2.PriceBook(
            version=version, prices=part, full=start == 0, last=start + PRICES_PER_MESSAGE >= len(prices)
        )
        yield edge_pb2.WatchResponse(price_book=book)
