"""Request bodies that are sent as they come, against scripted upstreams, on asyncio's loop and on uvloop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.upstream.transport import (
    ConnectFailed,
    FirstByteTimeout,
    InvalidRequest,
    Origin,
    Response,
    SentButNoAnswer,
    Timeouts,
    Transport,
    Upload,
)
from tests.edge.upstream.peers import MakeTransport, Peer, PeerConnection, Serve

TIMEOUTS = Timeouts(connect_s=2.0, first_byte_s=2.0, idle_s=2.0)
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
PIECE = b"x" * 65_536


async def pieces(*each: bytes) -> AsyncIterator[bytes]:
    for piece in each:
        yield piece
        await asyncio.sleep(0)


async def put(
    transport: Transport, peer: Peer, upload: Upload, timeouts: Timeouts = TIMEOUTS, **options
) -> Response:
    return await transport.send(peer.origin, "POST", "/v1/files", [], upload, timeouts, **options)


async def head_of(connection: PeerConnection) -> bytes:
    return await connection.reader.readuntil(b"\r\n\r\n")


async def take_all(connection: PeerConnection) -> None:
    """Answers requests of known length, whatever comes."""
    while True:
        await connection.request()
        await connection.send(HELLO)


async def take_chunks(connection: PeerConnection) -> None:
    """Answers chunked requests; the requests remembered are the plain bodies."""
    while True:
        assert b"transfer-encoding: chunked\r\n" in await head_of(connection)
        body = b""
        while size := int(await connection.reader.readuntil(b"\r\n"), 16):
            body += (await connection.reader.readexactly(size + 2))[:-2]
        await connection.reader.readexactly(2)
        connection.peer.requests.append(body)
        await connection.send(HELLO)


async def test_of_known_length(serve: Serve, make_transport: MakeTransport) -> None:
    """The pieces arrive as one body under its length, and the connection serves the next request."""
    peer, transport = await serve(take_all), make_transport()
    for _ in range(2):
        upload = Upload(pieces(b"ab", b"", b"cde"), 5)
        response = await put(transport, peer, upload)
        assert await response.read(5) == b"hello"
        assert upload.complete
    assert [request.rpartition(b"\r\n\r\n")[2] for request in peer.requests] == [b"abcde"] * 2
    assert peer.connection_count == 1


async def test_of_unknown_length(serve: Serve, make_transport: MakeTransport) -> None:
    """Without a length the pieces go chunked; an empty piece doesn't end the body."""
    peer, transport = await serve(take_chunks), make_transport()
    for _ in range(2):
        response = await put(transport, peer, Upload(pieces(b"ab", b"", b"cde"), None))
        assert await response.read(5) == b"hello"
    assert peer.requests == [b"abcde"] * 2
    assert peer.connection_count == 1


async def test_empty(serve: Serve, make_transport: MakeTransport) -> None:
    """A body without any piece is a body nevertheless."""
    peer = await serve(take_all)
    await (await put(make_transport(), peer, Upload(pieces(), 0))).read(5)
    assert b"content-length: 0\r\n" in peer.requests[0]


async def test_backpressure(serve: Serve, make_transport: MakeTransport) -> None:
    """An upstream that reads slowly stops the source: what is taken from it is bounded."""
    go_on = asyncio.Event()
    taken = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(512):
            taken += 1
            yield PIECE

    async def slow(connection: PeerConnection) -> None:
        await head_of(connection)
        await go_on.wait()
        await connection.reader.readexactly(512 * len(PIECE))
        await connection.send(HELLO)

    peer = await serve(slow)
    sending = asyncio.create_task(put(make_transport(), peer, Upload(source(), 512 * len(PIECE))))
    await asyncio.sleep(0.2)
    # Socket buffers of both ends, the peer's reader and ours hold the rest.
    assert taken < 256
    go_on.set()
    assert await (await sending).read(5) == b"hello"
    assert taken == 512


async def test_upstream_that_takes_nothing(serve: Serve, make_transport: MakeTransport) -> None:
    """An upload that the upstream doesn't take ends after idle_s, and isn't complete."""

    async def deaf(connection: PeerConnection) -> None:
        connection.writer.transport.pause_reading()
        await asyncio.sleep(5)

    peer = await serve(deaf)
    upload = Upload(pieces(*[PIECE] * 512), None)
    timeouts = Timeouts(first_byte_s=60, idle_s=0.2)
    with pytest.raises(FirstByteTimeout):
        await put(make_transport(), peer, upload, timeouts)
    assert not upload.complete


async def test_slow_source_has_time(serve: Serve, make_transport: MakeTransport) -> None:
    """While the client's bytes are awaited, the upstream's time doesn't run; after the last one it does."""

    async def slow_source() -> AsyncIterator[bytes]:
        yield b"ab"
        await asyncio.sleep(0.4)
        yield b"c"

    async def silent(connection: PeerConnection) -> None:
        await connection.request()
        await connection.hung_up()

    timeouts = Timeouts(first_byte_s=0.1, idle_s=0.1)
    transport, peer = make_transport(), await serve(take_all)
    assert (await put(transport, peer, Upload(slow_source(), 3), timeouts)).status == 200
    upload = Upload(slow_source(), 3)
    with pytest.raises(FirstByteTimeout):
        await put(transport, await serve(silent), upload, timeouts)
    assert upload.complete


