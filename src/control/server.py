"""The gRPC server of one replica: interceptors, services, health, reflection, and an end that loses no
call."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from control.config import ControlSettings
from control.health import Health
from control.interceptors.guard import MAX_REQUEST_BYTES
from control.tls import server_credentials
from tollkeeper.settings import SettingsError

# Twice what the guard takes: up to here a caller is told what is wrong, beyond it gRPC itself refuses.
_MAX_RECEIVE_BYTES = 2 * MAX_REQUEST_BYTES
# A page of 1000 usage entries stays far below this.
_MAX_SEND_BYTES = 16 * 1024 * 1024
_OPTIONS = (
    # Binding an address twice must fail: with SO_REUSEPORT a second process would take half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", _MAX_SEND_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    # Of one connection; an edge's waiting acquires are the most.
    ("grpc.max_concurrent_streams", 1024),
    # Clients ping idle connections each minute (clients.control); faster than twice a minute is abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_MAX_CONCURRENT_RPCS = 4096
# For health and the hub to end, each of which may have to leave a query.
_GOODBYE_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer with the generated function that adds it to a server."""

    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object

    @property
    def name(self) -> str:
        """The full proto name, as health and reflection use it."""
        found = re.fullmatch(r"add_(\w+)Servicer_to_server", self.add.__name__)
        assert found is not None
        return f"tollkeeper.v1.{found[1]}"


class Server:
    """Serves until it is drained. Made and used inside one running loop."""

    def __init__(
        self,
        settings: ControlSettings,
        interceptor: grpc.aio.ServerInterceptor,
        services: Sequence[Service],
        health: Health,
    ) -> None:
        self._settings = settings
        self._server = grpc.aio.server(
            interceptors=[interceptor], options=_OPTIONS, maximum_concurrent_rpcs=_MAX_CONCURRENT_RPCS
        )
        self._health = health
        self._names = [service.name for service in services]
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(health.servicer, self._server)
        if settings.reflection:
            shown = [*self._names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
            reflection.enable_server_reflection([*shown, reflection.SERVICE_NAME], self._server)
        self.port = 0

    @property
    def address(self) -> str:
        """Where it listens, as clients name it."""
        return _join(self._settings.host, self.port)

    async def start(self) -> None:
        """Binds and serves. Raises SettingsError when the address is taken or a certificate can't be used."""
        # Between binding and starting, callers would connect and wait: nothing may stand between the two.
        self._bind()
        await self._server.start()
        await self._health.start(self._names)

    async def say_goodbye(self, end_streams: Callable[[], Awaitable[None]]) -> None:
        """Tells balancers and ends streams, as far as that takes no more than a few seconds."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._health.close()
                await end_streams()
        except TimeoutError:
            log.warning("stopped_without_goodbye")

    async def stop(self) -> None:
        """Refuses new calls, and waits up to `drain_s` for those under way. A process can't end while a
        server listens: this runs whatever else fails."""
        await self._server.stop(self._settings.drain_s)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()

    def _bind(self) -> None:
        wanted = _join(self._settings.host, self._settings.port)
        credentials = server_credentials(self._settings)
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(wanted)
            else:
                self.port = self._server.add_secure_port(wanted, credentials)
        except RuntimeError:
            raise SettingsError(
                [f"TOLLKEEPER_CONTROL_PORT: {wanted} can't be listened on; is another process using it?"]
            ) from None


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
