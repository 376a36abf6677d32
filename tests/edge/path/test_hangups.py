"""Clients that hang up: billed once, whatever the policy."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from edge.admission import UsageState
from edge.config import OnHangup
from tests.edge.fake_ledger import KEY
from tests.edge.path.conftest import Edge, until
from tests.edge.path.test_answers import PATH, body, post

Start = Callable[..., Any]
REPORTED, ESTIMATED = UsageState.USAGE_STATE_REPORTED, UsageState.USAGE_STATE_ESTIMATED


async def hang_up(edge: Edge, sim: str, stream: bool, rst: bool = False, wait_for: bytes = b"") -> None:
    """Sends a request, waits until the edge serves it (or sent `wait_for`), and closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    content = orjson.dumps(body(stream=stream))
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nx-sim: %b\r\ncontent-length: %d\r\n\r\n"
        % (PATH.encode(), KEY.encode(), sim.encode(), len(content))
        + content
    )
    async with asyncio.timeout(20):
        await until(lambda: edge.ledger.opened)
        seen = b""
        while wait_for not in seen:
            seen += await reader.read(65536)
    if rst:
        writer.transport.abort()
    else:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("rst", [False, True])
async def test_drained_before_the_answer(edge: Edge, stream: bool, rst: bool) -> None:
    """The vendor goes on, so the usage is read and reported; the record says that the client was gone."""
    await hang_up(edge, "first_byte_ms=200", stream, rst)
    await edge.idle()
    opened = edge.ledger.opened[0]

    assert [each.state for each in opened.ended] == [REPORTED]
    assert opened.status == 499
    assert edge.hangups.drain_count == 0


async def test_drained_in_the_middle_of_a_stream(edge: Edge) -> None:
    """Nothing more is sent, all of it is read."""
    await hang_up(edge, "drip_ms=40", True, wait_for=b'"role":"assistant"')
    await edge.idle()
    opened = edge.ledger.opened[0]
    [row] = edge.simulator.bill.rows()

    assert [each.state for each in opened.ended] == [REPORTED]
    assert opened.status == 499
    assert opened.ended[0].usage is not None
    assert opened.ended[0].usage.output_tokens == row["completion_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelled_by_setting(start: Start, stream: bool) -> None:
    """The upstream answer is dropped at once, and the attempt is an estimate."""
    edge = await start(on_hangup=OnHangup.CANCEL)
    await hang_up(edge, "first_byte_ms=60000", stream)
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended

    assert (ended.state, ended.why) == (ESTIMATED, "client_hangup")
    assert edge.ledger.opened[0].status == 499


async def test_cancelled_in_the_middle_of_a_stream(start: Start) -> None:
    """The same after some events."""
    edge = await start(on_hangup=OnHangup.CANCEL)
    await hang_up(edge, "gate=never", True, wait_for=b'"role":"assistant"')
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended

    assert (ended.state, ended.why) == (ESTIMATED, "client_hangup")
    assert ended.cost_nanousd == edge.ledger.opened[0].plan.hold_nanousd


async def test_a_drain_has_an_end(start: Start) -> None:
    """However long the vendor takes."""
    edge = await start(hangup_drain_s=0.2)
    await hang_up(edge, "gate=never", True, wait_for=b'"role":"assistant"')
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended

    assert (ended.state, ended.why) == (ESTIMATED, "client_hangup")
    assert edge.hangups.drain_count == 0


async def test_only_so_many_drains(start: Start) -> None:
    """What comes on top is cancelled."""
    edge = await start(hangup_drain_max=1)
    await hang_up(edge, "gate=first", True, wait_for=b'"role":"assistant"')
    await until(lambda: edge.hangups.drain_count)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    content = orjson.dumps(body())
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nx-sim: gate=first\r\n"
        b"content-length: %d\r\n\r\n" % (PATH.encode(), KEY.encode(), len(content)) + content
    )
    await until(lambda: len(edge.ledger.opened) == 2)
    writer.close()
    await writer.wait_closed()
    await until(lambda: edge.ledger.opened[1].ended)
    edge.simulator.gates.open("first")
    await edge.idle()

    assert edge.ledger.opened[1].ended[0].why == "client_hangup"
    assert edge.ledger.opened[0].ended[0].state == REPORTED
    del reader


async def test_a_connection_that_was_drained_leaves_the_worker_whole(edge: Edge) -> None:
    """Others are served during and after it."""
    await hang_up(edge, "first_byte_ms=200", True)
    during = await post(edge)
    await edge.idle()
    after = await post(edge, stream=True)

    assert (during.status_code, after.status_code) == (200, 200)
    assert all(opened.finished for opened in edge.ledger.opened)


async def test_a_hang_up_between_requests_is_nothing(edge: Edge) -> None:
    """A kept-alive connection that closes has no request to settle."""
    async with edge.client as client:
        await client.post(PATH, json=body())
    await edge.idle()

    assert edge.ledger.opened[0].status == 200
