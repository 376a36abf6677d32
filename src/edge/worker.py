"""One worker process: one application on one event loop, with its own ledger, journal and connections.

Started by the parent (`edge.processes`) as `python -m edge.worker NUMBER`; dies with it.
"""

import asyncio
import ctypes
import gc
import hmac
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

import structlog
import uvloop
from sanic.server import AsyncioServer

from clients.tls import channel_credentials
from edge import metrics
from edge.addresses import check_public
from edge.admission import Ledger, LedgerSettings
from edge.app import create_app
from edge.client_connection import EdgeProtocol
from edge.config import EXIT_UNUSABLE, LEDGER_DRAIN_S, EdgeSettings, OnHangup, load
from edge.control_link import open_channel
from edge.hangup import HangupPolicy
from edge.health import HealthFile, health_file
from edge.pipeline import Pipeline
from edge.planning import Planner
from edge.rest.facade import Facade
from edge.sockets import listen
from edge.upstream.breakers import Breakers, BreakerSettings
from edge.upstream.cloudflare import Gateway, split_url
from edge.upstream.forwarder import Forwarder
from edge.upstream.transport import Limits, Timeouts, Transport, tls_context
from tollkeeper import logs
from tollkeeper.settings import SettingsError

log = structlog.get_logger()

# Connections that wait to be accepted: those beyond it come a second later. The system may allow fewer.
BACKLOG = 4096
GAUGE_INTERVAL_S = 0.25
HEALTH_INTERVAL_S = 1.0
DRAIN_STEP_S = 0.05
CUT_S = 1.0
PARENT_CHECK_S = 1.0
_PR_SET_PDEATHSIG = 1


class Worker:
    """What one process serves with. Use `running`."""

    def __init__(self, settings: EdgeSettings, number: int) -> None:
        """Must be made inside the running loop. Raises SettingsError, OSError (an unreadable CA file)."""
        self._settings = settings
        tls = tls_context(str(settings.upstream_ca_file) if settings.upstream_ca_file else None)
        limits = Limits(max_connections=settings.upstream_connections)
        allow_private = settings.allow_private_base_urls
        self.gateway_transport = Transport(tls, limits)
        self.direct_transport = Transport(tls, limits, None if allow_private else check_public)
        tls_to_control = channel_credentials(
            settings.control_ca_file, settings.control_cert_file, settings.control_key_file
        )
        self._channel = open_channel(settings.control_addresses, tls_to_control)
        self.ledger = Ledger(
            LedgerSettings(
                data_dir=settings.data_dir,
                edge_name=f"{socket.gethostname()}/{number}",
                hold_wait_s=settings.hold_wait_s,
                grant_grace_s=settings.grant_grace_s,
            ),
            self._channel,
            settings.credential(),
            on_push_lag=metrics.push_arrived,
        )
        timeouts = Timeouts(
            settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s
        )
        self.breakers = Breakers(
            BreakerSettings(settings.breaker_failures, settings.breaker_window_s, settings.breaker_open_s),
            monotonic,
            metrics.breaker_changed,
        )
        self._health = HealthFile(health_file(settings.data_dir, number))
        forwarder = Forwarder(
            self.gateway_transport,
            self.direct_transport,
            timeouts,
            settings.max_response_bytes,
            hmac.digest(settings.credential().encode(), b"cache keys", "sha256"),
            self.breakers,
            settings.total_timeout_s,
        )
        drains = settings.hangup_drain_max if settings.on_hangup is OnHangup.DRAIN else 0
        self.hangups = HangupPolicy(settings.hangup_drain_s, drains, metrics.hung_up)
        planner = Planner(self.ledger, _gateway(settings), self.breakers, settings.fallback_output_tokens)
        self.pipeline = Pipeline(settings, self.ledger, planner, forwarder, self.hangups)
        self.facade = Facade(settings, self._channel) if settings.rest else None
        self.app = create_app(settings, self.ledger, planner, self.pipeline, self.facade)

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serves on a bound socket until the block ends, then drains."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._channel.close)
            await self.ledger.start()
            stack.push_async_callback(self.ledger.close)
            stack.push_async_callback(self.ledger.drain, LEDGER_DRAIN_S)
            server = await self._serve(listener)
            self.app.ctx.follower.start()
            stack.push_async_callback(self._drain, server)
            for work in (self._set_gauges(), self._tell_health()):
                stack.callback(asyncio.create_task(work).cancel)
            yield

    async def _serve(self, listener: socket.socket) -> AsyncioServer:
        server = await self.app.create_server(
            sock=listener,
            protocol=EdgeProtocol,
            backlog=BACKLOG,
            return_asyncio_server=True,
            # Not before the application is put together.
            asyncio_server_kwargs={"start_serving": False},
        )
        assert server is not None
        await server.startup()  # type: ignore[no-untyped-call]
        await server.start_serving()  # type: ignore[no-untyped-call]
        return server

    async def _drain(self, server: AsyncioServer) -> None:
        """Stops accepting and waits for what is in flight; whatever then remains is cut and settled as it
        is."""
        server.close()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._settings.drain_s):
                while self.pipeline.in_flight or server.connections:
                    for connection in list(server.connections):
                        connection.close_if_idle()
                    await asyncio.sleep(DRAIN_STEP_S)
        except TimeoutError:
            log.warning("drain ended early", in_flight=self.pipeline.in_flight)
        for connection in list(server.connections):
            connection.abort()
        await self.app.ctx.follower.close()
        for transport in (self.gateway_transport, self.direct_transport):
            await transport.close()
        # What was cut off settles in its own finally blocks.
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_S):
                while self.pipeline.in_flight:  # noqa: ASYNC110 - requests don't announce their end
                    await asyncio.sleep(DRAIN_STEP_S)

    async def _set_gauges(self) -> None:
        while True:
            stats = [self.gateway_transport.stats(), self.direct_transport.stats()]
            connections = {
                "idle": sum(each.idle for each in stats),
                "in_use": sum(each.in_use for each in stats),
            }
            metrics.set_gauges(
                self.pipeline.in_flight,
                self.pipeline.stream_count,
                self.hangups.drain_count,
                connections,
                self.breakers.counts(),
                _figures(self.ledger),
            )
            await asyncio.sleep(GAUGE_INTERVAL_S)

    async def _tell_health(self) -> None:
        while True:
            self.breakers.tidy()
            try:
                self._health.write(self.breakers.rows())
            except OSError as error:
                log.warning("health not written", error=error.strerror)
            await asyncio.sleep(HEALTH_INTERVAL_S)


