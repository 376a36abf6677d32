"""Compressed answers. None are asked for, but some vendors send them anyway, and usage must be read from
them."""

import zlib
from typing import Protocol

_READABLE = frozenset({b"gzip", b"x-gzip", b"deflate"})
_ANY_HEADER = 47  # zlib and gzip headers alike
# A small answer that unfolds to gigabytes is an attack on this process.
MAX_RATIO_BYTES = 64 * 1_048_576


class Decoder(Protocol):
    """Takes the bytes of one body in order and gives them back readable."""

    def decode(self, chunk: bytes) -> bytes:
        """Raises ValueError when the bytes aren't what the encoding says."""


class Inflater:
    """gzip or deflate, a piece at a time."""

    __slots__ = ("_inflate", "_size")

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_ANY_HEADER)
        self._size = 0

    def decode(self, chunk: bytes) -> bytes:
        """The readable bytes that the chunk completes. Raises ValueError."""
        try:
            plain = self._inflate.decompress(chunk, MAX_RATIO_BYTES - self._size + 1)
        except zlib.error:
            raise ValueError("the upstream's answer is not the gzip it claims to be") from None
        self._size += len(plain)
        if self._size > MAX_RATIO_BYTES:
            raise ValueError("the upstream's compressed answer is too large")
        return plain


def decoder_for(encoding: bytes) -> Decoder | None:
    """A decoder, or None when the encoding is one that isn't understood here: such a body goes on as it
    is."""
    return Inflater() if encoding.strip().lower() in _READABLE else None
