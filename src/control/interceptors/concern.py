"""What an interceptor is here: a function put around the handlers of our methods, once per method, not per
call."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import grpc.aio
from google.protobuf.message import Message

# The stubs know parameters of these classes that the classes themselves don't take.
if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Context = grpc.aio.ServicerContext
    Handler = grpc.RpcMethodHandler

Unary = Callable[[Any, Context], Awaitable[Message]]
Stream = Callable[[Any, Context], AsyncIterator[Message]]


class Concern(Protocol):
    """One thing that is true of every call: an error's form, the caller's identity, its deadline, a count."""

    def unary(self, method: str, inner: Unary) -> Unary:
        """The handler of a unary method with this concern around it."""
        ...

    def stream(self, method: str, inner: Stream) -> Stream:
        """The handler of a server-streaming method with this concern around it."""
        ...
