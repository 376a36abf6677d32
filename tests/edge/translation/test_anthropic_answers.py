"""Messages answers as chat completions, whole and streamed, and back in the next request."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.translation.anthropic.answer import chat_completion
from edge.translation.anthropic.errors import translated as translated_error
from edge.translation.anthropic.messages import conversation
from edge.translation.anthropic.stream import ChatStream
from edge.translation.anthropic.usage import counts
from tests.edge.translation import anthropic_reader, openai_reader
from tests.edge.translation.anthropic_reader import answers, encoded, stream
from tests.edge.translation.canonical import Answer
from tests.edge.translation.junk import spoilt
from tollkeeper.cost import UsageCounts


def completed(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer in one piece, as a client reads it."""
    read: dict[str, Any] = json.loads(orjson.dumps(chat_completion(orjson.loads(json.dumps(answer)))))
    return read


def _said(whole: dict[str, Any]) -> Answer:
    message = whole["choices"][0]["message"]
    plain = whole | {"choices": [whole["choices"][0] | {"message": message | {"refusal": None}}]}
    return replace(openai_reader.answer(plain), refusal=message.get("refusal"))


@settings(max_examples=60)
@given(answer=answers())
def test_the_same_is_said(answer: dict[str, Any]) -> None:
    """Texts, calls, thinking in its place with its signature, the finish, and every count."""
    assert _said(completed(answer)) == anthropic_reader.answer(answer)


@settings(max_examples=60)
@given(answer=answers(), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_the_same_is_streamed(answer: dict[str, Any], cuts: list[int]) -> None:
    """Cut anywhere by the network and put together by OpenAI's SDK, a stream is the whole answer."""
    data = encoded(stream(answer))
    reader = ChatStream(wants_usage=True)
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    sent = b"".join(reader.feed(data[start:end]) for start, end in pairwise(places))
    sent += reader.flush()
    assert _said(openai_reader.streamed(sent)) == anthropic_reader.answer(answer)
    assert reader.done
    assert reader.usage_is_final
    assert reader.usage == counts(answer["usage"])
    assert reader.finish == anthropic_reader.FINISHES[answer["stop_reason"]]


@settings(max_examples=60)
@given(answer=spoilt(answers()))
def test_junk_in_an_answer(answer: dict[str, Any]) -> None:
    """A vendor may answer anything: what can be read of it is."""
    orjson.dumps(chat_completion(orjson.loads(json.dumps(answer))))


@settings(max_examples=60)
@given(events=spoilt(answers().map(stream)))
def test_junk_in_a_stream(events: list[dict[str, Any]]) -> None:
    """And in any event; what comes out are events again."""
    reader = ChatStream(wants_usage=True)
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
    sent = reader.feed(data) + reader.flush()
    for event in sent.split(b"\n\n")[:-1]:
        assert event in (b": ping", b"data: [DONE]") or json.loads(event.removeprefix(b"data: "))


@settings(max_examples=60)
@given(answer=answers(), streamed=st.booleans())
def test_a_client_hands_it_back(answer: dict[str, Any], streamed: bool) -> None:
    """What the next request says about this answer is what Anthropic had said: thinking unchanged and in its
    place, whichever way it came."""
    if streamed:
        reader = ChatStream(wants_usage=False)
        message = openai_reader.streamed(reader.feed(encoded(stream(answer))))["choices"][0]["message"]
    else:
        message = completed(answer)["choices"][0]["message"]
    turns = conversation([message | {"refusal": None}])[1]
    sent = anthropic_reader.answer(answer | {"content": turns[0]["content"] if turns else []})
    assert sent.parts == anthropic_reader.answer(answer).parts


FIXTURE = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 20,
                "cache_creation_input_tokens": 300,
                "cache_read_input_tokens": 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
                "output_tokens": 1,
                "service_tier": "priority",
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
]
END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {
        "input_tokens": 20,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 1000,
        "output_tokens": 180,
        "output_tokens_details": {"thinking_tokens": 120},
        "server_tool_use": {"web_search_requests": 2},
    },
}


