"""Cloudflare's cache: whole answers by gateway and key, told by headers of the request.

Facts: the AI Gateway documentation (features/caching): `cf-aig-cache-key` replaces the gateway's own key, and
everybody who sends it gets the answer; `cf-aig-skip-cache` passes it by; streams aren't kept.
"""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from simulator.http import Request

MAX_ANSWERS = 1024
MAX_ANSWER_BYTES = 1_048_576
# What a key without a time gets.
DEFAULT_TTL_S = 300


class Kept(NamedTuple):
    """An answer and the end of its time, on `monotonic`."""

    body: bytes
    content_type: bytes
    until_s: float


class Cache:
    """Of all gateways; the oldest answer goes when it is full."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}

    def find(self, request: Request) -> Kept | None:
        """The answer that stands for this request."""
        key = _key(request)
        kept = self._kept.get(key) if key else None
        return kept if kept is not None and kept.until_s > monotonic() else None

    def keeper(self, request: Request) -> Callable[[int, bytes, bytes], None] | None:
        """Takes the answer of this request when it is there; None: it isn't to be kept."""
        key = _key(request)
        if not key:
            return None
        ttl = request.header(b"cf-aig-cache-ttl")
        ttl_s = int(ttl) if ttl and ttl.isdigit() else DEFAULT_TTL_S

        def keep(status: int, body: bytes, content_type: bytes) -> None:
            if status != 200 or len(body) > MAX_ANSWER_BYTES:
                return
            if len(self._kept) >= MAX_ANSWERS:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = Kept(body, content_type, monotonic() + ttl_s)

        return keep


def _key(request: Request) -> bytes:
    """Empty for a request that says nothing of a cache, or doesn't want it."""
    named = request.header(b"cf-aig-cache-key")
    if not named or request.header(b"cf-aig-skip-cache") == b"true":
        return b""
    gateway = b"/".join(request.target.split(b"/", 4)[2:4])
    return gateway + b" " + named
