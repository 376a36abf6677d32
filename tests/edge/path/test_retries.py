"""Failed attempts that are made again, and those that aren't: through real HTTP."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import orjson
import pytest

from edge.admission import UsageState
from edge.upstream.failover import MAX_ATTEMPTS
from tests.e2e.upstreams import Script, answers, vendor
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge, until
from tests.edge.path.test_answers import PATH, body, post
from tests.edge.path.test_hangups import hang_up
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.routers_pb2 import Deadlines, Retries

Start = Callable[..., Any]
REPORTED, ESTIMATED, VOIDED = (
    UsageState.USAGE_STATE_REPORTED,
    UsageState.USAGE_STATE_ESTIMATED,
    UsageState.USAGE_STATE_VOIDED,
)
DONE = answers(
    orjson.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "model": "gpt-4o-mini",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        }
    )
)


def refuses(status: int, body: bytes = b'{"error":{"message":"no"}}', lines: str = "") -> Script:
    """A script that answers with an error."""
    head = f"HTTP/1.1 {status} No\r\nconnection: close\r\n{lines}content-length: {len(body)}\r\n\r\n"

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    return script


def in_turn(*scripts: Script) -> Script:
    """One after the other; the last goes on for ever."""
    left = list(scripts)

    async def script(writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(writer)

    return script


async def silent(writer: asyncio.StreamWriter) -> None:
    """Nothing, for longer than any test."""
    await asyncio.sleep(60)


async def cut(writer: asyncio.StreamWriter) -> None:
    """The connection ends without an answer."""


def retrying(count: int = 2, **fields: int) -> dict[str, Any]:
    """A router that tries again at once."""
    return {"retries": Retries(**{"count": count, "backoff_ms": 1, "max_backoff_ms": 300, **fields})}


async def served(start: Start, base_url: str, *others: Any, settings: Any = None, **fields: Any) -> Edge:
    """An edge whose first rule leads to a scripted vendor."""
    first = rule("first", provider_type="custom", base_url=base_url)
    ledger = FakeLedger(grant(first, *others, **fields), price("gpt-4o-mini"))
    edge = await start(ledger, **(settings or {}))
    assert isinstance(edge, Edge)
    return edge


@pytest.mark.parametrize(
    ("failure", "state", "why"),
    [
        (refuses(500), VOIDED, "upstream_error"),
        (refuses(503), VOIDED, "upstream_error"),
        (refuses(529), VOIDED, "upstream_error"),
        (refuses(502, b"<html>"), ESTIMATED, "upstream_error"),
        (refuses(429), VOIDED, "rate_limited"),
        (refuses(429, lines="retry-after-ms: 5\r\n"), VOIDED, "rate_limited"),
        (refuses(400, b'{"error":[{"code":2005}],"internalCode":2005}'), ESTIMATED, "gateway_2005"),
        (cut, ESTIMATED, "upstream_cut"),
    ],
)
async def test_a17_tried_again(start: Start, failure: Script, state: int, why: str) -> None:
    """What may pass by itself is tried again at the same rule; each try is held for and recorded."""
    async with vendor(in_turn(failure, failure, DONE)) as known:
        edge = await served(start, known.base_url, rule("second"), **retrying())
        answer = await post(edge)

    assert (answer.status_code, answer.headers["x-tollkeeper-provider"]) == (200, "first")
    opened = edge.ledger.opened[0]
    assert [(each.state, each.why) for each in opened.ended] == [(state, why), (state, why), (REPORTED, "")]
    assert [plan.rule.provider_name for plan in opened.plans] == ["first"] * 3
    ids = [head.lower().partition(b"x-client-request-id: ")[2].split(b"\r\n")[0] for head in known.heads]
    assert ids == [f"{opened.usage_id}-{number}".encode() for number in (1, 2, 3)]


@pytest.mark.parametrize(
    "failure",
    [
        refuses(429, b'{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}'),
        refuses(429, b'{"type":"error","error":{"type":"rate_limit_error"}}'),
        refuses(429, lines="retry-after: 7\r\n"),
        refuses(503, lines="retry-after: 7\r\n"),
        refuses(503, lines="x-should-retry: false\r\n"),
        refuses(501),
        refuses(504),
        refuses(408),
        refuses(302),
    ],
)
async def test_a17_not_tried_again(start: Start, failure: Script) -> None:
    """What no retry helps against, what may have been billed for its time, and what asks for a longer wait:
    the next rule is tried at once."""
    async with vendor(failure) as known:
        edge = await served(start, known.base_url, rule("second"), **retrying())
        answer = await post(edge)

    assert answer.headers["x-tollkeeper-provider"] == "second"
    assert len(known.heads) == 1


async def test_a17_a_timeout_is_not_tried_again(start: Start) -> None:
    """The next rule is; what took its time once may have been billed."""
    async with vendor(silent) as known:
        deadlines = Deadlines(first_byte_ms=500)
        edge = await served(start, known.base_url, rule("second"), deadlines=deadlines, **retrying())
        answer = await post(edge)

    assert answer.headers["x-tollkeeper-provider"] == "second"
    assert [each.why for each in edge.ledger.opened[0].ended] == ["upstream_timeout", ""]


async def test_a17_retries_end(start: Start) -> None:
    """After so many, 502 with every attempt."""
    async with vendor(refuses(503)) as known:
        edge = await served(start, known.base_url, **retrying(2))
        answer = await post(edge)

    attempts = answer.json()["error"]["tollkeeper"]["attempts"]
    assert answer.status_code == 502
    assert attempts == [{"provider": "first", "status": 503, "why": "upstream_error"}] * 3


async def test_a17_the_vendors_wait_is_kept(start: Start) -> None:
    """As its header says, and as Google's body does."""
    delay = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "0.2s"}]}}
    for limited in (refuses(429, lines="retry-after: 0.2\r\n"), refuses(429, orjson.dumps([delay]))):
        async with vendor(in_turn(limited, DONE)) as known:
            edge = await served(start, known.base_url, **retrying())
            began = monotonic()
            answer = await post(edge)
        assert answer.status_code == 200
        assert monotonic() - began >= 0.2


