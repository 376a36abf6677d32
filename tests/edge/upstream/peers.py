"""Scripted upstreams: an asyncio server that runs one coroutine per connection."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from edge.upstream.transport import Origin, Transport


class PeerConnection:
    """The upstream's end of one connection."""

    def __init__(self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body; IncompleteReadError when the edge hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        request = head + await self.reader.readexactly(length)
        self.peer.requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        """Write, as a piece of its own: the other end gets the loop before the next one."""
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0.001)

    async def hung_up(self) -> bytes:
        """Wait for the edge to hang up; returns what it still sent."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


Script = Callable[[PeerConnection], Awaitable[None]]


class Peer:
    """An upstream that runs one script per connection, and remembers what it was sent."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connection_count = 0
        self.hang_up_count = 0
        self.failures: list[BaseException] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.origin = Origin("http", "127.0.0.1", 0)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; its script ends when the edge hangs up, at the latest."""
        self.connection_count += 1
        task = asyncio.create_task(self._run(reader, writer))
        self.tasks.add(task)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.script(PeerConnection(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hang_up_count += 1
        except Exception as error:  # a script's own assertion, raised when the test ends
            self.failures.append(error)
        finally:
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def connections_ended(self) -> None:
        """Wait until the edge has hung up on every script that waits for it."""
        async with asyncio.timeout(20):
            await asyncio.gather(*self.tasks)


Serve = Callable[..., Awaitable[Peer]]
MakeTransport = Callable[..., Transport]
