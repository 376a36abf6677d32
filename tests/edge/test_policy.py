"""What the end of an attempt means for the next one, and for money."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.upstream.failures import (
    AddressRefused,
    BadAnswer,
    BrokenBody,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    NotSent,
    SentButNoAnswer,
    TotalTimeout,
    TransportError,
)
from edge.upstream.faults import MAX_ERROR_BYTES, hidden_fault, retry_after_s
from edge.upstream.policy import failure_word, judge_failure, judge_status
from edge.upstream.refusal import presentable
from tollkeeper.conditions import Failure

ERROR = b'{"error":{"message":"no","type":"server_error"}}'
AIG_2005 = (
    b'{"success":false,"result":[],"messages":[],"error":[{"code":2005,"message":"Failed to get response'
    b' from provider"}],"name":"AiGatewayError","httpCode":400,"internalCode":2005,"message":"Failed to get'
    b' response from provider","description":"x"}'
)
AIG_2009 = (
    b'{"success":false,"error":[{"code":2009,"message":"Unauthorized"}],"name":"AiGatewayError",'
    b'"internalCode":2009,"message":"Unauthorized"}'
)


AIG = '{"success":false,"error":[{"code":%d,"message":"x"}],"name":"AiGatewayError","internalCode":%d}'


def gateway(code: int) -> bytes:
    """Cloudflare's own error."""
    return (AIG % (code, code)).encode()


def workers_ai(code: int) -> bytes:
    """Workers AI's, as the gateway passes them on."""
    return orjson.dumps({"name": "AiError", "internalCode": code, "message": "AiError: no", "requestId": "1"})


def openai(code: str, kind: str = "requests") -> bytes:
    """OpenAI's."""
    return orjson.dumps({"error": {"message": "no", "type": kind, "param": None, "code": code}})


def anthropic(kind: str, error_code: str | None = None) -> bytes:
    """Anthropic's."""
    error: dict[str, Any] = {"type": kind, "message": "no"}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    return orjson.dumps({"type": "error", "error": error, "request_id": "req_1"})


def google(status: str, *details: dict[str, Any], code: int = 429, listed: bool = False) -> bytes:
    """Google's, alone or as the one element of a list."""
    error = {"error": {"code": code, "message": "no", "status": status, "details": list(details)}}
    return orjson.dumps([error] if listed else error)


PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}
PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
DELAY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
SPENT = b'{"success":false,"error":{"message":"Spending limit exceeded","bucket":"b","spent":2,"limit":1}}'

Row = tuple[bool, bool, bool, bool, str]
# Next rule, again, sick, void, why.
REFUSED: Row = (False, False, False, True, "refused")
QUOTA: Row = (False, False, False, True, "provider_quota")
CREDENTIAL: Row = (False, False, False, True, "provider_credential")
LIMITED: Row = (True, True, False, True, "rate_limited")
USED_UP: Row = (True, False, False, True, "provider_quota")
FREE_ERROR: Row = (True, True, True, True, "upstream_error")
MAYBE_BILLED: Row = (True, True, True, False, "upstream_error")
TIMEOUT: Row = (True, False, True, False, "upstream_timeout")
GATEWAY_FAILED: Row = (True, True, True, False, "gateway_2005")


