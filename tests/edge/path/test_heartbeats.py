"""Signs of life in silent streams, before and after the first event, and what is told once one was sent."""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import orjson
import pytest
from google import genai
from google.genai import types

from edge import metrics
from edge.admission import UsageState
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge, until
from tests.edge.path.test_answers import PATH, body, post
from tollkeeper.errors import TollkeeperError

Start = Callable[..., Any]
PING = b": ping\n\n"
REPORTED, ESTIMATED, VOIDED = (
    UsageState.USAGE_STATE_REPORTED,
    UsageState.USAGE_STATE_ESTIMATED,
    UsageState.USAGE_STATE_VOIDED,
)


def error_of(content: bytes) -> dict[str, Any]:
    """The error in the last event."""
    last = content.rstrip(b"\n").rpartition(b"\n\n")[2]
    return dict(orjson.loads(last.removeprefix(b"data: "))["error"])


async def test_before_the_first_event(start: Start) -> None:
    """The head goes out with the first sign of life; the events follow as ever."""
    edge = await start(heartbeat_s=0.1)
    answer = await post(edge, "first_byte_ms=350", stream=True)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-tollkeeper-request-id"] == edge.ledger.opened[0].usage_id
    assert "x-tollkeeper-provider" not in answer.headers
    assert 2 <= answer.content.count(PING) <= 6
    assert answer.content.lstrip(b": ping\n").startswith(b"data: {")
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert [each.state for each in edge.ledger.opened[0].ended] == [REPORTED]


async def test_between_events(start: Start) -> None:
    """As often as there is silence, and never inside an event; what is there otherwise doesn't change."""
    edge = await start(heartbeat_s=0.05)
    answer = await post(edge, "drip_ms=170", stream=True, max_tokens=2)
    events = answer.content.split(b"\n\n")

    assert answer.headers["x-tollkeeper-provider"] == "primary"
    assert events.count(b": ping") >= 4
    assert all(each.startswith((b"data: ", b": ping")) or not each for each in events)
    assert answer.content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("seconds", [0, 15])
async def test_not_without_silence(start: Start, seconds: float) -> None:
    """A stream that talks gets none, nor does any with 0."""
    edge = await start(heartbeat_s=seconds)
    answer = await post(edge, "drip_ms=30", stream=True)

    assert b"ping" not in answer.content


async def test_not_in_plain_answers(start: Start) -> None:
    """A body that is no stream stays as it is."""
    edge = await start(heartbeat_s=0.05)
    answer = await post(edge, "first_byte_ms=200")

    assert b"ping" not in answer.content
    assert answer.json()["object"] == "chat.completion"


async def test_vendors_own_comments_count_as_life(start: Start) -> None:
    """What the vendor sends is passed on, and is no silence."""
    counts = []
    for seconds in (2, 0):
        edge = await start(heartbeat_s=seconds)
        answer = await post(edge, "ping drip_ms=60", stream=True)
        counts.append(answer.content.count(PING))

    assert counts[0] == counts[1] > 3


@pytest.mark.parametrize(
    ("sim", "code", "state", "why"),
    [
        ("status=500 first_byte_ms=300", "all_providers_failed", VOIDED, "upstream_error"),
        ("cut_after=0 first_byte_ms=300", "all_providers_failed", ESTIMATED, "upstream_cut"),
        ("status=400 first_byte_ms=300", "invalid_request_error", VOIDED, "refused"),
        ("stall_after=0", "all_providers_failed", ESTIMATED, "upstream_timeout"),
    ],
)
async def test_failures_after_a_sign_of_life(start: Start, sim: str, code: str, state: int, why: str) -> None:
    """The status has gone out with it: the failure is an event, and what is booked is what it always was."""
    edge = await start(heartbeat_s=0.1, idle_timeout_s=0.5, first_byte_timeout_s=0.5)
    answer = await post(edge, sim, stream=True)
    opened = edge.ledger.opened[0]

    assert answer.status_code == 200
    assert answer.content.startswith(PING)
    assert b"[DONE]" not in answer.content
    assert code in (error_of(answer.content)["code"], error_of(answer.content)["type"])
    assert [(each.state, each.why) for each in opened.ended] == [(state, why)]
    assert opened.status in (400, 502)


async def test_failover_after_a_sign_of_life(start: Start) -> None:
    """The next provider is still tried: nothing of the first one's answer has been sent."""
    rules = [rule("a", priority=1), rule("b", priority=2)]
    edge = await start(
        FakeLedger(grant(*rules), price("gpt-4o-mini")), heartbeat_s=0.1, first_byte_timeout_s=0.4
    )
    asking = asyncio.create_task(post(edge, "first_byte_ms=60000", stream=True))
    await until(lambda: edge.ledger.opened and edge.ledger.opened[0].attempt_number == 2)
    answer = await asking

    assert answer.content.startswith(PING)
    assert error_of(answer.content)["code"] == "all_providers_failed"
    assert len(edge.ledger.opened[0].ended) == 2


