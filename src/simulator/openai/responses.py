"""The Responses API: how requests are read, what is answered, whole and in events."""

from dataclasses import dataclass
from time import time
from typing import Any

import orjson

from simulator.bill import Usage
from simulator.chat import Answer, Call, flag_of, prompt_tokens, steer, text, words
from simulator.cloudflare import fresh_id
from simulator.errors import VendorError
from simulator.shapes import Shape
from simulator.steering import Steering
from simulator.stream import Script, steered


@dataclass(slots=True)
class ResponseCall(Call):
    """A request, with what its answer repeats."""

    request: dict[str, Any]
    object_id: str
    background: bool
    items: list[dict[str, Any]]
    """The input, as /input_items tells it."""

    @property
    def stored(self) -> bool:
        return self.request.get("store") is not False


def read_response(
    request: dict[str, Any], body: bytes, header: bytes | None, base: Steering, earlier_tokens: int
) -> ResponseCall:
    """`earlier_tokens` are those of the responses that this one goes on from. Raises VendorError."""
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise VendorError(400, "you must provide a model parameter")
    items = _items(request.get("input"))
    messages = [_plain(item) for item in items]
    model, steering = steer(body, model, messages, header, base)
    tokens = prompt_tokens(messages, len(body)) if steering.prompt is None else steering.prompt
    limit = request.get("max_output_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise VendorError(400, "Invalid value for 'max_output_tokens'.", param="max_output_tokens")
    background = flag_of(request, "background")
    if background and request.get("store") is False:
        raise VendorError(400, "Background responses must be stored.", param="background")
    return ResponseCall(
        model=model,
        steering=steering,
        prompt_tokens=tokens + earlier_tokens,
        stream=flag_of(request, "stream"),
        include_usage=True,
        choices=1,
        limit=limit,
        tools=_functions(request, model, steering),
        request=request,
        object_id=f"resp_{fresh_id()}",
        background=background,
        items=items,
    )


def response_object(answer: Answer, status: str = "") -> dict[str, Any]:
    """OpenAI's response; `status` other than the final one leaves output and usage out."""
    call = answer.call
    assert isinstance(call, ResponseCall)
    final = "incomplete" if answer.finish_reason == "length" else "completed"
    status = status or final
    ended = status == final
    reports = ended and not call.steering.no_usage
    return {
        "id": call.object_id,
        "object": "response",
        "created_at": int(time()),
        "status": status,
        "background": call.background,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": call.request.get("instructions"),
        "max_output_tokens": call.limit,
        "model": call.model,
        "output": _output(answer) if ended else [],
        "parallel_tool_calls": True,
        "previous_response_id": call.request.get("previous_response_id"),
        "service_tier": "default",
        "store": call.stored,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": call.request.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "metadata": call.request.get("metadata") or {},
        "usage": usage_json(answer.usage) if reports else None,
    }


def usage_json(usage: Usage) -> dict[str, Any]:
    """The usage object of responses."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def script(answer: Answer) -> Script:
    """All events of a response, in order."""
    writer = _Writer(answer)
    writer.say("response.created", response=response_object(answer, "in_progress"))
    if answer.call.steering.queued:
        writer.say("response.queued", response=response_object(answer, "queued"))
    writer.say("response.in_progress", response=response_object(answer, "in_progress"))
    for place, item in enumerate(_output(answer)):
        _say_item(writer, answer, place, item)
    content = len(writer.events)
    whole = response_object(answer)
    writer.say(f"response.{whole['status']}", response=whole)
    return steered(answer.call.steering, writer.events, writer.produced, content, writer.error())


class _Writer:
    """Events as they are written."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tokens = 0
        self.events: list[bytes] = []
        self.produced: list[int] = []

    def say(self, kind: str, tokens: int = 0, **fields: Any) -> None:
        """One event; `tokens` were produced for it."""
        self._tokens += tokens
        self.events.append(self._framed(kind, fields))
        self.produced.append(self._tokens)

    def error(self) -> bytes:
        """What ends a stream badly: a flat error, then the failed response."""
        code = self._answer.call.steering.error or "server_error"
        failed = response_object(self._answer, "failed")
        failed["error"] = {"code": code, "message": "The response failed."}
        flat = {"code": code, "message": "The response failed.", "param": None}
        return self._framed("error", flat) + self._framed("response.failed", {"response": failed})

    def _framed(self, kind: str, fields: dict[str, Any]) -> bytes:
        steering = self._answer.call.steering
        eol = b"\r\n" if steering.crlf else b"\n"
        data = orjson.dumps({"type": kind, "sequence_number": len(self.events), **fields})
        ping = b": ping" + eol + eol if steering.ping else b""
        return b"%bevent: %b%bdata: %b%b%b" % (ping, kind.encode(), eol, data, eol, eol)


def _say_item(writer: _Writer, answer: Answer, place: int, item: dict[str, Any]) -> None:
    started = item | {"status": "in_progress"}
    at = {"output_index": place, "item_id": item["id"]}
    if item["type"] == "message":
        writer.say("response.output_item.added", output_index=place, item=started | {"content": []})
        part = item["content"][0]
        spot = {**at, "content_index": 0}
        writer.say("response.content_part.added", **spot, part=part | {"text": ""})
        for word in words(answer.call.steering, answer.words):
            writer.say("response.output_text.delta", 1, **spot, delta=word, logprobs=[])
        writer.say("response.output_text.done", **spot, text=part["text"], logprobs=[])
        writer.say("response.content_part.done", **spot, part=part)
    elif item["type"] == "function_call":
        writer.say("response.output_item.added", output_index=place, item=started | {"arguments": ""})
        writer.say("response.function_call_arguments.delta", answer.words, **at, delta=item["arguments"])
        writer.say("response.function_call_arguments.done", **at, arguments=item["arguments"])
    elif item["type"] == "reasoning":
        writer.say("response.output_item.added", output_index=place, item=started | {"summary": []})
        spot = {**at, "summary_index": 0}
        part = item["summary"][0]
        writer.say("response.reasoning_summary_part.added", **spot, part=part | {"text": ""})
        writer.say(
            "response.reasoning_summary_text.delta", answer.usage.reasoning, **spot, delta=part["text"]
        )
        writer.say("response.reasoning_summary_text.done", **spot, text=part["text"])
        writer.say("response.reasoning_summary_part.done", **spot, part=part)
    else:
        writer.say("response.output_item.added", output_index=place, item=started)
        for step in ("in_progress", "searching", "completed"):
            writer.say(f"response.web_search_call.{step}", **at)
    writer.say("response.output_item.done", output_index=place, item=item)


def _output(answer: Answer) -> list[dict[str, Any]]:
    call, steering = answer.call, answer.call.steering
    assert isinstance(call, ResponseCall)
    # The same ids however often it is told.
    own = call.object_id.removeprefix("resp_")
    items: list[dict[str, Any]] = []
    if answer.usage.reasoning:
        summary = [{"type": "summary_text", "text": "Thinking of the toll."}]
        items.append({"type": "reasoning", "id": f"rs_{own}", "summary": summary, "status": "completed"})
    for number in range(answer.usage.web_searches):
        action = {"type": "search", "query": f"toll {number}"}
        items.append(
            {"type": "web_search_call", "id": f"ws_{own}{number}", "status": "completed", "action": action}
        )
    if call.tools:
        items += [
            {
                "type": "function_call",
                "id": f"fc_{own}{number}",
                "call_id": f"call_{own}{number}",
                "name": name,
                "arguments": "{}",
                "status": "completed",
            }
            for number, name in enumerate(call.tools[:1])
        ]
        return items
    part = {"type": "output_text", "text": text(steering, answer.words), "annotations": [], "logprobs": []}
    items.append(
        {"type": "message", "id": f"msg_{own}", "status": "completed", "role": "assistant", "content": [part]}
    )
    return items


def _items(given: Any) -> list[dict[str, Any]]:
    if given is None:
        return []
    if isinstance(given, str):
        content = [{"type": "input_text", "text": given}]
        return [{"type": "message", "id": f"msg_{fresh_id()}", "role": "user", "content": content}]
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise VendorError(400, "Invalid type for 'input'.", param="input", code="invalid_type")
    return [{"type": "message", "id": f"msg_{fresh_id()}", **each} for each in given]


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {"role": item.get("role", "user"), "content": item.get("content") or item.get("output") or ""}


def _functions(request: dict[str, Any], model: str, steering: Steering) -> list[str]:
    tools = request.get("tools")
    wanted = steering.tool or "tool" in model or request.get("tool_choice") == "required"
    if not wanted or not isinstance(tools, list):
        return []
    return [
        str(tool.get("name")) for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"
    ]


RESPONSES = Shape(lambda answer: orjson.dumps(response_object(answer)), script, lambda error: error.body)
