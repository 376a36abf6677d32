"""The body that goes upstream: the client's own bytes wherever nothing has to change."""

import json
import re
from collections.abc import Callable
from functools import partial
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
        limit = partial(_limit_chat, endpoint=endpoint, output_limit=changes.output_limit)
        return _rewritten(call, model, adds_usage, limit)
    start = b""
    if adds_usage:
        start = _INCLUDE_USAGE
    if changes.output_limit is not None:
        start += b'"%b":%d,' % (endpoint.limit_field.encode(), changes.output_limit)
    return _inserted(call.raw, start)


def plain_body(call: Call, endpoint: Endpoint, changes: Changes, limit_field: str = "") -> bytes:
    """The same for operations other than chat, which have one name for their output limit, or none."""
    model = endpoint.model_prefix + changes.model
    adds_usage = call.stream and not call.wants_usage
    limit = changes.output_limit if limit_field else None
    if (
        model != call.model
        or call.provider is not None
        or call.ambiguous
        or (adds_usage and "stream_options" in call.body)
        or (limit is not None and limit_field in call.body)
    ):
        return _rewritten(
            call, model, adds_usage, partial(_limit_plain, field=limit_field, output_limit=limit)
        )
    start = _INCLUDE_USAGE if adds_usage else b""
    if limit is not None:
        start += b'"%b":%d,' % (limit_field.encode(), limit)
    return _inserted(call.raw, start)


def _inserted(raw: bytes, start: bytes) -> bytes:
    if not start:
        return raw
    # The body is a JSON object, so its first brace opens it; it isn't empty, so a comma may follow.
    brace = raw.index(b"{") + 1
    return b"".join((raw[:brace], start, raw[brace:]))


def _rewritten(call: Call, model: str, adds_usage: bool, limit: Callable[[dict[str, Any]], None]) -> bytes:
    exact = _LONG_NUMBER.search(call.raw) is not None
    body: dict[str, Any] = json.loads(call.raw) if exact else dict(call.body)
    body["model"] = model
    if call.provider is not None:
        del body["provider"]
    if adds_usage:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    limit(body)
    return (
        json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() if exact else orjson.dumps(body)
    )


def _limit_plain(body: dict[str, Any], field: str, output_limit: int | None) -> None:
    if output_limit is not None:
        body[field] = min(body.get(field) or output_limit, output_limit)


def _limit_chat(body: dict[str, Any], endpoint: Endpoint, output_limit: int | None) -> None:
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
