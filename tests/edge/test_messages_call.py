"""Anthropic's requests as the edge reads them: what they may use."""

import json
from typing import Any

import pytest

from edge.families.messages import parse
from edge.formats import Changes
from edge.formats.messages_anthropic import MessagesAnthropic
from edge.worst_case import MAX_WEB_SEARCHES, TOOL_WORDS_TOKENS, Demand

DATA = "A" * 1000
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
PAPER = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}
NOTE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a note"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def demand_of(**fields: Any) -> tuple[Demand, int]:
    """What a request may use, and how long it is."""
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]} | fields
    raw = json.dumps(body).encode()
    return parse(raw).demand, len(raw)


def said(*blocks: Any) -> list[Any]:
    """One message of the user."""
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("fields", "images", "inline_bytes", "beyond_body"),
    [
        ({}, 0, 0, False),
        ({"messages": said(IMAGE, IMAGE)}, 2, 2000, False),
        ({"messages": said({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]})}, 1, 1000, False),
        ({"messages": said({"type": "image", "source": {"type": "url", "url": "https://a"}})}, 1, 0, False),
        ({"messages": said(NOTE)}, 0, 0, False),
        ({"messages": said(PAPER)}, 0, 0, True),
        ({"messages": said({"type": "document", "source": {"type": "url", "url": "https://a"}})}, 0, 0, True),
        ({"container": "c"}, 0, 0, True),
        ({"mcp_servers": []}, 0, 0, True),
    ],
)
def test_input(fields: dict[str, Any], images: int, inline_bytes: int, beyond_body: bool) -> None:
    """Pictures count by a fixed bound, pages and what is elsewhere as the model's whole window."""
    demand, size = demand_of(**fields)
    assert (demand.image_count, demand.prompt_bytes) == (images, size - inline_bytes)
    assert demand.beyond_body is beyond_body
    assert (demand.asked_output, demand.choice_count) == (5, 1)


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({}, ""),
        ({"speed": "standard", "inference_geo": "global"}, ""),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "inference_geo": "us"}, "fast-us"),
        ({"speed": 5, "inference_geo": None}, ""),
    ],
)
def test_dearer_inference_is_a_tier(fields: dict[str, Any], tier: str) -> None:
    """Named as usage names it."""
    assert demand_of(**fields)[0].tier == tier


def test_what_the_vendor_keeps_is_named() -> None:
    """Files and containers, each once: they are looked up before anything is sent."""
    file = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    body = {
        "model": "m",
        "max_tokens": 5,
        "messages": said(file, file, {"type": "container_upload", "file_id": "file_2"}),
    }
    for container in ("container_1", {"id": "container_1", "skills": []}):
        call = parse(json.dumps(body | {"container": container}).encode())
        assert call.references == ("container_1", "file_1", "file_2")
    assert parse(json.dumps(body | {"messages": said(NOTE)}).encode()).references == ()


@pytest.mark.parametrize(
    ("tools", "searches", "beyond_body"),
    [
        ([TOOL, TOOL], 0, False),
        ([TOOL | {"type": "custom"}], 0, False),
        ([{"type": "web_search_20250305", "name": "w", "max_uses": 3}], 3, True),
        ([{"type": "web_search_20250305", "name": "w"}], MAX_WEB_SEARCHES, True),
        ([{"type": "web_fetch_20250910", "name": "w"}], 0, True),
        ([{"type": "text_editor_20250728", "name": "e"}], 0, True),
    ],
)
def test_tools(tools: list[Any], searches: int, beyond_body: bool) -> None:
    """The vendor's words about each, its searches, and what they bring into the prompt."""
    demand, size = demand_of(tools=tools)
    assert demand.prompt_bytes == size + TOOL_WORDS_TOKENS * len(tools)
    assert (demand.web_searches, demand.beyond_body) == (searches, beyond_body)


@pytest.mark.parametrize(
    ("raw", "changes", "sent"),
    [
        # As it came, to the space.
        (b'{ "model":"m","max_tokens":5,"messages":[]}', Changes("m", None), None),
        (b'{ "model":"m","max_tokens":5,"messages":[]}', Changes("m", 9), None),
        # A limit is only lowered; a model only replaced.
        (b'{"model":"m","max_tokens":5,"messages":[],"x":1}', Changes("m", 3), {"max_tokens": 3}),
        (b'{"model":"m","max_tokens":5,"messages":[],"x":1}', Changes("n", None), {"model": "n"}),
        # Nobody knows which one a vendor would read, so there is only one.
        (b'{"model":"m","max_tokens":5,"messages":[],"model":"m"}', Changes("m", None), {}),
        # Whole numbers keep their digits.
        (b'{"model":"m","max_tokens":5,"messages":[],"x":%d}' % 10**30, Changes("n", None), {"model": "n"}),
    ],
)
def test_what_goes_upstream(raw: bytes, changes: Changes, sent: dict[str, Any] | None) -> None:
    """The client's bytes, or its body with what has to change."""
    endpoint: Any = None
    body = MessagesAnthropic().body(parse(raw), endpoint, changes)
    if sent is None:
        assert body == raw
    else:
        assert json.loads(body) == json.loads(raw) | sent
        assert body.count(b'"model"') == 1
