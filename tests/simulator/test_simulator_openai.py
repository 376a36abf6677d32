"""The simulator's completions, embeddings, moderations and responses, as the official SDK reads them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from simulator import Simulator


@pytest.fixture
async def sdk(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0) as opened:
        yield opened


def billed(simulator: Simulator) -> list[tuple[int, int]]:
    return [(row["prompt_tokens"], row["completion_tokens"]) for row in simulator.bill.rows()]


async def test_completions(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Every candidate of every prompt is billed, those that were asked for are shown; streams tell usage."""
    made = await sdk.completions.create(model="m", prompt="x" * 40, n=2, best_of=3, max_tokens=5)
    assert [len(choice.text.split()) for choice in made.choices] == [5, 5]
    stream = await sdk.completions.create(
        model="m", prompt=["a", "b"], max_tokens=4, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert len({choice.index for chunk in chunks for choice in chunk.choices}) == 2
    assert billed(simulator) == [(10, 15), (1, 8)]


async def test_embeddings(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """The SDK asks for base64 and decodes it itself; texts and model tokens are counted."""
    made = await sdk.embeddings.create(model="e", input=["x" * 40, "y" * 40])
    assert [len(each.embedding) for each in made.data] == [8, 8]
    given = await sdk.embeddings.create(model="e", input=[[1, 2, 3]], dimensions=3, encoding_format="float")
    assert len(given.data[0].embedding) == 3
    assert billed(simulator) == [(20, 0), (3, 0)]
    with pytest.raises(BadRequestError):
        await sdk.embeddings.create(model="e", input=[])


async def test_moderations(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Free."""
    made = await sdk.moderations.create(model="omni-moderation-latest", input=["peace", "violence"])
    assert [each.flagged for each in made.results] == [False, True]
    assert billed(simulator) == [(0, 0)]


async def test_events_of_a_response(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """In OpenAI's order, numbered, the usage in the last one."""
    steered = "m+reasoning=3+web_searches=1+tokens=6+queued=1"
    stream = await sdk.responses.create(model=steered, input="x" * 40, stream=True)
    events = [event async for event in stream]
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        "created",
        "queued",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    last: Any = events[-1]
    assert last.response.output_text.startswith("the toll is")
    assert (last.response.usage.output_tokens, billed(simulator)) == (6, [(13, 6)])
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_a_function_call(sdk: AsyncOpenAI) -> None:
    """A tool that the app runs."""
    tool: Any = {"type": "function", "name": "toll", "parameters": {}, "strict": False}
    made = await sdk.responses.create(model="m", input="a", tools=[tool], tool_choice="required")
    assert [(item.type, getattr(item, "name", "")) for item in made.output] == [("function_call", "toll")]


async def test_a_response_that_fails(sdk: AsyncOpenAI) -> None:
    """A flat error event, then the failed response, with the code that was asked for."""
    steered = "m+error_event_after=0+error=rate_limit_exceeded"
    events: list[Any] = [
        event async for event in await sdk.responses.create(model=steered, input="a", stream=True)
    ]
    assert [event.type for event in events] == ["error", "response.failed"]
    assert (events[0].code, events[1].response.error.code) == ("rate_limit_exceeded", "rate_limit_exceeded")


async def test_what_is_kept(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Read and deleted with the credential that made it; what goes on from it costs all of it again."""
    made = await sdk.responses.create(model="m", input="x" * 40, max_output_tokens=16)
    assert (await sdk.responses.retrieve(made.id)).output_text == made.output_text
    items = await sdk.responses.input_items.list(made.id)
    assert len(items.data) == 1
    await sdk.responses.create(model="m", input="x" * 40, previous_response_id=made.id)
    assert billed(simulator) == [(13, 16), (13 + 13 + 16, 16)]
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-other", max_retries=0) as other:
        with pytest.raises(NotFoundError):
            await other.responses.retrieve(made.id)
    await sdk.responses.delete(made.id)
    with pytest.raises(NotFoundError):
        await sdk.responses.retrieve(made.id)
    unkept = await sdk.responses.create(model="m", input="a", store=False)
    with pytest.raises(NotFoundError):
        await sdk.responses.retrieve(unkept.id)


async def test_background(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Billed at its end; one that was cancelled costs its prompt."""
    made = await sdk.responses.create(model="m+gate=g", input="x" * 40, background=True)
    assert (made.status, made.usage, billed(simulator)) == ("queued", None, [])
    stopped = await sdk.responses.create(model="m+gate=g", input="x" * 40, background=True)
    assert (await sdk.responses.cancel(stopped.id)).status == "cancelled"
    async with httpx.AsyncClient() as client:
        await client.post(f"{simulator.url}/_sim/gates/g/open")
    async with asyncio.timeout(20):
        ended = made
        while ended.status != "completed":
            await asyncio.sleep(0.01)
            ended = await sdk.responses.retrieve(made.id)
    assert ended.usage is not None
    assert sorted(billed(simulator)) == [(13, 0), (13, 16)]


async def test_counting_and_summing_up(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Counting is free, summing up is not."""
    counted = await sdk.responses.input_tokens.count(model="m", input="x" * 40)
    assert counted.input_tokens == 13
    compacted = await sdk.responses.compact(model="m", input="x" * 40)
    assert compacted.usage.input_tokens == 13
    assert billed(simulator) == [(13, 16)]
