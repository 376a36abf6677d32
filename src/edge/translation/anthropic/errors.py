"""Anthropic's errors in OpenAI's envelope."""

from typing import Any

import orjson

from edge.translation.openai_answer import error_body

# Type to OpenAI's type and code; what isn't here keeps its own name.
_KINDS: dict[str, tuple[str, str | None]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("requests", "rate_limit_exceeded"),
    "overloaded_error": ("service_unavailable_error", "server_is_overloaded"),
    "api_error": ("server_error", None),
    "timeout_error": ("server_error", "upstream_timeout"),
}


def translated(body: bytes) -> bytes | None:
    """The body of a refusal in OpenAI's envelope; None when it isn't Anthropic's."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(parsed) is not dict or type(parsed.get("error")) is not dict:
        return None
    return envelope(parsed["error"])


def envelope(error: dict[str, Any]) -> bytes:
    """An error object in OpenAI's envelope."""
    kind, message = error.get("type"), error.get("message")
    name = kind if type(kind) is str else "server_error"
    openai_kind, code = _KINDS.get(name, (name, None))
    return error_body(message if type(message) is str else "The provider gave no reason.", openai_kind, code)
