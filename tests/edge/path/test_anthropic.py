"""Anthropic's models: for OpenAI's clients, translated, and for Anthropic's own, as they are."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import openai
import pytest

from edge.admission import UsageState
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge, captured, reported
from tollkeeper.cost import UsageCounts

MODEL = "claude-opus-4-6"
ASK: list[Any] = [{"role": "user", "content": "hello"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("look_up", "write_down")
]
STEERED = "prompt=100,cached=40,cache_write=30,cache_write_1h=10,tokens=9,reasoning=4"
# What that is, whoever asks: 9 tokens of output, 4 of them thought.
USED = UsageCounts(
    input_tokens=100,
    cached_input_tokens=40,
    cache_write_tokens=30,
    cache_write_1h_tokens=10,
    output_tokens=9,
    reasoning_tokens=4,
)
Start = Callable[..., Any]


@pytest.fixture(params=["gateway", "direct"])
async def edge(request: pytest.FixtureRequest, start: Start, simulator: Any) -> Any:
    """An edge with one rule that leads to Anthropic, through Cloudflare or directly."""
    fields = {"base_url": f"{simulator.url}/v1"} if request.param == "direct" else {}
    to_anthropic = rule("claude", provider_type="anthropic", **fields)
    return await start(FakeLedger(grant(to_anthropic), price(MODEL, web_search=10_000_000_000)))


@pytest.fixture
async def chat(edge: Edge) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's SDK."""
    async with openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def native(edge: Edge) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's SDK."""
    async with anthropic.AsyncAnthropic(base_url=edge.url, api_key=KEY, max_retries=0) as client:
        yield client


# OpenAI's clients


async def test_a18_chat(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """OpenAI's answer and its way of counting; Anthropic's headers, and none of the client's."""
    answer = await chat.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=50, extra_headers={"x-sim": STEERED}
    )
    message: Any = answer.choices[0].message
    assert message.content == "the toll is paid at"
    assert message.reasoning_content == "the toll is paid"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 9)
    assert reported(edge, MODEL) == USED
    sent = await captured(edge)
    assert (sent["headers"]["x-api-key"], sent["headers"]["anthropic-version"]) == ("sk-vendor", "2023-06-01")
    assert "authorization" not in sent["headers"]
    assert sent["body"]["max_tokens"] == 50


@pytest.mark.parametrize("wanted", [True, False])
async def test_a18_chat_streamed(edge: Edge, chat: openai.AsyncOpenAI, wanted: bool) -> None:
    """Chunks as OpenAI's, the usage only for whom asked, and booked in any case."""
    stream = await chat.chat.completions.create(
        model=MODEL,
        messages=ASK,
        stream=True,
        stream_options={"include_usage": wanted},
        extra_headers={"x-sim": f"{STEERED},drip_ms=0,ping"},
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "the toll is paid at"
    assert any(not chunk.choices for chunk in chunks) is wanted
    assert reported(edge, MODEL) == USED
    assert (await captured(edge))["body"]["stream"] is True


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_loop_keeps_its_thinking(chat: openai.AsyncOpenAI, streamed: bool) -> None:
    """Handed back by the SDK as it came, signed thinking is taken by the vendor, which checks it."""
    asked: dict[str, Any] = {"model": MODEL, "tools": TOOLS, "extra_headers": {"x-sim": STEERED}}
    if streamed:
        async with chat.chat.completions.stream(messages=ASK, tool_choice="required", **asked) as stream:
            answer: Any = await stream.get_final_completion()
    else:
        answer = await chat.chat.completions.create(messages=ASK, tool_choice="required", **asked)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["look_up", "write_down"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]
    back = message.to_dict()
    for call in back["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    back.pop("parsed", None)
    assert back["reasoning_details"][0]["signature"]
    again = await chat.chat.completions.create(messages=[*ASK, back, *results], **asked)
    assert again.choices[0].finish_reason == "stop"
    back["reasoning_details"][0]["signature"] = "forged"
    with pytest.raises(openai.BadRequestError, match="signature"):
        await chat.chat.completions.create(messages=[*ASK, back, *results], **asked)


async def test_a_tool_loop_without_its_thinking_goes_on(start: Start) -> None:
    """An app that hands back only what OpenAI knows: a model with a budget must not think then."""
    model = "claude-haiku-4-5"
    edge = await start(FakeLedger(grant(rule("claude", provider_type="anthropic")), price(model)))
    asked: dict[str, Any] = {"model": model, "tools": TOOLS, "reasoning_effort": "low", "max_tokens": 6000}
    async with openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY, max_retries=0) as chat:
        first = await chat.chat.completions.create(
            messages=ASK, **asked, extra_headers={"x-sim": "tool,reasoning=2"}
        )
        assert (await captured(edge))["body"]["thinking"] == {"type": "enabled", "budget_tokens": 1200}
        calls: Any = first.choices[0].message.tool_calls
        back: Any = {"role": "assistant", "content": None, "tool_calls": [call.to_dict() for call in calls]}
        results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in calls]
        again = await chat.chat.completions.create(messages=[*ASK, back, *results], **asked)
    assert again.choices[0].finish_reason == "stop"
    assert "thinking" not in (await captured(edge))["body"]


