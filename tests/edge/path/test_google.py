"""Gemini models: for OpenAI's clients, translated, and for Google's own, as they are."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from edge.admission import UsageState
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge, captured, reported
from tollkeeper.cost import UsageCounts

MODEL = "gemini-3-pro"
ASK: list[Any] = [{"role": "user", "content": "hello"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("look_up", "write_down")
]
STEERED = "prompt=100,cached=40,tokens=9,reasoning=4,tier=flex"
# What that is, whoever asks: 9 tokens of output, 4 of them thought.
USED = UsageCounts(
    input_tokens=100, cached_input_tokens=40, output_tokens=9, reasoning_tokens=4, service_tier="flex"
)
TEXT = "the toll is paid at"
Start = Callable[..., Any]


@pytest.fixture
async def edge(request: pytest.FixtureRequest, start: Start, simulator: Any) -> Any:
    """An edge with one rule that leads to Google, through Cloudflare or, where the test says so, directly."""
    direct = getattr(request, "param", "gateway") == "direct"
    fields = {"base_url": f"{simulator.url}/v1beta"} if direct else {}
    to_google = rule("gemini", provider_type="google", **fields)
    ledger = FakeLedger(grant(to_google), price(MODEL))
    ledger.prices.provider_type = "google"
    return await start(ledger)


@pytest.fixture
async def chat(edge: Edge) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's SDK."""
    plain = httpx.AsyncClient(verify=False)  # noqa: S501 - there is no TLS, and its certificates take time
    base_url = f"{edge.url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0, http_client=plain) as client:
        yield client


@pytest.fixture
async def native(request: pytest.FixtureRequest, edge: Edge) -> AsyncIterator[Any]:
    """Google's SDK, which has asked for either version of the API by itself in its time."""
    async with httpx.AsyncClient(verify=False) as plain:  # noqa: S501
        options = types.HttpOptions(
            base_url=edge.url,
            api_version=getattr(request, "param", "v1beta"),
            httpx_async_client=plain,
            retry_options=types.HttpRetryOptions(attempts=1),
        )
        yield genai.Client(api_key=KEY, http_options=options).aio


both_ways = pytest.mark.parametrize("edge", ["gateway", "direct"], indirect=True)


def steered(sim: str, **fields: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(http_options=types.HttpOptions(headers={"x-sim": sim}), **fields)


# OpenAI's clients


@both_ways
async def test_a18_chat(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """OpenAI's answer and its way of counting; Google's path and headers, and none of the client's."""
    answer = await chat.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=50, extra_headers={"x-sim": STEERED}
    )
    message: Any = answer.choices[0].message
    assert message.content == TEXT
    assert message.reasoning_content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.service_tier == "flex"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 9)
    assert reported(edge, MODEL) == USED
    sent = await captured(edge)
    assert sent["target"].endswith(f"/v1beta/models/{MODEL}:generateContent")
    assert sent["headers"]["x-goog-api-key"] == "sk-vendor"
    assert "authorization" not in sent["headers"]
    assert sent["body"]["generationConfig"] == {"maxOutputTokens": 50}


@both_ways
@pytest.mark.parametrize("wanted", [True, False])
async def test_a18_chat_streamed(edge: Edge, chat: openai.AsyncOpenAI, wanted: bool) -> None:
    """Chunks as OpenAI's, the usage only for whom asked, and booked in any case."""
    stream = await chat.chat.completions.create(
        model=MODEL,
        messages=ASK,
        stream=True,
        stream_options={"include_usage": wanted},
        extra_headers={"x-sim": f"{STEERED},drip_ms=0,ping,split"},
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == TEXT
    assert any(not chunk.choices for chunk in chunks) is wanted
    assert reported(edge, MODEL) == USED
    assert (await captured(edge))["target"].endswith(f"/models/{MODEL}:streamGenerateContent?alt=sse")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_loop_keeps_its_signatures(chat: openai.AsyncOpenAI, streamed: bool) -> None:
    """Handed back by the SDK as they came, signed calls are taken by the vendor, which checks them."""
    asked: dict[str, Any] = {"model": MODEL, "tools": TOOLS}
    if streamed:
        async with chat.chat.completions.stream(messages=ASK, tool_choice="required", **asked) as stream:
            answer: Any = await stream.get_final_completion()
    else:
        answer = await chat.chat.completions.create(messages=ASK, tool_choice="required", **asked)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["look_up", "write_down"]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "done"} for call in reversed(message.tool_calls)
    ]
    said = message.model_dump(exclude_none=True)
    for call in said["tool_calls"]:
        call.get("function", {}).pop("parsed_arguments", None)
    said.pop("parsed", None)
    again = await chat.chat.completions.create(messages=[*ASK, said, *results], **asked)
    assert again.choices[0].finish_reason == "stop"


