"""Files that have to wait on disk because what decides about them comes behind them.

All of a worker's lie in one directory, have no name there (so nothing is left behind, whatever happens), and
together are bounded.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from edge import metrics
from tollkeeper.errors import Reason, TollkeeperError

# What a file holds in memory before any of it is written, and the size of what is read back.
PIECE_BYTES = 262_144


class Spools:
    """The disk space of one worker's files."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """`directory` is made when it is first needed."""
        self._directory = directory
        self._max_bytes = max_bytes
        self.used_bytes = 0

    def take(self, size: int) -> None:
        """Raises UNAVAILABLE when there is no room."""
        if self.used_bytes + size > self._max_bytes:
            message = "This gateway holds too many uploads. Try again in a moment."
            raise TollkeeperError(Reason.UNAVAILABLE, message, retry_after_s=5)
        self.used_bytes += size
        metrics.spooled(self.used_bytes)

    def give_back(self, size: int) -> None:
        """The other end of `take`."""
        self.used_bytes -= size
        metrics.spooled(self.used_bytes)

    def open(self) -> IO[bytes]:
        """A new file without a name. Blocks; raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self._directory)


class Spool:
    """Bytes that are written once and then read, as often as needed. Small ones never see the disk."""

    __slots__ = ("_file", "_spools", "_taken", "_waiting", "size")

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._file: IO[bytes] | None = None
        self._waiting = bytearray()
        self._taken = 0
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Raises UNAVAILABLE when there is no room, or the disk takes nothing."""
        self._waiting += data
        self.size += len(data)
        if len(self._waiting) < PIECE_BYTES:
            return
        piece = bytes(self._waiting)
        self._waiting.clear()
        self._spools.take(len(piece))
        self._taken += len(piece)
        try:
            await asyncio.to_thread(self._write, piece)
        except OSError as error:
            message = "This gateway can't store uploads at the moment."
            raise TollkeeperError(Reason.UNAVAILABLE, message, retry_after_s=5) from error

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._file = self._spools.open()
        self._file.write(piece)

    async def pieces(self, start: int, size: int) -> AsyncIterator[bytes]:
        """A stretch of what was written. Raises OSError."""
        on_disk = self.size - len(self._waiting)
        at, end = start, start + size
        while at < min(end, on_disk):
            yield await asyncio.to_thread(self._read, at, min(PIECE_BYTES, min(end, on_disk) - at))
            at += PIECE_BYTES
        if end > on_disk:
            yield bytes(self._waiting[max(0, start - on_disk) : end - on_disk])

    def _read(self, start: int, size: int) -> bytes:
        assert self._file is not None
        self._file.seek(start)
        return self._file.read(size)

    def close(self) -> None:
        """Gives the space back. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._spools.give_back(self._taken)
        self._taken = 0
        self._waiting.clear()
