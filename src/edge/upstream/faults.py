"""What vendors' and Cloudflare's error bodies say, whichever shape they come in.

| shape | of |
| --- | --- |
| `{"error": {"message", "type", "param", "code"}}` | OpenAI and all that follow it |
| `{"type": "error", "error": {"type", "message", "details": {"error_code"}}}` | Anthropic |
| `{"error": {"code": 429, "status", "details": […]}}`, also as the one element of a list | Google |
| `{"name": "AiGatewayError", "internalCode", "error": [{"code", "message"}]}` | Cloudflare's gateway |
| `{"success": false, "error": {"message", "bucket"?}}` | Cloudflare's policies |
| `{"name": "AiError", "internalCode", "httpCode", "message"}` | Workers AI |
| `{"type": "error", "code", "message", "param"}` | an event of OpenAI's Responses API |

A success may hide one: `error` as the first event of a stream, or in place of a whole answer (OpenRouter,
Azure, Anthropic). Nothing is taken for granted about types: these bodies come from anywhere.
"""

from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, NamedTuple

import orjson

# Error bodies are small; a larger one is passed on and not looked into.
MAX_ERROR_BYTES = 65_536
# Where an answer that is an error says so.
_BEGINNING_BYTES = 32
# How most answers begin.
_ANSWERS = (b'{"id"', b'data: {"id"', b"event: message_start", b'{\n  "id"')

# Codes and types of accounts that are used up: no wait helps, only money (OpenAI's, Anthropic's, DeepSeek's).
_EXHAUSTED = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "insufficient_balance",
    }
)
# Statuses for errors that come without one, by type (Anthropic's and OpenAI's tables).
_STATUS_OF_TYPE = {
    "overloaded_error": 529,
    "api_error": 500,
    "server_error": 500,
    "service_unavailable_error": 503,
    "timeout_error": 504,
    "authentication_error": 401,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
}


class Fault(NamedTuple):
    """One error body. All empty: it isn't one."""

    is_error: bool = False
    """There is an error object."""
    gateway_code: int = 0
    """Cloudflare's own; 0: the vendor's error."""
    words: frozenset[str] = frozenset()
    """Types, codes and reasons in it, in lower case."""
    exhausted: bool = False
    """The provider's account is used up, or its quota for the day."""
    retry_after_s: float | None = None
    """In the body, as Google has it."""
    status: int = 0
    """The HTTP status that it stands for, where it says so."""
    is_anthropic: bool = False


NOTHING = Fault()


def fault_of(body: bytes) -> Fault:
    """What a body says of its error; `NOTHING` where it can't be read."""
    if len(body) > MAX_ERROR_BYTES:
        return NOTHING
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NOTHING
    if type(parsed) is list and parsed:
        parsed = parsed[0]
    if type(parsed) is not dict:
        return NOTHING
    is_event = parsed.get("type") == "error"
    error = parsed if is_event and "error" not in parsed else parsed.get("error")
    first = error[0] if type(error) is list and error else error
    fields: dict[str, Any] = first if type(first) is dict else {}
    words = frozenset(
        text.lower()
        for text in (fields.get("type"), fields.get("code"), fields.get("status"), *_reasons(fields))
        if type(text) is str
    )
    return Fault(
        is_error=bool(error) or parsed.get("name") == "AiError",
        gateway_code=_gateway_code(parsed, fields),
        words=words,
        exhausted=not words.isdisjoint(_EXHAUSTED) or "bucket" in fields or _is_daily(fields),
        retry_after_s=_delay_s(fields),
        status=_status(fields, words),
        is_anthropic=is_event and error is not parsed,
    )


def gateway_error(body: bytes) -> dict[str, Any] | None:
    """The error that Cloudflare's gateway itself answered with; None for a vendor's."""
    if b"AiGatewayError" not in body:
        return None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if type(parsed) is dict and parsed.get("name") == "AiGatewayError" else None


def hidden_fault(data: bytes) -> Fault:
    """The error that a success begins with; `NOTHING` where it begins with an answer."""
    if data.startswith(_ANSWERS):
        return NOTHING
    beginning = data[:_BEGINNING_BYTES]
    if b'"error"' not in beginning and not beginning.startswith(b"event: error"):
        return NOTHING
    text = data
    if beginning.lstrip()[:1] not in (b"{", b"["):
        lines = [line[5:] for line in data.splitlines() if line.startswith(b"data:")]
        text = lines[0] if lines else b""
    fault = fault_of(text)
    # An answer may have an empty error beside what it says (the Responses API).
    return fault if fault.is_error else NOTHING


def retry_after_s(headers: list[tuple[bytes, bytes]], now_s: float) -> float | None:
    """What the headers of a refusal say, in the order SDKs read them; `now_s` is the time of day."""
    named = dict(headers)
    for name, unit_s in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = named.get(name)
        if value is not None:
            try:
                wait_s = float(value) * unit_s
            except ValueError:
                return _until(value, now_s)
            return max(0.0, wait_s) if isfinite(wait_s) else None
    return None


def forbids_retry(headers: list[tuple[bytes, bytes]]) -> bool:
    """What vendors tell their SDKs."""
    return (b"x-should-retry", b"false") in headers


def _until(value: bytes, now_s: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(value.decode("latin-1")).timestamp() - now_s)
    except ValueError:
        return None


def _gateway_code(parsed: dict[str, Any], fields: dict[str, Any]) -> int:
    """Of Cloudflare's envelopes; older ones have it in the list only."""
    code = parsed.get("internalCode")
    if type(code) is not int and type(parsed.get("error")) is list:
        code = fields.get("code")
    if type(code) is not int and fields.get("code") == 2005:
        code = 2005
    return code if type(code) is int else 0


def _reasons(fields: dict[str, Any]) -> list[object]:
    """Anthropic's `details.error_code`, Google's `details[].reason`."""
    details = fields.get("details")
    if type(details) is dict:
        return [details.get("error_code")]
    return [each.get("reason") for each in _list(details)]


def _is_daily(fields: dict[str, Any]) -> bool:
    """Google's quota for the day is used up: RetryInfo beside it is about the minute."""
    violations = [each for detail in _list(fields.get("details")) for each in _list(detail.get("violations"))]
    quotas = [each.get("quotaId") for each in violations]
    return any(type(quota) is str and "PerDay" in quota for quota in quotas)


def _delay_s(fields: dict[str, Any]) -> float | None:
    """Google's RetryInfo: `"34s"`."""
    for detail in _list(fields.get("details")):
        delay = detail.get("retryDelay")
        if type(delay) is str and delay.endswith("s"):
            try:
                wait_s = float(delay[:-1])
            except ValueError:
                return None
            return max(0.0, wait_s) if isfinite(wait_s) else None
    return None


def _status(fields: dict[str, Any], words: frozenset[str]) -> int:
    code = fields.get("code")
    if type(code) is int and 400 <= code <= 599:
        return code
    return next((_STATUS_OF_TYPE[word] for word in words if word in _STATUS_OF_TYPE), 0)


def _list(value: object) -> list[dict[str, Any]]:
    return [each for each in value if type(each) is dict] if type(value) is list else []