def main() -> None:
    """Runs until SIGTERM, or until the parent is gone."""
    parent = int(os.environ["TOLLKEEPER_EDGE_PARENT_PID"])
    if not _die_with(parent):
        return
    _allow_many_files()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the parent, which drains us
    number = int(sys.argv[1])
    try:
        settings = load()
        logs.configure(settings.log_level, settings.log_format, part="edge", worker=number)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, number, parent))
    except SettingsError as error:
        sys.stderr.write("\n".join(error.problems) + "\n")
        sys.exit(EXIT_UNUSABLE)


async def _run(settings: EdgeSettings, number: int, parent: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    watch = asyncio.create_task(_watch_parent(parent, stopping))
    worker = Worker(settings, number)
    try:
        async with worker.running(listen(settings.host, settings.port)):
            _settle_memory()
            log.info("serving", host=settings.host, port=settings.port)
            await _first(stopping, worker.ledger.failed)
            log.info("draining", in_flight=worker.pipeline.in_flight, failed=worker.ledger.failed.is_set())
    finally:
        watch.cancel()
    log.info("stopped")


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _figures(ledger: Ledger) -> dict[str, float]:
    """The values of tollkeeper_edge_ledger (docs/metrics.md), of this worker."""
    return {
        "ready": 1 if ledger.ready() is None else 0,
        "grants": len(ledger.grants),
        "leases": len(ledger.book.leases),
        "rate_shares": len(ledger.rates),
        "unsettled": ledger.journal.open_count,
        "settle_queue": len(ledger.settler),
        "journal_bytes": ledger.journal.written_bytes,
        "rpcs": ledger.link.calls.total(),
        "rpc_failures": ledger.link.failures.total(),
        "watch_connects": ledger.watch.connects,
        "abandoned": ledger.abandoned_count,
    }


def _gateway(settings: EdgeSettings) -> Gateway | None:
    if settings.cf_account_id is None:
        return None
    origin, _ = split_url(settings.cf_gateway_url)
    return Gateway(origin, settings.cf_account_id, settings.cf_token(), settings.gateway_id)


def _allow_many_files() -> None:
    """Each stream takes two; shells often start programs with a limit far below what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call a limit unlimited and refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _settle_memory() -> None:
    """What start-up made stays: the collector need not look at it again, nor run as often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


def _die_with(parent: int) -> bool:
    """Asks the kernel to end us with the parent, even where that is killed. False: it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return os.getppid() == parent


async def _watch_parent(parent: int, stopping: asyncio.Event) -> None:
    """For systems whose kernel doesn't offer that."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(PARENT_CHECK_S)
    stopping.set()


if __name__ == "__main__":
    main()
