"""Requests in Gemini's own format: what they may use, and what nobody could bill or may read."""

from typing import Any

import orjson
import pytest

from edge.call import Call
from edge.families.content import GENERATE_CONTENT, parse
from edge.formats import Changes
from edge.formats.content_google import ContentGoogle, CountTokensGoogle
from edge.worst_case import MAX_WEB_SEARCHES, Demand
from tollkeeper.errors import Reason, TollkeeperError

MODEL = "gemini-3-pro"
CHANGES = Changes(MODEL, None)


def call(**fields: Any) -> Call:
    """A small request with these fields."""
    return read({"contents": [{"parts": [{"text": "hi"}]}]} | fields)


def read(body: dict[str, Any]) -> Call:
    return parse(orjson.dumps(body), GENERATE_CONTENT, MODEL, stream=False)


def sent(made: Call, changes: Changes = CHANGES) -> Any:
    # Nothing of the endpoint is asked for: model and method are in its path.
    return orjson.loads(ContentGoogle().body(made, None, changes))  # type: ignore[arg-type]


def demand_of(*parts: dict[str, Any], **fields: Any) -> Demand:
    return call(contents=[{"role": "user", "parts": list(parts)}], **fields).demand


@pytest.mark.parametrize(
    "config",
    [
        {"generationConfig": {"maxOutputTokens": 7, "candidateCount": 2}},
        {"generation_config": {"max_output_tokens": 7, "candidate_count": 2}},
    ],
)
def test_limits_in_both_cases(config: dict[str, Any]) -> None:
    """As Google reads them."""
    demand = call(**config).demand
    assert (demand.asked_output, demand.choice_count) == (7, 2)


def test_nothing_said() -> None:
    """One candidate, as long as the key or the price allows."""
    made = call()
    assert (made.demand.asked_output, made.demand.choice_count) == (None, 1)
    assert made.demand.prompt_bytes == len(made.raw)
    assert not made.demand.beyond_body


@pytest.mark.parametrize("name", ["inlineData", "inline_data"])
def test_pictures_count_by_a_bound_not_by_bytes(name: str) -> None:
    """Those within a function's result as well."""
    mime = "mimeType" if name == "inlineData" else "mime_type"
    image = {name: {mime: "image/png", "data": "A" * 4000}}
    result = {"functionResponse": {"name": "f", "response": {}, "parts": [image]}}
    demand = demand_of(image, result)
    assert demand.image_count == 2
    assert demand.prompt_bytes < 4000
    assert not demand.beyond_body


