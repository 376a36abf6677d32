"""A request body that goes upstream as it comes, for bodies that must not be held in memory."""

from collections.abc import AsyncIterator
from typing import Protocol

from edge.upstream.failures import InvalidRequest
from edge.upstream.response import Response


class Sender(Protocol):
    """The connection, as the body that goes over it sees it."""

    @property
    def blocked(self) -> bool:
        """Whether the upstream takes less than it is sent."""

    def send(self, response: Response, data: bytes) -> None:
        """Write, if this response's request is still the connection's."""

    def sent(self, response: Response) -> None:
        """The request's last byte was written."""


class Upload:
    """A body in pieces, sent once: it can't go to a second upstream.

    `length` is what the pieces come to; None sends them chunked. `complete` tells, also after a failure,
    whether the last byte was handed to the connection: an upstream can't have served a request whose end
    never left.
    """

    __slots__ = ("_chunks", "complete", "length")

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None) -> None:
        self._chunks = chunks
        self.length = length
        self.complete = False

    def framing(self) -> bytes:
        """The header that tells its length, and the end of the head."""
        if self.length is None:
            return b"transfer-encoding: chunked\r\n\r\n"
        return b"content-length: %d\r\n\r\n" % self.length

    async def send(self, sender: Sender, response: Response) -> None:
        """Write piece after piece, waiting while the upstream doesn't take them; stops early when it has
        answered or is gone.

        Whatever the source of the pieces raises ends the connection and goes on to the caller, as does
        InvalidRequest where they don't come to `length`.
        """
        chunked = self.length is None
        size = 0
        try:
            async for piece in self._chunks:
                if _is_over(response):
                    return
                size += len(piece)
                if self.length is not None and size > self.length:
                    raise InvalidRequest("the body is longer than its announced length")
                if piece:
                    sender.send(response, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                while sender.blocked and not _is_over(response):
                    await response.wait()
            if _is_over(response):
                return
            if self.length is not None and size < self.length:
                raise InvalidRequest("the body is shorter than its announced length")
            if chunked:
                sender.send(response, b"0\r\n\r\n")
            self.complete = True
            sender.sent(response)
        except BaseException:
            response.close()
            raise


def _is_over(response: Response) -> bool:
    """Answered, or the connection lost: nobody reads the rest."""
    return bool(response.status) or response.failure is not None
