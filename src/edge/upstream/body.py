"""The body that goes upstream: the client's own bytes wherever nothing has to change."""

import json
import re
from typing import Any

import orjson

from edge.call import Call
from edge.formats import Changes
from edge.upstream.cloudflare import Endpoint

# A run of digits that may be a number beyond 64 bits, which orjson would turn into a float.
_LONG_NUMBER = re.compile(rb"\d{19}")
_INCLUDE_USAGE = b'"stream_options":{"include_usage":true},'


def upstream_body(call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
    """Usage is always asked for in streams; the model, the limit and a consumed `provider` change where they
    must."""
    body = call.body
    model = endpoint.model_prefix + changes.model
    adds_usage = call.stream and not call.wants_usage
    limited = "max_tokens" in body or "max_completion_tokens" in body
    if (
        model != call.model
        or call.provider is not None
        or call.ambiguous
        or (adds_usage and "stream_options" in body)
        or (limited and (changes.output_limit is not None or endpoint.renames_limit))
    ):
        return _rewritten(call, endpoint, model, changes.output_limit, adds_usage)
    start = b""
    if adds_usage:
        start = _INCLUDE_USAGE
    if changes.output_limit is not None:
        start += b'"%b":%d,' % (endpoint.limit_field.encode(), changes.output_limit)
    if not start:
        return call.raw
    # The body is a JSON object, so its first brace opens it; it isn't empty, so a comma may follow.
    brace = call.raw.index(b"{") + 1
    return b"".join((call.raw[:brace], start, call.raw[brace:]))


def _rewritten(
    call: Call, endpoint: Endpoint, model: str, output_limit: int | None, adds_usage: bool
) -> bytes:
    exact = _LONG_NUMBER.search(call.raw) is not None
    body: dict[str, Any] = json.loads(call.raw) if exact else dict(call.body)
    body["model"] = model
    if call.provider is not None:
        del body["provider"]
    if adds_usage:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    _limit(body, endpoint, output_limit)
    return (
        json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() if exact else orjson.dumps(body)
    )


def _limit(body: dict[str, Any], endpoint: Endpoint, output_limit: int | None) -> None:
    """Lowers the limit under each name the client used, or sets it; renames it for vendors that know one name
    only."""
    for name in ("max_completion_tokens", "max_tokens"):
        asked = body.get(name)
        if output_limit is not None and asked is not None:
            body[name] = min(asked, output_limit)
    newer = body.get("max_completion_tokens")
    if endpoint.renames_limit and newer is not None:
        del body["max_completion_tokens"]
        body["max_tokens"] = min(newer, body.get("max_tokens") or newer)
    if (
        output_limit is not None
        and body.get("max_completion_tokens") is None
        and body.get("max_tokens") is None
    ):
        body[endpoint.limit_field] = output_limit
