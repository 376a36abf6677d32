"""Counts every call by method and status, and times the unary ones."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

import grpc
from google.protobuf.message import Message

from control.interceptors.concern import Context, Stream, Unary
from control.metrics import Metrics


class CallMetrics:
    """Feeds `tollkeeper_control_rpcs_total` and `tollkeeper_control_rpc_seconds`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def unary(self, method: str, inner: Unary) -> Unary:
        """Counts and times."""
        name = short_name(method)
        ok = self._metrics.rpcs.labels(name, grpc.StatusCode.OK.name)
        seconds = self._metrics.rpc_seconds.labels(name)
        rpcs = self._metrics.rpcs

        async def handle(request: Message, context: Context) -> Message:
            begin = perf_counter()
            try:
                answer = await inner(request, context)
            except BaseException as error:
                rpcs.labels(name, code_name(context, error)).inc()
                raise
            else:
                ok.inc()
                return answer
            finally:
                seconds.observe(perf_counter() - begin)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """Counts when the stream ends."""
        name = short_name(method)
        rpcs = self._metrics.rpcs

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            code = grpc.StatusCode.OK.name
            try:
                async for message in inner(request, context):
                    yield message
            except BaseException as error:
                code = code_name(context, error)
                raise
            finally:
                rpcs.labels(name, code).inc()

        return handle


def short_name(method: str) -> str:
    """`/tollkeeper.v1.EdgeService/Settle` → `EdgeService/Settle`."""
    return method.rpartition(".")[2]


def code_name(context: Context, error: BaseException) -> str:
    """The name of the status a call ended with."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.CANCELLED.name
    number = context.code()
    for code in grpc.StatusCode:
        if number in (code, code.value[0]):
            return code.name
    return grpc.StatusCode.UNKNOWN.name