async def test_a_whole_body_after_a_sign_of_life(start: Start) -> None:
    """A vendor that doesn't stream: an error event, since the client was promised events; billed as reported
    or as the hold."""
    edge = await start(heartbeat_s=0.1)
    answer = await post(edge, "garbage first_byte_ms=300", stream=True)

    assert answer.status_code == 200
    assert answer.content.startswith(PING)
    assert len(edge.ledger.opened[0].ended) == 1


async def test_a_client_that_leaves_during_silence(start: Start) -> None:
    """A sign of life finds out; the request goes the way of every hang-up."""
    edge = await start(heartbeat_s=0.1, hangup_drain_s=0.3)
    async with (
        edge.client as client,
        client.stream("POST", PATH, json=body(stream=True), headers={"x-sim": "gate=never"}) as answer,
    ):
        pieces = answer.aiter_raw()
        await anext(pieces)
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended

    assert (ended.state, ended.why) == (ESTIMATED, "client_hangup")


SLOW = "first_byte_ms=300 drip_ms=150 tokens=4"


async def asked(edge: Edge, family: str) -> str:
    """The text that the vendor's own SDK reads from a slow stream."""
    said = f"[[sim {SLOW}]]"
    async with httpx.AsyncClient(verify=False) as plain:  # noqa: S501 - certificates take time to load
        if family == "openai":
            chat = openai.AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=KEY, http_client=plain)
            messages: list[Any] = [{"role": "user", "content": said}]
            chunks = await chat.chat.completions.create(model="m", messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
        if family == "anthropic":
            given: list[Any] = [{"role": "user", "content": said}]
            async with (
                anthropic.AsyncAnthropic(base_url=edge.url, api_key=KEY) as claude,
                claude.messages.stream(model="m", max_tokens=9, messages=given) as stream,
            ):
                return "".join([text async for text in stream.text_stream])
        options = types.HttpOptions(base_url=edge.url, httpx_async_client=plain)
        gemini = genai.Client(api_key=KEY, http_options=options)
        pieces = await gemini.aio.models.generate_content_stream(model="m", contents=said)
        return "".join([piece.text or "" async for piece in pieces])


@pytest.mark.parametrize("family", ["openai", "anthropic", "google"])
async def test_sdks_pass_over_signs_of_life(start: Start, family: str) -> None:
    """Before the first event and between events: the SDK reads the same text with them as without."""
    texts = []
    for seconds in (0.1, 0):
        ledger = FakeLedger(grant(rule("own", provider_type=family)), price("m"))
        ledger.prices.provider_type = family
        edge = await start(ledger, heartbeat_s=seconds)
        before = metrics._heartbeats._value.get()
        texts.append(await asked(edge, family))
        assert (metrics._heartbeats._value.get() > before + 2) == bool(seconds)

    assert texts[0] == texts[1]
    assert len(texts[0].split()) == 4


async def test_only_so_many_streams(start: Start) -> None:
    """The next one is told 503 and when to come back; plain requests are served; nothing is held for it."""
    edge = await start(max_streams=1)

    async def slow() -> None:
        await post(edge, "gate=one", stream=True)

    first = asyncio.create_task(slow())
    await until(lambda: edge.ledger.opened)
    refused = await post(edge, stream=True)
    plain = await post(edge)
    edge.simulator.gates.open("one")
    await first
    later = await post(edge, stream=True)

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "service_unavailable")
    assert "streams" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
    assert (plain.status_code, later.status_code) == (200, 200)
    assert len(edge.ledger.opened) == 3
    assert edge.pipeline.stream_count == 0


def test_late_refusals_keep_their_words() -> None:
    """The vendor's message, code and param in our envelope; without them the status."""
    from edge.answer import Answer
    from edge.outlet import told_late

    body_ = orjson.dumps({"error": {"message": "Too long.", "code": "context_length_exceeded", "param": "x"}})
    told = told_late(Answer(400, b"application/json", b"", body_))
    assert isinstance(told, TollkeeperError)
    assert (told.message, told.metadata) == ("Too long.", {"code": "context_length_exceeded", "param": "x"})
    other = told_late(Answer(502, b"text/html", b"", b"<html>"))
    assert isinstance(other, TollkeeperError)
    assert "status 502" in other.message
    assert isinstance(told_late(Answer(200, b"text/html", b"", b"<html>")), TollkeeperError)
    assert told_late(Answer(200, b"application/json", b"", b'{ "a":\n1 }')) == b'data: {"a":1}\n\n'


def test_edges_may_differ(edge: Edge) -> None:
    """By default it takes a quarter of a minute."""
    assert edge.settings.heartbeat_s == 15
