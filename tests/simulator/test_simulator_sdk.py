"""The official OpenAI SDK against the simulator, by its base URL alone."""

import pytest
from openai import APIError, AsyncOpenAI, RateLimitError
from openai.types.chat import ChatCompletionMessageParam

from simulator import Simulator

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


async def test_sdk_streams_with_usage(simulator: Simulator, gateway: str) -> None:
    """The SDK reads a stream to its end; its usage is the bill's."""
    async with AsyncOpenAI(base_url=f"{simulator.url}{gateway}/openai", api_key="sk-test") as sdk:
        stream = await sdk.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-sim": "drip_ms=1,tokens=7,reasoning=2"},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(text.split()) == 5
    usage = chunks[-1].usage
    assert usage is not None
    [row] = simulator.bill.rows()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert (row["completion_tokens"], row["finish"], row["stream"]) == (7, "complete", True)


async def test_sdk_whole_answer_and_errors(simulator: Simulator) -> None:
    """The SDK parses a whole answer, raises its own error classes, and sees an error inside a stream."""
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0) as sdk:
        answer = await sdk.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, n=2)
        assert len(answer.choices) == 2
        with pytest.raises(RateLimitError):
            await sdk.chat.completions.create(model="gpt-4o-mini+status=429", messages=MESSAGES)
        stream = await sdk.chat.completions.create(
            model="gpt-4o-mini+error_event_after=2", messages=MESSAGES, stream=True
        )
        with pytest.raises(APIError, match="closed the stream"):
            [chunk async for chunk in stream]
