"""Gemini's generateContent format in canonical form, and answers in it made up by hypothesis."""

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
    Tool,
    ToolCall,
    ToolResult,
    frozen,
    turn_list,
)
from tests.edge.translation.openai_bodies import names, objects, texts

Body = dict[str, Any]
_MODES = {"ANY": "required", "AUTO": "auto", "VALIDATED": "auto", "NONE": "none"}
_NO_PARAMETERS = {"type": "object", "properties": {}}
FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "CONTINUATION": "stop",
}


def request(body: Body, model: str, stream: bool) -> Request:
    """What a generateContent request asks; the model and the stream are in its path."""
    config = body.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    tools = [
        function for tool in body.get("tools") or () for function in tool.get("functionDeclarations") or ()
    ]
    roles = {"user": "user", "model": "assistant"}
    return Request(
        model=model,
        system=tuple(Text(part["text"]) for part in body.get("systemInstruction", {}).get("parts") or ()),
        turns=turn_list([(roles[turn["role"]], _parts(turn["parts"])) for turn in body["contents"]]),
        tools=tuple(_tool(tool) for tool in tools),
        tool_choice=_choice((body.get("toolConfig") or {}).get("functionCallingConfig")) if tools else None,
        output_limit=config.get("maxOutputTokens"),
        temperature=float(config.get("temperature", 1)),
        top_p=float(config.get("topP", 1)),
        stop=tuple(config.get("stopSequences") or ()),
        schema=frozen(whole(config["responseJsonSchema"])) if "responseJsonSchema" in config else None,
        effort="none" if thinking.get("thinkingBudget") == 0 else _effort(thinking),
        service_tier=body.get("serviceTier"),
        stream=stream,
    )


def answer(body: Body) -> Answer:
    """What a generateContent answer says. Thoughts have a field of their own in OpenAI's format, so they
    aren't compared here."""
    [candidate] = body["candidates"]
    usage = body["usageMetadata"]
    parts = [part for part in candidate["content"]["parts"] if not part.get("thought")]
    said = _joined(_parts(parts))
    finish = FINISHES[candidate["finishReason"]]
    calls = any(isinstance(part, ToolCall) for part in said)
    prompt = usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0)
    completion = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cached_tokens": usage.get("cachedContentTokenCount", 0),
        "reasoning_tokens": usage.get("thoughtsTokenCount", 0),
    }
    return Answer(
        answer_id=f"chatcmpl-{body['responseId']}",
        model=body["modelVersion"],
        finish="tool_calls" if calls and finish == "stop" else finish,
        parts=said,
        usage={name: count for name, count in counts.items() if count},
    )


def whole(schema: Any) -> Any:
    """A schema with the keywords back that are told in a description."""
    if isinstance(schema, list):
        return [whole(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: whole(value) for name, value in schema.items()}
    *before, told = str(made.pop("description", "")).split("\n")
    if not told.startswith("{"):
        before, told = [*before, told], "{}"
    if "\n".join(before):
        made["description"] = "\n".join(before)
    return made | json.loads(told)


def _parts(parts: list[Body]) -> list[Part]:
    return [_part(part) for part in parts]


def _part(part: Body) -> Part:
    if "functionCall" in part:
        call = part["functionCall"]
        return ToolCall(call.get("id", ""), call["name"], frozen(call["args"]))
    if "functionResponse" in part:
        result = part["functionResponse"]
        assert result["name"]
        output = result["response"]["output"]
        return ToolResult(result["id"], (Text(output),) if output else ())
    if "inlineData" in part:
        inline = part["inlineData"]
        url = f"data:{inline['mimeType']};base64,{inline['data']}"
        return Image(url) if inline["mimeType"].startswith("image/") else Document(url)
    return Text(part["text"])


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """All texts first: OpenAI's form of an answer has one text and a list of calls."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return tuple(([Text(text)] if text else []) + calls)


def _tool(function: Body) -> Tool:
    parameters = whole(function.get("parametersJsonSchema")) or _NO_PARAMETERS
    return Tool(function["name"], function.get("description", ""), frozen(parameters), None)


def _choice(config: Body | None) -> str:
    if config is None:
        return "auto"
    allowed = config.get("allowedFunctionNames")
    return f"= {allowed[0]}" if allowed else _MODES[config["mode"]]


def _effort(thinking: Body) -> str | None:
    level = thinking.get("thinkingLevel")
    return level.lower() if level else None


# Answers

counts = st.integers(0, 1_000_000)
_text = st.builds(lambda text: {"text": text}, texts)
_thought = st.builds(lambda text: {"text": text, "thought": True}, texts)


def _long(value: Any) -> bool:
    """Whether a whole number would lose digits, as docs/translation.md says of answers."""
    if isinstance(value, dict):
        return any(_long(each) for each in value.values())
    if isinstance(value, list):
        return any(_long(each) for each in value)
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _called(name: str, arguments: Body, call_id: str, signature: str) -> Body:
    call = {"name": name, "args": arguments} | ({"id": call_id} if call_id else {})
    return {"functionCall": call} | ({"thoughtSignature": signature} if signature else {})


_calls = st.lists(
    st.builds(
        _called,
        names,
        objects.filter(lambda each: not _long(each)),
        st.just(""),
        st.just("") | names,
    ),
    max_size=3,
)


@st.composite
def answers(draw: st.DrawFn) -> Body:
    """Thoughts and texts before calls, with and without ids and signatures; zero counts are absent."""
    parts = draw(st.lists(_text | _thought, max_size=4)) + draw(_calls)
    if draw(st.booleans()):
        for number, part in enumerate(part for part in parts if "functionCall" in part):
            part["functionCall"]["id"] = f"id{number}"
    usage = {
        "cachedContentTokenCount": draw(st.integers(0, 100)),
        "candidatesTokenCount": draw(counts),
        "thoughtsTokenCount": draw(counts),
        "toolUsePromptTokenCount": draw(counts),
    }
    usage = {name: count for name, count in usage.items() if count}
    usage["promptTokenCount"] = draw(st.integers(100, 1_000_000))
    usage["totalTokenCount"] = sum(usage.values()) - usage.get("cachedContentTokenCount", 0)
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": parts},
                "finishReason": draw(st.sampled_from(sorted(FINISHES))),
                "index": 0,
            }
        ],
        "usageMetadata": usage,
        "modelVersion": "gemini-x",
        "responseId": "r1",
    }


def stream(answer: Body) -> list[Body]:
    """The events of an answer: a part each, with running usage, and the finish with the last."""
    [candidate] = answer["candidates"]
    parts = candidate["content"]["parts"]
    events: list[Body] = []
    for place, part in enumerate(parts):
        usage = {name: count * place // len(parts) for name, count in answer["usageMetadata"].items()}
        piece = {"content": {"role": "model", "parts": [part]}, "index": 0}
        events.append(answer | {"candidates": [piece], "usageMetadata": usage})
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "index": 0}
    last["finishReason"] = candidate["finishReason"]
    return [*events, answer | {"candidates": [last]}]


def encoded(events: list[Body]) -> bytes:
    """As it comes over the wire."""
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
