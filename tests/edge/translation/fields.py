"""Every field of an OpenAI chat request with a value that says something: a body without it and one with it.

The fields are those of OpenAI's API reference (CreateChatCompletionRequest), and those of other vendors that
the edge knows in such a body.
"""

from typing import Any

Body = dict[str, Any]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PAPER = "data:application/pdf;base64,JVBERi0xLjQK"
MODEL = "model"
TOOL: Body = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA: Body = {"name": "n", "schema": {"type": "object"}}


def _body(*messages: Body, **fields: Any) -> Body:
    return {"model": MODEL, "messages": list(messages) or [{"role": "user", "content": "hello"}], **fields}


def _top(value: Any, name: str, **beside: Any) -> tuple[Body, Body]:
    return _body(**beside), _body(**beside, **{name: value})


def _said(without: Body, given: Body) -> tuple[Body, Body]:
    """A field of the user's message."""
    message = {"role": "user", "content": "hello"}
    return _body(message | without), _body(message | given)


def _answered(without: Body, given: Body) -> tuple[Body, Body]:
    """A field of the assistant's message."""
    asked, message = {"role": "user", "content": "hello"}, {"role": "assistant", "content": "well"}
    return _body(asked, message | without, asked), _body(asked, message | given, asked)


def _part(without: Body, given: Body) -> tuple[Body, Body]:
    text = {"type": "text", "text": "look"}
    return _said({"content": [text, without]}, {"content": [text, given]})


