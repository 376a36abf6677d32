"""What the traffic is made of: requests of every family, what vendors do to them, what clients do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Request = dict[str, Any]
"""What `httpx.AsyncClient.build_request` takes beside the method."""


@dataclass(frozen=True)
class Kind:
    """Requests of one family. `build(model, text, stream)` makes one whose text is that."""

    name: str
    model: str
    faulty_model: str
    """Asked where the vendor misbehaves: a breaker that opens must not stop the healthy requests."""
    build: Callable[[str, str, bool], Request]
    key_header: str = "authorization"
    endings: tuple[bytes, ...] = ()
    """How a whole stream ends; none: this family has no streams."""

    def headers(self, secret: str) -> dict[str, str]:
        if self.key_header == "authorization":
            return {"authorization": f"Bearer {secret}"}
        return {self.key_header: secret, "anthropic-version": "2023-06-01"}


@dataclass(frozen=True)
class Fault:
    """What the vendor is steered to do, how often (of all requests), and whether the answer can still be
    whole."""

    steering: str
    weight: float
    harmless: bool = False


def _chat(model: str, text: str, stream: bool) -> Request:
    body = {"model": model, "stream": stream, "max_tokens": 64, "messages": _said(text)}
    return {"url": "/v1/chat/completions", "json": body}


def _completion(model: str, text: str, stream: bool) -> Request:
    body = {"model": model, "stream": stream, "max_tokens": 64, "prompt": text}
    return {"url": "/v1/completions", "json": body}


def _response(model: str, text: str, stream: bool) -> Request:
    body = {"model": model, "stream": stream, "max_output_tokens": 64, "input": text}
    return {"url": "/v1/responses", "json": body}


def _embedding(model: str, text: str, stream: bool) -> Request:
    return {"url": "/v1/embeddings", "json": {"model": model, "input": [text, text]}}


def _moderation(model: str, text: str, stream: bool) -> Request:
    return {"url": "/v1/moderations", "json": {"model": model, "input": text}}


def _message(model: str, text: str, stream: bool) -> Request:
    body = {"model": model, "stream": stream, "max_tokens": 64, "messages": _said(text)}
    return {"url": "/v1/messages", "json": body}


def _content(model: str, text: str, stream: bool) -> Request:
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": 64},
    }
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return {"url": f"/v1beta/models/{model}:{method}", "json": body}


def _image(model: str, text: str, stream: bool) -> Request:
    return {"url": "/v1/images/generations", "json": {"model": model, "prompt": text}}


def _speech(model: str, text: str, stream: bool) -> Request:
    return {"url": "/v1/audio/speech", "json": {"model": model, "voice": "alloy", "input": text}}


def _transcription(model: str, text: str, stream: bool) -> Request:
    file = ("sound.wav", b"0" * 100_000, "audio/wav")
    return {"url": "/v1/audio/transcriptions", "data": {"model": model}, "files": {"file": file}}


def _file(model: str, text: str, stream: bool) -> Request:
    return {"url": "/v1/files", "data": {"purpose": "user_data"}, "files": {"file": ("a.txt", text.encode())}}


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


_DONE = (b"data: [DONE]",)
_COMPLETED = (b'"type":"response.completed"', b'"type":"response.incomplete"')

KINDS = (
    Kind("chat", "gpt-4o-mini", "gpt-4o", _chat, endings=_DONE),
    Kind("chat_to_anthropic", "claude-haiku-4-5", "claude-opus-4-5", _chat, endings=_DONE),
    Kind("chat_to_google", "gemini-2.5-flash", "gemini-2.5-pro", _chat, endings=_DONE),
    Kind("completions", "gpt-3.5-turbo-instruct", "davinci-002", _completion, endings=_DONE),
    Kind("responses", "gpt-4o-mini", "gpt-4o", _response, endings=_COMPLETED),
    Kind("embeddings", "text-embedding-3-small", "text-embedding-3-large", _embedding),
    Kind("moderations", "omni-moderation-latest", "text-moderation-latest", _moderation),
    Kind("messages", "claude-haiku-4-5", "claude-opus-4-5", _message, "x-api-key", (b"message_stop",)),
    Kind("content", "gemini-2.5-flash", "gemini-2.5-pro", _content, "x-goog-api-key", (b"finishReason",)),
    # These aren't steered: their vendors always answer.
    Kind("images", "gpt-image-1", "gpt-image-1", _image),
    Kind("speech", "tts-1", "tts-1", _speech),
    Kind("transcriptions", "whisper-1", "whisper-1", _transcription),
    Kind("files", "", "", _file),
)

# Not among them is a connection closed without a word after its answer: it takes along the next request,
# which may be a healthy one, and which may have been billed.
FAULTS = (
    Fault("tokens=12", 60, harmless=True),
    Fault("tokens=12 drip_ms=15", 20, harmless=True),
    Fault("tokens=40 first_byte_ms=80 drip_ms=40", 8, harmless=True),
    Fault("tokens=12 split ping", 3, harmless=True),
    Fault("tokens=12 crlf", 2, harmless=True),
    Fault("tokens=12 no_usage", 2, harmless=True),
    Fault("tokens=12 close", 2, harmless=True),
    Fault("status=500", 1.5),
    Fault("status=503 retry_after=1", 1),
    Fault("status=429 retry_after=1", 1),
    Fault("status=400", 1),
    Fault("code=2005", 0.5),
    Fault("garbage", 0.5),
    Fault("cut_after=0", 1),
    Fault("cut_after=3", 2),
    Fault("cut_after=2 rst", 1),
    Fault("cut_body", 1),
    Fault("error_event_after=2", 1),
    Fault("tokens=12 no_done", 0.5),
    Fault("stall_after=2", 0.5),
    Fault("stall", 0.25),
)

# Of all requests: the client leaves before the answer, or in its middle.
LEAVES_BEFORE, LEAVES_WITHIN = 0.03, 0.05