async def test_what_can_not_be_carried_is_refused(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """With the field's name; nothing is sent and nothing billed."""
    with pytest.raises(openai.BadRequestError) as raised:
        await chat.chat.completions.create(model=MODEL, messages=ASK, seed=1)
    assert (raised.value.param, raised.value.code) == ("seed", "unsupported_parameter")
    [opened] = edge.ledger.opened
    assert [ended.state for ended in opened.ended] == [UsageState.USAGE_STATE_VOIDED]
    assert edge.simulator.bill.rows() == []


async def test_another_vendor_may_carry_it(start: Start) -> None:
    """A rule whose format can't is like one that fails: the next is tried."""
    rules = [
        rule("claude", provider_type="anthropic"),
        rule("other", priority=2, model_rewrite="gpt-4o-mini"),
    ]
    edge = await start(FakeLedger(grant(*rules), price(MODEL), price("gpt-4o-mini")))
    async with openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=ASK, seed=1)
    assert answer.model == "gpt-4o-mini"


async def test_a17_from_openai_to_anthropic(start: Start) -> None:
    """A vendor that fails is followed by one of another format; the client can't tell."""
    rules = [
        rule("gpt", model_rewrite="gpt-4o-mini+status=500"),
        rule("claude", provider_type="anthropic", model_rewrite=MODEL, priority=2),
    ]
    edge = await start(FakeLedger(grant(*rules), price("gpt-4o-mini+status=500"), price(MODEL)))
    async with openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY, max_retries=0) as chat:
        answer = await chat.chat.completions.create(model="best", messages=ASK)
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    states = [ended.state for ended in edge.ledger.opened[0].ended]
    assert states == [UsageState.USAGE_STATE_VOIDED, UsageState.USAGE_STATE_REPORTED]


@pytest.mark.parametrize(
    ("asked", "default", "sent"),
    [({}, 0, 64_000), ({}, 300, 300), ({"max_tokens": 7}, 300, 7), ({"max_completion_tokens": 9}, 0, 9)],
)
async def test_the_limit_that_is_held_for_is_sent(
    start: Start, asked: dict[str, int], default: int, sent: int
) -> None:
    """Anthropic must be told one: the client's, the key's, or the model's most; never more than is held."""
    view = grant(rule("claude", provider_type="anthropic"), default_output_limit=default)
    edge = await start(FakeLedger(view, price(MODEL)), fallback_output_tokens=100_000)
    async with openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY) as client:
        await client.chat.completions.create(model=MODEL, messages=ASK, **asked)  # type: ignore[call-overload]
    assert (await captured(edge))["body"]["max_tokens"] == sent
    assert edge.ledger.opened[0].plan.output_limit >= sent


