"""One replica, put together: what serves, what runs beside it, and the order in which they begin and end."""

from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from control.cloudflare.api import Api
from control.cloudflare.gateways import Gateways
from control.cloudflare.models import ModelCatalogue
from control.config import ControlSettings, GatewayMode
from control.domain.identity import Identity
from control.domain.sealing import KeyRing
from control.expiry import Expiry
from control.health import Health
from control.interceptors.chain import Chain
from control.interceptors.deadline import Deadline
from control.interceptors.errors import Errors
from control.interceptors.guard import Guard
from control.interceptors.identity import Authentication
from control.interceptors.log import CallLog
from control.interceptors.metrics import CallMetrics
from control.interceptors.roles import Roles
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.metrics_server import MetricsServer
from control.partitions import Partitions
from control.probe import GatewayAddress, Probe
from control.provisioner import GatewayPlan, Provisioner
from control.retention import Retention, old_audit_entries
from control.server import Server, Service
from control.services.api_tokens import ApiTokensService
from control.services.audit import AuditService
from control.services.budgets import BudgetsService
from control.services.customers import CustomersService
from control.services.edge import EdgeService
from control.services.gateways import GatewaysService
from control.services.keys import KeysService
from control.services.models import ModelsService
from control.services.password_checks import PasswordChecks
from control.services.price_plans import PricePlansService
from control.services.prices import PricesService
from control.services.providers import ProvidersService
from control.services.registration import Admission
from control.services.routers import RoutersService
from control.services.sessions import SessionsService
from control.services.teams import TeamsService
from control.services.templates import TemplatesService
from control.services.usage import UsageService
from control.services.users import UsersService
from control.store import credentials, kept_objects, rates
from control.store.database import Database
from control.store.notices import Notices
from control.watch import Hub
from tollkeeper.settings import SettingsError
from tollkeeper.v1.api_tokens_pb2_grpc import add_ApiTokensServiceServicer_to_server
from tollkeeper.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from tollkeeper.v1.budgets_pb2_grpc import add_BudgetsServiceServicer_to_server
from tollkeeper.v1.customers_pb2_grpc import add_CustomersServiceServicer_to_server
from tollkeeper.v1.edge_pb2_grpc import add_EdgeServiceServicer_to_server
from tollkeeper.v1.gateways_pb2_grpc import add_GatewaysServiceServicer_to_server
from tollkeeper.v1.keys_pb2_grpc import add_KeysServiceServicer_to_server
from tollkeeper.v1.models_pb2_grpc import add_ModelsServiceServicer_to_server
from tollkeeper.v1.price_plans_pb2_grpc import add_PricePlansServiceServicer_to_server
from tollkeeper.v1.prices_pb2_grpc import add_PricesServiceServicer_to_server
from tollkeeper.v1.providers_pb2_grpc import add_ProvidersServiceServicer_to_server
from tollkeeper.v1.routers_pb2_grpc import add_RoutersServiceServicer_to_server
from tollkeeper.v1.sessions_pb2_grpc import add_SessionsServiceServicer_to_server
from tollkeeper.v1.teams_pb2_grpc import add_TeamsServiceServicer_to_server
from tollkeeper.v1.templates_pb2_grpc import add_TemplatesServiceServicer_to_server
from tollkeeper.v1.usage_pb2_grpc import add_UsageServiceServicer_to_server
from tollkeeper.v1.users_pb2_grpc import add_UsersServiceServicer_to_server

# Cloudflare's models change a few times a month.
MODELS_KEPT_S = 600.0

log = structlog.get_logger()


