"""A Messages answer as a chat completion."""

from typing import Any

from edge.translation import exact_json
from edge.translation.anthropic.fields import object_in, text_in
from edge.translation.anthropic.reasoning import detail_of
from edge.translation.anthropic.usage import counts
from edge.translation.openai_answer import choice, completion

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def finish_of(stop_reason: object) -> str:
    """OpenAI's `finish_reason`; a stop reason that is newer than this is a plain stop."""
    return _FINISHES.get(stop_reason, "stop") if type(stop_reason) is str else "stop"


def chat_completion(answer: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    usage = answer.get("usage")
    message = _message(answer)
    finish = finish_of(answer.get("stop_reason"))
    if finish == "content_filter":
        message["refusal"] = refusal_of(answer.get("stop_details"))
    return completion(
        text_in(answer, "id"),
        text_in(answer, "model"),
        [choice(0, message, finish)],
        counts(usage),
        tier_of(usage),
    )


def tier_of(usage: object) -> str:
    """The tier in OpenAI's words, where the answer tells it."""
    tier = usage.get("service_tier") if type(usage) is dict else None
    return ("default" if tier == "standard" else tier) if type(tier) is str else ""


def refusal_of(details: object) -> str | None:
    """Why the model refused, in its own words."""
    explanation = details.get("explanation") if type(details) is dict else None
    return explanation if type(explanation) is str else None


def _message(answer: dict[str, Any]) -> dict[str, Any]:
    text, thought = "", ""
    calls: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    content = answer.get("content")
    for block in content if type(content) is list else ():
        kind = block.get("type") if type(block) is dict else None
        if kind == "text":
            text += text_in(block, "text")
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind in ("thinking", "redacted_thinking"):
            thought += text_in(block, "thinking")
            details.append(detail_of(block, len(details), len(text), len(calls)))
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if not calls:
        message["content"] = text
    else:
        message["tool_calls"] = calls
    if thought:
        message["reasoning_content"] = thought
    if details:
        message["reasoning_details"] = details
    return message


def _call(block: dict[str, Any]) -> dict[str, Any]:
    arguments = exact_json.dumps(object_in(block, "input")).decode()
    function = {"name": text_in(block, "name"), "arguments": arguments}
    return {"id": text_in(block, "id"), "type": "function", "function": function}
