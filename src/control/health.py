"""What grpc.health.v1 says of each service: SERVING while the database can be reached."""

import asyncio

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio
from sqlalchemy import text

from control.store.database import Database
from tollkeeper.errors import TollkeeperError
from tollkeeper.tasks import end

POLL_S = 1.0
ANSWER_WITHIN_S = 3.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


class Health:
    """Asks the database each second, on a connection of its own: a pool that is busy isn't a database that is
    away. `servicer` goes into the server."""

    def __init__(self, database_url: str) -> None:
        self.servicer = health_aio.HealthServicer()
        self._database = Database(database_url, pool_size=1)
        self._names: list[str] = []
        self._serving: bool | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, names: list[str]) -> None:
        """Says SERVING of these services, and from now on what is."""
        self._names = ["", *names]
        await self._say(True)
        self._task = asyncio.create_task(self._watch(), name="health")

    async def close(self) -> None:
        """Says NOT_SERVING for good."""
        await end(self._task)
        await self.servicer.enter_graceful_shutdown()
        await self._database.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self._say(await self._answers())

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._database.read() as connection:
                await connection.execute(text("SELECT 1"))
        except (TollkeeperError, TimeoutError):
            return False
        return True

    async def _say(self, serving: bool) -> None:
        if serving == self._serving:
            return
        if self._serving is not None:
            log.warning("health", serving=serving)
        self._serving = serving
        for name in self._names:
            await self.servicer.set(name, _SERVING if serving else _NOT_SERVING)
