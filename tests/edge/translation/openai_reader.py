"""OpenAI's chat format in canonical form: requests, answers, and streams through the official SDK's own
accumulator."""

import json
from typing import Any

from openai.lib.streaming._deltas import accumulate_delta

from tests.edge.translation.canonical import (
    Answer,
    Document,
    Image,
    Part,
    Request,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    frozen,
    turn_list,
)

Body = dict[str, Any]


def request(body: Body) -> Request:
    """What a chat request asks."""
    system: list[Text] = []
    turns: list[tuple[str, list[Part]]] = []
    for message in body["messages"]:
        role = message["role"]
        if role in ("system", "developer"):
            system += [part for part in _content(message["content"]) if isinstance(part, Text)]
        elif role == "tool":
            turns.append(("user", [ToolResult(message["tool_call_id"], tuple(_content(message["content"])))]))
        elif role == "assistant":
            turns.append(("assistant", _said(message)))
        else:
            turns.append(("user", _content(message["content"])))
    form = body.get("response_format") or {"type": "text"}
    return Request(
        model=body["model"],
        system=tuple(system),
        turns=turn_list(turns),
        tools=tuple(_tool(tool["function"]) for tool in body.get("tools") or ()),
        tool_choice=_choice(body),
        parallel_calls=_parallel(body),
        output_limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        stop=_stop(body.get("stop")),
        schema=frozen(form["json_schema"]["schema"]) if form["type"] == "json_schema" else None,
        effort=body.get("reasoning_effort"),
        end_user=body.get("safety_identifier") or body.get("user") or "",
        service_tier=body.get("service_tier"),
        stream=bool(body.get("stream")),
    )


def answer(body: Body) -> Answer:
    """What a chat completion says; thoughts stand where their offsets say."""
    [choice] = body["choices"]
    message = choice["message"]
    return Answer(
        answer_id=body["id"],
        model=body["model"],
        finish=choice["finish_reason"],
        parts=turn_list([("assistant", _said(message))])[0].parts if _said(message) else (),
        refusal=message.get("refusal"),
        usage=_flat(body.get("usage") or {}),
    )


def streamed(data: bytes) -> Body:
    """A stream put together to a whole answer, by OpenAI's own accumulator. It must have ended well."""
    events = [event for event in data.decode().split("\n\n") if event and not event.startswith(":")]
    assert events.pop() == "data: [DONE]"
    whole: Body = {}
    message: Body = {}
    for event in events:
        chunk = json.loads(event.removeprefix("data: "))
        whole |= {name: chunk[name] for name in ("id", "model")}
        if chunk.get("usage"):
            assert chunk["choices"] == []
            whole["usage"] = chunk["usage"]
            continue
        [choice] = chunk["choices"]
        message = accumulate_delta(message, choice["delta"]) if message else dict(choice["delta"])  # type: ignore[assignment]
        if choice["finish_reason"]:
            whole["choices"] = [{"index": 0, "message": message, "finish_reason": choice["finish_reason"]}]
    return whole


def _content(content: Any) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for part in content:
        marked = bool(part.get("cache_control") or part.get("prompt_cache_breakpoint"))
        if part["type"] == "image_url":
            parts.append(Image(part["image_url"]["url"], marked))
        elif part["type"] == "file":
            parts.append(Document(part["file"]["file_data"], part["file"].get("filename", ""), marked))
        elif part["type"] == "refusal":
            parts.append(Text(part["refusal"], marked))
        elif part["text"]:
            parts.append(Text(part["text"], marked))
    return parts


def _said(message: Body) -> list[Part]:
    texts = [part for part in _content(message.get("content")) if isinstance(part, Text)]
    refusal = message.get("refusal")
    calls: list[Part] = [_call(call) for call in message.get("tool_calls") or ()]
    details = message.get("reasoning_details") or []
    if not details:
        return [*texts, *([Text(refusal)] if refusal else []), *calls]
    text = "".join(part.text for part in texts)
    parts: list[Part] = []
    chars = done = 0
    for detail in details:
        upto, calls_upto = detail.get("text_offset", 0), detail.get("tool_offset", 0)
        if text[chars:upto]:
            parts.append(Text(text[chars:upto]))
        parts += calls[done:calls_upto]
        chars, done = max(chars, upto), max(done, calls_upto)
        parts.append(Thought(detail.get("text", ""), detail.get("signature") or detail["data"]))
    rest = [Text(text[chars:])] if text[chars:] else []
    return [*parts, *rest, *calls[done:]]


def _call(call: Body) -> ToolCall:
    arguments = json.loads(call["function"]["arguments"] or "{}")
    return ToolCall(call["id"], call["function"]["name"], frozen(arguments))


def _tool(function: Body) -> Tool:
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(
        function["name"], function.get("description") or "", frozen(parameters), function.get("strict")
    )


def _choice(body: Body) -> str | None:
    choice = body.get("tool_choice")
    if not body.get("tools"):
        return None
    if isinstance(choice, dict):
        return f"= {choice['function']['name']}"
    return choice or "auto"


def _parallel(body: Body) -> bool:
    """Whether several calls may come at once; it says nothing where none may come."""
    if _choice(body) in (None, "none"):
        return True
    return body.get("parallel_tool_calls") is not False


def _number(body: Body, name: str) -> float:
    value = body.get(name)
    return 1.0 if value is None else float(value)


def _stop(stop: Any) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _flat(usage: Body) -> dict[str, int]:
    """All counts by their names; details that are nothing aren't there."""
    details = (usage.get("prompt_tokens_details") or {}) | (usage.get("completion_tokens_details") or {})
    return {name: count for name, count in (usage | details).items() if isinstance(count, int) and count}
