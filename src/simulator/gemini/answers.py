"""What the simulated Gemini answers: whole, as events, as one growing array, and its errors."""

from collections.abc import Iterator
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.chat import Answer, text, tool_arguments, words
from simulator.cloudflare import fresh_id
from simulator.errors import VendorError
from simulator.gemini.request import signature, signs
from simulator.shapes import Shape
from simulator.stream import Script, broken_off, steered

# Google's names of the statuses that it answers with.
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_THOUGHT = "Let me think about the toll."


def whole(answer: Answer) -> bytes:
    """The body of a whole answer."""
    response_id = fresh_id()
    if answer.call.steering.blocked:
        return orjson.dumps(_blocked(answer, response_id))
    candidates = [
        _candidate(index, list(_whole_parts(answer)), answer.finish_reason) for index in _indexes(answer)
    ]
    return orjson.dumps(_response(answer, response_id, candidates, answer.usage))


def error(failed: VendorError) -> bytes:
    """Google's envelope."""
    told: dict[str, Any] = {
        "code": failed.status,
        "message": failed.message,
        "status": _STATUSES.get(failed.status, "UNKNOWN"),
    }
    if failed.code == "invalid_api_key":
        told["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        ]
    if failed.status == 429:
        period = "PerDay" if failed.code == "insufficient_quota" else "PerMinute"
        quota = {"quotaId": f"GenerateRequests{period}PerProjectPerModel"}
        told["details"] = [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
        ]
    return orjson.dumps({"error": told}, option=orjson.OPT_INDENT_2)


def _sse_script(answer: Answer) -> Script:
    steering = answer.call.steering
    eol = b"\r\n" if steering.crlf else b"\n"
    before = b": ping" + eol + eol + b"data: " if steering.ping else b"data: "
    payloads, produced, content_events = _events(answer)
    events = [before + payload + eol + eol for payload in payloads]
    # After the start an error is bare JSON.
    return steered(steering, events, produced, content_events, error(broken_off()) + eol + eol)


def _array_script(answer: Answer) -> Script:
    payloads, produced, content_events = _events(answer)
    last = len(payloads) - 1
    events = [
        (b",\r\n" if place else b"[") + payload + (b"\n]" if place == last else b"\n")
        for place, payload in enumerate(payloads)
    ]
    failed = b",\r\n" + error(broken_off()) + b"\n]"
    return steered(answer.call.steering, events, produced, content_events, failed)


SSE = Shape(whole, _sse_script, error)
ARRAY = Shape(whole, _array_script, error, b"application/json; charset=UTF-8")


def _events(answer: Answer) -> tuple[list[bytes], list[int], int]:
    """Payloads, tokens produced after each, and how many come before the answer is told to be complete. The
    last event of each candidate says why it ended, so there is always one without content after it."""
    response_id, total = fresh_id(), 0
    if answer.call.steering.blocked:
        return [orjson.dumps(_blocked(answer, response_id))], [0], 1
    payloads: list[bytes] = []
    produced: list[int] = []
    for index, part, tokens in _content(answer):
        total += tokens
        candidates = [_candidate(index, [part])]
        payloads.append(orjson.dumps(_response(answer, response_id, candidates, answer.usage.so_far(total))))
        produced.append(total)
    content_events = len(payloads)
    for index in () if answer.call.steering.no_done else _indexes(answer):
        candidates = [_candidate(index, [{"text": ""}], answer.finish_reason)]
        payloads.append(orjson.dumps(_response(answer, response_id, candidates, answer.usage)))
        produced.append(total)
    return payloads, produced, content_events


def _content(answer: Answer) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Candidate, part and the tokens that it adds."""
    call = answer.call
    reasoning = answer.usage.reasoning // call.choices
    if reasoning:
        for index in _indexes(answer):
            yield index, {"text": _THOUGHT, "thought": True}, reasoning
    if call.tools:
        pieces = tool_arguments(answer)
        for index in _indexes(answer):
            for place, part in enumerate(_calls(answer)):
                yield index, part, len(pieces[place])
        return
    for word in words(call.steering, answer.words):
        for index in _indexes(answer):
            yield index, {"text": word}, 1


def _whole_parts(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.usage.reasoning:
        yield {"text": _THOUGHT, "thought": True}
    if answer.call.tools:
        yield from _calls(answer)
    else:
        yield {"text": text(answer.call.steering, answer.words)}


def _calls(answer: Answer) -> Iterator[dict[str, Any]]:
    names = answer.call.tools
    for place, (name, pieces) in enumerate(zip(names, tool_arguments(answer), strict=False)):
        part: dict[str, Any] = {"functionCall": {"name": name, "args": orjson.loads("".join(pieces) or "{}")}}
        # Of parallel calls only the first is signed.
        if place == 0 and signs(answer.call.model):
            part["thoughtSignature"] = signature(name)
        yield part


def _indexes(answer: Answer) -> range:
    return range(answer.call.choices)


def _candidate(index: int, parts: list[dict[str, Any]], finish: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": index}
    return made | {"finishReason": _FINISH.get(finish, finish)} if finish else made


def _response(
    answer: Answer, response_id: str, candidates: list[dict[str, Any]], usage: Usage
) -> dict[str, Any]:
    made: dict[str, Any] = {"candidates": candidates} if candidates else {}
    call, finishes = answer.call, not candidates or "finishReason" in candidates[-1]
    steering = call.steering
    if not steering.no_usage and (finishes or not steering.usage_in_finish):
        made["usageMetadata"] = _usage_metadata(usage)
        if steering.tier is not None:
            made["usageMetadata"]["serviceTier"] = steering.tier
    if candidates and finishes and steering.web_searches:
        queries = [f"toll {number}" for number in range(steering.web_searches)]
        candidates[-1]["groundingMetadata"] = {"webSearchQueries": queries}
    return made | {"modelVersion": call.model, "responseId": response_id}


def _blocked(answer: Answer, response_id: str) -> dict[str, Any]:
    """The prompt was refused: no candidate, and nothing but the prompt to be billed."""
    return _response(answer, response_id, [], answer.usage) | {"promptFeedback": {"blockReason": "SAFETY"}}


def _usage_metadata(usage: Usage) -> dict[str, Any]:
    """Thoughts are beside the candidates; what is zero is absent."""
    counts = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "cachedContentTokenCount": usage.cached,
        "totalTokenCount": usage.prompt + usage.completion,
    }
    made: dict[str, Any] = {name: count for name, count in counts.items() if count}
    made["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.prompt}]
    if usage.cached:
        made["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached}]
    return made