@pytest.mark.parametrize(
    ("status", "body", "row"),
    [
        (400, ERROR, REFUSED),
        (403, b"error code: 1010", REFUSED),
        (403, b'{"success":false,"error":{"message":"Access denied by policy"}}', REFUSED),
        (404, ERROR, REFUSED),
        (413, b"", REFUSED),
        (422, ERROR, REFUSED),
        (401, ERROR, CREDENTIAL),
        (401, anthropic("authentication_error"), CREDENTIAL),
        (400, google("INVALID_ARGUMENT", BAD_KEY, code=400), CREDENTIAL),
        (400, google("INVALID_ARGUMENT", BAD_KEY, code=400, listed=True), CREDENTIAL),
        (400, google("INVALID_ARGUMENT", code=400), REFUSED),
        (402, b'{"error":{"message":"Insufficient balance","type":"gateway_error","code":null}}', QUOTA),
        (402, anthropic("billing_error"), QUOTA),
        (402, google("RESOURCE_EXHAUSTED", code=402), QUOTA),
        (400, anthropic("invalid_request_error", "enforced_spend_limit_reached"), QUOTA),
        (429, openai("rate_limit_exceeded"), LIMITED),
        (429, openai("slow_down"), LIMITED),
        (429, b"", LIMITED),
        (429, openai("insufficient_quota", "insufficient_quota"), USED_UP),
        (429, openai("organization_spend_limit_exceeded"), USED_UP),
        (429, openai("credit_balance_exhausted"), USED_UP),
        (429, anthropic("rate_limit_error"), USED_UP),
        (429, google("RESOURCE_EXHAUSTED", PER_MINUTE, DELAY), LIMITED),
        (429, google("RESOURCE_EXHAUSTED", PER_MINUTE, DELAY, listed=True), LIMITED),
        (429, google("RESOURCE_EXHAUSTED", PER_DAY, DELAY), USED_UP),
        (429, google("RESOURCE_EXHAUSTED", PER_DAY, DELAY, listed=True), USED_UP),
        (429, SPENT, USED_UP),
        (429, gateway(2003), LIMITED),
        (429, gateway(2041), USED_UP),
        (429, gateway(2045), USED_UP),
        (429, workers_ai(4006), USED_UP),
        (429, workers_ai(3040), LIMITED),
        (400, workers_ai(5007), REFUSED),
        (408, workers_ai(3007), TIMEOUT),
        (500, workers_ai(5000), FREE_ERROR),
        (418, b"", (False, False, False, False, "unexpected_status")),
        (499, b"", (False, False, False, False, "upstream_timeout")),
        (499, google("CANCELLED", code=499), (False, False, False, False, "upstream_timeout")),
        (408, ERROR, TIMEOUT),
        (504, ERROR, TIMEOUT),
        (504, google("DEADLINE_EXCEEDED", code=504), TIMEOUT),
        (504, anthropic("timeout_error"), TIMEOUT),
        (524, b"<html>", TIMEOUT),
        (302, b"", (True, False, False, True, "refused")),
        (400, AIG_2005, GATEWAY_FAILED),
        (400, b'{"error":[{"code":2005}]}', GATEWAY_FAILED),
        (400, b'{"error":{"code":2005}}', GATEWAY_FAILED),
        (400, b'{"error":"about 2005"}', REFUSED),
        (400, b'{"error":[2005]}', REFUSED),
        (400, b"[2005]", REFUSED),
        (400, b"2005 not json", REFUSED),
        (400, gateway(2001), REFUSED),
        (400, gateway(2008), REFUSED),
        (400, gateway(2019), REFUSED),
        (401, gateway(2009), CREDENTIAL),
        (400, gateway(2009), CREDENTIAL),
        (400, gateway(2040), CREDENTIAL),
        (402, gateway(2021), QUOTA),
        (424, gateway(2016), (False, False, False, True, "blocked")),
        (400, gateway(2029), (False, False, False, True, "blocked")),
        (424, gateway(2017), (False, False, False, False, "blocked")),
        (400, gateway(2030), (False, False, False, False, "blocked")),
        (503, gateway(7013), (True, False, False, False, "upstream_error")),
        (500, ERROR, FREE_ERROR),
        (500, google("INTERNAL", code=500, listed=True), FREE_ERROR),
        (503, google("UNAVAILABLE", code=503), FREE_ERROR),
        (503, openai("server_is_overloaded", "service_unavailable_error"), FREE_ERROR),
        (529, anthropic("overloaded_error"), FREE_ERROR),
        (529, b"", MAYBE_BILLED),
        (500, b"", MAYBE_BILLED),
        (502, b"<html>", MAYBE_BILLED),
        (500, b'{"error":null}', MAYBE_BILLED),
        (500, b" " * MAX_ERROR_BYTES + ERROR, MAYBE_BILLED),
        (520, b"error code: 520", MAYBE_BILLED),
        (522, ERROR, MAYBE_BILLED),
        (501, ERROR, (True, False, False, True, "upstream_error")),
        (505, ERROR, (True, False, False, False, "upstream_error")),
    ],
)
def test_a17_statuses(status: int, body: bytes, row: Row) -> None:
    """The table of edge.upstream.policy, row by row, with each vendor's own bodies."""
    found = judge_status(status, body)
    assert (found.failover, found.again, found.sick, found.void, found.why) == row
    kinds = {429: Failure.RATE_LIMIT, 408: Failure.TIMEOUT, 504: Failure.TIMEOUT, 524: Failure.TIMEOUT}
    assert found.failure is (kinds.get(status, Failure.OTHER) if found.failover else Failure.REFUSED)


