"""The one table from an error's reason to what an OpenAI client sees, and one of management (docs/errors.md).

Status, type and code follow OpenAI's error page; `x-should-retry` and `retry-after` are what the official
SDKs obey, in that order. Inference routes speak OpenAI's envelope, everything else the plain one.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge.rates.headers import refusal_headers
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.money import format_usd

JSON = b"application/json"
# SDKs disagree about longer waits: one sleeps however long, one retries at once, one gives up.
MAX_RETRY_AFTER_S = 60
INTERNAL_MESSAGE = "Something failed inside the gateway. The request id tells the operator what."


@dataclass(frozen=True, slots=True)
class Shape:
    """How one reason looks. `should_retry` None leaves it to the SDK's own rule for the status."""

    status: int
    type: str
    code: str
    should_retry: bool | None = None
    retry_after_s: int | None = None
    # On management routes, where that is another one.
    management: int | None = None

    @property
    def management_status(self) -> int:
        """The status on management routes."""
        return self.status if self.management is None else self.management


_REQUEST = "invalid_request_error"
_SERVER = "server_error"
_BUSY = "service_unavailable_error"
_UNAVAILABLE = Shape(503, _BUSY, "service_unavailable", True, 1)
_INTERNAL = Shape(500, _SERVER, "internal_error", False)


def _managing(status: int) -> Shape:
    """Of management only. A client of the inference routes can't cause it: there it is ours, a plain 500."""
    return replace(_INTERNAL, management=status)


