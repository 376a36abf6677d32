"""The official SDK works by changing `base_url` and `api_key` alone."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack

MODEL = "gpt-4o-mini"
ASK: list[Any] = [{"role": "user", "content": "Hello [[sim tokens=6]]"}]
SENTENCE = "the toll is paid at every"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"text": {}}}},
    }
    for name in ("look_up", "write_down")
]


@pytest.fixture
def key(tenant: Tenant) -> VirtualKey:
    return tenant.key()


@pytest.fixture
def client(stack: Stack, key: VirtualKey) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=key.secret) as client:
        yield client


@pytest.fixture
async def async_client(stack: Stack, key: VirtualKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{stack.edge}/v1", api_key=key.secret) as client:
        yield client


def _text(chunks: list[Any], index: int = 0) -> str:
    deltas = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in deltas)


def test_plain(client: openai.OpenAI) -> None:
    """Text, finish reason and usage of an answer in one piece."""
    answer = client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == SENTENCE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


def test_streamed(client: openai.OpenAI) -> None:
    """The chunks add up to the same text, and the last one has the finish reason."""
    with client.chat.completions.create(model=MODEL, messages=ASK, stream=True) as stream:
        chunks = list(stream)
    assert _text(chunks) == SENTENCE
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_usage_is_withheld_unless_asked_for(client: openai.OpenAI, options: dict[str, Any]) -> None:
    """No chunk without choices, and the stream is complete."""
    with client.chat.completions.create(model=MODEL, messages=ASK, stream=True, **options) as stream:
        chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert len(chunks) == 1 + 6 + 1


def test_usage_is_passed_on_when_asked_for(client: openai.OpenAI) -> None:
    """One last chunk without choices has it."""
    with client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert [chunk.choices == [] for chunk in chunks] == [False] * 8 + [True]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(client: openai.OpenAI, stream: bool) -> None:
    """n=2: both choices arrive whole."""
    if stream:
        with client.chat.completions.create(model=MODEL, messages=ASK, n=2, stream=True) as chunks:
            received = list(chunks)
        assert [_text(received, index) for index in (0, 1)] == [SENTENCE, SENTENCE]
    else:
        answer = client.chat.completions.create(model=MODEL, messages=ASK, n=2)
        assert [choice.message.content for choice in answer.choices] == [SENTENCE, SENTENCE]


def _calls(answer: Any) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]


CALLS = [("look_up", '{"text":"the"}'), ("write_down", '{"text":"the"}')]


def test_tools(client: openai.OpenAI) -> None:
    """Parallel calls with arguments that are JSON."""
    answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=TOOLS, tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert _calls(answer) == CALLS


def test_tools_streamed(client: openai.OpenAI) -> None:
    """The SDK's own accumulator puts the pieces of both calls together."""
    with client.chat.completions.stream(
        model=MODEL, messages=ASK, tools=TOOLS, tool_choice="required"
    ) as stream:
        answer = stream.get_final_completion()
    assert _calls(answer) == CALLS


async def test_async_plain_and_streamed(async_client: openai.AsyncOpenAI) -> None:
    """The asynchronous client gets the same text both ways."""
    answer = await async_client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == SENTENCE
    async with await async_client.chat.completions.create(model=MODEL, messages=ASK, stream=True) as stream:
        chunks = [chunk async for chunk in stream]
    assert _text(chunks) == SENTENCE


def test_models(client: openai.OpenAI) -> None:
    """Priced models of the key's router; one by name; an unknown one is the SDK's NotFoundError."""
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    assert not [name for name in names if name.startswith("claude")]
    assert client.models.retrieve(MODEL).owned_by == "openai"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-none")
    assert caught.value.code == "model_not_found"


