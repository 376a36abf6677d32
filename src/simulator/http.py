"""A minimal HTTP/1.1 server protocol: httptools parses, plain bytes go out, no framework between.

The simulator shares its processor with what is being measured, so a request that needs no waiting is
answered inside the read callback, without a task.
"""

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

JSON = b"application/json"
HEAD_LIMIT_BYTES = 64 * 1024
QUEUE_LIMIT = 8
"""Pipelined requests that may wait behind one that is being answered."""
WRITE_HIGH_WATER_BYTES = 256 * 1024

_LOGGER = logging.getLogger("simulator")
_STATUS_LINES = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus if each >= 200
}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    """One request as it came: header names in lower case, repeated headers kept."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool
    chunks_understood: bool
    """Whether the client speaks HTTP/1.1, so that an answer may come in chunks."""

    def header(self, name: bytes) -> bytes | None:
        """The first header of this (lower-case) name."""
        for each, value in self.headers:
            if each == name:
                return value
        return None


class Application(Protocol):
    """What a connection needs from the simulator."""

    body_limit_bytes: int
    stopping: bool

    def joined(self, connection: "Connection") -> None: ...

    def left(self, connection: "Connection") -> None: ...

    def handle(self, request: Request, connection: "Connection") -> None: ...


def head(status: int, headers: bytes) -> bytes:
    """Status line and header block; `headers` are complete lines."""
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status
    return line + headers + b"\r\n"


class Connection(asyncio.Protocol):
    """One client connection: parses requests one after the other and writes their answers."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._refused = False
        self._keep_alive = True
        self.keep_answer: Callable[[int, bytes, bytes], None] | None = None
        """Gets status, body and type of the next whole answer."""
        self.on_message_begin()

    # --- what handlers use

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def flushed(self) -> None:
        """Wait while more than WRITE_HIGH_WATER_BYTES are unsent."""
        await self._writable.wait()

    async def emptied(self) -> None:
        """Wait until the kernel has taken every byte written."""
        # Transports tell of a low-water mark, not of an empty buffer.
        while self._transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def respond(self, status: int, body: bytes, extra: bytes = b"", content_type: bytes = JSON) -> None:
        """Write one whole answer; `extra` are complete header lines."""
        if self.keep_answer is not None:
            self.keep_answer(status, body, content_type)
            self.keep_answer = None
        headers = b"%bcontent-type: %b\r\ncontent-length: %d\r\n" % (extra, content_type, len(body))
        if not self._keep_alive:
            headers += b"connection: close\r\n"
        self._transport.write(head(status, headers) + body)

    def start(self, answering: Coroutine[Any, Any, None]) -> None:
        """Answer in a task; it is cancelled when the client goes away."""
        self._task = asyncio.get_running_loop().create_task(answering)
        self._task.add_done_callback(self._answered)

    def close_after_answer(self) -> None:
        self._keep_alive = False

    def cut(self, *, reset: bool = False) -> None:
        """Close at once, with a TCP reset when asked."""
        self._keep_alive = False
        raw = self._transport.get_extra_info("socket")
        if reset and raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    @property
    def keeps_alive(self) -> bool:
        return self._keep_alive

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that is answering, if any."""
        return self._task

    @property
    def server_stops(self) -> bool:
        return self._application.stopping

    def close_if_idle(self) -> None:
        self._keep_alive = False
        if self._task is None:
            self._transport.close()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not an assertion: uvloop's transports don't derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        self._application.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._application.left(self)
        self._queue.clear()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._refused:
                _LOGGER.warning("unreadable request: %s", error)
                self._refuse(400)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._head_bytes = 0
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(431)
        elif not self._refused:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        for name, value in self._headers:
            if name == b"expect" and value.lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._application.body_limit_bytes:
            self._refuse(413)
        elif not self._refused:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        parts = self._parts
        request = Request(
            self._parser.get_method(),
            self._target,
            self._headers,
            parts[0] if len(parts) == 1 else b"".join(parts),
            self._parser.should_keep_alive(),
            self._parser.get_http_version() != "1.0",
        )
        if self._task is None:
            self._handle(request)
        elif len(self._queue) < QUEUE_LIMIT:
            self._queue.append(request)
        else:
            self._refuse(503)

    # --- inside

    def _handle(self, request: Request) -> None:
        self._keep_alive = request.keep_alive and not self._application.stopping
        try:
            self._application.handle(request, self)
        except Exception:
            _LOGGER.exception("the simulator failed to answer")
            self.cut()
            return
        if self._task is None and not self._keep_alive:
            self._refused = True
            self._transport.close()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("the simulator failed to answer", exc_info=error)
            self.cut()
        elif not self._keep_alive:
            self._refused = True
            self._transport.close()
        while self._queue and self.task is None and self._keep_alive:
            self._handle(self._queue.popleft())

    def _refuse(self, status: int) -> None:
        """Answer what can't be taken as a request, and read no further."""
        self._refused = True
        self._keep_alive = False
        if self._task is None:
            self.respond(
                status, b"%d %b\n" % (status, HTTPStatus(status).phrase.encode()), b"", b"text/plain"
            )
        self._transport.close()
