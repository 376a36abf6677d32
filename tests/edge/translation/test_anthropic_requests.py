"""OpenAI chat requests as Messages requests: the same is asked, field by field, or the field is named."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.translation import exact_json
from edge.translation.anthropic.models import capability
from edge.translation.anthropic.reasoning import FORMAT
from edge.translation.anthropic.request import messages_request
from tests.edge.translation import anthropic_reader, openai_reader
from tests.edge.translation.canonical import Request
from tests.edge.translation.fields import MODEL, TOOL, examples
from tests.edge.translation.junk import spoilt
from tests.edge.translation.openai_bodies import bodies
from tests.edge.translation.page import verdicts
from tests.edge.translation.unknown import places, with_unknown
from tollkeeper.errors import Reason, TollkeeperError

LIMIT = 4096
EXAMPLES = examples(FORMAT)
# Takes each field that any model takes, between them.
OLDER, NEWER = "claude-opus-4-0", "claude-opus-4-6"


def translated(body: dict[str, Any], model: str = NEWER) -> dict[str, Any]:
    """The request as the edge sends it; the limit in force is the client's own where it has one."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or LIMIT
    request = messages_request(body, body["model"], limit, capability(model))
    sent: dict[str, Any] = exact_json.loads(exact_json.dumps(request))
    return sent


def refused_param(body: dict[str, Any], model: str = NEWER) -> str | None:
    """The field that a refusal names; None: it isn't refused."""
    try:
        translated(body, model)
    except TollkeeperError as refusal:
        error = refusal
    else:
        return None
    assert error.reason == Reason.INVALID_ARGUMENT
    assert error.metadata["param"] in error.message
    return error.metadata["param"]


def _expected(body: dict[str, Any]) -> Request:
    """What is asked, but for what docs/translation.md says is said otherwise."""
    asked = openai_reader.request(body)
    return replace(
        asked,
        output_limit=asked.output_limit or LIMIT,
        end_user=sha256(asked.end_user.encode()).hexdigest() if asked.end_user else "",
    )


@settings(max_examples=60)
@given(body=bodies())
def test_the_same_is_asked(body: dict[str, Any]) -> None:
    """A round trip through the canonical form, field by field."""
    assert anthropic_reader.request(translated(body)) == _expected(body)


@settings(max_examples=60)
@given(body=spoilt(bodies()))
def test_junk_is_refused_or_carried(body: dict[str, Any]) -> None:
    """A body of any shape that passes for chat is translated or refused by name, and nothing else happens."""
    messages = body.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(each, dict) for each in messages):
        refused_param(body | {"model": "claude-opus-4-6", "max_tokens": 5})


@settings(max_examples=60)
@given(body=bodies(), data=st.data())
def test_nothing_unknown_gets_lost(body: dict[str, Any], data: st.DataObject) -> None:
    """A field that nobody knows is refused, wherever in the request it is."""
    assert refused_param(with_unknown(body, data.draw(st.sampled_from(places(body))))) is not None


@pytest.mark.parametrize("field", EXAMPLES)
def test_the_page_is_right(field: str) -> None:
    """What docs/translation.md says of a field is what happens: an unlisted loss fails here."""
    without, given = EXAMPLES[field]
    model = OLDER if field in ("temperature", "top_p", "top_k") else NEWER
    plain = translated(without, model)
    param = refused_param(given, model)
    if param is not None:
        happens = "refused"
        assert field.split(".")[0].split("[")[0] in param
    else:
        happens = "left out" if translated(given, model) == plain else "carried"
    assert happens == verdicts("anthropic")[field]


def test_the_page_is_whole() -> None:
    """Each field has a row, and no other."""
    assert list(verdicts("anthropic")) == list(EXAMPLES)


@pytest.mark.parametrize("field", ["plugins", "search_parameters", "foo"])
def test_unknown_fields_are_refused(field: str) -> None:
    """Nobody knows what they would have meant."""
    assert refused_param({"model": MODEL, "messages": [{"role": "user", "content": "a"}], field: 1}) == field


