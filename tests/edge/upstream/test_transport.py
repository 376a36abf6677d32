"""The forwarding transport against scripted upstreams, on asyncio's loop and on uvloop."""

import asyncio
import hashlib
import random
import socket
import ssl
import struct
import threading
import time
import unittest.mock
from pathlib import Path

import pytest

from edge.upstream.connection import Connection
from edge.upstream.transport import (
    AddressRefused,
    BadAnswer,
    BodyTooLarge,
    BrokenBody,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    Limits,
    NotSent,
    Origin,
    Response,
    SentButNoAnswer,
    Stats,
    Timeouts,
    Transport,
    encode_headers,
    tls_context,
)
from tests.edge.upstream.peers import MakeTransport, Peer, PeerConnection, Serve

TIMEOUTS = Timeouts(connect_s=2.0, first_byte_s=2.0, idle_s=2.0)
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream \r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nfirst\r\n1;name=value\r\n \r\n6\r\nsecond\r\n0\r\nTrailer: dropped\r\n\r\n"
)
NOTHING = Stats(open=0, idle=0, in_use=0, waiting=0)


async def say_hello(connection: PeerConnection) -> None:
    while True:
        await connection.request()
        await connection.send(HELLO)


def answering(*pieces: bytes, then_hang_up: bool = False):
    """A script that answers every request with these pieces."""

    async def script(connection: PeerConnection) -> None:
        while True:
            await connection.request()
            for piece in pieces:
                await connection.send(piece)
            if then_hang_up:
                return

    return script


async def silent(connection: PeerConnection) -> None:
    await connection.hung_up()
    raise ConnectionError("the edge hung up")


async def post(
    transport: Transport, peer: Peer, method: str = "POST", timeouts: Timeouts = TIMEOUTS, **options
) -> Response:
    return await transport.send(
        peer.origin, method, "/v1/chat?a=b", [(b"X-One", b"1")], b"body", timeouts, **options
    )


