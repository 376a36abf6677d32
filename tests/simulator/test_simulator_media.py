"""The simulator's images, audio, files and batches, as the official SDK reads them."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, ConflictError, NotFoundError

from simulator import Simulator

WAV = b"\0" * 40_000  # two and a half seconds


@pytest.fixture
async def sdk(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="sk-test", max_retries=0) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_images(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """GPT image models report model tokens, others are billed by the image; edits cost their input."""
    made = await sdk.images.generate(model="gpt-image-1", prompt="a toll bridge", n=2)
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.output_tokens, len(made.data or [])) == (3, 2000, 2)
    plain = await sdk.images.generate(model="dall-e-3", prompt="a bridge", size="1024x1792", quality="hd")
    assert plain.usage is None
    edited = await sdk.images.edit(model="gpt-image-1", prompt="more", image=[b"png", b"png"])
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.image_tokens == 1000
    await sdk.images.create_variation(model="dall-e-2", image=b"png", n=3)
    rows = simulator.bill.rows()
    assert [(row["model"], row["completion_tokens"], row.get("images")) for row in rows] == [
        ("gpt-image-1", 2000, None),
        ("dall-e-3", 0, 1),
        ("gpt-image-1", 1000, None),
        ("dall-e-2", 0, 3),
    ]


async def test_image_stream(sdk: AsyncOpenAI) -> None:
    """A streamed image tells its usage in its last event."""
    stream = await sdk.images.generate(model="gpt-image-1", prompt="x" * 40, stream=True, partial_images=2)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert events[-1].usage.output_tokens == 1000


async def test_speech(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Speech is bytes, or events with the usage at the end."""
    spoken = await sdk.audio.speech.create(model="tts-1", voice="alloy", input="twelve chars")
    assert spoken.response.headers["content-type"] == "audio/mpeg"
    assert len(spoken.content) > 256
    events = await sdk.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="twelve chars", stream_format="sse"
    )
    last = json.loads(events.content.strip().rsplit(b"data: ", 1)[1])
    assert last["usage"] == {"input_tokens": 3, "output_tokens": 12, "total_tokens": 15}
    with pytest.raises(BadRequestError, match="stream_format"):
        await sdk.audio.speech.create(model="tts-1", voice="alloy", input="x", stream_format="sse")
    assert [row.get("characters") for row in simulator.bill.rows()] == [12, None]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_transcription(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Whisper is billed by the second in every format, newer models by model tokens."""
    file = ("a.wav", WAV)
    whole = await sdk.audio.transcriptions.create(model="whisper-1", file=file)
    assert whole.usage is not None
    assert whole.usage.type == "duration"
    assert whole.usage.seconds == 3
    verbose = await sdk.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="verbose_json"
    )
    assert float(verbose.duration) == 2.5
    for form in ("text", "srt", "vtt"):
        text = await sdk.audio.transcriptions.create(model="whisper-1", file=file, response_format=form)
        assert "toll" in str(text)
    newer = await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=file)
    assert newer.usage is not None
    assert newer.usage.type == "tokens"
    stream = await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, stream=True)
    events = [event async for event in stream]
    assert events[-1].type == "transcript.text.done"
    translated = await sdk.audio.translations.create(model="whisper-1", file=file)
    assert "toll" in translated.text
    rows = simulator.bill.rows()
    assert [row.get("seconds") for row in rows] == [3, 3, 3, 3, 3, None, None, 3]
    assert [row["prompt_tokens"] for row in rows] == [0, 0, 0, 0, 0, 30, 30, 0]


async def test_files(sdk: AsyncOpenAI) -> None:
    """Files are kept, listed, read and deleted."""
    kept = await sdk.files.create(file=("a.txt", b"content"), purpose="user_data")
    assert (kept.bytes, kept.filename, kept.purpose) == (7, "a.txt", "user_data")
    assert (await sdk.files.retrieve(kept.id)).id == kept.id
    assert (await sdk.files.content(kept.id)).content == b"content"
    assert [each.id async for each in await sdk.files.list()] == [kept.id]
    assert (await sdk.files.delete(kept.id)).deleted
    with pytest.raises(NotFoundError):
        await sdk.files.retrieve(kept.id)


def lines(*models: str) -> bytes:
    rows = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5},
        }
        for number, model in enumerate(models)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


async def test_batch(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """A batch takes a step with each look; its results are files, its bill is one row."""
    data = lines("gpt-4o-mini", "gpt-4o-mini+status=400", "gpt-4o-mini")
    source = await sdk.files.create(file=("in.jsonl", data), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    statuses = [batch.status]
    for _ in range(2):
        batch = await sdk.batches.retrieve(batch.id)
        statuses.append(batch.status)
    assert statuses == ["validating", "in_progress", "completed"]
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    output = (await sdk.files.content(batch.output_file_id)).text.splitlines()
    usages = [json.loads(line)["response"]["body"]["usage"] for line in output]
    [row] = simulator.bill.rows()
    assert row["completion_tokens"] == sum(usage["completion_tokens"] for usage in usages) == 10
    assert batch.usage is not None
    assert batch.usage.output_tokens == 10
    with pytest.raises(ConflictError):
        await sdk.batches.cancel(batch.id)


@pytest.mark.parametrize(("sim", "status", "rows"), [("fail", "failed", 0), ("expire", "expired", 1)])
async def test_batch_that_does_not_complete(
    simulator: Simulator, sdk: AsyncOpenAI, sim: str, status: str, rows: int
) -> None:
    """A batch can fail as a whole, or answer half of its lines."""
    source = await sdk.files.create(file=("in.jsonl", lines("gpt-4o-mini", "gpt-4o-mini")), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=source.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"sim": sim},
    )
    for _ in range(3):
        batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == status
    assert len(simulator.bill.rows()) == rows


async def test_cancelled_batch(simulator: Simulator, sdk: AsyncOpenAI) -> None:
    """Cancelling takes a moment; what was answered until then is billed."""
    source = await sdk.files.create(file=("in.jsonl", lines("gpt-4o-mini", "gpt-4o-mini")), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert (await sdk.batches.cancel(batch.id)).status == "cancelling"
    assert (await sdk.batches.retrieve(batch.id)).status == "cancelled"
    assert len(simulator.bill.rows()) == 1


async def test_cuts_and_failures(simulator: Simulator, client: httpx.AsyncClient) -> None:
    """Steering cuts bodies and streams, and fails requests; what was produced is billed."""
    speech = {"model": "tts-1+cut_body", "voice": "alloy", "input": "hello"}
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/v1/audio/speech", json=speech)
    stream = {"model": "gpt-image-1+cut_after=1", "prompt": "x", "stream": True, "partial_images": 3}
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/v1/images/generations", json=stream)
    failed = await client.post("/v1/audio/speech", json=speech | {"model": "tts-1+status=503"})
    assert failed.status_code == 503
    await asyncio.sleep(0)
    assert [row["finish"] for row in simulator.bill.rows()] == ["cut", "cut"]


async def test_echo(client: httpx.AsyncClient, gateway: str) -> None:
    """A path that is nobody's says again what it was asked, behind the gateway too."""
    for root in ("/v1", f"{gateway}/openai"):
        answer = await client.request("PATCH", f"{root}/sim/echo/a?b=c", content=b"text")
        assert answer.json() == {"method": "PATCH", "target": f"{root}/sim/echo/a?b=c", "body": "text"}
