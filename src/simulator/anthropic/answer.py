"""The answer as a Message, whole or in events. The tokens of a call are the pieces of its input."""

from collections.abc import Iterator
from typing import Any

import orjson

from simulator.anthropic.errors import error_body
from simulator.anthropic.thinking import signature
from simulator.chat import Answer, text, tool_arguments, words
from simulator.cloudflare import fresh_id
from simulator.stream import Script, broken_off, steered

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

Body = dict[str, Any]


def message(answer: Answer) -> bytes:
    """The body of a successful answer that is not streamed."""
    call = answer.call
    content: list[Body] = _thoughts(answer)
    if call.tools:
        content += [
            _use(name, orjson.loads("".join(pieces) or "{}"))
            for name, pieces in zip(call.tools, tool_arguments(answer), strict=False)
        ]
    elif answer.words:
        content.append({"type": "text", "text": text(call.steering, answer.words)})
    body = _opening(answer) | {"content": content, "stop_reason": _STOP_REASONS[answer.finish_reason]}
    if not call.steering.no_usage:
        body["usage"] = _input(answer) | _output(answer)
    return orjson.dumps(body)


def message_script(answer: Answer) -> Script:
    """The events of a streamed answer."""
    steering = answer.call.steering
    events: list[bytes] = []
    produced: list[int] = []
    total = 0
    for event, tokens in _content(answer):
        total += tokens
        events.append(_framed(answer, event))
        produced.append(total)
    content_events = len(events)
    end: Body = {
        "type": "message_delta",
        "delta": {"stop_reason": _STOP_REASONS[answer.finish_reason], "stop_sequence": None},
    }
    if not steering.no_usage:
        # Without the two lifetimes of cache writes and the tier, which only the start has.
        repeated = {name: count for name, count in _input(answer).items() if type(count) is int}
        end["usage"] = repeated | _output(answer)
    events.append(_framed(answer, end))
    if not steering.no_done:
        events.append(_framed(answer, {"type": "message_stop"}))
    produced += [total] * (len(events) - content_events)
    error = orjson.loads(error_body(broken_off()))
    return steered(steering, events, produced, content_events, _framed(answer, error))


def _content(answer: Answer) -> Iterator[tuple[Body, int]]:
    """Each event up to the last block's end, with the tokens it adds."""
    call = answer.call
    opening = _opening(answer)
    if not call.steering.no_usage:
        opening["usage"] = _input(answer) | {"output_tokens": 1}
    yield {"type": "message_start", "message": opening}, 0
    index = 0
    for thought in _thoughts(answer):
        start = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            ({"type": "thinking_delta", "thinking": thought["thinking"]}, answer.usage.reasoning),
            ({"type": "signature_delta", "signature": thought["signature"]}, 0),
        ]
        yield from _block(index, start, deltas)
        index += 1
    if call.tools:
        for name, pieces in zip(call.tools, tool_arguments(answer), strict=False):
            parts = [({"type": "input_json_delta", "partial_json": piece}, 1) for piece in pieces]
            yield from _block(index, _use(name, {}), parts)
            index += 1
    elif answer.words:
        said = [({"type": "text_delta", "text": word}, 1) for word in words(call.steering, answer.words)]
        yield from _block(index, {"type": "text", "text": ""}, said)


def _block(index: int, start: Body, deltas: list[tuple[Body, int]]) -> Iterator[tuple[Body, int]]:
    yield {"type": "content_block_start", "index": index, "content_block": start}, 0
    for delta, tokens in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}, tokens
    yield {"type": "content_block_stop", "index": index}, 0


def _opening(answer: Answer) -> Body:
    return {
        "id": f"msg_{fresh_id()}",
        "type": "message",
        "role": "assistant",
        "model": answer.call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _thoughts(answer: Answer) -> list[Body]:
    if not answer.usage.reasoning:
        return []
    thought = text(answer.call.steering, min(answer.usage.reasoning, 32))
    return [{"type": "thinking", "thinking": thought, "signature": signature(thought)}]


def _use(name: str, arguments: Body) -> Body:
    return {"type": "tool_use", "id": f"toolu_{fresh_id()}", "name": name, "input": arguments}


def _input(answer: Answer) -> Body:
    usage, steering = answer.usage, answer.call.steering
    return {
        "input_tokens": usage.prompt - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "service_tier": steering.tier or "standard",
    }


def _output(answer: Answer) -> Body:
    usage = answer.usage
    output: Body = {
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
    if usage.web_searches:
        output["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return output


def _framed(answer: Answer, event: Body) -> bytes:
    steering = answer.call.steering
    eol = b"\r\n" if steering.crlf else b"\n"
    ping = b'event: ping%bdata: {"type":"ping"}%b%b' % (eol, eol, eol) if steering.ping else b""
    return b"%bevent: %b%bdata: %b%b%b" % (ping, event["type"].encode(), eol, orjson.dumps(event), eol, eol)
