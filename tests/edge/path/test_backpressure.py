"""A client that doesn't read stops its vendor: what is held for it, to the byte."""

import asyncio
from collections.abc import Callable
from typing import Any

from edge.upstream.limits import Limits
from tests.edge.path.conftest import Edge, until
from tests.edge.path.test_slow_clients import deaf

Start = Callable[..., Any]
READERS = 5
# The write buffer's high water, one turn of what the vendor sent, and its chunk's frame.
MOST_UNREAD = 4096 + 4096 + 8192 + 64


def unread(edge: Edge) -> list[int]:
    """Bytes that wait for each client to read."""
    return [connection.transport.get_write_buffer_size() for connection in edge.connections]  # type: ignore[attr-defined]


def untaken(edge: Edge) -> list[int]:
    """Bytes that came from the vendor for each, and wait here."""
    pools = edge.transport._pools.values()
    return [
        each._response.buffered for pool in pools for each in pool._connections if each._response is not None
    ]


async def test_stalled_streams(start: Start) -> None:
    """However much the vendor has to say, and for however long: its connection isn't read either."""
    limits = Limits()
    edge = await start(client_read_timeout_s=60)
    socks = [
        await deaf(edge.port, "tokens=3000 uncapped", stream=True, max_tokens=3000) for _ in range(READERS)
    ]
    await until(lambda: len([size for size in unread(edge) if size > 4096]) == READERS)
    await asyncio.sleep(0.3)
    sizes = (unread(edge), untaken(edge))
    for sock in socks:
        sock.close()
    await edge.idle()

    assert len(sizes[0]) == len(sizes[1]) == READERS
    assert max(sizes[0]) <= MOST_UNREAD
    assert max(sizes[1]) <= limits.high_water_bytes + limits.read_bytes
    assert [len(opened.ended) for opened in edge.ledger.opened] == [1] * READERS


async def test_it_goes_on_where_it_stopped(start: Start) -> None:
    """Who reads again gets every event, in order."""
    edge = await start(client_read_timeout_s=60)
    sock = await deaf(edge.port, "tokens=2000 uncapped", stream=True, max_tokens=2000)
    await until(lambda: any(size > 4096 for size in unread(edge)))
    loop = asyncio.get_running_loop()
    got = b""
    async with asyncio.timeout(20):
        while not got.endswith(b"0\r\n\r\n"):
            got += await loop.sock_recv(sock, 65_536)
    sock.close()

    assert got.count(b'"content":"') >= 2000
    assert b"data: [DONE]" in got
