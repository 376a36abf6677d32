"""The HTTP/1.1 server: keep-alive, chunked bodies, Expect, pipelining, bad input."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx

from simulator import Simulator

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
SLOW = BODY.replace(b"hello", b"[[sim first_byte_ms=30]]")


async def connect(simulator: Simulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(simulator.url)
    return await asyncio.open_connection(url.hostname, url.port)


def post(body: bytes, *lines: str) -> bytes:
    head = ["POST /v1/chat/completions HTTP/1.1", "host: sim", *lines, f"content-length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return int(head.split()[1]), await reader.readexactly(length)


async def test_connection_is_reused_and_requests_may_come_byte_by_byte(simulator: Simulator) -> None:
    """Several requests on one connection, one of them in single bytes, are answered in order."""
    reader, writer = await connect(simulator)
    for piece_bytes in (len(post(BODY)), 1, 50):
        request = post(BODY)
        for start in range(0, len(request), piece_bytes):
            writer.write(request[start : start + piece_bytes])
            await asyncio.sleep(0)
        assert (await read_answer(reader))[0] == 200
    writer.close()
    assert simulator.bill.last_seq == 3


async def test_chunked_request_body(client: httpx.AsyncClient) -> None:
    """A body sent in chunks is put together."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(BODY), 10):
            yield BODY[start : start + 10]

    answer = await client.post("/v1/chat/completions", content=pieces())
    assert answer.json()["usage"]["prompt_tokens"] == 4


async def test_expect_continue(simulator: Simulator) -> None:
    """A client that waits for 100 Continue gets it before it sends its body."""
    reader, writer = await connect(simulator)
    request = post(BODY, "expect: 100-continue")
    writer.write(request[: -len(BODY)])
    assert (await read_answer(reader))[0] == 100
    writer.write(BODY)
    assert (await read_answer(reader))[0] == 200
    writer.close()


async def test_pipelined_requests_are_answered_in_order(simulator: Simulator) -> None:
    """A request that arrives while another is being answered waits for its turn."""
    reader, writer = await connect(simulator)
    writer.write(post(SLOW) + post(BODY.replace(b'"m"', b'"second"')))
    models = [json.loads((await read_answer(reader))[1])["model"] for _ in range(2)]
    assert models == ["m", "second"]
    writer.close()


async def test_unreadable_requests(simulator: Simulator) -> None:
    """What isn't HTTP is refused with 400, a huge head with 431, and the connection is closed."""
    for request, status in ((b"nonsense\r\n\r\n", 400), (post(BODY, "x-huge: " + "x" * 70_000), 431)):
        reader, writer = await connect(simulator)
        writer.write(request)
        assert (await read_answer(reader))[0] == status
        assert await reader.read() == b""
        writer.close()
