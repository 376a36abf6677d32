"""The one interceptor gRPC sees: puts all concerns around a handler and remembers the result by method."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from control.interceptors.concern import Concern, Handler

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
        """The handler of the method; None (UNIMPLEMENTED) for one that no service has."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(_OUR_PREFIX):
            return handler
        self._handlers[method] = wrapped = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        forms = {"request_deserializer": handler.request_deserializer}
        forms["response_serializer"] = handler.response_serializer
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