class Control:
    """A replica of the control plane on one database. Use it as an asynchronous context manager."""

    def __init__(self, settings: ControlSettings, database_url: str, key_ring: KeyRing) -> None:
        self.metrics = Metrics()
        self.database = Database(database_url, settings.database_pool_size)
        self._settings = settings
        self._notices = Notices(database_url)
        self.hub = Hub(self.database, self._notices, self.metrics)
        self._queue = LedgerQueue(
            self.database,
            self.metrics,
            timedelta(seconds=settings.lease_draw_s),
            self.hub.on_ledger_result,
        )
        self._expiry = Expiry(self.database, self.hub, self.metrics, settings.lease_grace_s)
        kept = settings.request_log_retention_days
        self._partitions = Partitions(self.database, self.metrics, timedelta(days=kept) if kept else None)
        self._cloudflare = _cloudflare(settings)
        self._gateways = Gateways(self._cloudflare) if self._cloudflare else None
        plan = GatewayPlan(
            per_customer=settings.gateway_mode is GatewayMode.PER_CUSTOMER,
            prefix=settings.gateway_prefix,
            account_id=settings.cf_account_id or "",
        )
        self.provisioner = Provisioner(self.database, self._gateways, plan, self.metrics)
        self._retentions = _retentions(self.database, settings)
        self._server = Server(settings, self._interceptor(), self._services(key_ring), Health(database_url))

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._server.address

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            self._notices.start()
            stack.push_async_callback(self._notices.close)
            self.hub.start()
            stack.push_async_callback(self.hub.close)
            self._expiry.start()
            stack.push_async_callback(self._expiry.close)
            self._partitions.start()
            stack.push_async_callback(self._partitions.close)
            if self._cloudflare is not None:
                stack.push_async_callback(self._cloudflare.close)
            self.provisioner.start()
            stack.push_async_callback(self.provisioner.close)
            for retention in self._retentions:
                retention.start()
                stack.push_async_callback(retention.close)
            self._serve_metrics(stack)
            # Before it starts: a start that is cut short is drained as well.
            stack.push_async_callback(self._server.stop)
            stack.push_async_callback(self._server.say_goodbye, self.hub.close)
            await self._server.start()
            self._running = stack.pop_all()
        log.info("serving", address=self.address, metrics_port=self.metrics_port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.aclose()
        log.info("stopped", address=self.address)

    def _serve_metrics(self, stack: AsyncExitStack) -> None:
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            server = MetricsServer(host, port, self.metrics.registry)
        except OSError as error:
            raise SettingsError(
                [f"TOLLKEEPER_CONTROL_METRICS_PORT: {host}:{port} can't be listened on: {error.strerror}"]
            ) from None
        stack.callback(server.close)
        self.metrics_port = server.port

    async def _identify(self, secret_hash: bytes) -> Identity | None:
        # Writes when an API token was last used, once a minute.
        async with self.database.write() as connection:
            return await credentials.identify(connection, secret_hash)

    def _interceptor(self) -> Chain:
        return Chain(
            [
                CallMetrics(self.metrics),
                CallLog(),
                Errors(),
                Deadline(self._settings.request_timeout_s),
                Authentication(self._identify),
                Roles(),
                Guard(),
            ]
        )

    def _services(self, key_ring: KeyRing) -> list[Service]:
        database, settings, metrics = self.database, self._settings, self.metrics
        edge = EdgeService(database, self._queue, self.hub, metrics, key_ring.open)
        passwords = PasswordChecks(database, metrics)
        sessions = SessionsService(database, passwords, timedelta(seconds=settings.session_ttl_s))
        admission = Admission(settings.open_registration, settings.registrations_per_hour, metrics)
        customers = CustomersService(database, self.provisioner, admission)
        gateways = GatewaysService(database, self.provisioner, self._gateways, settings.gateway_prefix)
        catalogue = ModelCatalogue(self._cloudflare, MODELS_KEPT_S) if self._cloudflare else None
        probe = Probe(_gateway_address(settings), settings.allow_private_base_urls)
        providers = ProvidersService(database, key_ring, probe, settings.allow_private_base_urls)
        return [
            Service(add_EdgeServiceServicer_to_server, edge),
            Service(add_SessionsServiceServicer_to_server, sessions),
            Service(add_CustomersServiceServicer_to_server, customers),
            Service(add_UsersServiceServicer_to_server, UsersService(database, passwords)),
            Service(add_TeamsServiceServicer_to_server, TeamsService(database)),
            Service(add_TemplatesServiceServicer_to_server, TemplatesService(database)),
            Service(add_ProvidersServiceServicer_to_server, providers),
            Service(add_RoutersServiceServicer_to_server, RoutersService(database)),
            Service(add_KeysServiceServicer_to_server, KeysService(database)),
            Service(add_PricesServiceServicer_to_server, PricesService(database, self.hub.on_ledger_result)),
            Service(add_PricePlansServiceServicer_to_server, PricePlansService(database)),
            Service(add_BudgetsServiceServicer_to_server, BudgetsService(database, self.hub.tell_room)),
            Service(add_ApiTokensServiceServicer_to_server, ApiTokensService(database)),
            Service(add_AuditServiceServicer_to_server, AuditService(database)),
            Service(add_GatewaysServiceServicer_to_server, gateways),
            Service(add_ModelsServiceServicer_to_server, ModelsService(catalogue)),
            Service(add_UsageServiceServicer_to_server, UsageService(database)),
        ]


def _retentions(database: Database, settings: ControlSettings) -> list[Retention]:
    retentions = [
        Retention(database, "expired_kept_objects", kept_objects.remove_expired),
        Retention(database, "rate_meters", rates.remove_idle),
    ]
    if settings.kept_objects_retention_days:
        kept = timedelta(days=settings.kept_objects_retention_days)
        retentions.append(Retention(database, "old_kept_objects", kept_objects.remove_made_before, kept))
    if settings.audit_retention_days:
        kept = timedelta(days=settings.audit_retention_days)
        retentions.append(Retention(database, "audit_entries", old_audit_entries, kept))
    return retentions


def _cloudflare(settings: ControlSettings) -> Api | None:
    """The account's management API; None without account or token."""
    if settings.cf_account_id is None or settings.cf_api_token is None:
        return None
    return Api(settings.cf_api_url, settings.cf_account_id, settings.cf_api_token.get_secret_value())


def _gateway_address(settings: ControlSettings) -> GatewayAddress | None:
    """Where providers are tested through Cloudflare; None without an account."""
    if settings.cf_account_id is None or settings.cf_api_token is None:
        return None
    token = settings.cf_api_token.get_secret_value()
    return GatewayAddress(settings.cf_gateway_url, settings.cf_account_id, token, settings.gateway_id)
