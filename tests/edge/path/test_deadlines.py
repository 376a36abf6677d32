"""How long requests wait: each attempt, and all of them together."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import orjson
import pytest

from edge.admission import UsageState
from tests.e2e.upstreams import STREAM_HEAD, vendor
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.test_answers import post
from tests.edge.path.test_retries import refuses, retrying, served, silent
from tollkeeper.v1.routers_pb2 import Deadlines

Start = Callable[..., Any]
ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
EVENT = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


async def dripping(writer: asyncio.StreamWriter) -> None:
    """A stream that never ends and is never silent for long."""
    writer.write(STREAM_HEAD)
    for _ in range(600):
        writer.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_a17_the_total_ends_an_attempt_without_an_answer(start: Start) -> None:
    """504, an estimate of the hold, and no further rule: the client waits no longer."""
    async with vendor(silent) as known:
        edge = await served(start, known.base_url, rule("second"), deadlines=Deadlines(total_ms=300))
        began = monotonic()
        answer = await post(edge)

    assert 0.3 <= monotonic() - began < 5
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert "first: deadline" in answer.json()["error"]["message"]
    [ended] = edge.ledger.opened[0].ended
    assert (ended.state, ended.why) == (ESTIMATED, "deadline")
    assert edge.ledger.opened[0].status == 504


async def test_the_total_ends_a_stream(start: Start) -> None:
    """With an error event and without [DONE], however much it still has to say."""
    async with vendor(dripping) as known:
        edge = await served(start, known.base_url, deadlines=Deadlines(total_ms=400))
        began = monotonic()
        answer = await post(edge, stream=True)

    assert 0.4 <= monotonic() - began < 5
    *events, last, empty = answer.content.split(b"\n\n")
    assert len(events) >= 4
    assert empty == b""
    assert b"[DONE]" not in answer.content
    assert orjson.loads(last[6:])["error"]["code"] == "upstream_timeout"
    [ended] = edge.ledger.opened[0].ended
    assert (ended.state, ended.why) == (ESTIMATED, "deadline")


async def test_the_total_counts_all_attempts(start: Start) -> None:
    """Those that failed before, and the waits between them."""
    async with vendor(silent) as slow:
        late = rule("late", provider_type="custom", base_url=slow.base_url)
        deadlines = Deadlines(first_byte_ms=800, total_ms=1300)
        edge = await served(start, slow.base_url, late, rule("never"), deadlines=deadlines)
        answer = await post(edge)

    assert answer.status_code == 504
    assert [each.why for each in edge.ledger.opened[0].ended] == ["upstream_timeout", "deadline"]


async def test_no_retry_beyond_the_total(start: Start) -> None:
    """A wait that the request has no time for isn't begun: the next rule is tried at once."""
    async with vendor(refuses(503)) as known:
        slow = retrying(2, backoff_ms=8000, max_backoff_ms=8000)
        edge = await served(start, known.base_url, rule("second"), deadlines=Deadlines(total_ms=3000), **slow)
        answer = await post(edge)

    assert answer.headers["x-tollkeeper-provider"] == "second"
    assert len(known.heads) == 1


async def test_a_routers_silence_within_an_answer(start: Start) -> None:
    """Shorter than the edge's."""
    edge = await start(FakeLedger(grant(rule("a"), deadlines=Deadlines(idle_ms=200)), price("gpt-4o-mini")))
    answer = await post(edge, "stall_after=2", stream=True)

    assert orjson.loads(answer.content.split(b"\n\n")[-2][6:])["error"]["code"] == "upstream_timeout"
    assert edge.ledger.opened[0].ended[0].why == "upstream_timeout"


@pytest.mark.parametrize("own_ms", [0, 60_000])
async def test_the_edges_own_are_the_longest(start: Start, own_ms: int) -> None:
    """A router's longer ones, and none, are the edge's."""
    view = grant(rule("a"), rule("b"), deadlines=Deadlines(first_byte_ms=own_ms, connect_ms=1))
    edge = await start(FakeLedger(view, price("gpt-4o-mini")), first_byte_timeout_s=0.2)
    timeouts, total_s = edge.pipeline.forwarder.waits_of(view)

    assert (timeouts.connect_s, timeouts.first_byte_s, timeouts.idle_s) == (0.001, 0.2, 120)
    assert total_s == 3600


async def test_the_edges_total(start: Start) -> None:
    """A setting for all routers that have none."""
    edge = await start(total_timeout_s=0.3)
    answer = await post(edge, "gate=never")

    assert answer.status_code == 504


async def test_connections_serve_on_after_a_total_has_passed(start: Start) -> None:
    """An idle connection knows nothing of the deadline of the request before."""
    view = grant(rule("a"), deadlines=Deadlines(total_ms=800))
    edge = await start(FakeLedger(view, price("gpt-4o-mini")))
    assert (await post(edge)).status_code == 200
    await asyncio.sleep(1.0)
    assert edge.transport.stats().idle == 1
    assert (await post(edge)).status_code == 200
