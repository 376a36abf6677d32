"""What is left of a request when it is over: nothing, without the garbage collector's help.

What only the collector would find (an exception and the frames that hold it, a parser and its callbacks)
stays in memory for as long as it doesn't run over the oldest objects, which under load takes minutes.
"""

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import pytest

from edge.client_framing import EdgeRequest
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import PATH, body

Start = Callable[..., Any]
HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
TOOLS = [{"type": "custom", "custom": {"name": "x"}}]
# How the simulator is steered, and whether the answer is a stream.
ENDINGS = {
    "whole": ("tokens=3", False),
    "stream": ("tokens=3", True),
    "cut": ("cut_after=3", True),
    "reset": ("cut_after=3 rst", True),
    "cut before the first event": ("cut_after=0", True),
    "silent": ("stall_after=3", True),
    "silent from the start": ("first_byte_ms=900", True),
    "an error inside": ("error_event_after=3", True),
    "half a body": ("cut_body", False),
    "garbage": ("garbage", False),
    "a refusal": ("status=400", False),
    "out of order": ("status=500", True),
    "closed behind the answer": ("drop", False),
}
LEAVING = {
    "read on": ("tokens=3000 uncapped", 128),
    "cut off": ("tokens=3000 uncapped", 0),
    "read on before the first byte": ("first_byte_ms=200", 128),
    "cut off before the first byte": ("first_byte_ms=200", 0),
}
QUICK = {"idle_timeout_s": 0.2, "first_byte_timeout_s": 0.4, "breaker_failures": 0}


@contextmanager
def no_garbage() -> Iterator[None]:
    """Raises AssertionError when the block leaves objects of the edge that refer to each other only."""
    gc.freeze()  # all there is already
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = sorted({name for each in gc.garbage if (name := type(each).__module__).startswith("edge.")})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()
    assert left == []


async def asked(edge: Edge, steering: str, **fields: object) -> socket.socket:
    """A connection that has sent its request."""
    sock = socket.socket()
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", edge.port))
    raw = orjson.dumps(body(**fields))
    await loop.sock_sendall(
        sock, f"{HEAD}x-sim: {steering}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw
    )
    return sock


async def answered(edge: Edge, steering: str, **fields: object) -> None:
    """Reads what comes until the request is over."""
    sock = await asked(edge, steering, **fields)
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        await loop.sock_recv(sock, 65_536)
        await edge.idle()
    sock.close()


async def gone(edge: Edge, steering: str) -> None:
    """Leaves while the answer is under way."""
    sock = await asked(edge, steering, stream=True, max_tokens=3000)
    await asyncio.sleep(0.1)
    sock.close()
    del sock
    await edge.idle()


async def settle(edge: Edge) -> None:
    """Connections are closed in the loop's next turns."""
    await edge.idle()
    edge.ledger.opened.clear()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_answers(start: Start, ending: str) -> None:
    """However the vendor ends it."""
    edge = await start(**QUICK)
    steering, stream = ENDINGS[ending]
    await answered(edge, steering, stream=stream)
    await settle(edge)
    with no_garbage():
        await answered(edge, steering, stream=stream)
        await settle(edge)


@pytest.mark.parametrize("way", LEAVING)
async def test_clients_that_leave(start: Start, way: str) -> None:
    """Whether or not the answer is read on without them."""
    steering, drains = LEAVING[way]
    edge = await start(hangup_drain_max=drains)
    await gone(edge, steering)
    await settle(edge)
    with no_garbage():
        await gone(edge, steering)
        await settle(edge)


@pytest.mark.parametrize("ending", ["nobody listens", "unsayable", "half a head"])
async def test_requests_that_nobody_answers(start: Start, ending: str) -> None:
    """A vendor that can't be reached, one whose format can't carry it, a client that leaves in its middle."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    lost = rule("lost", provider_type="custom", base_url=closed)
    known = rule("known", provider_type="anthropic")
    ledger = FakeLedger(grant(lost if ending == "nobody listens" else known), price("gpt-4o-mini"))
    edge = await start(ledger, **QUICK)

    async def once() -> None:
        if ending != "half a head":
            await answered(edge, "tokens=3", **({"tools": TOOLS} if ending == "unsayable" else {}))
            return
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(HEAD.encode())
        await asyncio.sleep(0.05)
        writer.transport.abort()

    await once()
    await settle(edge)
    with no_garbage():
        await once()
        await settle(edge)


async def test_connections_keep_no_request(start: Start) -> None:
    """Neither the client's, kept for its next request, nor the vendor's, which another request will use."""
    edge = await start()
    sock = await asked(edge, "tokens=3", messages=[{"role": "user", "content": "x" * 100_000}])
    await asyncio.get_running_loop().sock_recv(sock, 65_536)
    await settle(edge)
    kept = (len(edge.connections), edge.transport.stats().idle)
    requests = [each for each in gc.get_objects() if type(each) is EdgeRequest]
    sock.close()

    assert kept == (1, 1)
    assert requests == []
