"""The one interceptor gRPC sees: puts all concerns around a handler and remembers the result by method."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_status import rpc_status

from control.interceptors.concern import Concern, Context, Handler
from control.interceptors.errors import to_status
from control.interceptors.guard import reader
from tollkeeper.errors import Reason, TollkeeperError

_OUR_PREFIX = "/tollkeeper."


class Chain(grpc.aio.ServerInterceptor):
    """Concerns in order, outermost first. Health and reflection pass by them: they are open to everybody."""

    def __init__(self, concerns: Sequence[Concern]) -> None:
        self._concerns = tuple(concerns)
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler of the method; for one that no service has, a handler that says so."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return _UNKNOWN
        if not method.startswith(_OUR_PREFIX):
            return handler
        self._handlers[method] = wrapped = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        assert handler.request_deserializer is not None
        forms: dict[str, Any] = {
            "request_deserializer": reader(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            unary: Any = handler.unary_unary
            for concern in reversed(self._concerns):
                unary = concern.unary(method, unary)
            return grpc.unary_unary_rpc_method_handler(unary, **forms)
        if handler.unary_stream is not None:
            stream: Any = handler.unary_stream
            for concern in reversed(self._concerns):
                stream = concern.stream(method, stream)
            return grpc.unary_stream_rpc_method_handler(stream, **forms)
        raise NotImplementedError(f"{method}: no concern knows client-streaming methods")


async def _refuse(request: bytes, context: Context) -> None:
    error = TollkeeperError(
        Reason.ENDPOINT_NOT_SUPPORTED, "This server has no such method; it may be older than its caller."
    )
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


_refusing: Any = _refuse
_UNKNOWN: Handler = grpc.unary_unary_rpc_method_handler(_refusing)