async def test_errors_come_in_openais_envelope(chat: openai.AsyncOpenAI) -> None:
    """The vendor's final word, translated."""
    with pytest.raises(openai.BadRequestError) as raised:
        await chat.chat.completions.create(model=MODEL, messages=ASK, extra_headers={"x-sim": "status=400"})
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("sim", "text"),
    [
        ("error_event_after=4,drip_ms=0", "closed the stream"),
        ("no_done", "broke off"),
        ("cut_after=4", "broke off"),
    ],
)
async def test_chat_streams_cut_short(edge: Edge, chat: openai.AsyncOpenAI, sim: str, text: str) -> None:
    """An error event in OpenAI's words, and no [DONE]; what was reported at the end is the bill."""
    stream = await chat.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, extra_headers={"x-sim": sim}
    )
    with pytest.raises(openai.APIError, match=text):
        [chunk async for chunk in stream]
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended
    told = ended.state == UsageState.USAGE_STATE_REPORTED
    assert told is (sim == "no_done")


# Anthropic's clients


async def test_a18_messages(edge: Edge, native: anthropic.AsyncAnthropic) -> None:
    """The vendor's bytes, both ways, and its usage booked."""
    answer = await native.messages.create(
        model=MODEL,
        max_tokens=50,
        messages=ASK,
        extra_headers={"x-sim": STEERED, "anthropic-beta": "a-1,b-2"},
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (30, 9)
    assert reported(edge, MODEL) == USED
    sent = await captured(edge)
    assert sent["headers"]["anthropic-beta"] == "a-1,b-2"
    assert sent["headers"]["x-api-key"] == "sk-vendor"
    assert KEY not in json.dumps(sent)
    assert sent["body"] == {"max_tokens": 50, "messages": ASK, "model": MODEL}


async def test_messages_go_on_byte_for_byte(edge: Edge) -> None:
    """Unparsed as far as the vendor can see: spaces, order, long numbers, fields of tomorrow."""
    raw = (
        b'{ "messages":[{"role":"user","content":"a"}], "max_tokens" :5,\n"metadata":{"user_id":"u","n":%d}, '
        % 10**30
    )
    raw += b'"model": "%b" }' % MODEL.encode()
    async with edge.client as client:
        answer = await client.post("/v1/messages", content=raw, headers={"anthropic-version": "2023-06-01"})
        last = (await client.get(f"{edge.simulator.url}/_sim/requests/last?n=1")).json()[0]
    assert answer.status_code == 200
    assert last["body"].encode() == raw


async def test_a18_messages_streamed(edge: Edge, native: anthropic.AsyncAnthropic) -> None:
    """Event by event as it came; lifetimes of cache writes are in the first report, output in the last."""
    async with native.messages.stream(
        model=MODEL, max_tokens=50, messages=ASK, extra_headers={"x-sim": f"{STEERED},drip_ms=0,split,crlf"}
    ) as stream:
        answer = await stream.get_final_message()
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert reported(edge, MODEL) == USED
    assert edge.ledger.opened[0].finish_reason == "stop"


async def test_counting_tokens_is_free(edge: Edge, native: anthropic.AsyncAnthropic) -> None:
    """It is admitted like any request, and costs nothing."""
    counted = await native.messages.count_tokens(model=MODEL, messages=ASK)
    assert counted.input_tokens == 4
    [opened] = edge.ledger.opened
    assert (opened.plan.hold_nanousd, opened.ended[0].cost_nanousd) == (0, 0)
    assert reported(edge, MODEL) == UsageCounts(requests=0)


async def test_searches_and_tiers_are_billed(edge: Edge, native: anthropic.AsyncAnthropic) -> None:
    """As reported; the hold covers as many searches as the tool may make."""
    tools: list[Any] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
    await native.messages.create(
        model=MODEL,
        max_tokens=50,
        messages=ASK,
        tools=tools,
        extra_headers={"x-sim": "web_searches=2,tier=priority"},
    )
    usage = reported(edge, MODEL)
    assert (usage.web_searches, usage.service_tier) == (2, "priority")


@pytest.mark.parametrize(("tiers", "status"), [((), 400), (("fast",), 200)])
async def test_dear_inference_needs_a_price(start: Start, tiers: tuple[str, ...], status: int) -> None:
    """Fast inference costs a multiple: a price that doesn't know it can't bill it."""
    priced = price(MODEL)
    for tier in tiers:
        priced.rates.tiers.add(service_tier=tier).rates.CopyFrom(price(MODEL).rates)
    edge = await start(FakeLedger(grant(rule("claude", provider_type="anthropic")), priced))
    async with edge.client as client:
        answer = await client.post(
            "/v1/messages",
            json={"model": MODEL, "max_tokens": 5, "messages": ASK, "speed": "fast"},
            headers={"anthropic-version": "2023-06-01"},
        )
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["details"]["error_code"] == "model_not_priced"


async def test_errors_of_ours_are_in_anthropics_words(start: Start, edge: Edge) -> None:
    """Types by status, our code in the details, and the headers that its SDK obeys."""
    async with anthropic.AsyncAnthropic(base_url=edge.url, api_key="aig_wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await client.messages.create(model=MODEL, max_tokens=5, messages=ASK)
    body: Any = raised.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "authentication_error"
    assert body["error"]["details"]["error_code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "code_execution_20250522", "name": "c"}]}, "tools"),
    ],
)
async def test_messages_that_can_not_be_admitted(edge: Edge, changes: dict[str, Any], param: str) -> None:
    """Refused with the field's name, in Anthropic's envelope."""
    asked = {"model": MODEL, "max_tokens": 5, "messages": ASK} | changes
    async with edge.client as client:
        answer = await client.post("/v1/messages", json=asked)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["details"]["param"]) == ("invalid_request_error", param)