SHAPES: dict[Reason, Shape] = {
    Reason.ERROR_REASON_UNSPECIFIED: _INTERNAL,
    Reason.INVALID_ARGUMENT: Shape(400, _REQUEST, "invalid_value"),
    Reason.NOT_FOUND: Shape(404, _REQUEST, "not_found"),
    Reason.ALREADY_EXISTS: _managing(409),
    Reason.IN_USE: _managing(409),
    Reason.ETAG_MISMATCH: _managing(409),
    Reason.REQUEST_ID_REUSED: _managing(409),
    # Of the edge's own credential, never of the client's key: a 401 would send people looking for a wrong
    # key.
    Reason.UNAUTHENTICATED: replace(_UNAVAILABLE, management=401),
    Reason.INVALID_CREDENTIALS: _managing(401),
    Reason.PERMISSION_DENIED: replace(_UNAVAILABLE, management=403),
    Reason.LOGIN_THROTTLED: _managing(429),
    Reason.INVALID_API_KEY: Shape(401, _REQUEST, "invalid_api_key"),
    Reason.CUSTOMER_SUSPENDED: Shape(403, _REQUEST, "customer_suspended"),
    Reason.MODEL_NOT_ALLOWED: Shape(403, _REQUEST, "model_not_allowed"),
    Reason.MODEL_NOT_PRICED: Shape(400, _REQUEST, "model_not_priced"),
    Reason.ROUTER_WITHOUT_RULES: Shape(400, _REQUEST, "router_without_rules"),
    Reason.GLOBAL_PRICE_EXISTS: _managing(400),
    Reason.ADDRESS_NOT_ALLOWED: Shape(403, _REQUEST, "address_not_allowed"),
    Reason.COST_LIMIT_EXCEEDED: Shape(400, _REQUEST, "cost_limit_exceeded"),
    Reason.INSUFFICIENT_QUOTA: Shape(429, "insufficient_quota", "insufficient_quota", False),
    Reason.BUDGET_HELD: Shape(429, "rate_limit_exceeded", "budget_held", True, 1),
    Reason.GRANT_STALE: _UNAVAILABLE,
    Reason.LEASE_CLOSED: _UNAVAILABLE,
    Reason.INCARNATION_CLOSED: _UNAVAILABLE,
    Reason.RATE_LIMIT_EXCEEDED: Shape(429, "requests", "rate_limit_exceeded", None, 1),
    Reason.REQUEST_EXCEEDS_RATE_LIMIT: Shape(429, "tokens", "rate_limit_exceeded", False),
    # The gateway tried every route already, and some of them may have been billed.
    Reason.ALL_PROVIDERS_FAILED: Shape(502, _SERVER, "all_providers_failed", False),
    Reason.ENDPOINT_NOT_SUPPORTED: Shape(501, _REQUEST, "endpoint_not_supported", False),
    Reason.REQUEST_TOO_LARGE: Shape(413, _REQUEST, "request_too_large"),
    Reason.UPSTREAM_TIMEOUT: Shape(504, _SERVER, "upstream_timeout", False),
    Reason.UPSTREAM_DISCONNECTED: Shape(502, _SERVER, "upstream_disconnected", False),
    Reason.JOURNAL_UNAVAILABLE: Shape(503, _BUSY, "journal_unavailable", True, 1),
    Reason.CIRCUIT_OPEN: Shape(503, _BUSY, "circuit_open", True, 1),
    Reason.METHOD_NOT_ALLOWED: Shape(405, _REQUEST, "method_not_allowed"),
    Reason.UNAVAILABLE: _UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: replace(_UNAVAILABLE, management=504),
    # Nobody knows how far the request came, so nobody should send it again unasked.
    Reason.INTERNAL: _INTERNAL,
    Reason.CLOUDFLARE_NOT_CONFIGURED: _managing(409),
    Reason.CLOUDFLARE_REFUSED: _managing(502),
    Reason.CLOUDFLARE_UNAVAILABLE: _managing(503),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error ready to be sent; header lines but for content type and length."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def render(error: TollkeeperError) -> Rendered:
    """OpenAI's envelope, with what an exact client may want to know under `error.tollkeeper`."""
    shape = SHAPES[error.reason]
    return Rendered(shape.status, retry_headers(error), orjson.dumps({"error": body_of(error)}))


def render_plain(error: TollkeeperError) -> Rendered:
    """The envelope of management and operations: the error is a text. An unknown path and what is unexpected
    have a fixed one (facts of the REST surface)."""
    shape = SHAPES[error.reason]
    status = shape.management_status
    if error.reason == Reason.NOT_FOUND and not error.metadata:
        body: dict[str, str] = {"error": "Not found"}
    elif status == 500:
        body = {"error": "Internal server error"}
    else:
        body = {"error": error.message, "reason": error.reason_name}
    return Rendered(status, _plain_headers(status, shape, error.retry_after_s), orjson.dumps(body))


def _plain_headers(status: int, shape: Shape, retry_after_s: float | None) -> tuple[tuple[bytes, bytes], ...]:
    """HTTP's own; `x-should-retry` is for the SDKs of the inference routes."""
    if status == 401:
        return ((b"www-authenticate", b"Bearer"),)
    wait_s = retry_after_s if retry_after_s is not None else shape.retry_after_s
    if wait_s is None or status not in (429, 503, 504):
        return ()
    return ((b"retry-after", b"%d" % max(1, math.ceil(wait_s))),)


def broken_off() -> TollkeeperError:
    """A stream whose vendor was gone before its end."""
    message = "The provider broke off in the middle of its answer."
    return TollkeeperError(Reason.UPSTREAM_DISCONNECTED, message)


def event(error: TollkeeperError) -> bytes:
    """The last event of a stream that broke. SDKs raise on it; without it a cut answer would look
    complete."""
    return b"data: " + orjson.dumps({"error": body_of(error)}) + b"\n\n"


def body_of(error: TollkeeperError) -> dict[str, Any]:
    """The object under `error`; the four keys of OpenAI's are always there."""
    shape = SHAPES[error.reason]
    metadata = error.metadata
    body: dict[str, Any] = {
        "message": INTERNAL_MESSAGE if shape.code == _INTERNAL.code else _message(error),
        "type": metadata.get("type", shape.type),
        "param": metadata.get("param"),
        "code": metadata.get("code", shape.code),
    }
    details = _DETAILS.get(error.reason)
    if details is not None:
        body["tollkeeper"] = details(metadata)
    return body


def retry_headers(error: TollkeeperError) -> tuple[tuple[bytes, bytes], ...]:
    """`x-should-retry`, `retry-after` and `retry-after-ms`, as SDKs read them, and `x-ratelimit-*` of a
    refusal for a rate."""
    shape = SHAPES[error.reason]
    wait_s = error.retry_after_s if error.retry_after_s is not None else shape.retry_after_s
    if shape.should_retry is False:
        return ((b"x-should-retry", b"false"),)
    if wait_s is None:
        return ()
    seconds = max(1, math.ceil(wait_s))
    headers = [(b"retry-after", b"%d" % seconds)]
    if seconds > MAX_RETRY_AFTER_S:
        return ((b"x-should-retry", b"false"), *headers)
    headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(wait_s * 1000))))
    if shape.should_retry:
        headers.append((b"x-should-retry", b"true"))
    if error.reason == Reason.RATE_LIMIT_EXCEEDED:
        headers += refusal_headers(error.metadata, wait_s)
    return tuple(headers)