def _call(without: Body, given: Body) -> tuple[Body, Body]:
    """A field of a call, which is answered."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    bodies = []
    for changes in (without, given):
        made = call | changes
        result = {"role": "tool", "tool_call_id": made["id"], "content": "done"}
        message = {"role": "assistant", "content": None, "tool_calls": [made]}
        bodies.append(_body({"role": "user", "content": "go"}, message, result, tools=[TOOL]))
    return bodies[0], bodies[1]


def _tool(without: Body, given: Body) -> tuple[Body, Body]:
    plain, telling = (TOOL | {"function": TOOL["function"] | each} for each in (without, given))
    return _body(tools=[plain]), _body(tools=[telling])


def _schema(given: Body) -> tuple[Body, Body]:
    plain, telling = ({"type": "json_schema", "json_schema": each} for each in (SCHEMA, SCHEMA | given))
    return _body(response_format=plain), _body(response_format=telling)


def _image(**image: str) -> Body:
    return {"type": "image_url", "image_url": {"url": PIXEL, **image}}


def _file(**file: str) -> Body:
    return {"type": "file", "file": file}


_FUNCTION = {"name": "f", "arguments": "{}"}
_TEXT = {"type": "text", "text": "see"}
_CITED = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "t"}}
_SIGNATURE = {"google": {"thought_signature": "c2ln"}}
_SIGNED = {"type": "reasoning.text", "text": "hm", "signature": "c2ln"}


def examples(signature_format: str) -> dict[str, tuple[Body, Body]]:
    """Field to both bodies. `signature_format` is the vendor's own mark of its signed reasoning."""
    return {
        "model": (_body(), _body() | {"model": "other"}),
        "messages[].content": _said({}, {"content": "other"}),
        "messages[].role": (
            _body({"role": "user", "content": "a"}),
            _body({"role": "system", "content": "b"}, {"role": "user", "content": "a"}),
        ),
        "messages[].name": _said({}, {"name": "ann"}),
        "messages[].refusal": _answered({}, {"refusal": "no"}),
        "messages[].audio": _answered({}, {"audio": {"id": "audio_1"}}),
        "messages[].annotations": _answered({}, {"annotations": [_CITED]}),
        "messages[].function_call": _answered({}, {"function_call": _FUNCTION}),
        "messages[].tool_calls[].id": _call({}, {"id": "call_2"}),
        "messages[].tool_calls[].function.name": _call({}, {"function": _FUNCTION | {"name": "g"}}),
        "messages[].tool_calls[].function.arguments": _call(
            {}, {"function": _FUNCTION | {"arguments": '{"x":1}'}}
        ),
        "messages[].tool_calls[].custom": _call({}, {"custom": {"name": "c", "input": "i"}}),
        "messages[].tool_call_id": _call({}, {"id": "call_3"}),
        "messages[].reasoning_content": _answered({}, {"reasoning_content": "hm"}),
        "messages[].reasoning_details": _answered(
            {}, {"reasoning_details": [_SIGNED | {"format": signature_format}]}
        ),
        "messages[].extra_content": _answered({}, {"extra_content": _SIGNATURE}),
        "messages[].tool_calls[].extra_content": _call({}, {"extra_content": _SIGNATURE}),
        "messages[].cache_control": _said({}, {"cache_control": {"type": "ephemeral"}}),
        "messages[].reasoning": _answered({}, {"reasoning": "hm"}),
        "messages[].content[].text": _part(_TEXT, _TEXT | {"text": "seen"}),
        "messages[].content[].image_url.url": _part(_TEXT, _image()),
        "messages[].content[].image_url.detail": _part(_image(), _image(detail="low")),
        "messages[].content[].file.file_data": _part(_TEXT, _file(file_data=PAPER)),
        "messages[].content[].file.filename": _part(
            _file(file_data=PAPER), _file(file_data=PAPER, filename="a.pdf")
        ),
        "messages[].content[].file.file_id": _part(_TEXT, _file(file_id="file-1")),
        "messages[].content[].input_audio": _part(
            _TEXT, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
        ),
        "messages[].content[].prompt_cache_breakpoint": _part(
            _TEXT, _TEXT | {"prompt_cache_breakpoint": {"mode": "explicit"}}
        ),
        "messages[].content[].cache_control": _part(
            _TEXT, _TEXT | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ),
        "tools[].type": (
            _body(tools=[TOOL]),
            _body(tools=[{"type": "custom", "custom": {"name": "c"}}]),
        ),
        "tools[].function.name": _tool({}, {"name": "g"}),
        "tools[].function.description": _tool({}, {"description": "does it"}),
        "tools[].function.parameters": _tool({}, {"parameters": {"type": "object", "required": ["x"]}}),
        "tools[].function.strict": _tool({}, {"strict": True}),
        "tools[].cache_control": (
            _body(tools=[TOOL]),
            _body(tools=[TOOL | {"cache_control": {"type": "ephemeral"}}]),
        ),
        "tool_choice": _top("required", "tool_choice", tools=[TOOL]),
        "parallel_tool_calls": _top(False, "parallel_tool_calls", tools=[TOOL]),
        "functions": _top([TOOL["function"]], "functions"),
        "function_call": _top("auto", "function_call"),
        "max_tokens": _top(7, "max_tokens"),
        "max_completion_tokens": _top(7, "max_completion_tokens"),
        "temperature": _top(0.5, "temperature"),
        "top_p": _top(0.5, "top_p"),
        "top_k": _top(5, "top_k"),
        "stop": _top(["END"], "stop"),
        "n": _top(2, "n"),
        "seed": _top(1, "seed"),
        "frequency_penalty": _top(0.5, "frequency_penalty"),
        "presence_penalty": _top(0.5, "presence_penalty"),
        "logit_bias": _top({"50256": -100}, "logit_bias"),
        "logprobs": _top(True, "logprobs"),
        "top_logprobs": _top(2, "top_logprobs", logprobs=False),
        "response_format": _top({"type": "json_schema", "json_schema": SCHEMA}, "response_format"),
        "response_format.json_schema.schema": _schema({"schema": {"type": "object", "title": "t"}}),
        "response_format.json_schema.name": _schema({"name": "o"}),
        "response_format.json_schema.description": _schema({"description": "d"}),
        "response_format.json_schema.strict": _schema({"strict": True}),
        "reasoning_effort": _top("high", "reasoning_effort"),
        "thinking": _top({"type": "adaptive"}, "thinking"),
        "extra_body": _top({"google": {"thinking_config": {"include_thoughts": True}}}, "extra_body"),
        "verbosity": _top("low", "verbosity"),
        "modalities": _top(["text", "audio"], "modalities"),
        "audio": _top({"voice": "alloy", "format": "wav"}, "audio"),
        "prediction": _top({"type": "content", "content": "x"}, "prediction"),
        "web_search_options": _top({}, "web_search_options"),
        "moderation": _top({"model": "omni-moderation-latest"}, "moderation"),
        "service_tier": _top("default", "service_tier"),
        "stream": _top(True, "stream"),
        "stream_options.include_usage": _top({"include_usage": True}, "stream_options", stream=True),
        "stream_options.include_obfuscation": _top(
            {"include_obfuscation": False}, "stream_options", stream=True
        ),
        "store": _top(True, "store"),
        "metadata": _top({"a": "b"}, "metadata"),
        "user": _top("ann", "user"),
        "safety_identifier": _top("ann", "safety_identifier"),
        "prompt_cache_key": _top("k", "prompt_cache_key"),
        "prompt_cache_retention": _top("24h", "prompt_cache_retention"),
        "prompt_cache_options": _top({"mode": "implicit"}, "prompt_cache_options"),
    }
