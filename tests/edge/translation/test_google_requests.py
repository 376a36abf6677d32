"""OpenAI chat requests as generateContent requests: the same is asked, field by field, or the field is
named."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.translation import exact_json
from edge.translation.google.contents import UNSIGNED
from edge.translation.google.request import request
from edge.translation.google.schema import MAX_DEPTH
from tests.edge.translation import google_reader, openai_reader
from tests.edge.translation.canonical import Document, Part, Request, Text, ToolResult, Turn
from tests.edge.translation.fields import MODEL, PIXEL, TOOL, examples
from tests.edge.translation.junk import spoilt
from tests.edge.translation.openai_bodies import bodies
from tests.edge.translation.page import verdicts
from tests.edge.translation.unknown import places, with_unknown
from tollkeeper.errors import Reason, TollkeeperError

EXAMPLES = examples("anthropic-claude-v1")
TIERS = {None: None, "default": "standard"}


def translated(body: dict[str, Any], model: str = "gemini-3-pro") -> dict[str, Any]:
    """The request as the edge sends it."""
    sent: dict[str, Any] = exact_json.loads(exact_json.dumps(request(body, model)))
    return sent


def sent(body: dict[str, Any]) -> dict[str, Any]:
    """The request and what its path says."""
    return {"model": body["model"], "stream": body.get("stream"), "body": translated(body)}


def refused_param(body: dict[str, Any]) -> str | None:
    """The field that a refusal names; None: it isn't refused."""
    try:
        translated(body)
    except TollkeeperError as refusal:
        error = refusal
    else:
        return None
    assert error.reason == Reason.INVALID_ARGUMENT
    assert error.metadata["param"] in error.message
    return error.metadata["param"]


def _expected(body: dict[str, Any]) -> Request:
    """What is asked, but for what docs/translation.md says is left out or said otherwise."""
    asked = openai_reader.request(body)
    turns = tuple(Turn(turn.role, tuple(_known(part) for part in turn.parts)) for turn in asked.turns)
    return replace(asked, turns=turns, end_user="", service_tier=TIERS[asked.service_tier])


def _known(part: Part) -> Part:
    if isinstance(part, Document):
        return replace(part, name="")
    if isinstance(part, ToolResult):
        text = "".join(each.text for each in part.parts if isinstance(each, Text))
        return replace(part, parts=(Text(text),) if text else ())
    return part


@settings(max_examples=80)
@given(body=bodies(marks=False))
def test_the_same_is_asked(body: dict[str, Any]) -> None:
    """A round trip through the canonical form, field by field."""
    body.pop("parallel_tool_calls", None)
    made = google_reader.request(translated(body), body["model"], bool(body.get("stream")))
    assert made == _expected(body)


@settings(max_examples=60)
@given(body=spoilt(bodies()))
def test_junk_is_refused_or_carried(body: dict[str, Any]) -> None:
    """A body of any shape that passes for chat is translated or refused by name, and nothing else happens."""
    messages = body.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(each, dict) for each in messages):
        refused_param(body | {"model": "gemini-3-pro"})


@settings(max_examples=60)
@given(body=bodies(marks=False), data=st.data())
def test_nothing_unknown_gets_lost(body: dict[str, Any], data: st.DataObject) -> None:
    """A field that nobody knows is refused, wherever in the request it is."""
    assert refused_param(with_unknown(body, data.draw(st.sampled_from(places(body))))) is not None


@pytest.mark.parametrize("field", EXAMPLES)
def test_the_page_is_right(field: str) -> None:
    """What docs/translation.md says of a field is what happens: an unlisted loss fails here."""
    without, given = EXAMPLES[field]
    plain = sent(without)
    param = refused_param(given)
    if param is not None:
        happens = "refused"
        assert field.split(".")[0].split("[")[0] in param
    else:
        happens = "left out" if sent(given) == plain else "carried"
    assert happens == verdicts("google")[field]


def test_the_page_is_whole() -> None:
    """Each field has a row, and no other."""
    assert list(verdicts("google")) == list(EXAMPLES)


@pytest.mark.parametrize("field", ["plugins", "search_parameters", "foo"])
def test_unknown_fields_are_refused(field: str) -> None:
    """Nobody knows what they would have meant."""
    assert refused_param(_user(**{field: 1})) == field


def _user(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}], **fields}


def _said(*parts: Any) -> dict[str, Any]:
    return _user(messages=[{"role": "user", "content": list(parts)}])


