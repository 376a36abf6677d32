"""OpenAI's SDK for Python asks for other vendors' models; they answer in OpenAI's words."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.sdk.test_one_of_each import ASK, SENTENCE
from tests.e2e.stack import Stack

VENDORS = {"claude-haiku-4-5": "anthropic", "gemini-2.5-flash": "google"}
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("model", VENDORS)]

MESSAGES: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        },
    }
    for name in ("look_up", "write_down")
]


@pytest.fixture
def client(stack: Stack, secret: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=secret, max_retries=0) as client:
        yield client


def test_plain(client: openai.OpenAI, model: str) -> None:
    """Text, finish reason and usage."""
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=32)
    assert answer.choices[0].message.content == SENTENCE
    assert (answer.choices[0].finish_reason, answer.object) == ("stop", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize("include_usage", [False, True])
def test_streamed(client: openai.OpenAI, model: str, include_usage: bool) -> None:
    """The pieces add up; usage is in the last one for those who ask for it."""
    with client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": include_usage}
    ) as stream:
        chunks = list(stream)
    deltas = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(deltas) == SENTENCE
    assert [chunk.usage is not None for chunk in chunks][-1] is include_usage


def test_tools(client: openai.OpenAI, model: str) -> None:
    """Parallel calls, streamed, and their results sent back."""
    with client.chat.completions.stream(
        model=model, messages=MESSAGES, tools=TOOLS, tool_choice="required"
    ) as stream:
        called = stream.get_final_completion().choices[0].message
    assert called.tool_calls is not None
    assert [call.function.name for call in called.tool_calls] == ["look_up", "write_down"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "a word"} for call in called.tool_calls]
    answer = client.chat.completions.create(
        model=model,
        messages=[*MESSAGES, called.to_dict(), *results],  # type: ignore[list-item]
        tools=TOOLS,
        tool_choice="none",
    )
    assert answer.choices[0].message.content


def test_what_cannot_be_carried(client: openai.OpenAI, tenant: Tenant, model: str) -> None:
    """Refused by its name, not dropped, where no other vendor could be asked."""
    tenant.route(tenant.provider(VENDORS[model], credential="sk-vendor"))
    only = client.with_options(api_key=tenant.key().secret)
    with pytest.raises(openai.BadRequestError) as refused:
        only.chat.completions.create(model=model, messages=MESSAGES, logit_bias={"50256": -100})
    assert refused.value.param == "logit_bias"


def test_an_error_within_a_stream_is_raised(client: openai.OpenAI, model: str) -> None:
    """A stream that breaks doesn't look complete."""
    messages: list[Any] = [{"role": "user", "content": "[[sim cut_after=4]]"}]
    with (
        client.chat.completions.create(model=model, messages=messages, stream=True) as stream,
        pytest.raises(openai.APIError) as broken,
    ):
        list(stream)
    assert broken.value.code == "upstream_disconnected"