async def test_answer_before_the_end(serve: Serve, make_transport: MakeTransport) -> None:
    """An upstream may refuse in the middle: its answer counts, the rest isn't read, the connection goes."""
    taken = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1024
            await asyncio.sleep(0.001)

    async def refuse(connection: PeerConnection) -> None:
        await head_of(connection)
        await connection.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!")
        await connection.hung_up()

    transport, peer = make_transport(), await serve(refuse)
    upload = Upload(source(), None)
    response = await put(transport, peer, upload)
    assert (response.status, await response.read(10)) == (413, b"no!")
    assert not upload.complete
    before = taken
    await asyncio.sleep(0.02)
    assert taken == before
    assert transport.stats().open == 0


async def test_upstream_hangs_up_in_the_middle(serve: Serve, make_transport: MakeTransport) -> None:
    """A connection lost before the body's end is an upload that isn't complete, never sent again."""

    async def hang_up(connection: PeerConnection) -> None:
        await head_of(connection)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE
            await asyncio.sleep(0.001)

    peer = await serve(hang_up)
    upload = Upload(endless(), None)
    with pytest.raises(SentButNoAnswer):
        await put(make_transport(), peer, upload)
    assert not upload.complete
    assert peer.connection_count == 1


async def test_hang_up_while_the_source_waits(serve: Serve, make_transport: MakeTransport) -> None:
    """A loss that nobody waited for is found before anything is waited for."""

    async def hang_up(connection: PeerConnection) -> None:
        await head_of(connection)

    async def pausing() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.2)

    with pytest.raises(SentButNoAnswer):
        await put(make_transport(), await serve(hang_up), Upload(pausing(), None))


@pytest.mark.parametrize(("length", "sent"), [(3, [b"abcd"]), (9, [b"abcd"]), (3, [b"ab", b"cd"])])
async def test_wrong_length(
    serve: Serve, make_transport: MakeTransport, length: int, sent: list[bytes]
) -> None:
    """Pieces that don't come to the announced length never become somebody's next request."""
    seen = bytearray()

    async def watch(connection: PeerConnection) -> None:
        await head_of(connection)
        seen.extend(await connection.hung_up())

    peer, transport = await serve(watch), make_transport()
    upload = Upload(pieces(*sent), length)
    with pytest.raises(InvalidRequest):
        await put(transport, peer, upload)
    assert not upload.complete
    assert transport.stats().open == 0
    await peer.connections_ended()
    assert len(seen) <= length or length == 9


async def test_source_fails(serve: Serve, make_transport: MakeTransport) -> None:
    """What the source raises comes out, and the upstream sees a request without an end."""

    class ClientGoneError(Exception):
        pass

    async def breaking() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.sleep(0.01)
        raise ClientGoneError

    ends = []

    async def watch(connection: PeerConnection) -> None:
        await head_of(connection)
        ends.append(await connection.hung_up())

    peer, transport = await serve(watch), make_transport()
    upload = Upload(breaking(), None)
    with pytest.raises(ClientGoneError):
        await put(transport, peer, upload)
    assert not upload.complete
    assert transport.stats().open == 0
    await peer.connections_ended()
    assert b"0\r\n\r\n" not in b"".join(ends)


async def test_cancelled(serve: Serve, make_transport: MakeTransport) -> None:
    """Cancelling an upload aborts its connection, whether it waits for the source or for the upstream."""
    for waiting in (0.0, 10.0):

        async def source(waiting: float = waiting) -> AsyncIterator[bytes]:
            for _ in range(10_000):
                yield PIECE
                await asyncio.sleep(waiting)

        async def deaf(connection: PeerConnection) -> None:
            connection.writer.transport.pause_reading()
            await asyncio.sleep(5)

        transport = make_transport()
        sending = asyncio.create_task(put(transport, await serve(deaf), Upload(source(), None)))
        await asyncio.sleep(0.1)
        assert transport.stats().in_use == 1
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert transport.stats().open == 0


async def test_nothing_read_without_a_connection(make_transport: MakeTransport) -> None:
    """An upload whose upstream can't be reached is untouched: it may go to another."""
    taken = []

    async def source() -> AsyncIterator[bytes]:
        taken.append(1)
        yield b"a"

    upload = Upload(source(), 1)
    sent = []
    with pytest.raises(ConnectFailed):
        await make_transport().send(
            Origin("http", "127.0.0.1", 1), "POST", "/", [], upload, TIMEOUTS, on_sent=lambda: sent.append(1)
        )
    assert not taken
    assert not sent
