"""The simulator as a server: one process, one event loop, one bill."""

import asyncio
import contextlib
import signal
import sys
from types import TracebackType

from simulator.bill import Bill
from simulator.checker_api import Captures, CheckerApi
from simulator.gates import Gates
from simulator.gateways import Gateways
from simulator.http import Connection, Request
from simulator.management import PREFIX, ManagementApi
from simulator.media.api import Media
from simulator.openai.api import OpenaiApi
from simulator.settings import Settings
from simulator.vendor import Vendor


class Simulator:
    """A running simulator: `async with Simulator(Settings(port=0)) as simulator: simulator.url`."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Open the bill. Raises OSError or ValueError when a file can't be used."""
        self.settings = settings = settings or Settings()
        self.bill = Bill(settings.bill, settings.bill_memory_rows)
        self.gates = Gates()
        self.captures = Captures(settings.captured_requests, settings.captured_body_bytes)
        self.body_limit_bytes = settings.body_limit_bytes
        self.stopping = False
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self.gateways = Gateways(settings.gateways, settings.gateway_quota, settings.gateways_file)
        media = Media(self.bill, settings.steering)
        self._openai = OpenaiApi(self.bill, self.gates, settings.steering)
        self._vendor = Vendor(settings, self.bill, self.gates, self.gateways, media, self._openai)
        self.gateways.changed = self._vendor.forget_routes
        self.management = ManagementApi(settings, self.gateways)
        self._checker_api = CheckerApi(self.bill, self.gates, self.captures, self.management)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash or `/v1`."""
        assert self._server is not None, "the simulator is not started"
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the address can't be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), self.settings.host, self.settings.port, backlog=1024
        )

    async def stop(self) -> None:
        """Take no more requests, give those in flight `drain_s`, then cut and bill them."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_s):
                    await self._empty.wait()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        for connection in list(self._connections):
            connection.cut()
        if tasks:
            # A cut cancels its task, which bills what was produced.
            await asyncio.wait(tasks, timeout=1.0)
        await self._openai.close()
        self.bill.close()

    async def __aenter__(self) -> "Simulator":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self.stopping and not self._connections:
            self._empty.set()

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request of a connection."""
        target = request.target
        if target.startswith(b"/_sim/"):
            self._checker_api.handle(request, connection)
        elif target.startswith(PREFIX):
            self.management.handle(request, connection)
        elif target == b"/healthz":
            connection.respond(200, b'{"status":"ok"}')
        else:
            self.captures.add(request)
            self._vendor.handle(request, connection)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises OSError when the address can't be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        sys.stderr.write(f"simulator: listening on {simulator.url}\n")
        sys.stderr.flush()
        await stop.wait()
