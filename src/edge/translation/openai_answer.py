"""Answers in OpenAI's form: `chat.completion`, its chunks, its usage and its errors.

Facts: the OpenAPI document of OpenAI's API (chat completions). What OpenAI has no field for has the names
that other gateways and vendors made common: `reasoning_content`, `reasoning_details`; and beside
`cache_write_tokens` are the two lifetimes of a cache write.
"""

from time import time
from typing import Any

import orjson

from tollkeeper.cost import UsageCounts

DONE = b"data: [DONE]\n\n"


def usage_object(counts: UsageCounts) -> dict[str, Any]:
    """OpenAI's `usage`; every detail is a part of its parent."""
    written, written_1h = counts.cache_write_tokens, counts.cache_write_1h_tokens
    return {
        "prompt_tokens": counts.input_tokens,
        "completion_tokens": counts.output_tokens,
        "total_tokens": counts.input_tokens + counts.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counts.cached_input_tokens,
            "cache_write_tokens": written,
            "cache_write_5m_tokens": written - written_1h,
            "cache_write_1h_tokens": written_1h,
            "audio_tokens": counts.audio_input_tokens,
            "image_tokens": counts.image_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning_tokens,
            "audio_tokens": counts.audio_output_tokens,
            "image_tokens": counts.image_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(
    answer_id: str,
    model: str,
    choices: list[dict[str, Any]],
    usage: UsageCounts | None,
    service_tier: str = "",
) -> dict[str, Any]:
    """A whole answer."""
    answer: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion",
        "created": int(time()),
        "model": model,
        "choices": choices,
        "system_fingerprint": None,
    }
    if service_tier:
        answer["service_tier"] = service_tier
    if usage is not None:
        answer["usage"] = usage_object(usage)
    return answer


def choice(index: int, message: dict[str, Any], finish: str) -> dict[str, Any]:
    """One choice of a whole answer."""
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}


def error_body(message: str, kind: str, code: str | None) -> bytes:
    """A vendor's error in OpenAI's envelope."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


class Chunks:
    """The events of one streamed answer. All have the same id and time, so that is encoded once."""

    __slots__ = ("_head", "_tail")

    def __init__(self, answer_id: str, model: str, wants_usage: bool, service_tier: str = "") -> None:
        """`wants_usage`: the client asked for it, so all chunks but its own say null."""
        same: dict[str, Any] = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": int(time()),
            "model": model,
            "system_fingerprint": None,
        }
        if service_tier:
            same["service_tier"] = service_tier
        self._head = b'data: %b,"choices":[' % orjson.dumps(same)[:-1]
        self._tail = b'],"usage":null}\n\n' if wants_usage else b"]}\n\n"

    def delta(self, delta: dict[str, Any], index: int = 0, logprobs: dict[str, Any] | None = None) -> bytes:
        """A piece of one choice."""
        piece = b'{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":null}'
        probabilities = b"null" if logprobs is None else orjson.dumps(logprobs)
        return self._head + piece % (index, orjson.dumps(delta), probabilities) + self._tail

    def finish(self, reason: str, index: int = 0) -> bytes:
        """The end of one choice."""
        piece = b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}'
        return self._head + piece % (index, reason.encode()) + self._tail

    def usage(self, counts: UsageCounts) -> bytes:
        """The chunk without choices, for clients that asked for it."""
        return self._head + b'],"usage":%b}\n\n' % orjson.dumps(usage_object(counts))


def error_event(body: bytes) -> bytes:
    """The last event of a stream that failed: `body` as `error_body` made it. No [DONE] follows."""
    return b"data: %b\n\n" % body
