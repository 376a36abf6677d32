"""Requests that another server might read differently are refused, and nothing behind them is ever served."""

import asyncio

import orjson
import pytest

from tests.edge.fake_ledger import KEY
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import PATH, body

# What a smuggler wants to have taken for a request of its own.
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + KEY.encode() + b"\r\n"
JSON_BODY = orjson.dumps(body())
LENGTH = b"content-length: %d\r\n" % len(JSON_BODY)

REFUSED = {
    "two lengths": POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef" + HIDDEN,
    "the same length twice": POST + LENGTH + LENGTH + b"\r\n" + JSON_BODY + HIDDEN,
    "a list of lengths": POST + b"content-length: 5, 5\r\n\r\nabcde" + HIDDEN,
    "length and chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks and length": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two encodings": POST
    + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "an encoding that isn't chunked": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and something": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked with a tab": POST + b"transfer-encoding: chunked\x0b\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a blank before the colon": POST + b"content-length : 5\r\n\r\nabcde" + HIDDEN,
    "a blank before the colon of an encoding": POST
    + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a name that is none": POST + b"transfer\x00-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "no name": POST + b": chunked\r\n\r\n" + HIDDEN,
    "a folded line": POST + b"x-a: b\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded value": POST + LENGTH + b"x-a: b\r\n\tc\r\n\r\n" + JSON_BODY + HIDDEN,
    "a first line that is folded": b"GET / HTTP/1.1\r\n host: x\r\n\r\n" + HIDDEN,
    "a bare line feed": POST + b"x-a: b\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare carriage return": POST + b"x-a: b\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a null byte": POST + b"x-a: b\0c\r\n" + LENGTH + b"\r\n" + JSON_BODY + HIDDEN,
    "a line without a colon": POST + b"x-a\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"content-length: -1\r\n\r\n" + HIDDEN,
    "a signed length": POST + b"content-length: +5\r\n\r\nabcde" + HIDDEN,
    "a length with an underscore": POST + b"content-length: 1_0\r\n\r\nabcdefghij" + HIDDEN,
    "a hexadecimal length": POST + b"content-length: 0x5\r\n\r\nabcde" + HIDDEN,
    "an Arabic length": POST + "content-length: ٥\r\n\r\nabcde".encode() + HIDDEN,
    "an empty length": POST + b"content-length: \r\n\r\n" + HIDDEN,
    "a prefixed chunk size": POST + b"transfer-encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + HIDDEN,
    "a signed chunk size": POST + b"transfer-encoding: chunked\r\n\r\n+5\r\nabcde\r\n0\r\n\r\n" + HIDDEN,
    "an Arabic chunk size": POST
    + "transfer-encoding: chunked\r\n\r\n٥\r\nabcde\r\n0\r\n\r\n".encode()
    + HIDDEN,
    "a chunk longer than its size": POST
    + b"transfer-encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n"
    + HIDDEN,
    "no line end behind a chunk": POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n" + HIDDEN,
    "a bare line feed in a chunk's extension": POST
    + b"transfer-encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"
    + HIDDEN,
    "a chunk's extension without end": POST
    + b"transfer-encoding: chunked\r\n\r\n3;"
    + b"a" * 400
    + b"\r\nabc\r\n0\r\n\r\n"
    + HIDDEN,
    "trailers": POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx-a: b\r\n\r\n" + HIDDEN,
    "a bare line feed behind the last chunk": POST + b"transfer-encoding: chunked\r\n\r\n0\r\n\n" + HIDDEN,
    "chunks in HTTP/1.0": POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "two hosts": POST + b"host: y\r\n" + LENGTH + b"\r\n" + JSON_BODY + HIDDEN,
    "no host": b"GET / HTTP/1.1\r\n\r\n" + HIDDEN,
    "a blank in the target": b"GET /v1/models HTTP/1.1 HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "a line feed in the target": b"GET /\nx HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "a tab instead of a blank": b"GET\t/ HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "a target that is none": b"GET http://[x HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /\r\n\r\n" + HIDDEN,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "an unknown expectation": POST + b"expect: 200-maybe\r\n" + LENGTH + b"\r\n" + JSON_BODY + HIDDEN,
    "a head too large": b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000 + b"\r\n\r\n" + HIDDEN,
    "a target too long": b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
}


async def answers(edge: Edge, raw: bytes) -> bytes:
    """All that the edge says until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(raw)
    async with asyncio.timeout(20):
        got = await reader.read()
    writer.close()
    await writer.wait_closed()
    return got


@pytest.mark.parametrize("name", REFUSED)
async def test_what_could_be_read_in_two_ways(edge: Edge, name: str) -> None:
    """One 4xx and the end of the connection: the hidden request isn't served, and nothing went upstream."""
    got = await answers(edge, REFUSED[name])

    assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ", b"HTTP/1.1 417 ")), got[:200]
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in got
    assert edge.ledger.opened == []


async def test_what_is_allowed(edge: Edge) -> None:
    """Chunks with extensions, blanks around a length, lower and upper case, and a pipelined request."""
    chunked = b"%x;name=value\r\n%b\r\n%X\r\n%b\r\n0\r\n\r\n" % (
        20,
        JSON_BODY[:20],
        len(JSON_BODY) - 20,
        JSON_BODY[20:],
    )
    raw = POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked
    raw += POST + b"CONTENT-LENGTH:  %d \t\r\n\r\n" % len(JSON_BODY) + JSON_BODY
    got = await answers(edge, raw + b"GET /healthz HTTP/1.0\r\n\r\n")

    assert got.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert [opened.status for opened in edge.ledger.opened] == [200, 200]


async def test_a_chunked_body_that_waits_for_the_word(edge: Edge) -> None:
    """`expect: 100-continue` is answered before the first chunk is waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(POST + b"expect: 100-continue\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(20):
        assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON_BODY), JSON_BODY))
        got = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_stream_over_http_1_0(edge: Edge) -> None:
    """It has no chunks: events come as they are, and end with the connection."""
    streamed = orjson.dumps(body(stream=True))
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"content-length: %d\r\n\r\n" % len(streamed)
    got = await answers(edge, head + streamed)

    lines, _, events = got.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in lines
    assert b"transfer-encoding" not in lines
    assert events.startswith(b"data: {")
    assert events.endswith(b"data: [DONE]\n\n")


async def test_no_web_sockets(edge: Edge) -> None:
    """A request for one is answered like any other."""
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
    got = await answers(edge, POST + upgrade + LENGTH + b"\r\n" + JSON_BODY)

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
