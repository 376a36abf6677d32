"""A channel whose calls block, for programs without an event loop: the command line, scripts, threads."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc

from clients.calls import Attempts, Policy
from clients.target import target_of
from tollkeeper.errors import TollkeeperError


def open_channel(
    addresses: Sequence[str], policy: Policy, tls: grpc.ChannelCredentials | None = None
) -> grpc.Channel:
    """A channel over all replicas, for any stub; its calls raise TollkeeperError. Raises ValueError for what
    is no address."""
    target, options = target_of(addresses)
    if tls is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, tls, options=options)
    return grpc.intercept_channel(channel, _Calls(policy))


class _Details(NamedTuple):
    """grpc.ClientCallDetails, whose type can't be made."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Calls(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds credential and deadline, and tries again where that is safe."""
        timeout_s = client_call_details.timeout
        if timeout_s is None:
            timeout_s = self._policy.timeout_s
        attempts = Attempts(client_call_details.method, request, timeout_s)
        while True:
            call = continuation(self._details(client_call_details, attempts.timeout_s), attempts.request)
            error = call.exception()
            if error is None:
                return call
            refusal = _refusal(error)
            pause_s = attempts.pause_s(refusal)
            if pause_s is None:
                raise refusal from error
            time.sleep(pause_s)

    def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the credential; raises what the control plane raised, whenever it did."""
        call = continuation(self._details(client_call_details, client_call_details.timeout), request)

        def messages() -> Iterator[Any]:
            try:
                yield from call
            except grpc.RpcError as error:
                raise _refusal(error) from error
            finally:
                call.cancel()

        return messages()

    def _details(self, given: Any, timeout_s: float | None) -> _Details:
        return _Details(
            given.method,
            timeout_s,
            [*(given.metadata or []), *self._policy.metadata],
            given.credentials,
            given.wait_for_ready,
            given.compression,
        )


def _refusal(error: Any) -> TollkeeperError:
    # Only now: a program that isn't refused needs none of it.
    from clients.refusals import error_of

    return error_of(error)
