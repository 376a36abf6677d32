"""The gRPC clients of the control plane, for asyncio and for programs that block: one channel over all
replicas, a credential, deadlines, another try where it can do no harm, and refusals as TollkeeperError."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from clients import places
from clients.blocking import open_channel
from clients.calls import CALL_TIMEOUT_S, Attempts, Policy
from clients.refusals import error_of
from clients.services import AsyncServices, SyncServices
from clients.target import target_of


class ControlClient(AsyncServices):
    """For asyncio. Calls raise TollkeeperError and nothing else; use it as an asynchronous context manager,
    inside the loop that makes the calls."""

    def __init__(
        self,
        addresses: Sequence[str],
        credential: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> None:
        """`addresses` are `host:port` of one replica or more. Raises ValueError."""
        policy = Policy(credential, timeout_s)
        target, options = target_of(addresses)
        interceptors = [_Unary(policy), _Stream(policy)]
        if tls is None:
            channel = grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
        else:
            channel = grpc.aio.secure_channel(target, tls, options=options, interceptors=interceptors)
        self.channel = channel
        super().__init__(channel)

    @classmethod
    def found(cls) -> Self:
        """A client of the control plane that the command line would use: by the environment, a sign-in, or
        the data directory (docs/clients.md). Raises as `places.find`."""
        place = places.find()
        return cls(place.addresses, place.credential, place.tls)

    async def close(self) -> None:
        """Ends all calls under way."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SyncControlClient(SyncServices):
    """The same for programs that block, from any thread. Use it as a context manager."""

    def __init__(
        self,
        addresses: Sequence[str],
        credential: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> None:
        """`addresses` are `host:port` of one replica or more. Raises ValueError."""
        self.channel = open_channel(addresses, Policy(credential, timeout_s), tls)
        super().__init__(self.channel)

    @classmethod
    def found(cls) -> Self:
        """As ControlClient.found."""
        place = places.find()
        return cls(place.addresses, place.credential, place.tls)

    def close(self) -> None:
        """Ends all calls under way."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds credential and deadline, and tries again where that is safe."""
        timeout_s = client_call_details.timeout
        attempts = Attempts(
            client_call_details.method, request, self._policy.timeout_s if timeout_s is None else timeout_s
        )
        while True:
            details = _details(client_call_details, attempts.timeout_s, self._policy)
            call = await continuation(details, attempts.request)
            try:
                await call
            except grpc.aio.AioRpcError as error:
                refusal = error_of(error)
                pause_s = attempts.pause_s(refusal)
                if pause_s is None:
                    raise refusal from error
            else:
                return call
            await asyncio.sleep(pause_s)


class _Stream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        """Adds the credential; raises what the control plane raised, whenever it did."""
        details = _details(client_call_details, client_call_details.timeout, self._policy)
        call = await continuation(details, request)

        async def messages() -> Any:
            try:
                async for message in call:
                    yield message
            except grpc.aio.AioRpcError as error:
                raise error_of(error) from error
            finally:
                call.cancel()

        return messages()


def _details(given: Any, timeout_s: float | None, policy: Policy) -> Any:
    metadata = grpc.aio.Metadata(*(given.metadata or ()))
    for name, value in policy.metadata:
        metadata.add(name, value)
    return grpc.aio.ClientCallDetails(
        method=given.method,
        timeout=timeout_s,
        metadata=metadata,
        credentials=given.credentials,
        wait_for_ready=given.wait_for_ready,
    )
