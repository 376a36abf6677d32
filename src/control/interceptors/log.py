"""One line a call: admin calls at info, the edges' (there are many) at debug. Errors are logged where they
are mapped."""

from collections.abc import AsyncIterator, Callable
from time import perf_counter

import structlog
from google.protobuf.message import Message

from control.caller import caller
from control.interceptors.concern import Context, Stream, Unary
from control.interceptors.metrics import code_name, short_name

log = structlog.get_logger()

_OFTEN = "EdgeService/"


class CallLog:
    """Writes who called what, how it ended and how long it took; never what was said."""

    def unary(self, method: str, inner: Unary) -> Unary:
        """Logs when the call is over."""
        name = short_name(method)
        write = log.debug if name.startswith(_OFTEN) else log.info

        async def handle(request: Message, context: Context) -> Message:
            begin = perf_counter()
            code = "OK"
            try:
                return await inner(request, context)
            except BaseException as error:
                code = code_name(context, error)
                raise
            finally:
                _write(write, name, code, begin)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """Logs when the stream is over."""
        name = short_name(method)
        write = log.debug if name.startswith(_OFTEN) else log.info

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            begin = perf_counter()
            code = "OK"
            try:
                async for message in inner(request, context):
                    yield message
            except BaseException as error:
                code = code_name(context, error)
                raise
            finally:
                _write(write, name, code, begin)

        return handle


def _write(write: Callable[..., object], method: str, code: str, begin: float) -> None:
    identity = caller()
    write(
        "call",
        method=method,
        code=code,
        duration_ms=round((perf_counter() - begin) * 1000, 3),
        caller=identity.kind.value,
        user_id=identity.user_id,
        customer_id=identity.customer_id,
    )
