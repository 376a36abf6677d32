"""An answer from an upstream: its head, and its body as it arrives."""

import asyncio
from typing import Protocol

from edge.upstream.failures import BodyTooLarge, BrokenBody, TransportError

# Of a whole body that is being collected: its consumer keeps all of it anyway, and pauses would only cost.
COLLECTED_HIGH_WATER_BYTES = 262_144


class Source(Protocol):
    """The connection, as its current response sees it."""

    def give_up(self, response: "Response") -> None:
        """Abort the connection if it still serves this response."""

    def resume(self, response: "Response") -> None:
        """Read on, if reading was paused because this response's consumer was behind."""


class Response:
    """Status, headers and body of one answer.

    `headers` are (lower-case name, value) in the order received, bodies keep their content encoding.
    Whoever holds a response calls `close()` when done with it, in a `finally`: only a body received to its
    end gives the connection back by itself. Attributes but `status` and `headers` belong to the connection.
    """

    __slots__ = (
        "_loop",
        "_source",
        "_waiter",
        "buffered",
        "chunks",
        "ended",
        "failure",
        "headers",
        "high_water_bytes",
        "status",
    )

    def __init__(self, source: Source, loop: asyncio.AbstractEventLoop, high_water_bytes: int) -> None:
        """`high_water_bytes`: so much unread stops the upstream."""
        self.high_water_bytes = high_water_bytes
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.buffered = 0
        self.ended = False
        self.failure: TransportError | None = None
        self._source = source
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    async def next_chunk(self) -> bytes | None:
        """All bytes received and not read yet, waiting for some if there are none; None at the body's end.

        Doesn't yield to the loop when bytes are there. Cancelling it aborts the connection.
        Raises BrokenBody, IdleTimeout.
        """
        while True:
            chunks = self.chunks
            if chunks:
                data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                chunks.clear()
                self.buffered = 0
                if not self.ended:
                    self._source.resume(self)
                return data
            if self.failure is not None:
                raise self.failure
            if self.ended:
                return None
            await self.wait()

    async def read(self, max_bytes: int) -> bytes:
        """The whole body, of at most max_bytes. Cancelling it aborts the connection.

        Raises BodyTooLarge, BrokenBody, IdleTimeout.
        """
        pieces = self.chunks
        if not self.ended:  # most answers come in one piece with their head, and skip this
            pieces = []
            size = 0
            self.high_water_bytes = COLLECTED_HIGH_WATER_BYTES
            while size <= max_bytes and (chunk := await self.next_chunk()) is not None:
                pieces.append(chunk)
                size += len(chunk)
        body = b"".join(pieces)
        if len(body) > max_bytes:
            self.close()
            raise BodyTooLarge(f"the upstream's answer is larger than {max_bytes} bytes")
        self.chunks.clear()
        self.buffered = 0
        return body

    def close(self) -> None:
        """Let go of the answer: aborts the connection unless the body was received to its end. Idempotent."""
        if self.failure is None and (self.chunks or not self.ended):
            self.failure = BrokenBody("the response was closed before its end")
            self._source.give_up(self)
            self.wake()
        self.chunks.clear()
        self.buffered = 0
        if self.failure is not None:
            self.failure.__traceback__ = None  # as in `take_failure`

    def take_failure(self) -> TransportError:
        """What went wrong, for who raises it: kept here, it would refer to who has us, and that to us."""
        assert self.failure is not None
        failure, self.failure = self.failure, None
        return failure

    async def wait(self) -> None:
        """Until there is news: bytes, the end, or a failure. Cancelling it aborts the connection."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Called by the connection when there is news."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __repr__(self) -> str:
        state = "ended" if self.ended else "failed" if self.failure else "open"
        return f"<Response {self.status} {state} buffered={self.buffered}>"