async def test_a17_each_retry_needs_its_hold(start: Start) -> None:
    """Without money for one more, nothing more is sent."""
    async with vendor(refuses(503)) as known:
        edge = await served(start, known.base_url, **retrying())

        async def refuse(*_: object) -> None:
            raise TollkeeperError(Reason.INSUFFICIENT_QUOTA, "No.")

        edge.ledger.next_attempt = refuse  # type: ignore[method-assign]
        answer = await post(edge)

    assert answer.status_code == 502
    assert len(known.heads) == 1


async def test_a17_the_budget_bounds_retries(start: Start) -> None:
    """When everything fails, ten retries are made at once, and then no more than a fifth of what is asked."""
    settings = {"breaker_failures": 0}
    async with vendor(refuses(503)) as known:
        edge = await served(start, known.base_url, settings=settings, **retrying(5))
        async with edge.client as client:
            content = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}
            for _ in range(10):
                await client.post("/v1/chat/completions", json=content)

    assert 10 + 10 <= len(known.heads) <= 10 + 10 + 2 + 1


async def test_one_request_has_an_end(start: Start) -> None:
    """However many rules and retries there are, so many attempts and no more."""
    async with vendor(refuses(500)) as known:
        more = [rule(f"r{number}", provider_type="custom", base_url=known.base_url) for number in range(40)]
        edge = await served(start, known.base_url, *more)
        answer = await post(edge)

    assert answer.status_code == 502
    assert len(known.heads) == MAX_ATTEMPTS


