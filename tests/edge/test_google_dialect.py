"""Our errors in Google's shape."""

import orjson
import pytest

from edge.dialects.google import GOOGLE, GOOGLE_ARRAY
from edge.errors import SHAPES
from tollkeeper.errors import Reason, TollkeeperError


def _error(reason: Reason, retry_after_s: float | None = None, **metadata: str) -> TollkeeperError:
    return TollkeeperError(reason, "told", metadata, retry_after_s=retry_after_s)


@pytest.mark.parametrize("reason", SHAPES)
def test_every_reason(reason: Reason) -> None:
    """The status as everywhere, a name of Google's for it, and our reason in an ErrorInfo."""
    rendered = GOOGLE.render(_error(reason))
    error = orjson.loads(rendered.body)["error"]
    assert rendered.status == error["code"] == SHAPES[reason].status
    assert error["status"] != "UNKNOWN"
    info = error["details"][0]
    assert info["domain"] == "tollkeeper"
    assert info["reason"].isupper()


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (_error(Reason.RATE_LIMIT_EXCEEDED, 2.2), "3s"),
        (_error(Reason.UNAVAILABLE), "1s"),
        (_error(Reason.INSUFFICIENT_QUOTA), None),
        (_error(Reason.INVALID_API_KEY), None),
    ],
)
def test_when_to_ask_again(error: TollkeeperError, delay: str | None) -> None:
    """Google's clients look for it in the body, not in a header."""
    details = orjson.loads(GOOGLE.render(error).body)["error"]["details"]
    assert [each.get("retryDelay") for each in details[1:]] == ([] if delay is None else [delay])


def test_money_is_told() -> None:
    """As texts, which is all that an ErrorInfo holds."""
    error = _error(Reason.INSUFFICIENT_QUOTA, limit_nanousd="1000", spent_nanousd="900", scope="key")
    metadata = orjson.loads(GOOGLE.render(error).body)["error"]["details"][0]["metadata"]
    assert metadata["scope"] == "key"
    assert all(type(value) is str for value in metadata.values())


def test_the_last_event() -> None:
    """Bare JSON; an array is cut instead."""
    error = _error(Reason.UPSTREAM_DISCONNECTED)
    assert orjson.loads(GOOGLE.event(error))["error"]["status"] == "UNAVAILABLE"
    assert GOOGLE_ARRAY.event(error) == b""
