"""Clients that take for ever (slowloris): each part of a request has its limit, however alive they look."""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

import orjson
import pytest

from edge.admission import UsageState
from edge.config import OnHangup
from tests.edge.fake_ledger import KEY
from tests.edge.path.conftest import until
from tests.edge.path.test_answers import PATH, body

Start = Callable[..., Any]
POST = b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + KEY.encode() + b"\r\n"
JSON_BODY = orjson.dumps(body())


async def drip(port: int, raw: bytes, drops: bytes, pause_s: float = 0.05) -> tuple[bytes, float]:
    """Sends `raw`, then byte by byte; what was answered, and how many seconds it took to be cut off."""
    began_s = monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        writer.write(raw)
        for drop in drops:
            await asyncio.sleep(pause_s)
            if writer.is_closing():
                return
            writer.write(bytes([drop]))

    sending = asyncio.create_task(send())
    async with asyncio.timeout(10):
        got = await reader.read()
    sending.cancel()
    writer.close()
    return got, monotonic() - began_s


@pytest.mark.parametrize("raw", [b"GET / HT", POST], ids=["first line", "fields"])
async def test_a_head_that_drips(start: Start, raw: bytes) -> None:
    """A byte now and then changes nothing: the head has one limit for all of it."""
    edge = await start(client_head_timeout_s=0.3)
    got, took_s = await drip(edge.port, raw, b"x" * 200)

    assert got.startswith(b"HTTP/1.1 50")
    assert 0.3 <= took_s < 8


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_drips(start: Start, chunked: bool) -> None:
    """The same for the body, nothing is held for it, and the worker serves others meanwhile."""
    edge = await start(client_body_timeout_s=0.3)
    head = b"transfer-encoding: chunked\r\n\r\n200\r\n" if chunked else b"content-length: 512\r\n\r\n"
    slow = asyncio.create_task(drip(edge.port, POST + head, b" " * 200))
    async with edge.client as client:
        assert (await client.post(PATH, json=body())).status_code == 200
    got, took_s = await slow

    assert got.startswith(b"HTTP/1.1 503 ")
    assert took_s < 8
    assert len(edge.ledger.opened) == 1


async def test_a_body_that_takes_long_and_moves(start: Start) -> None:
    """What comes fast enough may take longer than the limit."""
    edge = await start(client_body_timeout_s=0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    padded = JSON_BODY + b" " * 200_000
    writer.write(POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(padded))
    for at in range(0, len(padded), 20_480):
        await asyncio.sleep(0.08)
        writer.write(padded[at : at + 20_480])
    async with asyncio.timeout(20):
        got = await reader.read()
    writer.close()

    assert got.startswith(b"HTTP/1.1 200 ")


async def test_between_requests(start: Start) -> None:
    """A connection that asks for nothing is closed, without a word."""
    edge = await start(client_keep_alive_s=0.2)
    got, took_s = await drip(edge.port, b"", b"")

    assert got == b""
    assert took_s < 8


async def deaf(port: int, sim: str, **more: Any) -> socket.socket:
    """A client that asks and reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    content = orjson.dumps(body(**more))
    head = POST + b"x-sim: %b\r\ncontent-length: %d\r\n\r\n" % (sim.encode(), len(content))
    await loop.sock_sendall(sock, head + content)
    return sock


@pytest.mark.parametrize(
    ("policy", "state", "why"),
    [
        (OnHangup.CANCEL, UsageState.USAGE_STATE_ESTIMATED, "client_hangup"),
        (OnHangup.DRAIN, UsageState.USAGE_STATE_REPORTED, ""),
    ],
)
async def test_a_stream_that_is_not_read(start: Start, policy: OnHangup, state: int, why: str) -> None:
    """The client is taken for gone: its answer is dropped or drained by policy, and billed once."""
    edge = await start(client_read_timeout_s=0.3, on_hangup=policy)
    sock = await deaf(edge.port, "bytes=8000000", stream=True)
    await until(lambda: edge.ledger.opened and edge.ledger.opened[0].ended)
    await edge.idle()
    [ended] = edge.ledger.opened[0].ended
    sock.close()

    assert (ended.state, ended.why) == (state, why)
    assert edge.ledger.opened[0].status == 499


async def test_a_whole_answer_that_is_not_read(start: Start) -> None:
    """The request is settled as it was; the connection ends, and what waits for its reader with it."""
    edge = await start(client_read_timeout_s=0.3)
    sock = await deaf(edge.port, "bytes=8000000")
    await until(lambda: edge.ledger.opened and edge.ledger.opened[0].finished)
    assert len(edge.connections) == 1
    await until(lambda: not edge.connections)
    sock.close()

    assert edge.ledger.opened[0].status == 200


async def test_an_answer_that_is_read_slowly(start: Start) -> None:
    """Who reads on may take longer than the limit, and gets all of it."""
    edge = await start(client_read_timeout_s=0.2)
    sock = await deaf(edge.port, "bytes=300000", stream=True)
    loop = asyncio.get_running_loop()
    got = b""
    async with asyncio.timeout(20):
        while not got.endswith(b"0\r\n\r\n"):
            await asyncio.sleep(0.01)
            got += await loop.sock_recv(sock, 65536)
    sock.close()

    assert len(got) > 300_000
    assert b"data: [DONE]" in got


async def test_too_many_connections(start: Start) -> None:
    """The next one is told 503 and closed; one that ends makes room."""
    edge = await start(max_connections=2)
    held = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(2)]
    await until(lambda: len(edge.connections) == 2)
    got, _ = await drip(edge.port, b"", b"")
    assert got.startswith(b"HTTP/1.1 503 ")
    held[0][1].close()
    await until(lambda: len(edge.connections) == 1)
    async with edge.client as client:
        assert (await client.get("/healthz")).status_code == 200
    held[1][1].close()


def test_limits_are_looked_at_often_enough() -> None:
    """Several times within the shortest, and never more seldom than every few seconds."""
    from edge.client_connection import ClientLimits

    assert ClientLimits(head_s=1).tick_s == 0.25
    assert ClientLimits().tick_s == 2.5
    assert ClientLimits(head_s=600, body_s=600, read_s=600, keep_alive_s=600).tick_s == 5


def test_patience() -> None:
    """A limit, and a second more for every KiB; a new step starts anew."""
    from edge.client_connection import Patience

    patience = Patience()
    assert not patience.is_over("body", 100, 2)
    assert not patience.is_over("body", 2, 2)
    assert patience.is_over("body", 0.1, 2)
    assert not patience.is_over("body", 0.1, 2, seen=2048)
    assert not patience.is_over("read", 50, 2)
