"""What the end of an attempt means for the next one, and for money."""

import pytest

from edge.upstream.failures import (
    AddressRefused,
    BadAnswer,
    BrokenBody,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    NotSent,
    SentButNoAnswer,
    TransportError,
)
from edge.upstream.policy import MAX_ERROR_BYTES, Verdict, failure_word, judge_failure, judge_status
from edge.upstream.refusal import presentable

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


@pytest.mark.parametrize(
    ("status", "body", "failover", "void", "why"),
    [
        (400, ERROR, False, True, "refused"),
        (401, ERROR, False, True, "refused"),
        (403, b"error code: 1010", False, True, "refused"),
        (404, ERROR, False, True, "refused"),
        (413, b"", False, True, "refused"),
        (422, ERROR, False, True, "refused"),
        (418, b"", False, False, "unexpected_status"),
        (499, b"", False, False, "upstream_timeout"),
        (408, ERROR, True, False, "upstream_timeout"),
        (429, ERROR, True, True, "refused"),
        (302, b"", True, True, "refused"),
        (400, AIG_2005, True, False, "gateway_2005"),
        (400, b'{"error":[{"code":2005}]}', True, False, "gateway_2005"),
        (400, b'{"error":{"code":2005}}', True, False, "gateway_2005"),
        (400, b'{"error":"about 2005"}', False, True, "refused"),
        (400, b'{"error":[2005]}', False, True, "refused"),
        (400, b"[2005]", False, True, "refused"),
        (400, b"2005 not json", False, True, "refused"),
        (400, b'{"error":[{"code":2019}],"name":"AiGatewayError"}', False, True, "refused"),
        (500, ERROR, True, True, "upstream_error"),
        (500, b"", True, False, "upstream_error"),
        (502, b"<html>", True, False, "upstream_error"),
        (503, ERROR, True, True, "upstream_error"),
        (529, ERROR, True, True, "upstream_error"),
        (500, b'{"error":null}', True, False, "upstream_error"),
        (500, b" " * MAX_ERROR_BYTES + ERROR, True, False, "upstream_error"),
        (504, ERROR, True, False, "upstream_timeout"),
        (522, ERROR, True, False, "upstream_error"),
        (524, ERROR, True, False, "upstream_timeout"),
    ],
)
def test_statuses(status: int, body: bytes, failover: bool, void: bool, why: str) -> None:
    """The table of edge.upstream.policy, row by row."""
    assert judge_status(status, body) == Verdict(failover, void, why)


@pytest.mark.parametrize(
    ("failure", "void", "why", "word"),
    [
        (ConnectFailed("10.0.0.1"), True, "not_sent", "connect_failed"),
        (AddressRefused("10.0.0.1"), True, "not_sent", "address_refused"),
        (NotSent("busy"), True, "not_sent", "not_sent"),
        (SentButNoAnswer("gone"), False, "upstream_cut", "disconnected"),
        (BadAnswer("?"), False, "upstream_cut", "bad_answer"),
        (FirstByteTimeout("late"), False, "upstream_timeout", "timeout"),
        (BrokenBody("cut"), False, "upstream_cut", "disconnected"),
        (IdleTimeout("silent"), False, "upstream_timeout", "timeout"),
    ],
)
def test_failures(failure: TransportError, void: bool, why: str, word: str) -> None:
    """Void only when not one byte was sent; clients get a word, never an address."""
    assert judge_failure(failure) == Verdict(failover=True, void=void, why=why)
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
