"""OpenAI's SDK for Python over images, audio, files and batches."""

import io
import json
from collections.abc import Iterator

import openai
import pytest
from openai.types import Batch

from tests.e2e.stack import Stack, found

pytestmark = pytest.mark.slow

PICTURE = ("picture.png", b"\x89PNG\r\n\x1a\n" + b"0" * 1000, "image/png")
SOUND = ("sound.wav", b"RIFF" + b"0" * 32_000, "audio/wav")


@pytest.fixture
def client(stack: Stack, secret: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.edge}/v1", api_key=secret, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ["gpt-image-1", "dall-e-3"])
def test_images(client: openai.OpenAI, model: str) -> None:
    """Priced by the token, and by the image."""
    assert len(client.images.generate(model=model, prompt="a toll house", size="1024x1024").data or []) == 1


def test_image_edits(client: openai.OpenAI) -> None:
    """A form with a file."""
    answer = client.images.edit(model="gpt-image-1", image=PICTURE, prompt="at night")
    assert len(answer.data or []) == 1


def test_image_variations(client: openai.OpenAI) -> None:
    """A form without a prompt."""
    with pytest.warns(DeprecationWarning, match="deprecated"):
        answer = client.images.create_variation(model="dall-e-2", image=PICTURE, n=2, size="256x256")
    assert len(answer.data or []) == 2


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])
def test_speech(client: openai.OpenAI, model: str) -> None:
    """Bytes, whole and as they come."""
    whole = client.audio.speech.create(model=model, voice="alloy", input="a toll is paid")
    with client.audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input="a toll is paid"
    ) as answer:
        pieces = b"".join(answer.iter_bytes())
    assert whole.content == pieces != b""


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_transcriptions(client: openai.OpenAI, model: str) -> None:
    """The text of a sound."""
    assert client.audio.transcriptions.create(model=model, file=SOUND).text


def test_translations(client: openai.OpenAI) -> None:
    """The same in English."""
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert client.audio.translations.create(model="whisper-1", file=SOUND).text


def test_files(client: openai.OpenAI) -> None:
    """Sent, looked at, listed, fetched, deleted; then it isn't there."""
    made = client.files.create(file=("lines.jsonl", b'{"a": 1}\n'), purpose="user_data")
    assert client.files.retrieve(made.id).filename == "lines.jsonl"
    found(lambda: made.id in [each.id for each in client.files.list()])
    assert client.files.content(made.id).content == b'{"a": 1}\n'
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_batches(client: openai.OpenAI) -> None:
    """From a file of requests to a file of answers."""
    body = {"model": "gpt-4o-mini", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body} for name in "ab"
    ]
    sent = io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    file = client.files.create(file=("requests.jsonl", sent), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    found(lambda: batch.id in [each.id for each in client.batches.list()])
    batch = found(lambda: _completed(client, batch.id))
    assert batch.output_file_id is not None
    answers = client.files.content(batch.output_file_id).text.splitlines()
    assert sorted(json.loads(line)["custom_id"] for line in answers) == ["a", "b"]


def _completed(client: openai.OpenAI, batch_id: str) -> Batch | None:
    batch = client.batches.retrieve(batch_id)
    return batch if batch.status == "completed" else None


def test_a_batch_is_cancelled(client: openai.OpenAI) -> None:
    """It says so."""
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini",'
    line += b'"max_tokens":8,"messages":[{"role":"user","content":"Hello"}]}}\n'
    file = client.files.create(file=("requests.jsonl", line), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    # Nobody has to look for its end, and bill it, during another test.
    found(lambda: client.batches.retrieve(batch.id).status == "cancelled")
