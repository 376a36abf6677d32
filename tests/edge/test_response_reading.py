"""Answers of the Responses API on their way: untouched, and read for usage, ids and errors."""

from typing import Any

import orjson
import pytest

from edge.call import Call, Made
from edge.families.responses import parse
from edge.formats import Reading, Unbilled
from edge.formats.responses_openai import ResponsesOpenai, read_response
from tollkeeper.cost import UsageCounts

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 29,
}
COUNTS = UsageCounts(input_tokens=20, cached_input_tokens=5, output_tokens=9, reasoning_tokens=4)
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "toll"}}
RATE_LIMITED = {"code": "rate_limit_exceeded", "message": "Too many."}


def response(**fields: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "model": "m-1",
        "status": "completed",
        "usage": USAGE,
        **fields,
    }


def call(**fields: Any) -> Call:
    return parse(orjson.dumps({"model": "m", "input": "a", **fields}))


READINGS: list[tuple[dict[str, Any], Reading]] = [
    (response(), Reading(COUNTS, "m-1", "completed")),
    (response(service_tier="flex"), Reading(COUNTS._replace(service_tier="flex"), "m-1", "completed")),
    (
        response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        Reading(COUNTS, "m-1", "max_output_tokens"),
    ),
    (response(usage=None), Reading(None, "m-1", "completed")),
    (response(status="queued", usage=None), Reading(None, "m-1", "queued", why="background")),
    (response(status="in_progress"), Reading(None, "m-1", "in_progress", why="background")),
    (response(status="failed"), Reading(COUNTS, "m-1", "failed")),
    (
        response(status="failed", usage=None, error={"code": "server_error"}),
        Reading(None, "m-1", "failed", why="upstream_error"),
    ),
    (
        response(status="failed", usage=None, error=RATE_LIMITED),
        Reading(None, "m-1", "failed", why="upstream_error", unbilled=True),
    ),
    (response(output=[SEARCH, SEARCH]), Reading(COUNTS._replace(web_searches=2), "m-1", "completed")),
    (
        response(
            output=[
                SEARCH | {"status": "failed"},
                SEARCH | {"action": {"type": "open_page"}},
                {"type": "message"},
                5,
            ]
        ),
        Reading(COUNTS, "m-1", "completed"),
    ),
    ({}, Reading()),
]


@pytest.mark.parametrize(("parsed", "reading"), READINGS, ids=str)
def test_whole_answers(parsed: dict[str, Any], reading: Reading) -> None:
    """Usage where the vendor tells it, else why there is none."""
    assert read_response(parsed) == reading


@pytest.mark.parametrize(
    ("request_", "answered", "kept"),
    [
        ({}, {}, True),
        ({"store": False}, {}, False),
        ({}, {"store": False}, False),
        ({"store": True}, {}, True),
    ],
)
def test_what_the_vendor_keeps(request_: dict[str, Any], answered: dict[str, Any], kept: bool) -> None:
    """Everything, unless it is told not to."""
    asked = call(**request_)
    ResponsesOpenai().whole(asked, response(**answered))
    assert asked.made == ((Made("resp_1", "response", pending=True),) if kept else ())


def event(kind: str, **fields: Any) -> bytes:
    data = orjson.dumps({"type": kind, "sequence_number": 1, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


CREATED = event("response.created", response=response(status="in_progress", usage=None))
DELTA = event("response.output_text.delta", delta="toll \\n\\n error")
COMPLETED = event("response.completed", response=response(output=[SEARCH]))
FAILED = event("response.failed", response=response(status="failed", usage=None, error=RATE_LIMITED))
ERROR = event("error", code="rate_limit_exceeded", message="Too many.", param=None)


@pytest.mark.parametrize("size", [1, 7, 50, 100_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_every_byte_of_a_stream_passes(size: int, line_end: bytes) -> None:
    """However the network cuts it; the usage is that of the event that ends it."""
    sent = (CREATED + DELTA * 3 + COMPLETED).replace(b"\n", line_end)
    asked = call(stream=True)
    reader = ResponsesOpenai().stream(asked)
    got = b"".join(reader.feed(sent[at : at + size]) for at in range(0, len(sent), size)) + reader.flush()
    assert got == sent
    assert reader.usage == COUNTS._replace(web_searches=1)
    assert (reader.model, reader.finish) == ("m-1", "completed")
    assert reader.usage_is_final
    assert reader.done
    assert reader.error is None
    assert asked.made == (Made("resp_1", "response", pending=True),)


@pytest.mark.parametrize(
    ("events", "unbilled"),
    [
        ((ERROR, FAILED), True),
        ((CREATED, ERROR, FAILED), True),
        ((CREATED, FAILED), True),
        ((CREATED, DELTA, ERROR, FAILED), False),
        ((event("error", code="server_error", message="m"),), False),
    ],
)
def test_errors_in_a_stream(events: tuple[bytes, ...], unbilled: bool) -> None:
    """Azure's 200 to what is over a limit costs nothing; what breaks off after output may."""
    reader = ResponsesOpenai().stream(call(stream=True))
    for each in events:
        assert reader.feed(each) == each
    assert reader.usage is None
    assert reader.error is not None
    assert isinstance(reader.error, Unbilled) == unbilled


def test_a_last_event_larger_than_any_chunk() -> None:
    """It repeats the whole response, which may be megabytes."""
    text = "x" * 3_000_000
    sent = event("response.completed", response=response(output=[{"type": "message", "text": text}]))
    reader = ResponsesOpenai().stream(call(stream=True))
    got = b"".join(reader.feed(sent[at : at + 65_536]) for at in range(0, len(sent), 65_536))
    assert got == sent
    assert reader.usage == COUNTS


def test_a_stream_that_was_cut_names_what_is_kept() -> None:
    """Its end can be read later."""
    asked = call(stream=True)
    reader = ResponsesOpenai().stream(asked)
    reader.feed(CREATED + DELTA)
    assert reader.usage is None
    assert not reader.usage_is_final
    assert asked.made == (Made("resp_1", "response", pending=True),)