async def test_paths_that_are_not_served(edge: Edge) -> None:
    """In Anthropic's envelope too."""
    async with edge.client as client:
        batches = await client.post("/v1/messages/batches", json={})
        got = await client.get("/v1/messages")
    assert (batches.status_code, got.status_code) == (501, 405)
    assert batches.json()["error"]["details"]["error_code"] == "endpoint_not_supported"
    assert got.json()["type"] == "error"


async def test_only_anthropics_providers_serve_messages(start: Start) -> None:
    """A rule of another vendor is passed over; none left is a 501."""
    edge = await start(FakeLedger(grant(rule("a")), price(MODEL)))
    async with edge.client as client:
        answer = await client.post("/v1/messages", json={"model": MODEL, "max_tokens": 5, "messages": ASK})
    assert answer.status_code == 501


async def test_cloudflares_errors_in_anthropics_envelope(edge: Edge, start: Start) -> None:
    """Its SDK reads no other."""
    through = await start(FakeLedger(grant(rule("claude", provider_type="anthropic")), price(MODEL)))
    async with through.client as client:
        answer = await client.post(
            "/v1/messages",
            json={"model": MODEL, "max_tokens": 5, "messages": ASK},
            headers={"x-sim": "code=2029", "anthropic-version": "2023-06-01"},
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["error_code"] == "cloudflare_2029"


@pytest.mark.parametrize("sim", ["cut_after=4", "error_event_after=4"])
async def test_messages_streams_that_end_badly(
    edge: Edge, native: anthropic.AsyncAnthropic, sim: str
) -> None:
    """An error event of its own kind, ours or the vendor's; an estimate."""
    with pytest.raises(anthropic.APIError):
        async with native.messages.stream(
            model=MODEL, max_tokens=50, messages=ASK, extra_headers={"x-sim": sim}
        ) as stream:
            await stream.get_final_message()
    await edge.idle()
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_ESTIMATED


async def test_a_rewritten_model_and_a_chosen_provider(start: Start) -> None:
    """The body is made anew then, and only these fields differ."""
    rules = [rule("a"), rule("b", provider_type="anthropic", model_rewrite="claude-x", priority=2)]
    edge = await start(FakeLedger(grant(*rules), price("claude-x"), price(MODEL)))
    body = {
        "provider": "b",
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "a"}],
        "metadata": {"user_id": "u"},
    }
    async with edge.client as client:
        answer = await client.post("/v1/ai/messages", json=body, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200, answer.text
    sent = await captured(edge)
    assert sent["body"] == {
        "model": "claude-x",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "a"}],
        "metadata": {"user_id": "u"},
    }
    assert edge.ledger.opened[0].end_user == "u"
