"""Answers: usage, limits, choices, tools and the shape of streams."""

import json
from typing import Any

import httpx
import pytest

from simulator import Simulator

DIRECT = "/v1/chat/completions"


def ask(text: str = "hello", **fields: object) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


async def chunks(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    """The JSON of every event of a stream, which must end with [DONE]."""
    answer = await client.post(DIRECT, json={**body, "stream": True}, headers=headers)
    assert answer.headers["content-type"] == "text/event-stream"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def content(streamed: list[dict[str, Any]], index: int = 0) -> str:
    pieces = [choice for chunk in streamed for choice in chunk["choices"] if choice["index"] == index]
    return "".join(piece["delta"].get("content") or "" for piece in pieces)


async def test_prompt_tokens_follow_the_documented_count(client: httpx.AsyncClient) -> None:
    """Characters of all message text by four, rounded down, plus three a message."""
    messages = [
        {"role": "system", "content": "x" * 10},
        {
            "role": "user",
            "content": [{"type": "text", "text": "y" * 9}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None},
    ]
    usage = (await client.post(DIRECT, json={"model": "m", "messages": messages})).json()["usage"]
    assert usage["prompt_tokens"] == 19 // 4 + 3 * 3


@pytest.mark.parametrize("text", ["", "a", "ÿ" * 4000, "[]" * 500])
async def test_prompt_tokens_stay_within_the_body(client: httpx.AsyncClient, text: str) -> None:
    """No body has fewer bytes than it is billed prompt tokens."""
    body = json.dumps({"model": "m", "messages": [{}, {}, {"content": text}]}, separators=(",", ":")).encode()
    usage = (await client.post(DIRECT, content=body)).json()["usage"]
    assert 1 <= usage["prompt_tokens"] <= len(body)


@pytest.mark.parametrize(
    ("fields", "steering", "tokens", "reason"),
    [
        ({}, "", 16, "stop"),
        ({"max_tokens": 5}, "", 5, "length"),
        ({"max_tokens": 5, "max_completion_tokens": 7}, "", 7, "length"),
        ({"max_completion_tokens": 300}, "tokens=max", 300, "length"),
        ({"max_completion_tokens": 300}, "tokens=20", 20, "stop"),
        ({"max_completion_tokens": 30}, "tokens=40", 30, "length"),
        ({"max_completion_tokens": 30}, "tokens=40,uncapped", 40, "length"),
        ({}, "tokens=0", 0, "stop"),
        ({"n": 3, "max_tokens": 4}, "", 12, "length"),
    ],
)
async def test_completion_tokens(
    client: httpx.AsyncClient, fields: dict[str, Any], steering: str, tokens: int, reason: str
) -> None:
    """The limit, the choices and the steering decide how many tokens are answered, one word each."""
    body = ask(**fields)
    whole = (await client.post(DIRECT, json=body, headers={"x-sim": steering})).json()
    assert whole["usage"]["completion_tokens"] == tokens
    assert whole["choices"][0]["finish_reason"] == reason
    words = [len(choice["message"]["content"].split()) for choice in whole["choices"]]
    assert sum(words) == tokens
    streamed = await chunks(client, body, **{"x-sim": steering})
    assert [content(streamed, index) for index in range(len(words))] == [
        choice["message"]["content"] for choice in whole["choices"]
    ]


async def test_usage_details_are_parts_of_their_totals(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Cached and written tokens lie within the prompt, reasoning within the completion; the bill agrees."""
    body = ask("[[sim prompt=100 cached=60 cache_write=90 tokens=10 reasoning=4]]")
    usage = (await client.post(DIRECT, json=body)).json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (100, 10, 110)
    assert usage["prompt_tokens_details"] == {
        "cached_tokens": 60,
        "cache_write_tokens": 40,
        "audio_tokens": 0,
    }
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    [row] = simulator.bill.rows()
    billed = {name: row[name] for name in row if name.endswith("_tokens")}
    assert billed == {
        "prompt_tokens": 100,
        "cached_tokens": 60,
        "cache_write_tokens": 40,
        "cache_write_1h_tokens": 0,
        "completion_tokens": 10,
        "reasoning_tokens": 4,
    }


async def test_usage_chunk_only_when_asked(client: httpx.AsyncClient) -> None:
    """With include_usage a last chunk without choices carries usage, all others null; else none has any."""
    plain = await chunks(client, ask())
    assert not any("usage" in chunk for chunk in plain)
    asked = await chunks(client, ask(stream_options={"include_usage": True}))
    assert len(asked) == len(plain) + 1
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * len(plain)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize(
    ("steering", "expected"),
    [
        ("usage_in_finish", [None, None, None, 2]),
        ("usage_every_chunk", [0, 1, 2, 2]),
        ("no_usage", [None, None, None, None]),
    ],
)
async def test_usage_in_odd_places(
    client: httpx.AsyncClient, steering: str, expected: list[int | None]
) -> None:
    """Vendors that put usage elsewhere, or nowhere, do so whatever was asked."""
    body = ask(stream_options={"include_usage": True})
    streamed = await chunks(client, body, **{"x-sim": f"tokens=2,{steering}"})
    found = [(chunk.get("usage") or {}).get("completion_tokens") for chunk in streamed]
    assert found == expected


async def test_tool_calls_streamed_equal_whole(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """Two calls come in pieces told apart by index, with valid JSON arguments, and cost all tokens."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
    body = ask("[[sim tokens=20 reasoning=3]]", tools=tools, model="gpt-tool")
    whole = (await client.post(DIRECT, json=body)).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    calls: dict[int, dict[str, str]] = {}
    streamed = await chunks(client, body)
    for chunk in streamed:
        for piece in chunk["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(piece["index"], {"name": "", "arguments": ""})
            call["name"] += piece["function"].get("name", "")
            call["arguments"] += piece["function"]["arguments"]
    assert [calls[0], calls[1]] == [
        {key: call["function"][key] for key in ("name", "arguments")}
        for call in whole["message"]["tool_calls"]
    ]
    assert all(json.loads(call["arguments"])["text"] for call in calls.values())
    assert [row["completion_tokens"] for row in simulator.bill.rows()] == [20, 20]
    assert streamed[-1]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "tool_calls",
    }


@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        ({"model": "gpt-tool", "tool_choice": "none"}, 0),
        ({"model": "gpt-4o"}, 0),
        ({"tool_choice": "required"}, 2),
        ({"tool_choice": "required", "parallel_tool_calls": False}, 1),
        ({"tool_choice": {"type": "function", "function": {"name": "time"}}}, 1),
    ],
)
async def test_when_tools_are_called(client: httpx.AsyncClient, fields: dict[str, Any], calls: int) -> None:
    """A model with `tool` in its name or a choice that demands it calls tools; others answer in words."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
    whole = (await client.post(DIRECT, json=ask(tools=tools, **fields))).json()
    assert len(whole["choices"][0]["message"].get("tool_calls", [])) == calls


async def test_steering_by_model_name(client: httpx.AsyncClient, simulator: Simulator) -> None:
    """A suffix steers and is not part of the model's name; another plus sign is."""
    steered = (await client.post(DIRECT, json=ask(model="gpt-4o+tokens=2+utf8"))).json()
    assert (steered["model"], steered["usage"]["completion_tokens"]) == ("gpt-4o", 2)
    assert not steered["choices"][0]["message"]["content"].isascii()
    plain = (await client.post(DIRECT, json=ask(model="command+r"))).json()
    assert plain["model"] == "command+r"
    assert [row["model"] for row in simulator.bill.rows()] == ["gpt-4o", "command+r"]


async def test_header_wins_over_message_over_model(client: httpx.AsyncClient) -> None:
    """The nearer to the request, the stronger; only the last user message steers."""
    body = ask("[[sim tokens=3 reasoning=1]]", model="gpt-4o+tokens=2+cached=1")
    body["messages"].insert(0, {"role": "user", "content": "[[sim tokens=9]]"})
    usage = (await client.post(DIRECT, json=body, headers={"x-sim": "tokens=4"})).json()["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 1
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1


@pytest.mark.parametrize("text", ["tokes=3", "tokens=many", "status=200", "gate=a/b", "retry_after"])
async def test_bad_steering_is_refused(client: httpx.AsyncClient, simulator: Simulator, text: str) -> None:
    """A typo fails loudly and bills nothing."""
    answer = await client.post(DIRECT, json=ask(), headers={"x-sim": text})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_steering")
    assert simulator.bill.last_seq == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"model":7,"messages":[{}]}', None),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":["hi"]}', "messages"),
        (b'{"model":"m","messages":[{}],"n":0}', "n"),
        (b'{"model":"m","messages":[{}],"n":129}', "n"),
        (b'{"model":"m","messages":[{}],"max_tokens":"5"}', "max_tokens"),
        (b'{"model":"m","messages":[{}],"stream":1}', "stream"),
        (b'{"model":"m","messages":[{}],"stream_options":{}}', "stream_options"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, simulator: Simulator, body: bytes, param: str | None
) -> None:
    """What OpenAI refuses is refused in its shape, and bills nothing."""
    answer = await client.post(DIRECT, content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert simulator.bill.last_seq == 0
