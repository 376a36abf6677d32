"""What a request is counted for before anybody knows, and after."""

from typing import Any

import orjson
import pytest

from edge.call import Call
from edge.families import chat, embeddings, speech
from edge.rates.estimate import likely_tokens, used_tokens
from edge.rates.headers import go_duration
from tollkeeper.v1.edge_pb2 import Attempt, Usage, UsageRecord, UsageState

VOIDED = UsageState.USAGE_STATE_VOIDED
ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
REPORTED = UsageState.USAGE_STATE_REPORTED
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}


def call_of(family: Any, **fields: Any) -> Call:
    """One parsed request."""
    parsed: Call = family.parse(orjson.dumps({"model": "gpt-4o", **fields}))
    return parsed


def asked(content: Any = "x" * 4000, **fields: Any) -> Call:
    """A chat."""
    return call_of(chat, messages=[{"role": "user", "content": content}], **fields)


@pytest.mark.parametrize(
    ("call", "default", "limit", "least", "most"),
    [
        (asked(), 0, 100_000, 2000, 2050),
        (asked(), 300, 100_000, 1300, 1350),
        (asked(max_tokens=50), 300, 100_000, 1050, 1100),
        (asked(max_tokens=50, n=4), 0, 100_000, 1200, 1250),
        (asked(max_completion_tokens=100_000), 0, 1000, 101_000, 101_050),
        # A guess takes a tenth of a small limit.
        (asked("x"), 0, 1000, 100, 140),
        (asked([{"type": "text", "text": "x"}, IMAGE], max_tokens=1), 0, 10**6, 1000, 1060),
        (call_of(embeddings, input="x" * 4000), 5000, 10**6, 1000, 1100),
        # A bound of the vendor's that nobody asked for is a guess too.
        (call_of(speech, input="x" * 4000, voice="alloy"), 0, 10**6, 2000, 2100),
    ],
)
def test_a_request_is_counted_for_what_is_likely(
    call: Call, default: int, limit: int, least: int, most: int
) -> None:
    """A token for four bytes, the output that is allowed for, and a modest guess where nothing is."""
    assert least <= likely_tokens(call, default).of(limit) <= most


def attempt(state: UsageState, **usage: int) -> Attempt:
    """One that ended."""
    return Attempt(state=state, usage=Usage(**usage) if usage else None)


@pytest.mark.parametrize(
    ("attempts", "tokens"),
    [
        ([attempt(REPORTED, input_tokens=10, output_tokens=5)], 15),
        ([attempt(VOIDED)], 0),
        ([attempt(ESTIMATED)], None),
        ([attempt(ESTIMATED, input_tokens=10, output_tokens=3)], 13),
        ([attempt(VOIDED), attempt(REPORTED, input_tokens=1)], 1),
        ([attempt(ESTIMATED), attempt(REPORTED, input_tokens=1)], None),
    ],
)
def test_an_ended_request_used_what_its_attempts_did(attempts: list[Attempt], tokens: int | None) -> None:
    """Of all attempts that may have been billed; unknown where one of them is."""
    assert used_tokens(UsageRecord(attempts=attempts)) == tokens


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.012, "12ms"), (1, "1s"), (18.642, "18.642s"), (60, "1m0s"), (90.5, "1m30.5s")],
)
def test_times_are_written_as_go_does(seconds: float, text: str) -> None:
    """OpenAI's reset headers."""
    assert go_duration(seconds) == text