@pytest.mark.parametrize(
    ("body", "header", "again", "wait_s"),
    [
        (openai("rate_limit_exceeded"), None, True, None),
        (openai("rate_limit_exceeded"), 2.0, True, 2.0),
        (google("RESOURCE_EXHAUSTED", PER_MINUTE, DELAY), None, True, 34.0),
        (google("RESOURCE_EXHAUSTED", {"retryDelay": "soon"}), None, True, None),
        # Anthropic says when to come back, but for a spend limit.
        (anthropic("rate_limit_error"), 7.0, True, 7.0),
        (anthropic("rate_limit_error"), None, False, None),
        (openai("insufficient_quota"), 2.0, False, None),
    ],
)
def test_rate_limits(body: bytes, header: float | None, again: bool, wait_s: float | None) -> None:
    """How long to wait, by header or body, and which 429 no wait helps against."""
    found = judge_status(429, body, header)
    assert (found.again, found.retry_after_s, found.failure) == (again, wait_s, Failure.RATE_LIMIT)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        ([(b"retry-after", b"3")], 3.0),
        ([(b"retry-after", b"0.5")], 0.5),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"3")], 0.25),
        ([(b"retry-after", b"-3")], 0.0),
        ([(b"retry-after", b"Sun, 22 Nov 2026 07:00:09 GMT")], 9.0),
        ([(b"retry-after", b"Sun, 22 Nov 2026 06:00:00 GMT")], 0.0),
        ([(b"retry-after", b"in a while")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
    ],
)
def test_retry_after(headers: list[tuple[bytes, bytes]], wait_s: float | None) -> None:
    """Milliseconds, seconds or a date."""
    assert retry_after_s(headers, 1_795_330_800.0) == wait_s


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b'{"id":"chatcmpl-1","object":"chat.completion","error":null}', None),
        (b'{"error":null,"choices":[]}', None),
        (b'data: {"id":"x","choices":[]}\n\n', None),
        (b"event: message_start\ndata: {}\n\n", None),
        (b'data: {"error":{"message":"cut off', None),
        (b"", None),
        (b'{"error":{"message":"no","code":502}}', 502),
        (b'[{\n  "error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]', 429),
        (b'data: {"error":{"message":"no","type":"server_error"}}\n\n', 500),
        (b'data: {"error":{"message":"no","type":"invalid_request_error"}}\n\n', 400),
        (b'data: {"error":{"message":"no","type":"nonsense"}}\n\n', 0),
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n', 529),
        (b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"m"}\n\n', 429),
        (b'event: error\r\ndata: {"type":"error","error":{"type":"rate_limit_error"}}\r\n\r\n', 429),
    ],
)
def test_errors_in_place_of_an_answer(data: bytes, status: int | None) -> None:
    """What a success begins with, and the status that it stands for; 0: it doesn't say."""
    fault = hidden_fault(data)
    assert fault.is_error is (status is not None)
    assert fault.status == (status or 0)


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_body_is_judged(body: bytes, status: int) -> None:
    """Bodies come from anywhere."""
    judge_status(status, body)
    judge_status(status, b'{"error":' + body)
    hidden_fault(body)


_NAMES = ["error", "code", "type", "details", "violations", "quotaId", "retryDelay", "status"]
_JSON = st.recursive(
    st.none() | st.integers(-5, 3000) | st.text(max_size=8) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.integers(300, 599))
def test_any_json_is_judged(value: object, status: int) -> None:
    """Whatever type stands where another was expected."""
    judge_status(status, orjson.dumps(value))
    hidden_fault(orjson.dumps({"error": value}))


@pytest.mark.parametrize(
    ("failure", "row", "word"),
    [
        (ConnectFailed("10.0.0.1"), (True, True, True, True, "not_sent"), "connect_failed"),
        (AddressRefused("10.0.0.1"), (True, False, False, True, "not_sent"), "address_refused"),
        (NotSent("busy"), (True, False, False, True, "not_sent"), "not_sent"),
        (SentButNoAnswer("gone"), (True, True, True, False, "upstream_cut"), "disconnected"),
        (BadAnswer("?"), (True, True, True, False, "upstream_cut"), "bad_answer"),
        (FirstByteTimeout("late"), TIMEOUT, "timeout"),
        (BrokenBody("cut"), (True, True, True, False, "upstream_cut"), "disconnected"),
        (IdleTimeout("silent"), TIMEOUT, "timeout"),
        (TotalTimeout("over"), (False, False, False, False, "deadline"), "deadline"),
    ],
)
def test_a17_failures(failure: TransportError, row: Row, word: str) -> None:
    """Void only when not one byte was sent; clients get a word, never an address."""
    found = judge_failure(failure)
    assert (found.failover, found.again, found.sick, found.void, found.why) == row
    assert failure_word(failure) == word


def test_a_vendors_refusal_is_passed_on_as_it_is() -> None:
    """Status, type and bytes are the vendor's."""
    assert presentable(404, b"text/html", b"<p>no</p>", True) == (b"text/html", b"<p>no</p>")


def test_the_gateways_own_refusal_is_made_readable() -> None:
    """SDKs can't read an `error` that is a list."""
    media_type, body = presentable(401, b"text/plain", AIG_2009, True)

    assert media_type == b"application/json"
    assert body == (
        b'{"error":{"message":"Cloudflare AI Gateway: Unauthorized","type":"gateway_error","param":null,'
        b'"code":"cloudflare_2009"}}'
    )


def test_only_the_gateway_speaks_for_the_gateway() -> None:
    """A vendor that is called directly may say what it likes."""
    assert presentable(401, b"x/y", AIG_2009, False) == (b"x/y", AIG_2009)


@pytest.mark.parametrize(
    "quoted", ["sk-proj-abc123***xyz", "gsk_abcdef123", "Bearer abcdefghij", "AIzaSyA-123456789"]
)
def test_a_refused_credential_is_not_quoted(quoted: str) -> None:
    """It is the provider's, and none of the client's business."""
    body = f'{{"error":{{"message":"Incorrect API key provided: {quoted}."}}}}'.encode()

    assert quoted.encode() not in presentable(401, b"application/json", body, False)[1]
