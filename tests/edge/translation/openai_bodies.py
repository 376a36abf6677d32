"""Chat requests of many kinds, all of which every vendor with tools and pictures could serve."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.edge.translation.fields import MODEL, PAPER, PIXEL

Body = dict[str, Any]
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(str.strip)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,15}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(names, json_values, max_size=3)
_marks = st.sampled_from([{}, {"prompt_cache_breakpoint": {"mode": "explicit"}}])


def _part(kind: str, mark: Body, text: str) -> Body:
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}, **mark}
    if kind == "file":
        return {"type": "file", "file": {"file_data": PAPER, "filename": text}, **mark}
    return {"type": "text", "text": text, **mark}


def contents(kinds: tuple[str, ...], marks: bool) -> st.SearchStrategy[Any]:
    """A message's content: a text, or parts of these kinds."""
    part = st.builds(_part, st.sampled_from(kinds), _marks if marks else st.just({}), texts)
    return texts | st.lists(part, min_size=1, max_size=3)


def _exchange(said: Any, calls: list[tuple[str, str, Body]], results: list[Any], content: Any) -> list[Body]:
    """What a user says, the calls that answer it, and their results."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for call_id, name, arguments in calls
    ]
    answer: Body = {"role": "assistant", "content": content}
    if made:
        answer["tool_calls"] = made
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(made, results, strict=False)
    ]
    return (
        [{"role": "user", "content": said}, answer, *results]
        if content or made
        else [{"role": "user", "content": said}]
    )


@st.composite
def bodies(draw: st.DrawFn, *, documents: bool = True, marks: bool = True) -> Body:
    """A conversation with tools; `documents` and `marks`: what not every vendor takes."""
    kinds = ("text", "image", "file") if documents else ("text", "image")
    said, plain = contents(kinds, marks), contents(("text",), marks)
    messages: list[Body] = [
        {"role": role, "content": draw(plain)}
        for role in draw(st.lists(st.sampled_from(["system", "developer"]), max_size=2))
    ]
    for _ in range(draw(st.integers(0, 2))):
        ids = draw(st.lists(names, max_size=2, unique=True))
        calls = [(f"call_{each}", draw(names), draw(objects)) for each in ids]
        results = [draw(plain) for _ in calls]
        messages += _exchange(draw(said), calls, results, draw(st.none() | plain))
    messages.append({"role": "user", "content": draw(said)})
    body: Body = {"model": MODEL, "messages": messages}
    tools = draw(st.lists(st.tuples(names, st.none() | texts, st.none() | objects), max_size=2))
    if tools:
        body["tools"] = [_tool(*tool) for tool in tools]
        choices = ["auto", "none", "required", {"type": "function", "function": {"name": tools[0][0]}}]
        body |= draw(_some({"tool_choice": st.sampled_from(choices), "parallel_tool_calls": st.booleans()}))
    optional = {
        "max_tokens": st.integers(1, 4096),
        "stop": texts | st.lists(texts, max_size=4),
        "temperature": st.sampled_from([0, 0.25, 1, 1.0]),
        "user": texts.filter(lambda text: text.isprintable()).map(str.strip),
        "stream": st.booleans(),
        "response_format": st.just({"type": "text"})
        | objects.map(lambda schema: {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}),
        "reasoning_effort": st.sampled_from(["none", "low", "medium", "high"]),
        "n": st.just(1),
        "logit_bias": st.none(),
    }
    return body | draw(_some(optional))


def _some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Body]:
    return st.fixed_dictionaries({}, optional=fields)


def _tool(name: str, description: str | None, parameters: Body | None) -> Body:
    function: Body = {"name": name}
    if description is not None:
        function["description"] = description
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}
