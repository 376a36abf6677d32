"""Anthropic's Messages format in canonical form, and answers in it made up by hypothesis."""

import json
from typing import Any

from hypothesis import strategies as st

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
from tests.edge.translation.openai_bodies import names, objects, texts

Body = dict[str, Any]
_CHOICES = {"any": "required", "auto": "auto", "none": "none"}
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def request(body: Body) -> Request:
    """What a Messages request asks. Effort and thinking are told apart by tests of their own."""
    choice = body.get("tool_choice") or {}
    output = body.get("output_config") or {}
    system = [part for block in body.get("system") or () if isinstance(part := _part(block), Text)]
    return Request(
        model=body["model"],
        system=tuple(system),
        turns=turn_list(
            [(turn["role"], [_part(block) for block in turn["content"]]) for turn in body["messages"]]
        ),
        tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
        tool_choice=_choice(choice) if body.get("tools") else None,
        parallel_calls=not choice.get("disable_parallel_tool_use"),
        output_limit=body["max_tokens"],
        temperature=float(body.get("temperature", 1)),
        top_p=float(body.get("top_p", 1)),
        stop=tuple(body.get("stop_sequences") or ()),
        schema=frozen(output["format"]["schema"]) if "format" in output else None,
        effort="none" if body.get("thinking") == {"type": "disabled"} else output.get("effort"),
        end_user=(body.get("metadata") or {}).get("user_id", ""),
        service_tier=body.get("service_tier"),
        stream=bool(body.get("stream")),
    )


def answer(body: Body) -> Answer:
    """What a Messages answer says."""
    usage = body["usage"]
    split = usage["cache_creation"]
    details = body.get("stop_details") or {}
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    prompt = usage["input_tokens"] + read + written
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": usage["output_tokens"],
        "total_tokens": prompt + usage["output_tokens"],
        "cached_tokens": read,
        "cache_write_tokens": written,
        "cache_write_5m_tokens": split["ephemeral_5m_input_tokens"],
        "cache_write_1h_tokens": split["ephemeral_1h_input_tokens"],
        "reasoning_tokens": usage["output_tokens_details"]["thinking_tokens"],
    }
    parts = [_part(block) for block in body["content"]]
    return Answer(
        answer_id=body["id"],
        model=body["model"],
        finish=FINISHES[body["stop_reason"]],
        parts=turn_list([("assistant", parts)])[0].parts if parts else (),
        refusal=details.get("explanation"),
        usage={name: count for name, count in counts.items() if count},
    )


def _part(block: Body) -> Part:
    kind, marked = block["type"], "cache_control" in block
    if kind == "text":
        return Text(block["text"], marked)
    if kind == "image":
        return Image(_url(block["source"]), marked)
    if kind == "document":
        return Document(_url(block["source"]), block.get("title", ""), marked)
    if kind == "tool_use":
        return ToolCall(block["id"], block["name"], frozen(block["input"]))
    if kind == "tool_result":
        return ToolResult(block["tool_use_id"], tuple(_part(each) for each in block.get("content") or ()))
    if kind == "thinking":
        return Thought(block["thinking"], block["signature"])
    assert kind == "redacted_thinking", kind
    return Thought("", block["data"])


def _url(source: Body) -> str:
    return (
        source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
    )


def _tool(tool: Body) -> Tool:
    return Tool(tool["name"], tool.get("description", ""), frozen(tool["input_schema"]), tool.get("strict"))


def _choice(choice: Body) -> str:
    kind = choice.get("type", "auto")
    return f"= {choice['name']}" if kind == "tool" else _CHOICES[kind]


# Answers

counts = st.integers(0, 1_000_000)
_thinking = st.builds(
    lambda text, signature: {"type": "thinking", "thinking": text, "signature": signature}, texts, names
)
_redacted = st.builds(lambda data: {"type": "redacted_thinking", "data": data}, names)
_text = st.builds(lambda text: {"type": "text", "text": text}, texts)


def _long(value: Any) -> bool:
    """Whether a whole number would lose digits, as docs/translation.md says of answers in one piece."""
    if isinstance(value, dict):
        return any(_long(each) for each in value.values())
    if isinstance(value, list):
        return any(_long(each) for each in value)
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _use(call_id: str, name: str, arguments: Body) -> Body:
    return {"type": "tool_use", "id": f"toolu_{call_id}", "name": name, "input": arguments}


_uses = st.lists(
    st.builds(_use, names, names, objects.filter(lambda each: not _long(each))),
    max_size=3,
    unique_by=lambda block: str(block["id"]),
)


@st.composite
def answers(draw: st.DrawFn) -> Body:
    """Thinking anywhere, texts before calls, every stop reason, every detail of usage."""
    said = draw(st.lists(_text | _thinking | _redacted, max_size=4))
    for block in draw(_uses):
        said += draw(st.lists(_thinking | _redacted, max_size=1))
        said.append(block)
    read, written_5m, written_1h, output = (draw(counts) for _ in range(4))
    reason = draw(st.sampled_from(sorted(FINISHES)))
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": said,
        "stop_reason": reason,
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "explanation": draw(texts)} if reason == "refusal" else None,
        "usage": {
            "input_tokens": draw(counts),
            "output_tokens": output,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written_5m + written_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written_5m,
                "ephemeral_1h_input_tokens": written_1h,
            },
            "output_tokens_details": {"thinking_tokens": draw(st.integers(0, output))},
            "service_tier": "standard",
        },
    }


def stream(answer: Body) -> list[Body]:
    """The events of an answer, with a ping in between and every delta in two pieces."""
    usage = answer["usage"]
    later = {
        name: usage[name]
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens_details",
        )
    }
    opening = answer | {
        "content": [],
        "stop_reason": None,
        "stop_details": None,
        "usage": {name: value for name, value in usage.items() if name != "output_tokens_details"}
        | {"output_tokens": 1},
    }
    events: list[Body] = [{"type": "message_start", "message": opening}, {"type": "ping"}]
    for index, block in enumerate(answer["content"]):
        start, deltas = _deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {name: answer[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    return [
        *events,
        {"type": "message_delta", "delta": end, "usage": later},
        {"type": "unheard_of", "index": 0},
        {"type": "message_stop"},
    ]


def _deltas(block: Body) -> tuple[Body, list[Body]]:
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": piece} for piece in _halves(block["text"])
        ]
    if kind == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]
    if kind == "tool_use":
        text = json.dumps(block["input"]) if block["input"] else ""
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in _halves(text)]
        return block | {"input": {}}, pieces
    return block, []


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def encoded(events: list[Body]) -> bytes:
    """As it comes over the wire."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in events
    )
