"""The ways in which apps ask for a stream: each vendor through OpenAI's chat, and each vendor's own API."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.wire import PATH

# Nano-dollars a million, of the customers' own prices.
RATES = {"input": 3_000_000, "output": 15_000_000}
MAX_TOKENS = 64


@dataclass(frozen=True)
class Surface:
    """A path, what is sent there, how its streams end, and who serves it."""

    name: str
    provider_type: str
    model: str
    path: str
    make: Callable[[str, str], dict[str, Any]]
    is_whole: Callable[[bytes], bool]
    headers: dict[str, str] = field(default_factory=dict)

    def key(self, tenant: Tenant, *before: str) -> VirtualKey:
        """A key whose router leads to the vendor, after these providers."""
        provider_id = tenant.provider(self.provider_type, credential="sk-own")
        for each in (*before, provider_id):
            tenant.price(each, self.model, **RATES)
        tenant.route(*before, provider_id)
        return tenant.key()

    def body(self, pairs: str) -> bytes:
        """A streamed request whose answer the simulator steers."""
        return json.dumps(self.make(self.model, f"Hello [[sim {pairs}]]")).encode()

    def billed_nanousd(self, row: dict[str, Any]) -> int:
        """What the vendor asks for a row of its bill."""
        return int(row["prompt_tokens"]) * 3 + int(row["completion_tokens"]) * 15


def _chat(model: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "stream": True, "max_completion_tokens": MAX_TOKENS}


def _messages(model: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "stream": True, "max_tokens": MAX_TOKENS}


def _content(_: str, text: str) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": MAX_TOKENS}}


def _is_done(body: bytes) -> bool:
    return body.endswith(b"data: [DONE]\n\n")


SURFACES = [
    Surface("openai", "openai", "own-model", PATH, _chat, _is_done),
    Surface("anthropic", "anthropic", "claude-own", PATH, _chat, _is_done),
    Surface("google", "google", "gemini-own", PATH, _chat, _is_done),
    Surface(
        "messages",
        "anthropic",
        "claude-own",
        "/v1/messages",
        _messages,
        lambda body: b"event: message_stop" in body,
        {"anthropic-version": "2023-06-01"},
    ),
    Surface(
        "generate_content",
        "google",
        "gemini-own",
        "/v1beta/models/gemini-own:streamGenerateContent?alt=sse",
        _content,
        lambda body: b'"finishReason"' in body and b'"error"' not in body,
    ),
]
