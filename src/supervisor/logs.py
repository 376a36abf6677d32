"""Output of children: passed on to standard error by line, the last lines kept to explain a failed start."""

import asyncio
import os
import select
import sys
from collections import deque
from dataclasses import dataclass

LINE_LIMIT_BYTES = 16 * 1024
KEPT_LINES = 20


@dataclass(slots=True)
class LogStyle:
    """How lines are shown: for people with the part's name, and only once everything is ready."""

    labelled: bool
    shown: bool


class Relay:
    """Where one child's standard output and error go. Survives the child's restarts."""

    def __init__(self, part: str, style: LogStyle) -> None:
        self._label = f"{part:<9} | ".encode() if style.labelled else b""
        self._style = style
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._readers: set[asyncio.Task[None]] = set()
        self._dropped = 0

    async def pipe(self) -> int:
        """The write end for a new child; the caller closes its own copy once the child has it."""
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb", 0))
        task = loop.create_task(self._read(reader, transport))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return writing

    def last_line(self) -> str:
        """The last line that says something, of a traceback the exception; empty when there was none."""
        lines = [text for line in self._kept if (text := line.decode(errors="replace").rstrip())]
        frames = [number for number, text in enumerate(lines) if text.startswith('  File "')]
        after = lines[frames[-1] :] if frames else []
        raised = [text for text in after if not text.startswith(" ")]
        return raised[0] if raised else lines[-1].strip() if lines else ""

    async def finish(self, timeout_s: float) -> None:
        """Waits for what children have still to say; grandchildren may hold the pipe open for longer."""
        if not self._readers:
            return
        _, pending = await asyncio.wait(self._readers, timeout=timeout_s)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        rest = b""
        try:
            while chunk := await reader.read(LINE_LIMIT_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_LIMIT_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._pass_on(line)
            if rest:
                self._pass_on(rest)
        finally:
            transport.close()

    def show_kept(self) -> None:
        """The last lines, where they were held back until now: they tell why a start failed."""
        if not self._style.shown:
            for line in self._kept:
                _write(self._label + line + b"\n")

    def _pass_on(self, line: bytes) -> None:
        self._kept.append(line)
        if not self._style.shown:
            return
        if not _standard_error_takes_more():
            # Nobody reads: better to lose lines than to stop supervising.
            self._dropped += 1
            return
        if self._dropped:
            _write(self._label + b"(%d lines dropped)\n" % self._dropped)
            self._dropped = 0
        _write(self._label + line + b"\n")


def say(text: str) -> None:
    """A line of the supervisor's own."""
    if _standard_error_takes_more():
        _write(f"tollkeeper: {text}\n".encode())


def _standard_error_takes_more() -> bool:
    try:
        return bool(select.select([], [sys.stderr.fileno()], [], 0)[1])
    except (OSError, ValueError):
        return False


def _write(data: bytes) -> None:
    """Up to PIPE_BUF bytes: that much is known to fit without waiting once `select` says so."""
    try:
        os.write(
            sys.stderr.fileno(), data if len(data) <= select.PIPE_BUF else data[: select.PIPE_BUF - 1] + b"\n"
        )
    except OSError:
        # Standard error is gone; there is no other place to say so.
        return
