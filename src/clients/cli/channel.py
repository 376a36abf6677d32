"""The connection of a command: one deadline, the caller's credential, and refusals as TollkeeperError.

A command makes a call or a few and ends, so it uses gRPC's blocking API; servers use the asyncio client.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from tollkeeper.errors import ERROR_DOMAIN, Reason, TollkeeperError

CALL_TIMEOUT_S = 30.0

_REASONS_OF_CODES = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND: Reason.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS: Reason.ALREADY_EXISTS,
}

_REASONS: dict[str, Any] = dict(Reason.items())


def open_channel(address: str, secret: str | None, authority: bytes | None = None) -> grpc.Channel:
    """A channel whose calls carry the secret and end in time; over TLS with an authority (PEM)."""
    if authority is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority))
    return grpc.intercept_channel(channel, _Calls(secret))


def refusal(error: grpc.RpcError, address: str = "") -> TollkeeperError:
    """What the control plane said; where it said nothing (it can't be reached), the status of the call."""
    code, details = error.code(), error.details() or ""
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == "grpc-status-details-bin" and (told := _told(value)) is not None:
            return told
    if code is grpc.StatusCode.UNAVAILABLE:
        return TollkeeperError(Reason.UNAVAILABLE, f"The control plane can't be reached: {details}")
    return TollkeeperError(_REASONS_OF_CODES.get(code, Reason.INTERNAL), details or code.name)


def _told(raw: bytes) -> TollkeeperError | None:
    status = status_pb2.Status.FromString(raw)
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN and info.reason in _REASONS:
            return TollkeeperError(_REASONS[info.reason], status.message, dict(info.metadata))
    return None


class _Details(NamedTuple):
    """grpc.ClientCallDetails, whose type can't be made."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Calls(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, secret: str | None) -> None:
        self._metadata = [("authorization", f"Bearer {secret}")] if secret else []

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the credential and the deadline."""
        return continuation(
            _Details(
                client_call_details.method,
                client_call_details.timeout or CALL_TIMEOUT_S,
                [*(client_call_details.metadata or []), *self._metadata],
                client_call_details.credentials,
                client_call_details.wait_for_ready,
                client_call_details.compression,
            ),
            request,
        )