def test_usage_of_a_stream_comes_in_two_parts() -> None:
    """The lifetimes of cache writes and the tier from the start, the output from the end; nothing is added
    up."""
    reader = ChatStream(wants_usage=True)
    sent = reader.feed(encoded([*FIXTURE, END, {"type": "message_stop"}]))
    assert reader.usage == UsageCounts(
        input_tokens=1320,
        cached_input_tokens=1000,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        output_tokens=180,
        reasoning_tokens=120,
        web_searches=2,
        service_tier="priority",
    )
    usage = openai_reader.streamed(sent)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1320, 180, 1500)


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_told_to_whom_asked(wanted: bool) -> None:
    """One last chunk without choices, and null on the others, or neither."""
    sent = ChatStream(wants_usage=wanted).feed(encoded([*FIXTURE, END, {"type": "message_stop"}]))
    assert (b'"choices":[],' in sent) is wanted
    assert (b'"usage":null' in sent) is wanted


def test_an_error_in_the_stream() -> None:
    """It becomes OpenAI's error event; nothing follows, no [DONE]."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader = ChatStream(wants_usage=False)
    sent = reader.feed(encoded([*FIXTURE, error, END, {"type": "message_stop"}])) + reader.flush()
    last = json.loads(sent.decode().rstrip().rpartition("data: ")[2])
    assert last["error"] == {
        "message": "Overloaded",
        "type": "service_unavailable_error",
        "param": None,
        "code": "server_is_overloaded",
    }
    assert reader.error == error["error"]
    assert not reader.done


@pytest.mark.parametrize("events", [FIXTURE, [*FIXTURE, END], []])
def test_a_stream_that_ends_too_early(events: list[dict[str, Any]]) -> None:
    """It mustn't look complete. What was reported at the end is still the bill."""
    reader = ChatStream(wants_usage=False)
    sent = reader.feed(encoded(events)) + reader.flush()
    assert b"upstream_disconnected" in sent
    assert b"[DONE]" not in sent
    assert reader.usage_is_final is (END in events)


@pytest.mark.parametrize(
    "data", [b"data: {broken\n\n", b"data: 17\n\n", b": \xff\xfe\n\n", b"<html></html>\n\n", b"data: [1]\n\n"]
)
def test_garbage_is_passed_over(data: bytes) -> None:
    """A stream that makes no sense ends as one that was cut off."""
    reader = ChatStream(wants_usage=False)
    assert reader.feed(data) == b""
    assert b"upstream_disconnected" in reader.flush()


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        {},
        {"input_tokens": 1},
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": True, "output_tokens": 1},
        {"input_tokens": 10**12, "output_tokens": 1},
    ],
)
def test_usage_that_cant_be_trusted(usage: object) -> None:
    """It is no usage at all."""
    assert counts(usage) is None


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"service_tier": "standard"}, ""),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "priority", "speed": "standard", "inference_geo": "us"}, "us"),
        ({"service_tier": "standard", "speed": "fast", "inference_geo": "global"}, "fast"),
        ({"service_tier": None, "inference_geo": "not_available"}, ""),
        ({"service_tier": ["a"]}, ""),
        ({"service_tier": "x" * 50}, ""),
    ],
)
def test_tiers(usage: dict[str, Any], tier: str) -> None:
    """What prices have rates of their own for."""
    found = counts({"input_tokens": 1, "output_tokens": 1} | usage)
    assert found is not None
    assert found.service_tier == tier


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"type":"error","error":{"type":"not_found_error","message":"model: x"}}',
            {
                "message": "model: x",
                "type": "invalid_request_error",
                "param": None,
                "code": "model_not_found",
            },
        ),
        (
            b'{"type":"error","error":{"type":"billing_error","message":"unpaid"}}',
            {"message": "unpaid", "type": "billing_error", "param": None, "code": None},
        ),
        (b"<html>", None),
        (b'{"error":"text"}', None),
        (b"[]", None),
    ],
)
def test_errors(body: bytes, error: dict[str, Any] | None) -> None:
    """Anthropic's in OpenAI's envelope; anything else as it came."""
    found = translated_error(body)
    assert (found and json.loads(found)["error"]) == error