async def eventually(condition) -> None:
    """Wait for a condition that the loop brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # conditions come from outside of any event
            await asyncio.sleep(0.005)


# The wire


async def test_request_on_the_wire(serve: Serve, make_transport: MakeTransport) -> None:
    """Head and body reach the peer exactly as given, with host and length added."""
    peer = await serve(say_hello)
    response = await post(make_transport(), peer)
    assert await response.read(5) == b"hello"
    assert peer.requests == [
        b"POST /v1/chat?a=b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nX-One: 1\r\ncontent-length: 4\r\n\r\nbody"
        % peer.origin.port
    ]


@pytest.mark.parametrize(("method", "has_length"), [("GET", False), ("DELETE", False), ("POST", True)])
async def test_length_of_an_empty_body(
    serve: Serve, make_transport: MakeTransport, method: str, has_length: bool
) -> None:
    """Only methods that expect a body announce an empty one."""
    peer = await serve(say_hello)
    response = await make_transport().send(peer.origin, method, "/", [], b"", TIMEOUTS)
    await response.read(5)
    assert (b"content-length: 0" in peer.requests[0]) is has_length


async def test_answer_is_left_as_it_is(serve: Serve, make_transport: MakeTransport) -> None:
    """Redirects are not followed, encoded bodies not decoded, repeated headers kept in order."""
    answer = (
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Encoding: gzip\r\n"
        b"Set-Cookie: a=1\r\nset-cookie: b=2 \r\nEmpty:\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    )
    peer = await serve(answering(answer))
    response = await post(make_transport(), peer)
    assert response.status == 307
    assert response.headers == [
        (b"location", b"/elsewhere"),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"empty", b""),
        (b"content-length", b"4"),
    ]
    assert response.header(b"set-cookie") == b"a=1"
    assert response.header(b"absent") is None
    assert await response.read(4) == b"\x1f\x8b\x08\x00"
    assert len(peer.requests) == 1


async def test_large_request_body(serve: Serve, make_transport: MakeTransport) -> None:
    """A body of several megabytes arrives whole."""
    body = random.Random(1).randbytes(5_000_000)
    peer = await serve(say_hello)
    response = await make_transport().send(peer.origin, "POST", "/", [], body, TIMEOUTS)
    await response.read(5)
    assert peer.requests[0].endswith(b"\r\n\r\n" + body)


async def test_encoded_headers_are_used_as_they_are(serve: Serve, make_transport: MakeTransport) -> None:
    """A block made once serves many requests, and blocks concatenate."""
    peer = await serve(say_hello)
    block = encode_headers([(b"a", b"1")]) + encode_headers([(b"b", b"2")])
    response = await make_transport().send(peer.origin, "GET", "/", block, b"", TIMEOUTS)
    await response.read(5)
    assert b"\r\na: 1\r\nb: 2\r\n\r\n" in peer.requests[0]


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("POST", "/", [(b"x", b"1\r\nevil: 1")]),
        ("POST", "/", [(b"x", b"1\nevil: 1")]),
        ("POST", "/", [(b"x", b"1\revil: 1")]),
        ("POST", "/", [(b"x", b"1\0")]),
        ("POST", "/", [(b"x: y", b"1")]),
        ("POST", "/", [(b"", b"1")]),
        ("POST", "/", [(b"Content-Length", b"1")]),
        ("POST", "/", [(b"transfer-encoding", b"chunked")]),
        ("POST", "/", [(b"host", b"other")]),
        ("POST", "/", [(b"connection", b"close")]),
        ("POST", "/a b", []),
        ("POST", "/a\r\nevil: 1", []),
        ("POST", "/ä", []),
        ("POST", "no-slash", []),
        ("PO ST", "/", []),
    ],
)
async def test_request_that_cannot_be_written(
    serve: Serve, make_transport: MakeTransport, method: str, target: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """What would forge lines or framing is refused before a connection is made."""
    peer = await serve(say_hello)
    with pytest.raises(InvalidRequest) as caught:
        await make_transport().send(peer.origin, method, target, headers, b"", TIMEOUTS)
    assert not caught.value.request_sent
    assert peer.connection_count == 0


async def test_unknown_scheme(make_transport: MakeTransport) -> None:
    """Only http and https are spoken."""
    with pytest.raises(InvalidRequest, match="ftp"):
        await make_transport().send(Origin("ftp", "127.0.0.1", 21), "GET", "/", [], b"", TIMEOUTS)


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("https", "example.com", 443), "https://example.com"),
        (Origin("http", "example.com", 443), "http://example.com:443"),
        (Origin("http", "::1", 80), "http://[::1]"),
    ],
)
def test_origin_as_text(origin: Origin, text: str) -> None:
    """A default port is left out, an IPv6 literal gets its brackets."""
    assert str(origin) == text


# Bodies and framing


@pytest.mark.parametrize("answer", [HELLO, CHUNKED], ids=["length", "chunked"])
async def test_answer_split_at_every_byte(serve: Serve, make_transport: MakeTransport, answer: bytes) -> None:
    """Wherever the network cuts an answer in two, the same body comes out, on one connection."""
    body = b"hello" if answer is HELLO else b"first second"

    async def script(connection: PeerConnection) -> None:
        for cut in range(1, len(answer)):
            await connection.request()
            await connection.send(answer[:cut])
            await connection.send(answer[cut:])

    peer = await serve(script)
    transport = make_transport()
    for _ in range(1, len(answer)):
        response = await post(transport, peer)
        assert await response.read(100) == body
        assert len(response.headers) == answer.split(b"\r\n\r\n")[0].count(b"\r\n")
    assert peer.connection_count == 1


async def test_answer_byte_by_byte(serve: Serve, make_transport: MakeTransport) -> None:
    """An answer may come in single bytes."""
    peer = await serve(answering(*(CHUNKED[i : i + 1] for i in range(len(CHUNKED)))))
    response = await post(make_transport(), peer)
    assert response.header(b"content-type") == b"text/event-stream"
    assert await response.read(100) == b"first second"


async def test_first_chunk_before_the_second_is_sent(serve: Serve, make_transport: MakeTransport) -> None:
    """A chunk is handed on as soon as it is here."""
    seen = asyncio.Event()

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await seen.wait()
        await connection.send(b"3\r\ntwo\r\n0\r\n\r\n")

    response = await post(make_transport(), await serve(script))
    assert await response.next_chunk() == b"one"
    seen.set()
    assert await response.next_chunk() == b"two"
    assert await response.next_chunk() is None
    assert await response.next_chunk() is None


async def test_pieces_in_hand_are_handed_over_at_once(serve: Serve, make_transport: MakeTransport) -> None:
    """Chunks that came together are one piece for the consumer."""
    peer = await serve(answering(CHUNKED))
    response = await post(make_transport(), peer)
    assert await response.next_chunk() == b"first second"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nx: y\r\n\r\n"])
async def test_body_until_close(serve: Serve, make_transport: MakeTransport, head: bytes) -> None:
    """Without a length the body is what comes before the peer hangs up; the connection is spent."""
    peer = await serve(answering(head + b"some", b"thing", then_hang_up=True))
    transport = make_transport()
    response = await post(transport, peer)
    assert await response.read(100) == b"something"
    assert transport.stats() == NOTHING


async def test_reset_in_a_body_until_close(serve: Serve, make_transport: MakeTransport) -> None:
    """A reset is no end: nobody knows what was missing."""

    seen = asyncio.Event()

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await seen.wait()
        linger_not = struct.pack("ii", 1, 0)
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        connection.writer.transport.abort()

    response = await post(make_transport(), await serve(script))
    assert await response.next_chunk() == b"some"
    seen.set()
    with pytest.raises(BrokenBody):
        await response.next_chunk()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5000\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body(
    serve: Serve, make_transport: MakeTransport, method: str, answer: bytes
) -> None:
    """Whatever length their heads announce, they are complete, and the connection serves on."""
    peer = await serve(answering(answer))
    transport = make_transport()
    for _ in range(3):
        response = await transport.send(peer.origin, method, "/", [], b"", TIMEOUTS)
        assert await response.read(0) == b""
    assert peer.connection_count == 1


async def test_interim_answers_are_skipped(serve: Serve, make_transport: MakeTransport) -> None:
    """100 and 103 come and go; the headers are those of the final answer."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style>\r\n\r\n"
    peer = await serve(answering(interim, HELLO))
    transport = make_transport()
    for _ in range(2):
        response = await post(transport, peer)
        assert (response.status, response.headers) == (200, [(b"content-length", b"5")])
        assert await response.read(5) == b"hello"
    assert peer.connection_count == 1


