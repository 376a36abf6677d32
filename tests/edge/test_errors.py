"""The table from reasons to HTTP answers, and the words of a refusal."""

import orjson
import pytest

from edge.errors import SHAPES, event, render, render_plain
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import error_reason_pb2


def test_every_reason_has_a_shape() -> None:
    """A reason added to the contract can't be forgotten here."""
    assert set(SHAPES) == set(error_reason_pb2.ErrorReason.values())


@pytest.mark.parametrize(
    ("reason", "status", "kind", "code", "headers"),
    [
        (Reason.INVALID_ARGUMENT, 400, "invalid_request_error", "invalid_value", {}),
        (Reason.INVALID_API_KEY, 401, "invalid_request_error", "invalid_api_key", {}),
        (Reason.CUSTOMER_SUSPENDED, 403, "invalid_request_error", "customer_suspended", {}),
        (Reason.MODEL_NOT_ALLOWED, 403, "invalid_request_error", "model_not_allowed", {}),
        (Reason.MODEL_NOT_PRICED, 400, "invalid_request_error", "model_not_priced", {}),
        (Reason.ROUTER_WITHOUT_RULES, 400, "invalid_request_error", "router_without_rules", {}),
        (Reason.NOT_FOUND, 404, "invalid_request_error", "not_found", {}),
        (Reason.METHOD_NOT_ALLOWED, 405, "invalid_request_error", "method_not_allowed", {}),
        (Reason.REQUEST_TOO_LARGE, 413, "invalid_request_error", "request_too_large", {}),
        (
            Reason.INSUFFICIENT_QUOTA,
            429,
            "insufficient_quota",
            "insufficient_quota",
            {"x-should-retry": "false"},
        ),
        (
            Reason.BUDGET_HELD,
            429,
            "rate_limit_exceeded",
            "budget_held",
            {"retry-after": "1", "retry-after-ms": "1000", "x-should-retry": "true"},
        ),
        (
            Reason.ALL_PROVIDERS_FAILED,
            502,
            "server_error",
            "all_providers_failed",
            {"x-should-retry": "false"},
        ),
        (
            Reason.ENDPOINT_NOT_SUPPORTED,
            501,
            "invalid_request_error",
            "endpoint_not_supported",
            {"x-should-retry": "false"},
        ),
        (
            Reason.UNAVAILABLE,
            503,
            "service_unavailable_error",
            "service_unavailable",
            {"retry-after": "1", "retry-after-ms": "1000", "x-should-retry": "true"},
        ),
        (Reason.INTERNAL, 500, "server_error", "internal_error", {"x-should-retry": "false"}),
    ],
)
def test_openai_envelope(reason: Reason, status: int, kind: str, code: str, headers: dict[str, str]) -> None:
    """Status, type, code and retry headers of each reason a client can meet."""
    rendered = render(TollkeeperError(reason, "Text."))
    error = orjson.loads(rendered.body)["error"]

    assert (rendered.status, error["type"], error["code"]) == (status, kind, code)
    assert {name.decode(): value.decode() for name, value in rendered.headers} == headers
    assert {"message", "type", "param", "code"} <= set(error)


@pytest.mark.parametrize(
    ("wait_s", "headers"),
    [
        (0.2, {"retry-after": "1", "retry-after-ms": "200"}),
        (1.73, {"retry-after": "2", "retry-after-ms": "1730"}),
        (60, {"retry-after": "60", "retry-after-ms": "60000"}),
        (61, {"retry-after": "61", "x-should-retry": "false"}),
    ],
)
def test_waits_are_whole_seconds_and_long_ones_are_no_retry(wait_s: float, headers: dict[str, str]) -> None:
    """SDKs disagree about waits above a minute, so they are told not to retry."""
    rendered = render(TollkeeperError(Reason.RATE_LIMIT_EXCEEDED, "Slow down.", retry_after_s=wait_s))

    assert {name.decode(): value.decode() for name, value in rendered.headers} == headers


def test_internal_tells_nothing() -> None:
    """Whatever went wrong inside stays inside."""
    body = render(TollkeeperError(Reason.INTERNAL, "password=hunter2 in line 3")).body

    assert b"hunter2" not in body


def test_quota_in_words_and_fields() -> None:
    """A refusal says whose budget, how much of it is spent, until when, and what would fit."""
    metadata = {
        "scope": "team",
        "scope_id": "t1",
        "limit_nanousd": "10000000",
        "spent_nanousd": "9800000",
        "held_nanousd": "0",
        "fits_nanousd": "200000",
        "hold_nanousd": "500000",
        "reset_time": "2026-12-01T00:00:00Z",
        "largest_max_tokens": "12",
    }
    error = orjson.loads(render(TollkeeperError(Reason.INSUFFICIENT_QUOTA, "", metadata)).body)["error"]

    assert error["message"] == (
        "The budget of this team is $0.01 and $0.0098 of it is spent. This request may cost up to $0.0005, "
        "which no longer fits. With max_tokens up to 12 it would fit. "
        "The budget resets at 2026-12-01T00:00:00Z."
    )
    assert error["tollkeeper"] == {
        "scope": "team",
        "scope_id": "t1",
        "limit_usd": "0.01",
        "spent_usd": "0.0098",
        "held_usd": "0.00",
        "hold_usd": "0.0005",
        "reset_time": "2026-12-01T00:00:00Z",
        "largest_max_tokens": 12,
    }


def test_quota_that_never_resets_and_fits_nothing() -> None:
    """The two other endings of the sentence."""
    metadata = {"scope": "key", "limit_nanousd": "1", "spent_nanousd": "1", "largest_max_tokens": "0"}
    message = orjson.loads(render(TollkeeperError(Reason.INSUFFICIENT_QUOTA, "", metadata)).body)["error"][
        "message"
    ]

    assert message.endswith("No output would fit. The budget does not reset by itself.")


def test_attempts_are_listed() -> None:
    """Provider and status of each attempt, as a list."""
    metadata = {"attempts": '[{"provider":"a","status":503,"why":"upstream_error"}]'}
    error = orjson.loads(render(TollkeeperError(Reason.ALL_PROVIDERS_FAILED, "x", metadata)).body)["error"]

    assert error["tollkeeper"] == {"attempts": [{"provider": "a", "status": 503, "why": "upstream_error"}]}


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        (Reason.NOT_FOUND, {"error": "Not found"}),
        (Reason.INTERNAL, {"error": "Internal server error"}),
        (Reason.METHOD_NOT_ALLOWED, {"error": "Text.", "reason": "METHOD_NOT_ALLOWED"}),
    ],
)
def test_plain_envelope(reason: Reason, body: dict[str, str]) -> None:
    """Outside inference the error is a text."""
    assert orjson.loads(render_plain(TollkeeperError(reason, "Text.")).body) == body


def test_last_event_of_a_broken_stream() -> None:
    """One data event that SDKs raise on, and no [DONE]."""
    last = event(TollkeeperError(Reason.UPSTREAM_DISCONNECTED, "Broke off."))

    assert last.startswith(b"data: {")
    assert last.endswith(b"}\n\n")
    assert b"[DONE]" not in last
    assert orjson.loads(last[6:])["error"]["code"] == "upstream_disconnected"
