"""The Watch client: one stream per worker that brings every change here; when it breaks, a new one tells
what was missed (L27)."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing

import structlog

from edge.clock import Clock
from edge.control_link import ControlLink
from edge.grant_cache import GrantCache
from edge.lease_book import LeaseBook
from edge.prices import PriceBook
from edge.windows import duration_s, key_of
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 2.0
# A stream that says nothing for so long is dead, whatever the connection says.
DEAD_AFTER_S = 4.0


class Watch:
    """Keeps one stream open and passes on what it brings.

    `registered` is set from each Hello until the stream ends.
    """

    def __init__(
        self,
        link: ControlLink,
        clock: Clock,
        book: LeaseBook,
        grants: GrantCache,
        prices: PriceBook,
        registered: asyncio.Event,
        *,
        edge_name: str,
        on_hello: Callable[[str], None],
        on_recall: Callable[[], None],
        on_closed: Callable[[], None],
        on_push_lag: Callable[[float], None],
    ) -> None:
        self._link = link
        self._clock = clock
        self._book = book
        self._grants = grants
        self._prices = prices
        self._registered = registered
        self._edge_name = edge_name
        self._on_hello = on_hello
        self._on_recall = on_recall
        self._on_closed = on_closed
        self._on_push_lag = on_push_lag
        self._task: asyncio.Task[None] | None = None
        self.connects = 0
        # Whether any stream was ever registered.
        self.ever_registered = asyncio.Event()

    def start(self) -> None:
        """Connects in the background, and again whenever the stream ends."""
        self._task = asyncio.create_task(self._run(), name="watch")

    async def close(self) -> None:
        """Ends the stream."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._follow()
            except TollkeeperError as error:
                self._broken(error)
            except TimeoutError:
                log.info("watch_silent")
            except Exception:
                log.exception("watch_failed")
            if self._registered.is_set():
                backoff_s = BACKOFF_FIRST_S
            self._registered.clear()
            self._grants.down()
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(BACKOFF_MOST_S, backoff_s * 2)

    def _broken(self, error: TollkeeperError) -> None:
        if error.reason in (Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED):
            log.error("edge_credential_refused", reason=error.reason_name)
        else:
            log.info("watch_broken", reason=error.reason_name)
        if error.reason == Reason.INCARNATION_CLOSED:
            self._on_closed()

    async def _follow(self) -> None:
        """One stream, from naming what is known here to its end."""
        self.connects += 1
        self._prices.restart()
        request = edge_pb2.WatchRequest(
            incarnation_id=self._book.incarnation_id,
            lease_ids=self._book.leases,
            customers=self._grants.named(),
            price_version=self._prices.version,
            edge_name=self._edge_name,
        )
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEAD_AFTER_S) as silence, aclosing(self._link.watch(request)) as events:
            async for event in events:
                silence.reschedule(loop.time() + DEAD_AFTER_S)
                self._grants.heard_at_s = self._clock.now_s()
                self._take(event)

    def _take(self, event: edge_pb2.WatchResponse) -> None:
        kind = event.WhichOneof("event")
        if kind == "hello":
            self._grants.live()
            self._registered.set()
            self.ever_registered.set()
            self._on_hello(event.hello.database_timeline)
        elif kind == "customer_changed":
            self._changed(event.customer_changed)
        elif kind == "price_book":
            self._prices.apply(event.price_book, self._clock.now_s())
        elif kind == "recall":
            recall = event.recall
            key = key_of(recall.budget_id, recall.start_time)
            if self._book.recall(key, duration_s(recall.mark_for), self._clock.now_s()):
                self._on_recall()
        elif kind == "room":
            self._book.room(event.room.customer_id)

    def _changed(self, change: edge_pb2.CustomerChanged) -> None:
        self._grants.changed(change.customer_id, change.version, change.urgent_version)
        if change.HasField("change_time"):
            changed_s = change.change_time.seconds + change.change_time.nanos / 1e9
            self._on_push_lag(max(0.0, time.time() - changed_s))