def _user(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}], **fields}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (_user(messages=[{"role": "user", "content": ""}]), "messages[0].content"),
        (_user(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (_user(messages=[{"role": "user", "content": [5]}]), "messages[0].content[0]"),
        (_user(messages=[{"role": "function", "name": "f", "content": "a"}]), "messages[0].role"),
        (_user(messages=[{"role": "tool", "content": "a"}]), "messages[0].tool_call_id"),
        (
            _user(
                messages=[
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}
                ]
            ),
            "messages[0].content[0].image_url.url",
        ),
        (
            _user(
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}
                        ],
                    }
                ]
            ),
            "messages[0].content[0].image_url.url",
        ),
        (
            _user(
                messages=[
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}],
                    }
                ]
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            _user(
                messages=[
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[1]"}}],
                    }
                ]
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (_user(response_format={"type": "json_object"}), "response_format"),
        (_user(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (_user(tool_choice={"type": "allowed_tools", "allowed_tools": {}}, tools=[TOOL]), "tool_choice"),
        (_user(tool_choice="sometimes"), "tool_choice"),
        (_user(service_tier="flex"), "service_tier"),
        (_user(stop=" "), "stop"),
        (_user(stop=[1]), "stop"),
        (_user(temperature="hot"), "temperature"),
        (_user(temperature=1.5), "temperature"),
        (_user(reasoning_effort="xhigh"), "reasoning_effort"),
        (_user(reasoning_effort=3), "reasoning_effort"),
        (_user(reasoning_effort="low", thinking={"type": "adaptive"}), "thinking"),
        (_user(stream_options={"include_cost": True}), "stream_options.include_cost"),
        (_user(tools=[{"type": "function", "function": {"name": 1}}]), "tools[0].function.name"),
    ],
)
def test_bad_values(body: dict[str, Any], param: str) -> None:
    """Each is refused with its place."""
    assert refused_param(body) == param


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-3-5-haiku-latest", {"temperature", "top_p", "both"}),
        ("claude-sonnet-4-20250514", {"temperature", "top_p", "both", "effort"}),
        ("claude-opus-4-1-20250805", {"temperature", "top_p", "effort"}),
        ("claude-haiku-4-5-20251001", {"temperature", "top_p", "effort", "schema"}),
        ("claude-opus-4-6", {"temperature", "top_p", "effort", "schema"}),
        ("claude-opus-4-7", {"effort", "schema"}),
        ("claude-5.5-sonnet", {"effort", "schema"}),
        ("claude-next", {"effort", "schema"}),
    ],
)
def test_what_models_take(model: str, takes: set[str]) -> None:
    """By the version in the name; no 400 of the vendor for what is known to be refused there."""
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    asked = {
        "temperature": _user(temperature=0),
        "top_p": _user(top_p=0.5),
        "both": _user(temperature=0, top_p=0.5),
        "effort": _user(reasoning_effort="medium"),
        "schema": _user(response_format=schema),
    }
    assert {name for name, body in asked.items() if refused_param(body, model) is None} == takes


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "level"),
    [
        ("claude-3-7-sonnet", "low", {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-3-7-sonnet", "medium", {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-opus-4-5", "high", {"type": "enabled", "budget_tokens": 3276}, None),
        ("claude-opus-4-5", "none", None, None),
        ("claude-opus-4-6", "minimal", {"type": "adaptive"}, "low"),
        ("claude-opus-4-6", "max", {"type": "adaptive"}, "max"),
        ("claude-opus-4-8", "xhigh", {"type": "adaptive", "display": "summarized"}, "xhigh"),
        ("claude-opus-4-8", "none", {"type": "disabled"}, None),
        ("claude-opus-4-8", None, None, None),
    ],
)
def test_effort(model: str, effort: str | None, thinking: object, level: str | None) -> None:
    """A budget or a level, as the model wants it."""
    sent = translated(_user(reasoning_effort=effort), model)
    assert (sent.get("thinking"), (sent.get("output_config") or {}).get("effort")) == (thinking, level)


def test_a_budget_must_fit() -> None:
    """Anthropic's least budget is more than this output limit."""
    assert (
        refused_param(_user(reasoning_effort="low", max_tokens=1024), "claude-3-7-sonnet")
        == "reasoning_effort"
    )


def test_results_of_parallel_calls_are_one_turn() -> None:
    """Anthropic wants them together, before anything else in the turn."""
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": ""}} for n in (1, 2)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": f"r{n}"} for n in (1, 2)]
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        *results,
        {"role": "user", "content": "and?"},
    ]
    turns = translated(_user(messages=messages))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[1]["content"]] == ["tool_use", "tool_use"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]


def test_ids_of_other_vendors() -> None:
    """A call and its result get the same id in letters that Anthropic takes."""
    call = {"id": "a:b|c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a:b|c", "content": "r"},
    ]
    turns = translated(_user(messages=messages))["messages"]
    assert turns[0]["content"][0]["id"] == turns[1]["content"][0]["tool_use_id"] == "a_3a_b_7c_c"


def test_unsigned_and_foreign_reasoning_is_left_out() -> None:
    """Anthropic refuses what it hasn't signed; the conversation goes on without."""
    details = [
        {"type": "reasoning.text", "text": "t", "format": FORMAT},
        {"type": "reasoning.encrypted", "data": "d", "format": "google-gemini-v1"},
    ]
    said = {"role": "assistant", "content": "b", "reasoning_content": "t", "reasoning_details": details}
    messages = [{"role": "user", "content": "a"}, said]
    assert translated(_user(messages=messages))["messages"][1]["content"] == [{"type": "text", "text": "b"}]
