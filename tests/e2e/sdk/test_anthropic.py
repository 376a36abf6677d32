"""Anthropic's SDK over /v1/messages: plain, streamed, tools, counting, errors."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.sdk.test_one_of_each import ASK, SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow

MODEL = "claude-haiku-4-5"
MESSAGES: list[Any] = [{"role": "user", "content": ASK}]
TOOLS: list[Any] = [{"name": "look_up", "input_schema": {"type": "object", "properties": {"text": {}}}}]


@pytest.fixture
def client(stack: Stack, secret: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.edge, api_key=secret, max_retries=0) as client:
        yield client


def test_plain(client: anthropic.Anthropic) -> None:
    """Text, stop reason and usage."""
    answer = client.messages.create(model=MODEL, max_tokens=32, messages=MESSAGES)
    assert [block.text for block in answer.content if block.type == "text"] == [SENTENCE]
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 6)


def test_streamed(client: anthropic.Anthropic) -> None:
    """The SDK's accumulator makes the same message of the events."""
    with client.messages.stream(model=MODEL, max_tokens=32, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == SENTENCE
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 6)


def test_tools(client: anthropic.Anthropic) -> None:
    """A call whose input the SDK puts together."""
    with client.messages.stream(
        model=MODEL, max_tokens=32, messages=MESSAGES, tools=TOOLS, tool_choice={"type": "any"}
    ) as stream:
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["look_up"]
    assert isinstance(calls[0].input, dict)


def test_count_tokens(client: anthropic.Anthropic) -> None:
    """Counted without an answer."""
    assert client.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens > 0


async def test_async(stack: Stack, secret: str) -> None:
    """The asynchronous client."""
    async with anthropic.AsyncAnthropic(base_url=stack.edge, api_key=secret) as client:
        answer = await client.messages.create(model=MODEL, max_tokens=32, messages=MESSAGES)
    assert answer.usage.output_tokens == 6


def test_refusals(client: anthropic.Anthropic) -> None:
    """The gateway's refusals are the SDK's own errors, in Anthropic's shape."""
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        client.with_options(api_key="aig_unknown").messages.create(
            model=MODEL, max_tokens=32, messages=MESSAGES
        )
    assert unknown.value.body["type"] == "error"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="claude-unheard-of", max_tokens=32, messages=MESSAGES)


def test_an_error_within_a_stream(client: anthropic.Anthropic) -> None:
    """A stream that breaks doesn't look complete."""
    messages: list[Any] = [{"role": "user", "content": "[[sim cut_after=3]]"}]
    with (
        client.messages.stream(model=MODEL, max_tokens=32, messages=messages) as stream,
        pytest.raises(anthropic.APIError),
    ):
        stream.until_done()
