"""The answer as server-sent events: OpenAI's chat.completion.chunk objects, with the misbehaviour asked for.

Everything is decided here, before the first byte goes out; `player` only sends it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import Any

import orjson

from simulator.bill import Finish
from simulator.chat import Answer, tool_arguments, usage_json, words
from simulator.cloudflare import fresh_id
from simulator.errors import VendorError
from simulator.steering import Steering

_GARBAGE = (b"data: {broken", b"<!DOCTYPE html><html><body>oops</body></html>", b"data: 17", b": \xff\xfe")
_WHOLE_PRODUCTION = 1 << 62


@dataclass(slots=True)
class Script:
    """A stream, ready to be sent."""

    events: list[bytes]
    """Each with its line ends, without the chunk framing."""
    produced: list[int]
    """Completion tokens produced once each event is out."""
    billed_before: int
    """Index of the event before which the bill's row is written; len(events) is after the last."""
    finish: Finish
    cut: bool
    """Whether the connection is closed after the last event, in the middle of the answer."""

    @property
    def billed_tokens(self) -> int:
        return self.produced[self.billed_before - 1] if self.billed_before else 0


def script(answer: Answer) -> Script:
    """Write the script of an answer."""
    return script_of(answer, *_events(answer))


def broken_off() -> VendorError:
    """What a vendor says in the middle of a stream that it can't go on with."""
    return VendorError(500, "Upstream closed the stream.", code="upstream_disconnected")


def steered(
    steering: Steering, events: list[bytes], produced: list[int], content_events: int, error: bytes
) -> Script:
    """The script of whole `events`, with the misbehaviour asked for: `error` is the event that ends a stream
    badly. The first `content_events` come before the answer is told to be complete."""
    if steering.garbage:
        eol = b"\n\n"
        return Script([each + eol for each in _GARBAGE], [_WHOLE_PRODUCTION] * 4, 4, "error", False)
    made = Script(events, produced, content_events, "complete", False)
    ends = steering.error_event_after
    if ends is not None and ends < len(events):
        made.events[ends:] = [error]
        made.produced[ends:] = [made.produced[ends - 1] if ends else 0]
        made.billed_before, made.finish = min(ends, content_events), "error"
    ends = steering.cut_after
    if ends is not None and ends < len(made.events):
        del made.events[ends:], made.produced[ends:]
        made.billed_before, made.finish, made.cut = min(ends, content_events), "cut", True
    return made


def script_of(answer: Answer, payloads: list[bytes], produced: list[int], content_events: int) -> Script:
    """The script of payloads in OpenAI's framing."""
    return steered(answer.call.steering, _framed(answer, payloads), produced, content_events, _error(answer))


def _events(answer: Answer) -> tuple[list[bytes], list[int], int]:
    """Payloads, tokens produced after each, and how many come before the first finish chunk."""
    call, steering = answer.call, answer.call.steering
    head = b'{"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":%b,' % (
        fresh_id().encode(),
        int(time()),
        orjson.dumps(call.model),
    )
    head += b'"service_tier":"default","system_fingerprint":"fp_simulator","choices":'
    running = steering.usage_every_chunk and not steering.no_usage
    in_finish = steering.usage_in_finish and not steering.no_usage
    at_end = call.include_usage and not (running or in_finish or steering.no_usage)
    tail = b',"usage":null}' if call.include_usage and not (running or in_finish) else b"}"
    payloads: list[bytes] = []
    produced: list[int] = []
    total = 0
    for choice, tokens in _content(answer):
        total += tokens
        payloads.append(head + choice + (_usage(answer, total) if running else tail))
        produced.append(total)
    content_events = len(payloads)
    for index in range(call.choices):
        finish = b'[{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}]' % (
            index,
            answer.finish_reason.encode(),
        )
        last = index == call.choices - 1
        payloads.append(head + finish + (_usage(answer, total) if running or (in_finish and last) else tail))
    if at_end:
        payloads.append(head + b"[]" + _usage(answer, total))
    if not steering.no_done:
        payloads.append(b"[DONE]")
    produced += [total] * (len(payloads) - content_events)
    return payloads, produced, content_events


def _usage(answer: Answer, produced: int) -> bytes:
    return b',"usage":%b}' % orjson.dumps(usage_json(answer.usage.so_far(produced)))


def _error(answer: Answer) -> bytes:
    return _framed(answer, [broken_off().body])[0]


def _framed(answer: Answer, payloads: list[bytes]) -> list[bytes]:
    steering = answer.call.steering
    eol = b"\r\n" if steering.crlf else b"\n"
    before = b": ping" + eol + eol + b"data: " if steering.ping else b"data: "
    after = eol + eol
    return [before + payload + after for payload in payloads]


def _content(answer: Answer) -> Iterator[tuple[bytes, int]]:
    """Each content chunk's `choices` with the tokens it adds; reasoning is produced before the first."""
    call = answer.call
    reasoning = answer.usage.reasoning // call.choices
    indexes = range(call.choices)
    if call.tools:
        steps = _tool_steps(answer)
        for place in range(len(steps)):
            for index in indexes:
                delta, tokens = steps[place]
                yield _choice(index, delta), tokens + (0 if place else reasoning)
        return
    for index in indexes:
        yield _choice(index, {"role": "assistant", "content": "", "refusal": None}), reasoning
    for word in words(call.steering, answer.words):
        for index in indexes:
            yield _word_choice(index, word), 1


def _tool_steps(answer: Answer) -> list[tuple[dict[str, Any], int]]:
    steps: list[tuple[dict[str, Any], int]] = []
    for place, (name, pieces) in enumerate(zip(answer.call.tools, tool_arguments(answer), strict=False)):
        first = {
            "index": place,
            "id": f"call_{fresh_id()}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        opening = {"role": "assistant", "content": None} if place == 0 else {}
        steps.append(({**opening, "tool_calls": [first]}, 0))
        for piece in pieces:
            steps.append(({"tool_calls": [{"index": place, "function": {"arguments": piece}}]}, 1))
    return steps


def _choice(index: int, delta: dict[str, Any]) -> bytes:
    return orjson.dumps([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])


@lru_cache(maxsize=4096)
def _word_choice(index: int, word: str) -> bytes:
    # A copy: what orjson returns keeps the kilobytes it was written into.
    return b"%b" % _choice(index, {"content": word})