def test_headers(client: openai.OpenAI, tenant: Tenant, key: VirtualKey) -> None:
    """Who served it, how long it took and what it cost; with a budget what is left of it."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
    [entry] = tenant.settled(1, key)
    assert raw.headers["x-tollkeeper-request-id"] == entry.usage_id
    assert raw.headers["x-tollkeeper-provider"] == "openai"
    assert int(raw.headers["x-tollkeeper-latency-ms"]) >= 0
    assert raw.headers["x-tollkeeper-cache"] == "miss"
    assert "x-tollkeeper-budget-remaining-usd" not in raw.headers
    limited = client.with_options(api_key=tenant.key(budget_nanousd=10_000_000).secret)
    raw = limited.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=16)
    cost, remaining = (raw.headers[f"x-tollkeeper-{name}-usd"] for name in ("cost", "budget-remaining"))
    assert Decimal(remaining) == Decimal("0.01") - Decimal(cost) < Decimal("0.01")


def test_a19_metadata_in_the_body(client: openai.OpenAI) -> None:
    """Cost, provider and latency as a field of the answer, for those who ask; otherwise it isn't there."""
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, extra_headers={"x-tollkeeper-metadata": "body"}
    )
    metadata = (answer.model_extra or {})["_gateway_metadata"]
    assert set(metadata) == {"cost", "provider", "latency_ms"}
    assert (metadata["provider"], Decimal(metadata["cost"]) > 0) == ("openai", True)
    plain = client.chat.completions.create(model=MODEL, messages=ASK)
    assert "_gateway_metadata" not in (plain.model_extra or {})


@pytest.mark.parametrize(
    ("steering", "error"),
    [
        ("status=400", openai.BadRequestError),
        ("status=422", openai.UnprocessableEntityError),
        ("status=404", openai.NotFoundError),
        ("status=500", openai.InternalServerError),
    ],
)
def test_upstream_failures_are_the_sdks_errors(
    client: openai.OpenAI, steering: str, error: type[openai.APIStatusError]
) -> None:
    """A 4xx of the vendor passes with its status; what failed everywhere is a 502."""
    messages: list[Any] = [{"role": "user", "content": f"[[sim {steering}]]"}]
    with pytest.raises(error):
        client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=messages)


def test_refusals_are_the_sdks_errors(client: openai.OpenAI, tenant: Tenant) -> None:
    """401, 403, 400 and 429 of the gateway itself."""
    create = client.chat.completions.create
    with pytest.raises(openai.AuthenticationError) as unknown:
        client.with_options(api_key="aig_unknown").chat.completions.create(model=MODEL, messages=ASK)
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as unpriced:
        create(model="no-such-model", messages=ASK)
    assert unpriced.value.code == "model_not_priced"
    narrow = tenant.key(allowed_models=["gpt-4o"])
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.with_options(api_key=narrow.secret).chat.completions.create(model=MODEL, messages=ASK)
    assert refused.value.code == "model_not_allowed"
    poor = tenant.key(budget_nanousd=1_000)
    with pytest.raises(openai.RateLimitError) as spent:
        client.with_options(api_key=poor.secret).chat.completions.create(model=MODEL, messages=ASK)
    assert spent.value.code == "insufficient_quota"


def test_a_final_refusal_is_asked_once(client: openai.OpenAI, stack: Stack, tenant: Tenant) -> None:
    """The SDK would try a 429 three times; it is told not to, and does as told."""
    poor = tenant.key(budget_nanousd=1_000)
    with pytest.raises(openai.RateLimitError) as spent:
        client.with_options(api_key=poor.secret, max_retries=2).chat.completions.create(
            model=MODEL, messages=ASK
        )
    assert spent.value.response.headers["x-should-retry"] == "false"
    assert spent.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_an_error_within_a_stream_is_raised(client: openai.OpenAI) -> None:
    """A stream that breaks doesn't look complete to the SDK."""
    messages: list[Any] = [{"role": "user", "content": "[[sim cut_after=3]]"}]
    with (
        client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream,
        pytest.raises(openai.APIError) as broken,
    ):
        list(stream)
    assert broken.value.code == "upstream_disconnected"
