"""The routes of the contract: one generic handler for every binding, none written by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import structlog
from google.protobuf.message import Message

from edge.answer import Answer
from edge.rest.calls import Control, StreamCall
from edge.rest.contract import HTTP_BODY, Binding, bindings
from edge.rest.exchange import Exchange, Handler, answer
from edge.rest.transcode import json_of, refusal_line, request_of
from tollkeeper.errors import TollkeeperError

log = structlog.get_logger()

JSON_LINES = b"application/x-ndjson"


def contract_routes(control: Control) -> Iterator[tuple[Binding, Handler]]:
    """Each binding with what serves it."""
    for binding in bindings():
        if binding.rpc.server_streaming:
            yield binding, _streamed(binding, control.stream(binding))
        else:
            yield binding, _answered(binding, control.unary(binding))


def _answered(binding: Binding, method: Callable[..., Awaitable[Message]]) -> Handler:
    raw = binding.rpc.output_type.full_name == HTTP_BODY

    async def handle(exchange: Exchange) -> Answer | None:
        request = request_of(binding, exchange.variables, exchange.query, exchange.body)
        message = await exchange.caller.call(method, request)
        if raw:
            return answer(200, _media_type(message), exchange.lines, _data(message))
        return exchange.answer(await json_of(message))

    return handle


def _streamed(binding: Binding, method: Callable[..., StreamCall]) -> Handler:
    """JSON lines, or what the method itself makes (google.api.HttpBody), as it comes."""
    raw = binding.rpc.output_type.full_name == HTTP_BODY

    async def handle(exchange: Exchange) -> Answer | None:
        request = request_of(binding, exchange.variables, exchange.query, exchange.body)
        messages = exchange.caller.messages(method, request)
        try:
            # A refusal comes before the first message, while the status can still be told.
            first = await anext(messages, None)
            await _relay(exchange, first, messages, raw)
        finally:
            await messages.aclose()  # type: ignore[attr-defined]
        return None

    return handle


async def _relay(
    exchange: Exchange, first: Message | None, messages: AsyncIterator[Message], raw: bool
) -> None:
    """Each message is read when the one before is on its way. What breaks must not look complete: JSON lines
    end with the error, and either way the connection is cut."""
    media_type = _media_type(first) if raw and first is not None else JSON_LINES
    response = answer(200, media_type, exchange.lines, b"")
    await exchange.request.respond(response)
    message = first
    try:
        while message is not None:
            data = _data(message) if raw else await json_of(message) + b"\n"
            if data:
                await response.send(data)
            message = await anext(messages, None)
    except TollkeeperError as error:
        if not raw:
            await response.send(refusal_line(error))
        _cut(exchange)
    except Exception:
        log.exception("stream failed", path=exchange.request.path)
        _cut(exchange)
    else:
        await response.send(end_stream=True)


def _cut(exchange: Exchange) -> None:
    if exchange.request.stream is not None:
        exchange.request.stream.protocol.abort()  # type: ignore[no-untyped-call]


def _media_type(message: Message) -> bytes:
    kind = str(getattr(message, "content_type", ""))
    return kind.encode("latin-1", "replace") if kind.isprintable() and kind else b"application/octet-stream"


def _data(message: Message) -> bytes:
    return bytes(getattr(message, "data", b""))
