"""The connection of a command: one deadline, the caller's credential, and refusals as TollkeeperError.

A command makes a call or a few and ends, so it uses gRPC's blocking API; servers use the asyncio client.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from tollkeeper.errors import Reason, TollkeeperError

CALL_TIMEOUT_S = 30.0


def open_channel(address: str, secret: str | None, authority: bytes | None = None) -> grpc.Channel:
    """A channel whose calls carry the secret and end in time; over TLS with an authority (PEM)."""
    if authority is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority))
    return grpc.intercept_channel(channel, _Calls(secret))


def refusal(error: grpc.RpcError) -> TollkeeperError:
    """What the control plane said; where it can't be reached, which address was tried."""
    # Only now: a command that isn't refused needs none of it.
    from clients.refusals import error_of

    told = error_of(error)
    if told.reason == Reason.UNAVAILABLE and not told.metadata:
        told = TollkeeperError(told.reason, f"{told.message} {error.details() or ''}".strip())
    return told


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
