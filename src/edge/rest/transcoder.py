"""The routes of the contract: one generic handler for every binding, none written by hand."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import structlog
from google.protobuf.message import Message

from edge.answer import Answer
from edge.rest.calls import Control, StreamCall
from edge.rest.contract import Binding, bindings
from edge.rest.exchange import Exchange, Handler, answer
from edge.rest.transcode import json_of, refusal_line, request_of
from tollkeeper.errors import TollkeeperError

log = structlog.get_logger()

JSON_LINES = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"


def contract_routes(control: Control) -> Iterator[tuple[Binding, Handler]]:
    """Each binding with what serves it."""
    for binding in bindings():
        if binding.rpc.server_streaming:
            yield binding, _streamed(binding, control.stream(binding))
        else:
            yield binding, _answered(binding, control.unary(binding))


def _answered(binding: Binding, method: Callable[..., Awaitable[Message]]) -> Handler:
    async def handle(exchange: Exchange) -> Answer | None:
        request = request_of(binding, exchange.variables, exchange.query, exchange.body)
        message = await exchange.caller.call(method, request)
        if binding.answer:
            media_type = _media_type(binding, request)
            return answer(200, media_type.encode(), exchange.lines, _text(binding, message))
        return exchange.answer(await json_of(message))

    return handle


def _streamed(binding: Binding, method: Callable[..., StreamCall]) -> Handler:
    """JSON lines, or the text that the method itself makes, as it comes."""

    async def handle(exchange: Exchange) -> Answer | None:
        request = request_of(binding, exchange.variables, exchange.query, exchange.body)
        messages = exchange.caller.messages(method, request)
        try:
            # A refusal comes before the first message, while the status can still be told.
            first = await anext(messages, None)
            media_type = _media_type(binding, request)
            await _relay(exchange, binding, media_type, first, messages)
        finally:
            await messages.aclose()
        return None

    return handle


async def _relay(
    exchange: Exchange,
    binding: Binding,
    media_type: str,
    first: Message | None,
    messages: AsyncGenerator[Message, None],
) -> None:
    """Each message is read when the one before is on its way. What breaks must not look complete: JSON lines
    end with the error, and the connection is cut either way."""
    response = answer(200, media_type.encode(), exchange.lines, b"")
    await exchange.request.respond(response)
    message = first
    try:
        while message is not None:
            data = _text(binding, message) if binding.answer else await json_of(message) + b"\n"
            if data:
                await response.send(data)
            message = await anext(messages, None)
    except TollkeeperError as error:
        if media_type == JSON_LINES:
            await response.send(refusal_line(error))
        _cut(exchange)
    except Exception:
        log.exception("stream failed", path=exchange.request.path)
        _cut(exchange)
    else:
        await response.send(end_stream=True)


def _cut(exchange: Exchange) -> None:
    """Without the end that a complete answer has."""
    if exchange.request.stream is not None:
        exchange.request.stream.protocol.abort()  # type: ignore[no-untyped-call]


def _media_type(binding: Binding, request: Message) -> str:
    if not binding.answer:
        return JSON_LINES
    # A format that isn't given is the first there is.
    default = next(iter(binding.media_types.values()), TEXT)
    return binding.media_types.get(getattr(request, "format", 0), default)


def _text(binding: Binding, message: Message) -> bytes:
    text: str = getattr(message, binding.answer)
    return text.encode()
