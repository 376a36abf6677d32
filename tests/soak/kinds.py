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
    endings: tuple[bytes, ...] = (b"data: [DONE]",)
    """How a whole stream ends; none: this family has no streams."""

    def headers(self, secret: str) -> dict[str, str]:
        value = f"Bearer {secret}" if self.key_header == "authorization" else secret
        return {self.key_header: value}


@dataclass(frozen=True)
class Fault:
    """What the vendor is steered to do, how often (of all requests), and whether the answer can still be
    whole."""

    steering: str
    weight: float
    harmless: bool = False


def _chat(model: str, text: str, stream: bool) -> Request:
    body = {
        "model": model,
        "stream": stream,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": text}],
    }
    return {"url": "/v1/chat/completions", "json": body}


KINDS = (Kind("chat", "gpt-4o-mini", "gpt-4o", _chat),)

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