async def test_a_client_that_drops_signatures(chat: openai.AsyncOpenAI) -> None:
    """It gets its answer all the same."""
    call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    said: list[Any] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]
    answer = await chat.chat.completions.create(model=MODEL, messages=ASK + said, tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop"


async def test_what_cant_be_carried(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """Refused with the field's name; nothing was sent or billed."""
    with pytest.raises(openai.BadRequestError) as refused:
        await chat.chat.completions.create(model=MODEL, messages=ASK, logit_bias={"1": 5})
    assert refused.value.param == "logit_bias"
    assert refused.value.code == "unsupported_parameter"
    assert edge.simulator.bill.rows() == []
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_VOIDED


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_none(edge: Edge, chat: openai.AsyncOpenAI, stream: bool) -> None:
    """A failure for the client, and billed as used."""
    steer = {"x-sim": "finish=MALFORMED_FUNCTION_CALL,prompt=10,tokens=3"}
    with pytest.raises(openai.APIError) as failed:  # noqa: PT012
        answer = await chat.chat.completions.create(
            model=MODEL, messages=ASK, stream=stream, extra_headers=steer
        )
        if stream:
            async for _ in answer:
                pass
    assert failed.value.code == "malformed_function_call"
    [ended] = edge.ledger.opened[0].ended
    if not stream:
        assert (ended.state, ended.usage) == (
            UsageState.USAGE_STATE_REPORTED,
            UsageCounts(10, output_tokens=3),
        )


async def test_a_blocked_prompt(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """A refusal, billed as the prompt."""
    answer = await chat.chat.completions.create(
        model=MODEL, messages=ASK, extra_headers={"x-sim": "blocked,prompt=7"}
    )
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.refusal
    assert reported(edge, MODEL) == UsageCounts(input_tokens=7)


async def test_errors_in_openais_words(chat: openai.AsyncOpenAI) -> None:
    """A final refusal of the vendor's keeps its status."""
    with pytest.raises(openai.NotFoundError) as refused:
        await chat.chat.completions.create(model=MODEL, messages=ASK, extra_headers={"x-sim": "status=404"})
    assert (refused.value.code, refused.value.type) == ("model_not_found", "invalid_request_error")


@pytest.mark.parametrize("sim", ["error_event_after=2", "no_done", "cut_after=3"])
async def test_streams_that_break(edge: Edge, chat: openai.AsyncOpenAI, sim: str) -> None:
    """The SDK raises, and the full hold is the estimate."""
    stream = await chat.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, extra_headers={"x-sim": f"{sim},drip_ms=0"}
    )
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended
    assert ended.state == UsageState.USAGE_STATE_ESTIMATED


# Google's own clients


@both_ways
@pytest.mark.parametrize("native", ["v1", "v1beta"], indirect=True)
async def test_native(edge: Edge, native: Any) -> None:
    """As Google answers, and billed by its own counts."""
    answer = await native.models.generate_content(
        model=MODEL, contents="hello", config=steered(f"{STEERED},web_searches=2", max_output_tokens=50)
    )
    assert answer.text == TEXT
    assert answer.usage_metadata.thoughts_token_count == 4
    assert reported(edge, MODEL) == USED._replace(web_searches=2)
    assert edge.ledger.opened[0].finish_reason == "stop"
    sent = await captured(edge)
    assert sent["target"].endswith(f"/v1beta/models/{MODEL}:generateContent")
    assert sent["headers"]["x-goog-api-key"] == "sk-vendor"
    assert KEY not in json.dumps(sent)


@both_ways
@pytest.mark.parametrize("native", ["v1", "v1beta"], indirect=True)
async def test_native_streamed(edge: Edge, native: Any) -> None:
    """The last report counts, nothing is added up."""
    stream = await native.models.generate_content_stream(
        model=MODEL, contents="hello", config=steered(f"{STEERED},drip_ms=0")
    )
    texts = [chunk.text async for chunk in stream]
    assert "".join(text or "" for text in texts) == TEXT
    assert reported(edge, MODEL) == USED


async def test_signs_of_life(start: Start) -> None:
    """Google's SDK passes over them, before the first event and between events; an array has none."""
    ledger = FakeLedger(grant(rule("gemini", provider_type="google")), price(MODEL))
    edge = await start(ledger, heartbeat_s=0.03)
    async with httpx.AsyncClient(verify=False) as plain:  # noqa: S501
        options = types.HttpOptions(base_url=edge.url, httpx_async_client=plain)
        client = genai.Client(api_key=KEY, http_options=options).aio
        stream = await client.models.generate_content_stream(
            model=MODEL, contents="hello", config=steered("first_byte_ms=100,drip_ms=80,tokens=3")
        )
        assert "".join([chunk.text or "" async for chunk in stream]) == "the toll is"
    slow = await post(edge, path("streamGenerateContent"), asked(), "first_byte_ms=100,drip_ms=80,tokens=3")
    assert len(slow.json()) == 4


async def test_native_tools(native: Any) -> None:
    """A whole loop of Google's SDK, which hands signatures back."""
    declared = types.Tool(function_declarations=[types.FunctionDeclaration(name="look_up")])
    config = types.GenerateContentConfig(tools=[declared], http_options={"headers": {"x-sim": "tool"}})
    answer = await native.models.generate_content(model=MODEL, contents="hello", config=config)
    [call] = answer.function_calls
    result = types.Part.from_function_response(name=call.name, response={"output": "done"})
    turns = [types.UserContent("hello"), answer.candidates[0].content, types.UserContent(result)]
    again = await native.models.generate_content(
        model=MODEL, contents=turns, config=types.GenerateContentConfig(tools=[declared])
    )
    assert again.text


async def test_native_count(edge: Edge, native: Any) -> None:
    """Free, but admitted and recorded."""
    counted = await native.models.count_tokens(model=MODEL, contents="x" * 40)
    assert counted.total_tokens == 13
    [ended] = edge.ledger.opened[0].ended
    assert (ended.state, ended.cost_nanousd) == (UsageState.USAGE_STATE_REPORTED, 0)


@pytest.mark.parametrize("native", ["v1", "v1beta"], indirect=True)
async def test_native_models(native: Any) -> None:
    """Those that can be asked for in Google's format, with how."""
    [model] = [each async for each in await native.models.list()]
    assert model.name == f"models/{MODEL}"
    assert "generateContent" in model.supported_actions
    assert (await native.models.get(model=MODEL)).name == model.name
    with pytest.raises(errors.ClientError) as unknown:
        await native.models.get(model="nothing")
    assert unknown.value.code == 404


async def test_native_errors(native: Any) -> None:
    """The vendor's as they come, and ours in the same shape."""
    with pytest.raises(errors.ClientError) as refused:
        await native.models.generate_content(model=MODEL, contents="hello", config=steered("status=404"))
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError) as refused:
        await native.models.generate_content(model="gemini-unpriced", contents="hello")
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert "gemini-unpriced" in str(refused.value.message)


@pytest.mark.parametrize("sim", ["error_event_after=2", "no_done", "cut_after=3", "cut_after=3,rst"])
async def test_native_streams_that_break(edge: Edge, native: Any, sim: str) -> None:
    """The SDK raises, and the full hold is the estimate."""
    stream = await native.models.generate_content_stream(
        model=MODEL, contents="hello", config=steered(f"{sim},drip_ms=0")
    )
    with pytest.raises(errors.APIError):
        async for _ in stream:
            pass
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended
    assert ended.state == UsageState.USAGE_STATE_ESTIMATED


@both_ways
async def test_embeddings(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """OpenAI's SDK asks for base64 and decodes it; billed by what Gemini reports."""
    answer = await chat.embeddings.create(
        model=MODEL, input=["one", "two"], dimensions=4, extra_headers={"x-sim": "prompt=11"}
    )
    assert [len(each.embedding) for each in answer.data] == [4, 4]
    assert answer.usage.prompt_tokens == 11
    assert edge.ledger.opened[0].ended[0].usage == UsageCounts(input_tokens=11)
    assert (await captured(edge))["target"].endswith(f"/v1beta/models/{MODEL}:batchEmbedContents")


async def test_embeddings_without_usage(edge: Edge, chat: openai.AsyncOpenAI) -> None:
    """Estimated at the hold."""
    await chat.embeddings.create(model=MODEL, input="one", extra_headers={"x-sim": "no_usage"})
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_ESTIMATED


async def test_native_embeddings(edge: Edge, native: Any) -> None:
    """Google's SDK; nothing but input is billed."""
    config = types.EmbedContentConfig(http_options={"headers": {"x-sim": "prompt=11"}})
    answer = await native.models.embed_content(model=MODEL, contents="one", config=config)
    assert len(answer.embeddings) == 1
    assert edge.ledger.opened[0].ended[0].usage == UsageCounts(input_tokens=11)


async def test_one_native_embedding(edge: Edge) -> None:
    """By the method for one, which the SDK doesn't call."""
    answer = await post(edge, path("embedContent"), {"content": {"parts": [{"text": "one"}]}})
    assert len(answer.json()["embedding"]["values"]) == 8
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_REPORTED


def path(method: str = "generateContent", version: str = "v1beta") -> str:
    return f"/{version}/models/{MODEL}:{method}"


def asked(**fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hello"}]}], **fields}


async def post(edge: Edge, target: str, body: dict[str, Any], sim: str = "") -> httpx.Response:
    async with httpx.AsyncClient(base_url=edge.url, timeout=10, trust_env=False) as client:
        return await client.post(target, json=body, headers={"x-sim": sim, "x-goog-api-key": KEY})


@pytest.mark.parametrize("sim", ["", "drip_ms=0,split"])
async def test_a_stream_as_an_array(edge: Edge, sim: str) -> None:
    """For clients that don't ask for events; billed the same."""
    answer = await post(edge, path("streamGenerateContent"), asked(), f"{STEERED},{sim}".rstrip(","))
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    parts = [part for each in answer.json() for part in each["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if not part.get("thought")) == TEXT
    assert reported(edge, MODEL) == USED


@pytest.mark.parametrize("sim", ["error_event_after=2", "no_done"])
async def test_an_array_that_breaks(edge: Edge, sim: str) -> None:
    """Its last element is the error."""
    answer = await post(edge, path("streamGenerateContent"), asked(), sim)
    assert "error" in answer.json()[-1]
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_ESTIMATED


async def test_an_array_that_is_cut(edge: Edge) -> None:
    """It never looks complete."""
    with pytest.raises(httpx.RemoteProtocolError):
        await post(edge, path("streamGenerateContent"), asked(), "cut_after=3,drip_ms=0")
    await edge.idle()
    assert edge.ledger.opened[0].ended[0].state == UsageState.USAGE_STATE_ESTIMATED


async def test_a_body_goes_on_as_it_came(edge: Edge) -> None:
    """To the byte, with its limits."""
    raw = b'{ "contents": [{"parts": [{"text": "hi"}]}], "generation_config": {"max_output_tokens": 3} }'
    async with httpx.AsyncClient(base_url=edge.url, trust_env=False) as client:
        answer = await client.post(path(), content=raw, headers={"x-goog-api-key": KEY})
        last = (await client.get(f"{edge.simulator.url}/_sim/requests/last?n=1")).json()[0]
    assert answer.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert last["body"] == raw.decode()


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_a_key_in_the_query(edge: Edge, version: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It is taken, and neither sent on nor logged."""
    async with httpx.AsyncClient(base_url=edge.url, trust_env=False) as client:
        answer = await client.post(f"{path(version=version)}?key={KEY}", json=asked())
        wrong = await client.post(f"{path(version=version)}?key=aig_wrong", json=asked())
        none = await client.post(path(version=version), json=asked())
    assert answer.status_code == 200
    assert KEY not in json.dumps(await captured(edge))
    for refused in (wrong, none):
        assert refused.status_code == 401
        assert refused.json()["error"]["status"] == "UNAUTHENTICATED"
    out, err = capfd.readouterr()
    assert KEY not in out + err


@pytest.mark.parametrize(
    ("target", "body", "status", "name"),
    [
        (path("predict"), asked(), 501, "UNIMPLEMENTED"),
        (path("batchEmbedContents"), {"requests": []}, 400, "INVALID_ARGUMENT"),
        (path("batchEmbedContents"), {"requests": [5]}, 400, "INVALID_ARGUMENT"),
        (
            path("embedContent"),
            {"content": {"parts": [{"fileData": {"fileUri": "files/x"}}]}},
            404,
            "NOT_FOUND",
        ),
        (path(""), asked(), 501, "UNIMPLEMENTED"),
        (path(), asked(cachedContent="cachedContents/x"), 404, "NOT_FOUND"),
        (path(), asked(tools=[{"googleMaps": {}}]), 400, "INVALID_ARGUMENT"),
        ("/v1beta/nothing", {}, 501, "UNIMPLEMENTED"),
    ],
)
async def test_refusals(edge: Edge, target: str, body: dict[str, Any], status: int, name: str) -> None:
    """In Google's envelope, with a reason of ours."""
    answer = await post(edge, target, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, name)
    assert error["details"][0]["domain"] == "tollkeeper"
    assert edge.simulator.bill.rows() == []


async def test_cloudflares_errors(edge: Edge) -> None:
    """In Google's envelope as well, where they are final."""
    answer = await post(edge, path(), asked(), "code=2029")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, 400)
    assert error["details"][0]["reason"] == "CLOUDFLARE_2029"