async def test_body_larger_than_the_reader_allows(serve: Serve, make_transport: MakeTransport) -> None:
    """`read` stops at its limit and gives the connection up, however the body arrives."""
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    dripped = (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhel", b"lo", b"!")
    for pieces in ((whole,), dripped):
        response = await post(make_transport(), await serve(answering(*pieces)))
        with pytest.raises(BodyTooLarge):
            await response.read(4)
        assert response.chunks == []


# Broken answers


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP ready\r\n",
        b"\0" * 100,
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 104 Unheard Of\r\n\r\n" + HELLO,
    ],
)
async def test_garbage_for_a_head(serve: Serve, make_transport: MakeTransport, answer: bytes) -> None:
    """What isn't an acceptable head is BadAnswer: the request was sent, its outcome is unknown."""
    transport = make_transport()
    with pytest.raises(BadAnswer) as caught:
        await post(transport, await serve(answering(answer)))
    assert caught.value.request_sent
    assert transport.stats() == NOTHING


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_huge_head_is_refused(serve: Serve, make_transport: MakeTransport, in_pieces: bool) -> None:
    """Past max_head_bytes an answer is refused, whether its end is in sight or not."""
    field = b"x: " + b"y" * 995 + b"\r\n"
    pieces = [b"HTTP/1.1 200 OK\r\n", *[field] * 20] + ([] if in_pieces else [b"\r\n"])
    script = answering(*pieces) if in_pieces else answering(b"".join(pieces))
    with pytest.raises((BadAnswer, SentButNoAnswer), match=r"too many bytes|larger than"):
        await post(make_transport(max_head_bytes=10_000), await serve(script))


async def test_large_head_within_the_limit(serve: Serve, make_transport: MakeTransport) -> None:
    """A body in the same read doesn't count towards the head."""
    head = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 9_000 + b"\r\ncontent-length: 30000\r\n\r\n"
    peer = await serve(answering(head + b"z" * 30_000))
    response = await post(make_transport(max_head_bytes=10_000), peer)
    assert len(await response.read(30_000)) == 30_000


async def test_endless_interim_answers_and_trailers(serve: Serve, make_transport: MakeTransport) -> None:
    """What is neither head nor body is bounded as well."""
    interim = answering(*[b"HTTP/1.1 100 Continue\r\nx: %b\r\n\r\n" % (b"y" * 1000)] * 20)
    with pytest.raises(SentButNoAnswer, match="too many bytes"):
        await post(make_transport(max_head_bytes=10_000), await serve(interim))
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    trailers = answering(head, *[b"x: %b\r\n" % (b"y" * 1000)] * 20)
    response = await post(make_transport(max_head_bytes=10_000), await serve(trailers))
    with pytest.raises(BrokenBody, match="too many bytes"):
        await response.read(100)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello",
    ],
)
async def test_early_close_in_a_body(serve: Serve, make_transport: MakeTransport, head: bytes) -> None:
    """What arrived can still be read; then comes BrokenBody, never an end."""
    transport = make_transport()
    response = await post(transport, await serve(answering(head, then_hang_up=True)))
    assert await response.next_chunk() == b"hello"
    for _ in range(2):
        with pytest.raises(BrokenBody) as caught:
            await response.next_chunk()
    assert caught.value.request_sent
    assert transport.stats() == NOTHING


async def test_garbage_in_a_chunked_body(serve: Serve, make_transport: MakeTransport) -> None:
    """A broken chunk size breaks the body, after the chunks before it."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    response = await post(make_transport(), await serve(answering(head, b"zz\r\n")))
    assert await response.next_chunk() == b"hello"
    with pytest.raises(BrokenBody):
        await response.next_chunk()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_close_before_an_answer(serve: Serve, make_transport: MakeTransport, start: bytes) -> None:
    """A request that was read and not answered is SentButNoAnswer."""
    with pytest.raises(SentButNoAnswer) as caught:
        await post(make_transport(), await serve(answering(start, then_hang_up=True)))
    assert caught.value.request_sent


# Time limits


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_first_byte_timeout(serve: Serve, make_transport: MakeTransport, start: bytes) -> None:
    """The whole head must be there in time; beginning it doesn't count."""
    transport = make_transport()
    timeouts = Timeouts(connect_s=30, first_byte_s=0.1, idle_s=30)
    started = time.monotonic()
    with pytest.raises(FirstByteTimeout) as caught:
        await post(transport, await serve(answering(start)), timeouts=timeouts)
    assert 0.1 <= time.monotonic() - started < 20
    assert caught.value.request_sent
    assert transport.stats() == NOTHING


async def test_idle_timeout(serve: Serve, make_transport: MakeTransport) -> None:
    """Silence inside a body ends it, after what came before the silence."""
    transport = make_transport()
    timeouts = Timeouts(connect_s=2, first_byte_s=2, idle_s=0.1)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"
    response = await post(transport, await serve(answering(head)), timeouts=timeouts)
    assert await response.next_chunk() == b"hello"
    with pytest.raises(IdleTimeout):
        await response.next_chunk()
    assert transport.stats() == NOTHING


async def test_dripping_body_is_not_idle(serve: Serve, make_transport: MakeTransport) -> None:
    """idle_s bounds each silence, not the whole body."""

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.1)
            await connection.send(b".")

    timeouts = Timeouts(connect_s=2, first_byte_s=2, idle_s=0.6)
    response = await post(make_transport(), await serve(script), timeouts=timeouts)
    assert await response.read(8) == b"........"


# Connecting


