"""OpenAI's SDK for Python over images and audio."""

from collections.abc import Iterator

import openai
import pytest

from tests.e2e.stack import Stack

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
