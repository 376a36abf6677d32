"""The control plane as callers of the facade reach it: one shared channel, each call with its caller's own
credential."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from clients.refusals import error_of
from edge.rest.contract import Binding
from tollkeeper.networks import CLIENT_ADDRESS_METADATA
from tollkeeper.v1.budgets_pb2_grpc import BudgetsServiceStub
from tollkeeper.v1.customers_pb2_grpc import CustomersServiceStub
from tollkeeper.v1.keys_pb2_grpc import KeysServiceStub
from tollkeeper.v1.models_pb2_grpc import ModelsServiceStub
from tollkeeper.v1.prices_pb2_grpc import PricesServiceStub
from tollkeeper.v1.providers_pb2_grpc import ProvidersServiceStub
from tollkeeper.v1.routers_pb2_grpc import RoutersServiceStub
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

# Longer than the control plane gives a call itself, so that its own answer arrives.
CALL_TIMEOUT_S = 35.0
# An export of many rows to a slow reader; nobody waits longer.
STREAM_TIMEOUT_S = 3600.0

Answer = TypeVar("Answer", bound=Message)


class Control:
    """Typed stubs for the surfaces of systems A and B, and any method for the transcoder. One per worker."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """The channel stays the caller's."""
        self._channel = channel
        self.budgets = BudgetsServiceStub(channel)
        self.customers = CustomersServiceStub(channel)
        self.keys = KeysServiceStub(channel)
        self.models = ModelsServiceStub(channel)
        self.prices = PricesServiceStub(channel)
        self.providers = ProvidersServiceStub(channel)
        self.routers = RoutersServiceStub(channel)
        self.sessions = SessionsServiceStub(channel)
        self.usage = UsageServiceStub(channel)
        self.users = UsersServiceStub(channel)

    def unary(self, binding: Binding) -> Callable[..., Awaitable[Message]]:
        """The method of a binding; made once, called often."""
        method: Callable[..., Awaitable[Message]] = self._channel.unary_unary(
            binding.rpc_path, binding.request_class.SerializeToString, binding.answer_class.FromString
        )
        return method

    def stream(self, binding: Binding) -> "Callable[..., StreamCall]":
        """The same for a method that answers with a stream."""
        method: Callable[..., StreamCall] = self._channel.unary_stream(
            binding.rpc_path, binding.request_class.SerializeToString, binding.answer_class.FromString
        )
        return method


class StreamCall(Protocol):
    """What grpc.aio gives for a call with a stream of answers."""

    def __aiter__(self) -> AsyncIterator[Message]: ...

    def cancel(self) -> bool:
        """Tells the control plane that nobody reads on."""


class Caller:
    """Somebody who calls, by a credential or without one. Raises TollkeeperError and nothing else."""

    __slots__ = ("_metadata",)

    def __init__(self, authorization: str | None, address: str = "") -> None:
        """`authorization` is the request's header as it came, and goes on as it is; `address` is where the
        request came from."""
        self._metadata: tuple[tuple[str, str], ...] = ()
        if authorization is not None:
            self._metadata = (("authorization", authorization),)
        elif address:
            self._metadata = ((CLIENT_ADDRESS_METADATA, address),)

    async def call(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """One answer. Cancelled with the task."""
        try:
            return await method(request, metadata=self._metadata, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None

    async def messages(
        self, method: Callable[..., StreamCall], request: Message
    ) -> AsyncGenerator[Message, None]:
        """A stream, read no faster than it is used; cancelled when it is left."""
        call: Any = method(request, metadata=self._metadata, timeout=STREAM_TIMEOUT_S)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        finally:
            call.cancel()