async def test_a17_a_refusal_is_final_but_for_a_rule_that_names_it(start: Start) -> None:
    """A rule that waits for 400 takes up what the first won't have; others get the vendor's own words."""
    waiting = rule("waiting", priority=2, condition="on_status", statuses=[400, 413])
    for status, provider in ((400, "waiting"), (413, "waiting"), (404, "first")):
        async with vendor(refuses(status)) as known:
            edge = await served(start, known.base_url, waiting, rule("spare", priority=3))
            answer = await post(edge)
        assert answer.headers["x-tollkeeper-provider"] == provider
        assert answer.status_code == (200 if provider == "waiting" else status)


@pytest.mark.parametrize(
    ("failure", "provider"),
    [
        (refuses(429), "limited"),
        (silent, "late"),
        (refuses(504), "late"),
        (refuses(503), "named"),
        (refuses(500), "spare"),
        (cut, "spare"),
    ],
)
async def test_a17_conditions_answer_to_their_failure(start: Start, failure: Script, provider: str) -> None:
    """Each failure goes to the rule that waits for it, any other to the fallback."""
    others = [
        rule("spare", condition="fallback"),
        rule("late", condition="on_timeout"),
        rule("limited", condition="on_rate_limit"),
        rule("named", condition="on_status", statuses=[503]),
    ]
    async with vendor(failure) as known:
        edge = await served(start, known.base_url, *others, deadlines=Deadlines(first_byte_ms=500))
        answer = await post(edge)

    assert answer.headers["x-tollkeeper-provider"] == provider
    assert len(edge.ledger.opened[0].ended) == 2


@pytest.mark.parametrize(
    ("stream", "body", "media_type", "status"),
    [
        (True, b'data: {"error":{"message":"no","type":"server_error"}}\n\n', "text/event-stream", 500),
        (
            True,
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
            "text/event-stream",
            529,
        ),
        (False, b'{"error":{"message":"no","code":502}}', "application/json", 502),
        (False, b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]', "application/json", 429),
    ],
)
async def test_a17_a_success_that_begins_with_an_error(
    start: Start, stream: bool, body: bytes, media_type: str, status: int
) -> None:
    """Nothing has reached the client yet, so the next rule is tried, as after the status it stands for."""
    named = rule("named", condition="on_status", statuses=[status])
    async with vendor(answers(body, media_type)) as known:
        edge = await served(start, known.base_url, named, rule("spare", condition="fallback"))
        answer = await post(edge, stream=stream)

    assert (answer.status_code, answer.headers["x-tollkeeper-provider"]) == (200, "named")
    assert [each.state for each in edge.ledger.opened[0].ended] == [VOIDED, REPORTED]


async def test_nobody_waits_for_more_after_a_hang_up(start: Start) -> None:
    """A drained request isn't tried again, nor anywhere else: nobody would read the answer."""
    gate = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await refuses(503)(writer)

    async with vendor(late) as known:
        edge = await served(start, known.base_url, rule("second"), **retrying())
        await hang_up(edge, "", stream=False)
        await until(lambda: edge.hangups.drain_count)
        gate.set()
        await edge.idle()

    opened = edge.ledger.opened[0]
    assert [each.why for each in opened.ended] == ["upstream_error"]
    assert opened.status == 499


async def test_a_hang_up_between_two_attempts(start: Start) -> None:
    """While the edge waits to try again there is nothing to drain: the request ends as it stands."""
    async with vendor(refuses(503)) as known:
        slow = retrying(2, backoff_ms=5000, max_backoff_ms=5000)
        edge = await served(start, known.base_url, settings={"on_hangup": "cancel"}, **slow)
        content = orjson.dumps(body())
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        await until(lambda: edge.ledger.opened and edge.ledger.opened[0].ended)
        writer.close()
        await edge.idle()

    opened = edge.ledger.opened[0]
    assert len(known.heads) == 1
    assert [each.why for each in opened.ended] == ["upstream_error"]
    assert opened.status == 499