def _called(*calls: dict[str, Any], results: tuple[str, ...] = ()) -> dict[str, Any]:
    made = [{"id": f"c{n}", "type": "function"} | call for n, call in enumerate(calls)]
    answers = [{"role": "tool", "tool_call_id": each, "content": f"of {each}"} for each in results]
    asked = {"role": "user", "content": "go"}
    return _user(messages=[asked, {"role": "assistant", "content": None, "tool_calls": made}, *answers])


F = {"function": {"name": "f", "arguments": "{}"}}
G = {"function": {"name": "g", "arguments": ""}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (_user(messages=[{"role": "system", "content": "a"}]), "messages"),
        (_user(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (_user(messages=[{"role": "user", "content": []}]), "messages[0].content"),
        (_said(5), "messages[0].content[0]"),
        (_said({"type": "video"}), "messages[0].content[0].type"),
        (_said({"type": ["a"]}), "messages[0].content[0].type"),
        (_said({"type": "text", "text": "a", "mood": "b"}), "messages[0].content[0].mood"),
        (
            _said({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
            "messages[0].content[0].image_url.url",
        ),
        (
            _said({"type": "image_url", "image_url": {"url": "data:,x"}}),
            "messages[0].content[0].image_url.url",
        ),
        (
            _said({"type": "image_url", "image_url": {"url": PIXEL, "detail": "huge"}}),
            "messages[].content[].image_url.detail",
        ),
        (
            _said(
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}},
            ),
            "messages[].content[].image_url.detail",
        ),
        (
            _said({"type": "input_audio", "input_audio": {"data": "", "format": "flac"}}),
            "messages[0].content[0].input_audio.format",
        ),
        (_user(messages=[{"role": "function", "name": "f", "content": "a"}]), "messages[0].role"),
        (
            _user(messages=[{"role": "tool", "tool_call_id": "c", "content": "a"}]),
            "messages[0].tool_call_id",
        ),
        (_called(F, F | {"id": "c0"}), "messages[1].tool_calls[1].id"),
        (
            _called({"function": {"name": "f", "arguments": "{"}}),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            _called({"function": {"name": "f", "arguments": "[1]"}}),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (_called({"type": "custom", "custom": {}}), "messages[1].tool_calls[0].custom"),
        (_called(F | {"extra_content": {"other": 1}}), "messages[1].tool_calls[0].extra_content.other"),
        (_user(response_format={"type": "grammar"}), "response_format.type"),
        (_user(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (
            _user(response_format={"type": "json_schema", "json_schema": {"schema": {"items": 1}}}),
            "response_format.json_schema.schema.items",
        ),
        (_user(tool_choice="required"), "tool_choice"),
        (_user(tool_choice="sometimes", tools=[TOOL]), "tool_choice"),
        (_user(tool_choice={"type": "custom"}, tools=[TOOL]), "tool_choice.type"),
        (_user(service_tier="scale"), "service_tier"),
        (_user(service_tier=["auto"]), "service_tier"),
        (_user(stop=5), "stop"),
        (_user(reasoning_effort="extreme"), "reasoning_effort"),
        (_user(reasoning_effort=3), "reasoning_effort"),
        (
            _user(
                reasoning_effort="low",
                extra_body={"google": {"thinking_config": {"thinking_budget": 5}}},
            ),
            "reasoning_effort",
        ),
        (_user(extra_body={"google": {"cached_content": "c"}}), "extra_body.google.cached_content"),
        (_user(stream_options={"include_cost": True}), "stream_options.include_cost"),
        (_user(tools=[{"type": "function", "function": {"name": 1}}]), "tools[0].function.name"),
    ],
)
def test_bad_values(body: dict[str, Any], param: str) -> None:
    """Each is refused with its place."""
    assert refused_param(body) == param


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-3-pro", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", "xhigh", {"thinkingLevel": "XHIGH"}),
        ("gemini-3-pro", "max", {"thinkingLevel": "XHIGH"}),
        ("gemini-3-pro", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 8192}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
    ],
)
def test_effort(model: str, effort: str, config: dict[str, Any]) -> None:
    """A level or a budget, as the model wants it."""
    made = translated(_user(reasoning_effort=effort), model)
    assert made["generationConfig"]["thinkingConfig"] == config


def test_thoughts_can_be_asked_for() -> None:
    """As Google's own OpenAI-compatible endpoint takes it."""
    asked = {"google": {"thinking_config": {"include_thoughts": True, "thinking_level": "low"}}}
    config = translated(_user(extra_body=asked))["generationConfig"]["thinkingConfig"]
    assert config == {"includeThoughts": True, "thinkingLevel": "LOW"}


def test_results_of_parallel_calls_are_one_turn() -> None:
    """In the order of the calls, with the names of their functions, before anything else in the turn."""
    body = _called(F, G, F, results=("c2", "c1", "c0"))
    body["messages"].append({"role": "user", "content": "and?"})
    turns = translated(body)["contents"]
    assert [turn["role"] for turn in turns] == ["user", "model", "user"]
    results = [part["functionResponse"] for part in turns[2]["parts"][:3]]
    assert [(result["id"], result["name"]) for result in results] == [("c0", "f"), ("c1", "g"), ("c2", "f")]
    assert turns[2]["parts"][3] == {"text": "and?"}


def test_ids_may_come_again() -> None:
    """Some models count their calls from one in each turn."""
    first, second = _called(F, G, results=("c1", "c0")), _called(G, F, results=("c1", "c0"))
    turns = translated(_user(messages=first["messages"] + second["messages"]))["contents"]
    order = [
        part["functionResponse"]["name"]
        for turn in turns
        for part in turn["parts"]
        if "functionResponse" in part
    ]
    assert order == ["f", "g", "g", "f"]


SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


@pytest.mark.parametrize(
    ("model", "calls", "signatures"),
    [
        ("gemini-3-pro", (F | SIGNED, G), ["c2ln", None]),
        ("gemini-3-pro", (F, G), [UNSIGNED, None]),
        ("gemini-2.5-pro", (F, G), [None, None]),
        ("gemini-2.5-pro", (F | SIGNED, G), ["c2ln", None]),
    ],
)
def test_signatures(model: str, calls: tuple[Any, ...], signatures: list[str | None]) -> None:
    """They go back as they came; a lost one is replaced for models that insist on it."""
    parts = translated(_called(*calls), model)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == signatures


@pytest.mark.parametrize(
    ("strict", "choice", "config"),
    [
        (True, None, {"mode": "VALIDATED"}),
        (True, "auto", {"mode": "VALIDATED"}),
        (True, "none", {"mode": "NONE"}),
        (None, None, None),
        (
            None,
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        ),
        (
            None,
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL]}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_calling(strict: bool | None, choice: Any, config: dict[str, Any] | None) -> None:
    """Whether the model may, must or can't call, and which."""
    tool = TOOL | {"function": TOOL["function"] | {"strict": strict}}
    made = translated(_user(tools=[tool], tool_choice=choice)).get("toolConfig")
    assert (made and made["functionCallingConfig"]) == config


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string", "enum": ["a"], "$schema": "s"}, {"type": "string", "enum": ["a"]}),
        ({"const": 1}, {"enum": [1]}),
        (
            {"type": "string", "pattern": "^a", "description": "d"},
            {"type": "string", "description": 'd\n{"pattern":"^a"}'},
        ),
        (
            {"definitions": {"A": {"type": "null"}}, "items": {"$ref": "#/definitions/A"}},
            {"$defs": {"A": {"type": "null"}}, "items": {"$ref": "#/$defs/A"}},
        ),
        (
            {"$ref": "#/$defs/A", "description": "d"},
            {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]},
        ),
        (
            {"properties": {"const": {"const": True}}, "additionalProperties": False, "items": True},
            {"properties": {"const": {"enum": [True]}}, "additionalProperties": False, "items": True},
        ),
        (
            {"anyOf": [True, {"minLength": 1}], "prefixItems": [{}]},
            {"anyOf": [{}, {"description": '{"minLength":1}'}], "prefixItems": [{}]},
        ),
    ],
)
def test_schemas(schema: dict[str, Any], made: dict[str, Any]) -> None:
    """Gemini's part of the language; the rest is told in words."""
    body = _user(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
    assert translated(body)["generationConfig"]["responseJsonSchema"] == made


def test_deep_nesting_is_refused() -> None:
    """A schema that would exhaust the stack; arguments as deep as JSON may be go through."""
    schema: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        schema = {"items": schema}
    body = _user(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
    param = refused_param(body)
    assert param is not None
    assert param.endswith(".items")
    deep = '{"a":' * 900 + "1" + "}" * 900
    assert refused_param(_called({"function": {"name": "f", "arguments": deep}})) is None
