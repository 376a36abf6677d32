"""Anthropic's native API as the simulator has it: read by Anthropic's own SDK, and strict."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import pytest

from simulator import Simulator

MODEL = "claude-opus-4-6"
ASK: list[Any] = [{"role": "user", "content": "hello"}]
TOOLS: list[Any] = [{"name": name, "input_schema": {"type": "object"}} for name in ("look_up", "write_down")]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(params=["direct", "gateway"])
async def sdk(
    request: pytest.FixtureRequest, simulator: Simulator, gateway: str
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The SDK, at the vendor and behind Cloudflare."""
    base_url = simulator.url if request.param == "direct" else f"{simulator.url}{gateway}/anthropic"
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key="sk-test", max_retries=0) as opened:
        yield opened


async def test_an_answer(sdk: anthropic.AsyncAnthropic, simulator: Simulator) -> None:
    """Text, stop reason, and usage that leaves out what was cached; the bill has it as OpenAI counts."""
    steering = "prompt=100,cached=40,cache_write=30,cache_write_1h=10,tokens=7,reasoning=2,web_searches=1"
    answer = await sdk.messages.create(
        model=MODEL, max_tokens=50, messages=ASK, extra_headers={"x-sim": steering}
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        30,
        40,
        30,
    )
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 10
    assert usage.output_tokens == 7
    [row] = simulator.bill.rows()
    told = ("prompt_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "web_searches")
    assert [row[name] for name in told] == [100, 40, 30, 10, 1]
    assert (row["model"], row["finish"]) == (MODEL, "complete")


async def test_a_stream(sdk: anthropic.AsyncAnthropic, simulator: Simulator) -> None:
    """The SDK puts the same message together from events."""
    steering = {"x-sim": "tokens=8,reasoning=2,drip_ms=1,ping"}
    async with sdk.messages.stream(
        model=MODEL, max_tokens=50, messages=ASK, extra_headers=steering
    ) as stream:
        answer = await stream.get_final_message()
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.usage.output_tokens == 8
    assert (simulator.bill.rows()[0]["completion_tokens"], simulator.bill.rows()[0]["stream"]) == (8, True)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_loop(sdk: anthropic.AsyncAnthropic, streamed: bool) -> None:
    """Calls, and thinking that is taken back only with the vendor's own signature."""
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 50, "tools": TOOLS}
    steering = {"x-sim": "tokens=8,reasoning=2"}
    forced: Any = {"type": "any"}
    if streamed:
        async with sdk.messages.stream(
            **asked, tool_choice=forced, messages=ASK, extra_headers=steering
        ) as stream:
            answer = await stream.get_final_message()
    else:
        answer = await sdk.messages.create(**asked, tool_choice=forced, messages=ASK, extra_headers=steering)
    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["thinking", "tool_use", "tool_use"]
    said = [
        block.model_dump(exclude_none=True, exclude={"caller", "parsed_output"}) for block in answer.content
    ]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
        for block in said
        if block["type"] == "tool_use"
    ]
    turns: list[Any] = [*ASK, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
    assert (await sdk.messages.create(**asked, messages=turns)).stop_reason == "end_turn"
    said[0]["signature"] = "forged"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        await sdk.messages.create(**asked, messages=turns)
    with pytest.raises(anthropic.BadRequestError, match="tool_result"):
        await sdk.messages.create(**asked, messages=[*turns[:2], ASK[0]])


async def test_tokens_are_counted_for_nothing(sdk: anthropic.AsyncAnthropic, simulator: Simulator) -> None:
    """count_tokens has no row in the bill."""
    counted = await sdk.messages.count_tokens(model=MODEL, messages=ASK)
    assert counted.input_tokens == 4
    assert simulator.bill.rows() == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
async def test_errors(
    sdk: anthropic.AsyncAnthropic, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    """In Anthropic's envelope, by status."""
    with pytest.raises(kind) as raised:
        await sdk.messages.create(
            model=MODEL, max_tokens=5, messages=ASK, extra_headers={"x-sim": f"status={status}"}
        )
    body: Any = raised.value.body
    assert body["type"] == "error"
    assert body["error"]["type"].endswith("_error")


async def test_streams_that_end_badly(sdk: anthropic.AsyncAnthropic, simulator: Simulator) -> None:
    """An error event in a stream, and one that is cut."""
    for steering, message in (("error_event_after=4", "closed the stream"), ("cut_after=4", "peer closed")):
        with pytest.raises(Exception, match=message):
            async with sdk.messages.stream(
                model=MODEL, max_tokens=5, messages=ASK, extra_headers={"x-sim": steering}
            ) as stream:
                await stream.get_final_message()
    assert [row["finish"] for row in simulator.bill.rows()] == ["error", "cut"]


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        ({}, {}, "anthropic-version"),
        ({"max_tokens": None}, VERSION, "max_tokens"),
        ({"n": 1}, VERSION, "n: Extra inputs"),
        ({"temperature": 1.5}, VERSION, "temperature"),
        ({"temperature": 1.0}, {"anthropic-version": "2026-10-21"}, "temperature: Extra inputs"),
        ({"messages": [{"role": "system", "content": "a"}]}, VERSION, "role"),
        ({"messages": [{"role": "user", "content": ""}]}, VERSION, "non-empty"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, VERSION, "non-empty"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, VERSION, "budget_tokens"),
    ],
)
async def test_what_it_refuses(
    client: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str], message: str
) -> None:
    """The schema is closed, and some values are known to be refused."""
    asked = {"model": MODEL, "max_tokens": 5, "messages": ASK} | body
    answer = await client.post("/v1/messages", json=asked, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