async def test_connection_refused(make_transport: MakeTransport) -> None:
    """Nobody listening is ConnectFailed; on_sent was not called."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", bound.getsockname()[1])
        transport, sent = make_transport(), []
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(
                origin, "GET", "/", [], b"", TIMEOUTS, on_sent=lambda: sent.append("unexpected")
            )
    assert not caught.value.request_sent
    assert sent == []
    assert transport.stats() == NOTHING


async def test_name_that_does_not_resolve(make_transport: MakeTransport) -> None:
    """A host name that cannot exist is ConnectFailed."""
    with pytest.raises(ConnectFailed):
        await make_transport().send(Origin("http", "a" * 70, 80), "GET", "/", [], b"", TIMEOUTS)


async def test_connect_timeout_covers_the_handshake(serve: Serve, make_transport: MakeTransport) -> None:
    """A peer that accepts and says nothing to a TLS hello fails in connect_s, and is hung up on."""
    peer = await serve(silent)
    transport = make_transport()
    with pytest.raises(ConnectFailed, match=r"within 0\.1 s") as caught:
        await transport.send(
            peer.origin._replace(scheme="https"), "GET", "/", [], b"", Timeouts(connect_s=0.1)
        )
    assert not caught.value.request_sent
    await peer.connections_ended()
    assert transport.stats() == NOTHING


async def test_connection_lost_before_its_first_use(serve: Serve, make_transport: MakeTransport) -> None:
    """A connection that ends before the request is written is ConnectFailed, and holds no slot."""
    peer = await serve(say_hello)
    transport = make_transport()
    pool = transport._open_pool(peer.origin)
    connect_to = pool._connect_to

    async def connect_and_lose(address: str):
        connection = await connect_to(address)
        connection.eof_received()
        return connection

    pool._connect_to = connect_and_lose  # type: ignore[method-assign]
    with pytest.raises(ConnectFailed, match="closed the connection at once"):
        await post(transport, peer)
    assert transport.stats() == NOTHING


async def test_connection_made_after_it_was_given_up(serve: Serve, make_transport: MakeTransport) -> None:
    """A transport that comes too late is closed."""
    pool = make_transport()._open_pool(Origin("http", "127.0.0.1", 1))
    connection = Connection(pool, asyncio.get_running_loop(), Limits(), memoryview(bytearray(1)))
    connection.abort()
    late = unittest.mock.Mock(spec=asyncio.Transport)
    connection.connection_made(late)
    late.abort.assert_called_once_with()


async def test_on_sent_is_called_before_the_answer(serve: Serve, make_transport: MakeTransport) -> None:
    """on_sent marks the line between not sent and outcome unknown."""
    sent: list[int] = []
    peer = await serve(answering(b"", then_hang_up=True))
    with pytest.raises(SentButNoAnswer):
        await post(make_transport(), peer, on_sent=lambda: sent.append(len(peer.requests)))
    assert sent == [0]


async def test_refused_address(serve: Serve, make_transport: MakeTransport) -> None:
    """check_address sees the resolved address and can forbid it before anything is connected."""
    seen: list[str] = []

    def refuse(address: str) -> None:
        seen.append(address)
        raise AddressRefused("not this one")

    peer = await serve(say_hello)
    transport = make_transport(check_address=refuse)
    with pytest.raises(AddressRefused) as caught:
        await post(transport, peer)
    assert not caught.value.request_sent
    assert seen == ["127.0.0.1"]
    await asyncio.sleep(0.02)
    assert peer.connection_count == 0
    assert transport.stats() == NOTHING


async def test_every_address_of_a_name_is_tried(
    serve: Serve, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that refuses connections doesn't end the attempt while the name has another."""
    peer = await serve(say_hello)
    transport = make_transport()

    class Loop:
        """The running loop, with a resolver that knows two addresses."""

        def __getattr__(self, name: str):
            return getattr(asyncio.get_running_loop(), name)

        async def getaddrinfo(self, host: str, port: int, **options):
            assert host == "upstream.test"
            return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(transport, "_loop", Loop())
    origin = peer.origin._replace(host="upstream.test")
    response = await transport.send(origin, "GET", "/", [], b"", TIMEOUTS)
    assert await response.read(5) == b"hello"


class Resolver:
    """The running loop with a resolver that takes its time, and then fails or knows where the peer is."""

    def __init__(self, failure: OSError | None = None) -> None:
        self.failure = failure
        self.asked = 0

    def __getattr__(self, name: str):
        return getattr(asyncio.get_running_loop(), name)

    async def getaddrinfo(self, host: str, port: int, **options):
        self.asked += 1
        await asyncio.sleep(0.05)
        if self.failure is not None:
            raise self.failure
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]


