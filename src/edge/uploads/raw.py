"""A body of any kind that goes through: small ones are read and may be sent again, others go as they come."""

from collections.abc import AsyncIterator

from edge.upstream.upload import Upload

WHOLE_BYTES = 65_536


class RawBody:
    """One body. Made by `begin`."""

    __slots__ = ("_head", "_length", "_rest", "begun")

    def __init__(self, head: bytes, rest: AsyncIterator[bytes] | None, length: int | None) -> None:
        self._head = head
        self._rest = rest
        self._length = length
        self.begun = False
        """Some of a body that arrives was sent on: it can't be sent again."""

    @classmethod
    async def begin(cls, source: AsyncIterator[bytes], length: int | None) -> "RawBody":
        """Reads a small body, or the beginning of another. Raises what the source raises."""
        head = bytearray()
        async for piece in source:
            head += piece
            if len(head) > WHOLE_BYTES:
                return cls(bytes(head), source, length)
        return cls(bytes(head), None, len(head))

    def upload(self) -> bytes | Upload:
        """The body as it is sent; of one that arrives it can be had once."""
        if self._rest is None:
            return self._head
        assert not self.begun, "a body that arrives can be sent once"
        return Upload(self._pieces(self._rest), self._length)

    async def _pieces(self, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.begun = True
        yield self._head
        async for piece in rest:
            yield piece
