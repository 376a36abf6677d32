"""A vendor of which every byte is known: a server in the test's own loop, and a provider that leads to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.e2e.admin import Tenant, VirtualKey

MODEL = "scripted"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"x-request-id: vendor-1\r\n\r\n"
)
# 1 nano-dollar per input token, 2 per output token.
RATES = {"input": 1_000_000, "output": 2_000_000}

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Vendor:
    """What a scripted vendor was sent: head and body of each request."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    def key(self, tenant: Tenant, **provider: str) -> VirtualKey:
        """A key whose only route leads here."""
        provider_id = tenant.provider("custom", **{"base_url": self.base_url, **provider})
        tenant.price(provider_id, MODEL, **RATES)
        tenant.route(provider_id)
        return tenant.key()


@asynccontextmanager
async def vendor(script: Script) -> AsyncIterator[Vendor]:
    """Runs `script` for each request; the connection is closed when it returns."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            known.heads.append(head)
            known.bodies.append(await reader.readexactly(_length(head)))
            await script(writer)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    known = Vendor(server.sockets[0].getsockname()[1])
    try:
        yield known
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _length(head: bytes) -> int:
    [line] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(line.partition(b":")[2])


async def send_chunks(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """A chunked stream, each piece a segment of its own."""
    writer.write(STREAM_HEAD)
    for piece in pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(0.005)
    writer.write(b"0\r\n\r\n")


def answers(body: bytes, media_type: str = "application/json") -> Script:
    """A script that answers with this body in one piece."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    return script
