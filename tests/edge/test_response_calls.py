"""The Responses API as clients send it: what it brings and refers to, and the most it can cost (L15)."""

from typing import Any

import orjson
import pytest

from edge.call import Call
from edge.families import chat, responses
from edge.worst_case import IMAGE_TOKENS, MAX_WEB_SEARCHES
from tollkeeper.errors import Reason, TollkeeperError

CONTEXT = 400_000


def parse(**body: Any) -> Call:
    return responses.parse(orjson.dumps({"model": "m", **body}))


def message(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"input": 5}, "input"),
    ({"input": ["a"]}, "input[0]"),
    ({"stream": "yes"}, "stream"),
    ({"store": 1}, "store"),
    ({"background": 1}, "background"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_tool_calls": 10_001}, "max_tool_calls"),
    ({"previous_response_id": 5}, "previous_response_id"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}, {"type": "code_interpreter"}]}, "tools[1].type"),
    ({"tools": [{"type": "image_generation"}]}, "tools[0].type"),
    ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].type"),
    ({"tools": [{"type": "shell"}]}, "tools[0].type"),
    ({"tools": ["function"]}, "tools[0].type"),
]


@pytest.mark.parametrize(("body", "param"), BAD, ids=str)
def test_what_cannot_be_billed_is_refused(body: dict[str, Any], param: str) -> None:
    """With the field's name; so is a tool that is billed by what no price counts."""
    with pytest.raises(TollkeeperError) as caught:
        parse(**body)
    assert caught.value.reason == Reason.INVALID_ARGUMENT
    assert caught.value.metadata["param"] == param


IN_BODY: list[dict[str, Any]] = [
    {"input": "What is the toll?"},
    {"input": message({"type": "input_text", "text": "hi"}), "instructions": "Be short."},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": "5"}]},
    {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"}]},
    {"tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}], "input": "a"},
    {"tools": [{"type": "shell", "environment": {"type": "local"}}], "input": "a"},
]
BEYOND: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"previous_response_id": "resp_1"}, ("resp_1",)),
    ({"conversation": "conv_1"}, ("conv_1",)),
    ({"conversation": {"id": "conv_1"}}, ("conv_1",)),
    ({"prompt": {"id": "pmpt_1"}}, ("pmpt_1",)),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, ("msg_1",)),
    ({"input": message({"type": "input_file", "file_id": "file-1"})}, ("file-1",)),
    ({"input": message({"type": "input_file", "file_data": "data:application/pdf;base64,AA"})}, ()),
    ({"input": message({"type": "input_file", "file_url": "https://x/y.pdf"})}, ()),
    ({"input": message({"type": "input_image", "file_id": "file-2"})}, ("file-2",)),
    (
        {
            "input": [
                {"type": "function_call_output", "output": [{"type": "input_file", "file_id": "file-3"}]}
            ]
        },
        ("file-3",),
    ),
    ({"input": [{"type": "compaction", "encrypted_content": "xyz"}]}, ()),
    ({"input": "a", "tools": [{"type": "mcp", "server_url": "https://x"}]}, ()),
    ({"input": "a", "tools": [{"type": "web_search"}]}, ()),
    ({"previous_response_id": "resp_1", "conversation": "conv_1", "input": "a"}, ("resp_1", "conv_1")),
]


@pytest.mark.parametrize("body", IN_BODY, ids=str)
def test_what_the_body_brings_counts_by_its_bytes(body: dict[str, Any]) -> None:
    """And names nothing that is kept elsewhere."""
    call = parse(**body)
    assert call.references == ()
    assert call.demand.input_tokens(CONTEXT) == len(call.raw)


@pytest.mark.parametrize(("body", "references"), BEYOND, ids=str)
def test_what_it_refers_to_counts_as_the_window(body: dict[str, Any], references: tuple[str, ...]) -> None:
    """L15; and what is kept has to be the customer's."""
    call = parse(**body)
    assert call.references == references
    assert call.demand.input_tokens(CONTEXT) == CONTEXT


@pytest.mark.parametrize(
    ("body", "searches"),
    [
        ({"tools": [{"type": "web_search"}]}, MAX_WEB_SEARCHES),
        ({"tools": [{"type": "web_search_preview_2025_03_11"}], "max_tool_calls": 3}, 3),
        ({"tools": [{"type": "function"}], "max_tool_calls": 3}, 0),
        ({"prompt": {"id": "pmpt_1"}}, MAX_WEB_SEARCHES),
    ],
    ids=str,
)
def test_searches_are_held_for(body: dict[str, Any], searches: int) -> None:
    """At `max_tool_calls`, else at what is bounded here."""
    assert parse(**body).demand.web_searches == searches


def test_images_have_a_bound_of_their_own() -> None:
    """Their bytes don't count, wherever they are in the input."""
    url = "data:image/png;base64," + "A" * 100_000
    image = {"type": "input_image", "image_url": url}
    call = parse(
        input=[
            *message(image),
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": url}},
        ]
    )
    assert call.demand.image_count == 2
    assert call.demand.input_tokens(0) == len(call.raw) - 2 * len(url) + 2 * IMAGE_TOKENS


def test_the_output_limit() -> None:
    """Background doesn't change it; what is summed up has none that could be sent."""
    assert parse(input="a", max_output_tokens=50, background=True).demand.asked_output == 50
    assert parse(input="a").demand.asked_output is None
    compact = responses.parse_compact(b'{"model":"m","input":"a","max_output_tokens":5}')
    assert (compact.demand.asked_output, compact.demand.limitable) == (None, False)


def test_counting_costs_nothing_but_names_what_it_counts() -> None:
    """Its references must be the customer's like any request's."""
    call = responses.parse_input_tokens(b'{"model":"m","previous_response_id":"resp_1"}')
    assert call.demand.input_tokens(CONTEXT) == 0
    assert call.references == ("resp_1",)


def test_files_that_chat_names_are_references() -> None:
    """They are kept by the vendor like those of responses."""
    parts = [{"type": "text", "text": "a"}, {"type": "file", "file": {"file_id": "file-1"}}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    assert chat.parse(orjson.dumps(body)).references == ("file-1",)
