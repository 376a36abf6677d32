"""The gRPC client of the control plane for asyncio programs: one channel over all replicas, a credential,
deadlines, retries where they can do no harm, and refusals as TollkeeperError."""

import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import FileDescriptor

from clients.refusals import error_of
from tollkeeper.v1 import (
    api_tokens_pb2,
    audit_pb2,
    budgets_pb2,
    customers_pb2,
    edge_pb2,
    gateways_pb2,
    keys_pb2,
    models_pb2,
    price_plans_pb2,
    prices_pb2,
    providers_pb2,
    routers_pb2,
    sessions_pb2,
    teams_pb2,
    usage_pb2,
    users_pb2,
)
from tollkeeper.v1.api_tokens_pb2_grpc import ApiTokensServiceStub
from tollkeeper.v1.audit_pb2_grpc import AuditServiceStub
from tollkeeper.v1.budgets_pb2_grpc import BudgetsServiceStub
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub
from tollkeeper.v1.edge_pb2_grpc import EdgeServiceStub
from tollkeeper.v1.gateways_pb2_grpc import GatewaysServiceStub
from tollkeeper.v1.keys_pb2_grpc import KeysServiceStub
from tollkeeper.v1.models_pb2_grpc import ModelsServiceStub
from tollkeeper.v1.price_plans_pb2_grpc import PricePlansServiceStub
from tollkeeper.v1.prices_pb2_grpc import PricesServiceStub
from tollkeeper.v1.providers_pb2_grpc import ProvidersServiceStub
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub
from tollkeeper.v1.teams_pb2_grpc import TeamsServiceStub
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

CALL_TIMEOUT_S = 30.0

_FILES = (
    api_tokens_pb2,
    audit_pb2,
    budgets_pb2,
    customers_pb2,
    edge_pb2,
    gateways_pb2,
    keys_pb2,
    models_pb2,
    price_plans_pb2,
    prices_pb2,
    providers_pb2,
    routers_pb2,
    sessions_pb2,
    teams_pb2,
    usage_pb2,
    users_pb2,
)
# Answered alike however often they are sent: reads, and what the ledger recognises by its ids (L5, L17).
_REPEATABLE_PREFIXES = ("Get", "List", "Query")
_REPEATABLE = frozenset({"Authorize", "AcquireLease", "ReturnLease", "Settle", "CloseIncarnation"})
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024


class ControlClient:
    """A typed stub for every service. Calls raise TollkeeperError and nothing else; use it as a context
    manager."""

    def __init__(
        self,
        addresses: Sequence[str],
        credential: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> None:
        interceptors = [_Unary(credential, timeout_s), _Stream(credential)]
        target = addresses[0] if len(addresses) == 1 else f"ipv4:{','.join(addresses)}"
        if tls is None:
            channel = grpc.aio.insecure_channel(target, options=_options(), interceptors=interceptors)
        else:
            channel = grpc.aio.secure_channel(target, tls, options=_options(), interceptors=interceptors)
        self.channel = channel
        self.api_tokens = ApiTokensServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.budgets = BudgetsServiceStub(channel)
        self.customers = CustomersServiceStub(channel)
        self.edge = EdgeServiceStub(channel)
        self.gateways = GatewaysServiceStub(channel)
        self.keys = KeysServiceStub(channel)
        self.models = ModelsServiceStub(channel)
        self.price_plans = PricePlansServiceStub(channel)
        self.prices = PricesServiceStub(channel)
        self.providers = ProvidersServiceStub(channel)
        self.routers = RoutersServiceStub(channel)
        self.sessions = SessionsServiceStub(channel)
        self.teams = TeamsServiceStub(channel)
        self.usage = UsageServiceStub(channel)
        self.users = UsersServiceStub(channel)

    async def close(self) -> None:
        """Ends all calls under way."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _options() -> list[tuple[str, int | str]]:
    return [
        ("grpc.service_config", _service_config()),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        # Notices a dead peer within 80 s even without calls; the server allows a ping each 30 s.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def _service_config() -> str:
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [name for file in _FILES for name in _repeatable(file.DESCRIPTOR)]
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": names, "retryPolicy": retry}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    return json.dumps(config)


def _repeatable(file: FileDescriptor) -> list[dict[str, str]]:
    return [
        {"service": service.full_name, "method": method.name}
        for service in file.services_by_name.values()
        for method in service.methods
        if method.name.startswith(_REPEATABLE_PREFIXES) or method.name in _REPEATABLE
    ]


def _with_credential(details: Any, credential: str | None, timeout_s: float | None) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    if credential is not None:
        metadata.add("authorization", f"Bearer {credential}")
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=details.timeout if details.timeout is not None else timeout_s,
        metadata=metadata,
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, credential: str | None, timeout_s: float | None) -> None:
        self._credential = credential
        self._timeout_s = timeout_s

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds credential and deadline; raises what the control plane raised."""
        details = _with_credential(client_call_details, self._credential, self._timeout_s)
        call = await continuation(details, request)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        return call


class _Stream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, credential: str | None) -> None:
        self._credential = credential

    async def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the credential; raises what the control plane raised, whenever it did."""
        call = await continuation(_with_credential(client_call_details, self._credential, None), request)

        async def messages() -> Any:
            try:
                async for message in call:
                    yield message
            except grpc.aio.AioRpcError as error:
                raise error_of(error) from None
            finally:
                call.cancel()

        return messages()