async def test_a_burst_looks_a_name_up_once(
    serve: Serve, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dials meanwhile waits for the same answer, also where the first to ask has gone; it isn't kept."""
    peer = await serve(answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", then_hang_up=True))
    transport = make_transport()
    resolver = Resolver()
    monkeypatch.setattr(transport, "_loop", resolver)
    origin = peer.origin._replace(host="upstream.test")

    async def ask() -> bytes:
        response = await transport.send(origin, "GET", "/", [], b"", TIMEOUTS)
        return await response.read(5)

    first, *others = [asyncio.create_task(ask()) for _ in range(20)]
    await asyncio.sleep(0.01)
    first.cancel()
    assert await asyncio.gather(*others) == [b"hello"] * 19
    assert resolver.asked == 1
    assert await ask() == b"hello"
    assert resolver.asked == 2


async def test_a_name_that_nobody_knows(
    make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of those who waited is told by a failure of its own, and the next one asks again."""
    transport = make_transport()
    resolver = Resolver(socket.gaierror(-2, "Name or service not known"))
    monkeypatch.setattr(transport, "_loop", resolver)

    async def ask() -> ConnectFailed:
        with pytest.raises(ConnectFailed, match="Name or service not known") as caught:
            await transport.send(Origin("http", "upstream.test", 80), "GET", "/", [], b"", TIMEOUTS)
        return caught.value

    failures = await asyncio.gather(*(ask() for _ in range(5)))
    assert len({id(failure) for failure in failures}) == 5
    await ask()
    assert resolver.asked == 2
    assert transport.stats() == NOTHING


async def test_tls(
    serve: Serve, make_transport: MakeTransport, certificates: Path, server_tls: ssl.SSLContext
) -> None:
    """With the right authority requests and streams work, and connections are reused."""
    peer = await serve(answering(CHUNKED), tls=server_tls)
    transport = make_transport(tls=tls_context(str(certificates / "ca.pem")))
    for _ in range(3):
        response = await post(transport, peer)
        assert await response.read(100) == b"first second"
    assert peer.connection_count == 1


async def test_tls_verification_is_on(
    serve: Serve, make_transport: MakeTransport, certificates: Path, server_tls: ssl.SSLContext
) -> None:
    """An unknown authority and a wrong host name are ConnectFailed; nothing was sent."""
    peer = await serve(say_hello, tls=server_tls)
    with pytest.raises(ConnectFailed, match="certificate"):
        await post(make_transport(), peer)
    trusting = make_transport(tls=tls_context(str(certificates / "ca.pem")))
    with pytest.raises(ConnectFailed, match=r"certificate|mismatch"):
        await trusting.send(peer.origin._replace(host="localhost"), "GET", "/", [], b"", TIMEOUTS)
    assert peer.requests == []
    assert trusting.stats() == NOTHING


# Reuse


async def test_connection_is_reused(serve: Serve, make_transport: MakeTransport) -> None:
    """One connection serves one request after the other, and shows up as idle between them."""
    peer = await serve(say_hello)
    transport = make_transport()
    for _ in range(5):
        response = await post(transport, peer)
        assert await response.read(5) == b"hello"
        assert transport.stats() == Stats(open=1, idle=1, in_use=0, waiting=0)
    assert peer.connection_count == 1


async def test_complete_answer_frees_the_connection_before_it_is_read(
    serve: Serve, make_transport: MakeTransport
) -> None:
    """An answer that is all here needs its connection no more; closing it later disturbs nobody."""
    peer = await serve(say_hello)
    transport = make_transport(max_connections=1)
    first = await post(transport, peer)
    second = await post(transport, peer)
    first.close()
    assert await second.read(5) == b"hello"
    with pytest.raises(BrokenBody, match="closed"):
        await first.next_chunk()
    assert peer.connection_count == 1


async def test_stale_connection_is_not_sent_twice(serve: Serve, make_transport: MakeTransport) -> None:
    """A kept connection that dies under a request is reported: the peer got that request once."""

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(HELLO)
        await connection.request()  # read, and no answer: it may have been carried out

    peer = await serve(script)
    transport = make_transport()
    await (await post(transport, peer)).read(5)
    with pytest.raises(SentButNoAnswer) as caught:
        await post(transport, peer)
    assert caught.value.request_sent
    assert len(peer.requests) == 2
    assert peer.connection_count == 1


async def test_connection_closed_while_idle_is_not_used(serve: Serve, make_transport: MakeTransport) -> None:
    """Once the loop has seen the end of an idle connection, it is gone from the pool."""
    peer = await serve(answering(HELLO, then_hang_up=True))
    transport = make_transport(tick_s=60)  # the end of the connection alone must do it
    for _ in range(3):
        assert await (await post(transport, peer)).read(5) == b"hello"
        await eventually(lambda: transport.stats() == NOTHING)
    assert peer.connection_count == 3


async def test_connection_closed_while_the_loop_was_busy(make_transport: MakeTransport) -> None:
    """A connection idle for a while is asked for an unseen end before it is trusted with a request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def peer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(HELLO)

        thread = threading.Thread(target=peer)
        thread.start()
        transport = make_transport()
        origin = Origin("http", "127.0.0.1", listener.getsockname()[1])
        # The end of the connection follows its answer, and meets a loop that is asleep.
        for _ in range(2):
            response = await transport.send(origin, "GET", "/", [], b"", TIMEOUTS)
            assert await response.read(5) == b"hello"
            time.sleep(0.6)  # noqa: ASYNC251  # the point of the test
        thread.join()


async def test_idle_connection_is_closed_in_time(serve: Serve, make_transport: MakeTransport) -> None:
    """keep_alive_s after its last answer a connection is closed, and its origin forgotten."""
    peer = await serve(say_hello)
    transport = make_transport(keep_alive_s=0.1)
    await (await post(transport, peer)).read(5)
    await asyncio.sleep(0.05)
    assert transport.stats().idle == 1
    await eventually(lambda: repr(transport) == "<Transport open origins=0 open=0 idle=0 in_use=0 waiting=0>")
    await peer.connections_ended()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
async def test_peer_that_wants_to_close(serve: Serve, make_transport: MakeTransport, answer: bytes) -> None:
    """Such a connection is not kept."""
    transport = make_transport()
    response = await post(transport, await serve(answering(answer)))
    assert await response.read(5) == b"hello"
    assert transport.stats() == NOTHING


@pytest.mark.parametrize("surplus", [b"x", HELLO, b"HTTP/1.1 2"])
async def test_bytes_behind_an_answer(serve: Serve, make_transport: MakeTransport, surplus: bytes) -> None:
    """The answer counts, the connection is out of step: no later request gets the surplus for its answer."""
    peer = await serve(answering(HELLO + surplus))
    transport = make_transport()
    response = await post(transport, peer)
    assert await response.read(5) == b"hello"
    assert transport.stats() == NOTHING


async def test_body_behind_the_answer_to_head(serve: Serve, make_transport: MakeTransport) -> None:
    """A peer that sends a body to HEAD anyway loses its connection, not the answer."""
    transport = make_transport()
    response = await post(transport, await serve(answering(HELLO)), method="HEAD")
    assert await response.read(0) == b""
    assert transport.stats() == NOTHING


async def test_bytes_on_an_idle_connection(serve: Serve, make_transport: MakeTransport) -> None:
    """Bytes that nobody asked for close the connection."""
    peer = await serve(answering(HELLO, b"HTTP/1.1 408 Request Timeout\r\n\r\n"))
    transport = make_transport()
    await (await post(transport, peer)).read(5)
    await eventually(lambda: transport.stats() == NOTHING)


async def test_answer_before_the_request_was_read(serve: Serve, make_transport: MakeTransport) -> None:
    """An early refusal of a large upload is an answer; the half-written connection is not kept."""

    async def script(connection: PeerConnection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(0.2)

    peer = await serve(script)
    transport = make_transport()
    response = await transport.send(peer.origin, "POST", "/", [], bytes(30_000_000), TIMEOUTS)
    assert response.status == 413
    assert await response.read(0) == b""
    assert transport.stats() == NOTHING


# The bound on connections


def holding(release: asyncio.Event):
    """A script that answers once released."""

    async def script(connection: PeerConnection) -> None:
        while True:
            await connection.request()
            await release.wait()
            await connection.send(HELLO)

    return script


async def test_requests_wait_for_a_connection(serve: Serve, make_transport: MakeTransport) -> None:
    """Past max_connections requests queue, and are served in order on the connections there are."""
    release = asyncio.Event()
    peer = await serve(holding(release))
    transport = make_transport(max_connections=2)
    order: list[int] = []

    async def one(number: int) -> None:
        response = await post(transport, peer)
        order.append(number)
        assert await response.read(5) == b"hello"

    tasks = [asyncio.create_task(one(number)) for number in range(8)]
    await eventually(lambda: len(peer.requests) == 2)
    assert transport.stats() == Stats(open=2, idle=0, in_use=2, waiting=6)
    release.set()
    await asyncio.gather(*tasks)
    assert sorted(order) == list(range(8))
    assert set(order[:2]) == {0, 1}
    assert set(order[-2:]) == {6, 7}
    assert peer.connection_count == 2


async def test_a_waiter_may_leave_as_its_turn_comes(serve: Serve, make_transport: MakeTransport) -> None:
    """Cancelled in the very moment in which the slot it waits for is handed on, it leaves without a trace."""
    peer = await serve(holding(asyncio.Event()))
    transport = make_transport(max_connections=1)
    holder = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 1)
    waiter = asyncio.create_task(post(transport, peer))
    await asyncio.sleep(0)
    holder.cancel()
    waiter.cancel()
    left = await asyncio.gather(holder, waiter, return_exceptions=True)
    assert [type(each) for each in left] == [asyncio.CancelledError] * 2
    assert transport.stats() == NOTHING


async def test_waiting_is_bounded(serve: Serve, make_transport: MakeTransport) -> None:
    """A turn that doesn't come in max_wait_s is NotSent; a full queue is NotSent at once."""
    peer = await serve(holding(asyncio.Event()))
    transport = make_transport(max_connections=1, max_waiting=1, max_wait_s=0.1)
    holder = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 1)
    started = time.monotonic()
    waiter = asyncio.create_task(post(transport, peer))
    await asyncio.sleep(0)
    with pytest.raises(NotSent, match="already wait"):
        await post(transport, peer)
    with pytest.raises(NotSent, match="no connection was free") as caught:
        await waiter
    assert 0.1 <= time.monotonic() - started < 20
    assert not caught.value.request_sent
    assert transport.stats() == Stats(open=1, idle=0, in_use=1, waiting=0)
    assert len(peer.requests) == 1
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    assert transport.stats() == NOTHING


async def test_lost_connection_gives_its_slot_to_the_queue(
    serve: Serve, make_transport: MakeTransport
) -> None:
    """Whoever waits gets a new connection when one in use dies."""
    peer = await serve(answering(b"", then_hang_up=True))
    transport = make_transport(max_connections=1)
    results = await asyncio.gather(*(post(transport, peer) for _ in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [SentButNoAnswer] * 4
    assert peer.connection_count == 4
    assert transport.stats() == NOTHING


async def test_failed_connect_gives_its_slot_to_the_queue(make_transport: MakeTransport) -> None:
    """Nobody waits forever behind a peer that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", bound.getsockname()[1])
        transport = make_transport(max_connections=1)
        results = await asyncio.gather(
            *(transport.send(origin, "GET", "/", [], b"", TIMEOUTS) for _ in range(4)), return_exceptions=True
        )
    assert [type(result) for result in results] == [ConnectFailed] * 4
    assert transport.stats() == NOTHING


async def test_origins_are_bounded(serve: Serve, make_transport: MakeTransport) -> None:
    """Past max_origins other hosts are NotSent until one is no longer in use."""
    first, second = await serve(say_hello), await serve(say_hello)
    transport = make_transport(max_origins=1, keep_alive_s=0.1)
    await (await post(transport, first)).read(5)
    with pytest.raises(NotSent, match="1 upstream hosts"):
        await post(transport, second)
    await eventually(lambda: "origins=0" in repr(transport))
    assert await (await post(transport, second)).read(5) == b"hello"


# Cancelling and closing


async def cancel(task: asyncio.Task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancel_while_connecting(serve: Serve, make_transport: MakeTransport) -> None:
    """The half-made connection is closed."""
    peer = await serve(silent)
    transport = make_transport()
    origin = peer.origin._replace(scheme="https")
    task = asyncio.create_task(transport.send(origin, "GET", "/", [], b"", TIMEOUTS))
    await eventually(lambda: peer.connection_count == 1)
    assert transport.stats() == Stats(open=1, idle=0, in_use=1, waiting=0)
    await cancel(task)
    assert transport.stats() == NOTHING
    await peer.connections_ended()


async def test_cancel_at_every_step_of_connecting(serve: Serve, make_transport: MakeTransport) -> None:
    """Wherever in its first steps a request is cancelled, nothing of it stays open."""
    for steps in range(30):
        peer = await serve(silent)
        transport = make_transport()
        task = asyncio.create_task(post(transport, peer))
        for _ in range(steps):
            await asyncio.sleep(0)
        await cancel(task)
        assert transport.stats() == NOTHING
        await peer.connections_ended()


async def test_cancel_while_waiting_for_a_connection(serve: Serve, make_transport: MakeTransport) -> None:
    """The turn is given up, the queue forgets it."""
    release = asyncio.Event()
    peer = await serve(holding(release))
    transport = make_transport(max_connections=1)
    holder = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 1)
    waiter = asyncio.create_task(post(transport, peer))
    await asyncio.sleep(0)
    await cancel(waiter)
    assert transport.stats() == Stats(open=1, idle=0, in_use=1, waiting=0)
    release.set()
    assert await (await holder).read(5) == b"hello"
    assert transport.stats() == Stats(open=1, idle=1, in_use=0, waiting=0)


async def test_cancel_just_after_getting_a_turn(serve: Serve, make_transport: MakeTransport) -> None:
    """A connection handed to a waiter that is cancelled in the same moment goes to the next one."""
    peer = await serve(say_hello)
    transport = make_transport(max_connections=1)
    go_on = asyncio.Event()

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await go_on.wait()
        await connection.send(HELLO)
        await say_hello(connection)

    peer.script = script
    holder = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 1)
    waiters = [asyncio.create_task(post(transport, peer)) for _ in range(2)]
    await asyncio.sleep(0)
    pool = transport._pools[peer.origin]
    hand_over = pool._hand_over

    def hand_over_and_cancel(connection) -> bool:
        handed = hand_over(connection)
        waiters[0].cancel()
        return handed

    pool._hand_over = hand_over_and_cancel  # type: ignore[method-assign]
    go_on.set()
    await holder
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]
    assert await (await waiters[1]).read(5) == b"hello"
    assert transport.stats() == Stats(open=1, idle=1, in_use=0, waiting=0)
    assert len(peer.requests) == 2


async def test_cancel_while_waiting_for_the_answer(serve: Serve, make_transport: MakeTransport) -> None:
    """The connection is aborted: its answer could only confuse the next request."""
    peer = await serve(holding(asyncio.Event()))
    transport = make_transport()
    sent: list[bool] = []
    task = asyncio.create_task(post(transport, peer, on_sent=lambda: sent.append(True)))
    await eventually(lambda: len(peer.requests) == 1)
    await cancel(task)
    assert sent == [True]
    assert transport.stats() == NOTHING


async def test_cancel_inside_a_body(serve: Serve, make_transport: MakeTransport) -> None:
    """The connection is aborted, and the peer learns it."""

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await silent(connection)

    peer = await serve(script)
    transport = make_transport()
    response = await post(transport, peer)
    task = asyncio.create_task(response.read(100))
    await asyncio.sleep(0.02)
    await cancel(task)
    assert transport.stats() == NOTHING
    await peer.connections_ended()
    assert peer.hang_up_count == 1


async def test_closing_a_response(serve: Serve, make_transport: MakeTransport) -> None:
    """Before its end it aborts the connection and wakes who waits; after its end it changes nothing."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"
    transport = make_transport()
    response = await post(transport, await serve(answering(head)))
    assert await response.next_chunk() == b"hello"
    reader = asyncio.create_task(response.next_chunk())
    await asyncio.sleep(0)
    response.close()
    response.close()
    assert transport.stats() == NOTHING
    with pytest.raises(BrokenBody, match="closed"):
        await reader
    whole = await post(transport, await serve(say_hello))
    assert await whole.read(5) == b"hello"
    whole.close()
    assert transport.stats().idle == 1


async def test_transport_drains_before_it_closes(serve: Serve, make_transport: MakeTransport) -> None:
    """Requests in flight may end, new and waiting ones are NotSent, idle connections go at once."""
    release = asyncio.Event()
    peer = await serve(holding(release))
    transport = make_transport(max_connections=1)
    in_flight = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 1)
    waiting = asyncio.create_task(post(transport, peer))
    await asyncio.sleep(0)
    closing = asyncio.create_task(transport.close(drain_s=60))
    with pytest.raises(NotSent, match="closed"):
        await waiting
    with pytest.raises(NotSent, match="closed"):
        await post(transport, peer)
    release.set()
    assert await (await in_flight).read(5) == b"hello"
    started = time.monotonic()
    await closing
    assert time.monotonic() - started < 20
    assert transport.stats() == NOTHING


async def test_idle_connections_do_not_wait_for_the_drain(
    serve: Serve, make_transport: MakeTransport
) -> None:
    """While requests in flight end, connections that nobody uses are closed already."""
    release = asyncio.Event()
    release.set()
    peer = await serve(holding(release))
    transport = make_transport()
    responses = await asyncio.gather(post(transport, peer), post(transport, peer))
    assert [await response.read(5) for response in responses] == [b"hello"] * 2
    release.clear()
    in_flight = asyncio.create_task(post(transport, peer))
    await eventually(lambda: len(peer.requests) == 3)
    assert transport.stats() == Stats(open=2, idle=1, in_use=1, waiting=0)
    closing = asyncio.create_task(transport.close(drain_s=5))
    await asyncio.sleep(0)
    assert transport.stats() == Stats(open=1, idle=0, in_use=1, waiting=0)
    release.set()
    assert await (await in_flight).read(5) == b"hello"
    await closing


async def test_transport_does_not_drain_forever(serve: Serve, make_transport: MakeTransport) -> None:
    """After drain_s what is left is aborted, and told so."""
    peer = await serve(silent)
    transport = make_transport()
    stuck = asyncio.create_task(post(transport, peer))
    await eventually(lambda: peer.connection_count == 1)
    await asyncio.sleep(0.02)
    await transport.close(drain_s=0.1)
    with pytest.raises(SentButNoAnswer):
        await asyncio.wait_for(stuck, 20)
    with pytest.raises(NotSent):
        await transport.send(Origin("http", "127.0.0.1", 1), "GET", "/", [], b"", TIMEOUTS)


# Bounded memory


@pytest.mark.parametrize("over_tls", [False, True])
async def test_backpressure(
    serve: Serve,
    make_transport: MakeTransport,
    certificates: Path,
    server_tls: ssl.SSLContext,
    over_tls: bool,
) -> None:
    """A consumer that sleeps stops the upstream, costs bounded memory, times out nothing, loses no byte."""
    body = random.Random(2).randbytes(20_000_000)
    sent = 0

    async def script(connection: PeerConnection) -> None:
        nonlocal sent
        await connection.request()
        connection.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 100_000):
            connection.writer.write(body[start : start + 100_000])
            await connection.writer.drain()
            sent += 100_000
        await silent(connection)

    peer = await serve(script, tls=server_tls if over_tls else None)
    transport = make_transport(tls=tls_context(str(certificates / "ca.pem")))
    response = await post(transport, peer, timeouts=Timeouts(connect_s=2, first_byte_s=2, idle_s=0.2))
    await asyncio.sleep(0.5)
    assert sent < len(body) - 1_000_000
    digest, largest = hashlib.sha256(), 0
    while (chunk := await response.next_chunk()) is not None:
        largest = max(largest, len(chunk))
        digest.update(chunk)
        await asyncio.sleep(0)
    assert digest.digest() == hashlib.sha256(body).digest()
    assert largest <= Limits().high_water_bytes + Limits().read_bytes
    assert transport.stats().idle == 1


async def test_silence_after_a_pause_is_idle(serve: Serve, make_transport: MakeTransport) -> None:
    """Once the consumer has caught up, the upstream's silence counts again."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + bytes(5000)
    transport = make_transport(high_water_bytes=1000)
    timeouts = Timeouts(connect_s=2, first_byte_s=2, idle_s=0.1)
    response = await post(transport, await serve(answering(answer)), timeouts=timeouts)
    await asyncio.sleep(0.2)
    assert len(await response.next_chunk() or b"") == 5000
    with pytest.raises(IdleTimeout):
        await asyncio.wait_for(response.next_chunk(), 20)


async def test_pause_ends_with_the_answer(serve: Serve, make_transport: MakeTransport) -> None:
    """A connection that was paused by its last bytes reads again for the next request."""
    peer = await serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + bytes(5000)))
    transport = make_transport(high_water_bytes=1000)
    for _ in range(3):
        response = await post(transport, peer)
        await asyncio.sleep(0.01)
        assert len(await response.read(5000)) == 5000
    assert peer.connection_count == 1


async def test_closing_a_paused_response(serve: Serve, make_transport: MakeTransport) -> None:
    """A connection whose consumer never came is freed by close."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + bytes(2_000_000)
    transport = make_transport()
    response = await post(transport, await serve(answering(answer)))
    await asyncio.sleep(0.05)
    assert 4_096 < response.buffered <= 4_096 + 8_192
    response.close()
    assert transport.stats() == NOTHING


# Readability


async def test_reprs(serve: Serve, make_transport: MakeTransport) -> None:
    """Transport, pool, connection and response say what state they are in, and carry no content."""
    peer = await serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"))
    transport = make_transport()
    response = await post(transport, peer)
    counts = "open=1 idle=0 in_use=1 waiting=0"
    assert repr(response) == "<Response 200 open buffered=5>"
    assert repr(transport) == f"<Transport open origins=1 {counts}>"
    pool = f"<Pool {peer.origin} {counts}>"
    assert repr(transport._pools[peer.origin]) == pool
    assert repr(response._source) == f"<Connection in use to {pool}>"


# Everything at once


@pytest.mark.parametrize("seed", range(3))
async def test_storm(serve: Serve, make_transport: MakeTransport, seed: int) -> None:
    """Whatever peers and callers do, every answer is the right one and every slot comes back."""
    choose = random.Random(seed)

    async def script(connection: PeerConnection) -> None:
        while True:
            request = await connection.request()
            body = b"answer to " + request.rpartition(b"\r\n\r\n")[2]
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
            match choose.randrange(8):
                case 0:
                    return
                case 1:
                    await connection.send(head + body[:5])
                    return
                case 2:
                    await asyncio.sleep(0.05)
                case 3:
                    await connection.send(head + body[:5])
                    await connection.send(body[5:])
                    continue
                case _:
                    pass
            await connection.send(head + body)

    peer = await serve(script)
    transport = make_transport(max_connections=8, max_wait_s=0.5)
    answered = 0

    async def one(number: int) -> None:
        nonlocal answered
        try:
            response = await transport.send(peer.origin, "POST", "/", [], b"%d" % number, TIMEOUTS)
            if number % 10 == 0:
                response.close()
                return
            assert await response.read(100) == b"answer to %d" % number
            answered += 1
        except (SentButNoAnswer, BrokenBody, NotSent):
            return

    tasks = [asyncio.create_task(one(number)) for number in range(400)]
    for task in choose.sample(tasks, 60):
        await asyncio.sleep(0.002)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [
        each for each in results if each is not None and not isinstance(each, asyncio.CancelledError)
    ] == []
    assert answered > 100
    stats = transport.stats()
    assert (stats.in_use, stats.waiting) == (0, 0)
    assert stats.open <= 8
    pool = transport._pools[peer.origin]
    assert (pool._dialing, len(pool._queue)) == (0, 0)
