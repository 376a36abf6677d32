"""NOTIFY between replicas: it makes things sooner, never correct."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from control.store.versions import NOTIFY_CHANNEL
from tollkeeper.tasks import end

OUTBOX_CAPACITY = 1000
RECONNECT_S = 1.0

log = structlog.get_logger()


class Notices:
    """One connection that listens and sends. While it is down, notices are dropped."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_CAPACITY)
        self._subscribers: list[Callable[[str], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._pid = 0

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Calls `subscriber` with the payload of every notice that another connection sent."""
        self._subscribers.append(subscriber)

    def send(self, payload: str) -> None:
        """Tells the other replicas; drops the notice when too many wait."""
        if not self._outbox.full():
            self._outbox.put_nowait(payload)

    def start(self) -> None:
        """Begins to listen and to send."""
        self._tasks = [
            asyncio.create_task(self._again(self._listen), name="notices in"),
            asyncio.create_task(self._again(self._send), name="notices out"),
        ]

    async def close(self) -> None:
        """Stops both."""
        await end(*self._tasks)

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (psycopg.Error, OSError) as error:
                log.warning("notices_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(f"LISTEN {NOTIFY_CHANNEL}")
            async for notice in connection.notifies():
                if notice.pid != self._pid:
                    for subscriber in self._subscribers:
                        subscriber(notice.payload)

    async def _send(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            self._pid = connection.info.backend_pid
            while True:
                payload = await self._outbox.get()
                await connection.execute("SELECT pg_notify(%s, %s)", (NOTIFY_CHANNEL, payload))