def _message(error: TollkeeperError) -> str:
    if error.reason == Reason.INSUFFICIENT_QUOTA and "limit_nanousd" in error.metadata:
        return quota_message(error.metadata)
    return error.message


def quota_message(metadata: dict[str, str]) -> str:
    """What stands against this request, in words: whose budget, how much, until when, and what would fit."""
    scope, limit, spent = (
        metadata.get("scope", "key"),
        metadata["limit_nanousd"],
        metadata.get("spent_nanousd", "0"),
    )
    parts = [f"The budget of this {scope} is ${_usd(limit)} and ${_usd(spent)} of it is spent."]
    if "hold_nanousd" in metadata:
        parts.append(f"This request may cost up to ${_usd(metadata['hold_nanousd'])}, which no longer fits.")
    largest = metadata.get("largest_max_tokens")
    if largest is not None:
        parts.append(
            f"With max_tokens up to {largest} it would fit." if largest != "0" else "No output would fit."
        )
    reset_time = metadata.get("reset_time")
    parts.append(
        f"The budget resets at {reset_time}." if reset_time else "The budget does not reset by itself."
    )
    return " ".join(parts)


def _quota_details(metadata: dict[str, str]) -> dict[str, Any]:
    largest = metadata.get("largest_max_tokens")
    return {
        "scope": metadata.get("scope"),
        "scope_id": metadata.get("scope_id"),
        "limit_usd": _usd_or_none(metadata.get("limit_nanousd")),
        "spent_usd": _usd_or_none(metadata.get("spent_nanousd")),
        "held_usd": _usd_or_none(metadata.get("held_nanousd")),
        "hold_usd": _usd_or_none(metadata.get("hold_nanousd")),
        "reset_time": metadata.get("reset_time") or None,
        "largest_max_tokens": int(largest) if largest is not None else None,
    }


def _cost_limit_details(metadata: dict[str, str]) -> dict[str, Any]:
    largest = metadata.get("largest_max_tokens")
    return {
        "limit_usd": _usd_or_none(metadata.get("limit_nanousd")),
        "hold_usd": _usd_or_none(metadata.get("hold_nanousd")),
        "largest_max_tokens": int(largest) if largest is not None else None,
    }


def _attempt_details(metadata: dict[str, str]) -> dict[str, Any]:
    return {"attempts": orjson.Fragment(metadata.get("attempts", "[]"))}


_DETAILS = {
    Reason.INSUFFICIENT_QUOTA: _quota_details,
    Reason.BUDGET_HELD: _quota_details,
    Reason.COST_LIMIT_EXCEEDED: _cost_limit_details,
    Reason.ALL_PROVIDERS_FAILED: _attempt_details,
}


def _usd(nanousd: str) -> str:
    return format_usd(int(nanousd))


def _usd_or_none(nanousd: str | None) -> str | None:
    return _usd(nanousd) if nanousd else None