@pytest.mark.parametrize(
    ("part", "beyond"),
    [
        ({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}, False),
        ({"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}, True),
        ({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}, True),
        ({"inlineData": {"data": "AAAA"}}, True),
        ({"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}, True),
    ],
)
def test_what_bytes_dont_bound(part: dict[str, Any], beyond: bool) -> None:
    """Pages and film cost the same, however well they are packed."""
    assert demand_of(part).beyond_body is beyond


@pytest.mark.parametrize(
    ("tools", "searches", "beyond"),
    [
        ([{"functionDeclarations": []}, {"computerUse": {}}], 0, False),
        ({"function_declarations": []}, 0, False),
        ([{"googleSearch": {}}], MAX_WEB_SEARCHES, True),
        ([{"google_search_retrieval": {}}], MAX_WEB_SEARCHES, True),
        ([{"urlContext": {}, "codeExecution": {}}], 0, True),
    ],
)
def test_tools(tools: Any, searches: int, beyond: bool) -> None:
    """What Google reads by itself is no part of the body."""
    demand = call(tools=tools).demand
    assert (demand.web_searches, demand.beyond_body) == (searches, beyond)


@pytest.mark.parametrize(
    ("body", "reason", "param"),
    [
        ({"cachedContent": "cachedContents/x"}, Reason.NOT_FOUND, "cachedContent"),
        ({"cached_content": "cachedContents/x"}, Reason.NOT_FOUND, "cachedContent"),
        (
            {"contents": {"parts": {"fileData": {"fileUri": "files/x"}}}},
            Reason.NOT_FOUND,
            "fileData.fileUri",
        ),
        (
            {
                "system_instruction": {
                    "parts": [
                        {
                            "file_data": {
                                "file_uri": "https://generativelanguage.googleapis.com/v1beta/files/x"
                            }
                        }
                    ]
                }
            },
            Reason.NOT_FOUND,
            "fileData.fileUri",
        ),
        (
            {"contents": {"parts": {"fileData": {"fileUri": "gs://b/x"}}}},
            Reason.NOT_FOUND,
            "fileData.fileUri",
        ),
        ({"contents": {"parts": {"fileData": 5}}}, Reason.NOT_FOUND, "fileData.fileUri"),
        ({"tools": [{"fileSearch": {}}]}, Reason.INVALID_ARGUMENT, "tools[].fileSearch"),
        ({"tools": [{"google_maps": {}}]}, Reason.INVALID_ARGUMENT, "tools[].google_maps"),
        ({"tools": [{"newest": {}}]}, Reason.INVALID_ARGUMENT, "tools[].newest"),
        (
            {"generationConfig": {"maxOutputTokens": 0}},
            Reason.INVALID_ARGUMENT,
            "generationConfig.maxOutputTokens",
        ),
        (
            {"generationConfig": {"candidateCount": "2"}},
            Reason.INVALID_ARGUMENT,
            "generationConfig.candidateCount",
        ),
        (
            {"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 2}},
            Reason.INVALID_ARGUMENT,
            "maxOutputTokens",
        ),
        ({"generationConfig": {}, "generation_config": {}}, Reason.INVALID_ARGUMENT, "generationConfig"),
    ],
)
def test_refused(body: dict[str, Any], reason: Reason, param: str) -> None:
    """With the field's name; what others keep at Google looks like nothing at all."""
    with pytest.raises(TollkeeperError) as refused:
        read(body)
    assert (refused.value.reason, refused.value.metadata["param"]) == (reason, param)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": 5, "tools": 5, "generationConfig": 5},
        {
            "contents": [5, {"parts": [5, {"inlineData": 5}, {"functionResponse": {"parts": 5}}]}],
            "tools": [5],
        },
    ],
)
def test_misshapen_bodies_are_the_vendors_business(body: dict[str, Any]) -> None:
    """They go on, and Google says what is wrong with them."""
    assert sent(read(body)) == body


def test_nothing_changes_without_need() -> None:
    """The client's own bytes."""
    raw = b'{ "contents": [],  "generationConfig": {"maxOutputTokens": 9} }'
    made = parse(raw, GENERATE_CONTENT, MODEL, stream=True)
    assert ContentGoogle().body(made, None, Changes(MODEL, 12)) == raw  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "limited"),
    [
        ({}, {"generationConfig": {"maxOutputTokens": 3}}),
        ({"generationConfig": {"topP": 1}}, {"generationConfig": {"topP": 1, "maxOutputTokens": 3}}),
        (
            {"generation_config": {"max_output_tokens": 9}},
            {"generation_config": {"max_output_tokens": 3}},
        ),
        (
            {"generation_config": {"maxOutputTokens": 9}},
            {"generation_config": {"maxOutputTokens": 3}},
        ),
    ],
)
def test_a_limit_is_lowered_in_its_place(config: dict[str, Any], limited: dict[str, Any]) -> None:
    """A second name beside it would be refused by Google."""
    made = call(**config)
    assert sent(made, Changes(MODEL, 3)) == made.body | limited


@pytest.mark.parametrize(
    "raw",
    [
        b'{"contents": [], "generationConfig": {"maxOutputTokens": 1, "maxOutputTokens": 9}}',
        b'{"contents": [], "generationConfig": {"max\\u004futputTokens": 9, "maxOutputTokens": 1}}',
    ],
)
def test_what_is_said_twice_goes_on_as_understood(raw: bytes) -> None:
    """Parsers disagree about which one counts."""
    made = parse(raw, GENERATE_CONTENT, MODEL, stream=False)
    assert made.ambiguous
    assert sent(made) == made.body
    assert sent(made)["generationConfig"]["maxOutputTokens"] == made.demand.asked_output


def test_a_model_inside_the_body_follows_the_route() -> None:
    """Google refuses another one than the path's."""
    changes = Changes("other", None)
    assert sent(call(model="models/x"), changes)["model"] == "models/other"
    counting = call(generateContentRequest={"model": "models/x", "contents": []})
    body = CountTokensGoogle().body(counting, None, changes)  # type: ignore[arg-type]
    assert orjson.loads(body)["generateContentRequest"] == {"model": "models/other", "contents": []}
