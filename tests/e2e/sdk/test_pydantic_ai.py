"""pydantic-ai's agents: text, streams, tools, typed output, errors."""

from collections.abc import AsyncIterator

import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.sdk.test_one_of_each import ASK, MODEL, SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow


class Found(BaseModel):
    """A typed output."""

    text: str


@pytest.fixture
async def provider(stack: Stack, secret: str) -> AsyncIterator[OpenAIProvider]:
    async with openai.AsyncOpenAI(base_url=f"{stack.edge}/v1", api_key=secret, max_retries=0) as client:
        yield OpenAIProvider(openai_client=client)


@pytest.fixture
def model(provider: OpenAIProvider) -> OpenAIChatModel:
    return OpenAIChatModel(MODEL, provider=provider)


async def test_text(model: OpenAIChatModel) -> None:
    """Output and usage of a run."""
    ran = await Agent(model).run(ASK)
    assert (ran.output, ran.usage.output_tokens) == (SENTENCE, 6)


async def test_streamed(model: OpenAIChatModel) -> None:
    """The last state of a stream is the whole text."""
    async with Agent(model).run_stream(ASK) as stream:
        states = [text async for text in stream.stream_text(debounce_by=None)]
    assert states[-1] == SENTENCE
    assert len(states) > 1


async def test_typed(model: OpenAIChatModel) -> None:
    """An output type is a tool that the model must call."""
    ran = await Agent(model, output_type=ToolOutput(Found, name="found")).run(ASK)
    assert ran.output == Found(text="the toll is paid")


async def test_responses(provider: OpenAIProvider) -> None:
    """Its other way to ask: the Responses API, whole and streamed."""
    agent = Agent(OpenAIResponsesModel(MODEL, provider=provider))
    assert (await agent.run(ASK)).output == SENTENCE
    async with agent.run_stream(ASK) as stream:
        assert await stream.get_output() == SENTENCE


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gemini-2.5-flash"])
async def test_translated(provider: OpenAIProvider, model: str) -> None:
    """Other vendors' models, in OpenAI's words, with a typed output."""
    agent = Agent(OpenAIChatModel(model, provider=provider), output_type=ToolOutput(Found, name="found"))
    assert (await agent.run(ASK)).output == Found(text="the toll is paid")


async def test_refusals(provider: OpenAIProvider) -> None:
    """The gateway's refusal is the library's error."""
    with pytest.raises(ModelHTTPError) as refused:
        await Agent(OpenAIChatModel("no-such-model", provider=provider)).run(ASK)
    assert refused.value.status_code == 400
