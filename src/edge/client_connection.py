"""A client's connection: how long it may take over its part, and what its loss means for the request.

Sanic's time limits start anew with every byte, so that a byte now and then holds a connection for days. Here
a request's head has one limit for all of it; its body, and an answer that is there to be read, must make
progress: the limit, and a second more for every `MIN_BYTES_PER_S` that have moved. One timer per connection
looks at all of this a few times within the shortest limit; nothing is done per byte or per request.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sanic.exceptions import RequestCancelled, RequestTimeout, ServiceUnavailable
from sanic.http import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from edge import metrics
from edge.client_framing import EdgeHttp
from edge.hangup import Client

MIN_BYTES_PER_S = 1024
MAX_TICK_S = 5.0
# Of an answer, before its writer has to wait for the client to read (Sanic's own is four times as much).
WRITE_HIGH_BYTES = 4096
WRITE_LOW_BYTES = 1024
# Of a request, before more is read of it than its reader has taken.
PAUSE_READING_BYTES = 65_536
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What clients of one worker may take, in seconds and connections."""

    head_s: float = 10.0
    body_s: float = 60.0
    read_s: float = 60.0
    keep_alive_s: float = 75.0
    max_connections: int = 10_000

    @property
    def tick_s(self) -> float:
        """How often a connection is looked at: its limits fire up to this much late."""
        shortest = min(self.head_s, self.body_s, self.read_s, self.keep_alive_s)
        return min(MAX_TICK_S, shortest / 4)


class Patience:
    """How long the client has made us wait, over some step of a request."""

    __slots__ = ("_moved", "_seen", "_step", "_waited_s")

    def __init__(self) -> None:
        self._step: object = None
        self._waited_s = 0.0
        self._seen = 0
        self._moved = 0

    def is_over(self, step: object, seconds: float, limit_s: float, seen: int = 0) -> bool:
        """Whether `step` has taken longer than it may, being looked at again after `seconds` of waiting.

        `seen` counts bytes of the step; what it changed by since the last look has moved.
        """
        if step != self._step:
            self._step, self._waited_s, self._moved, self._seen = step, 0.0, 0, seen
            return False
        self._waited_s += seconds
        self._moved += abs(seen - self._seen)
        self._seen = seen
        return self._waited_s > limit_s + self._moved / MIN_BYTES_PER_S


class EdgeProtocol(HttpProtocol):
    """Sanic's connection, but for hang-ups and for clients that take too long."""

    HTTP_CLASS = EdgeHttp
    __slots__ = ("_arrival", "_limits", "_looked_s", "_patience", "_resumed_count", "client")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.client: Client | None = None
        self._limits: ClientLimits = self.app.ctx.client_limits
        self._patience = Patience()
        self._looked_s = monotonic()
        self._resumed_count = 0
        self._arrival: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Takes the connection, unless there are too many."""
        if len(self.connections) >= self._limits.max_connections:
            metrics.connection_cut("full")
            self._task = None
            transport.write(_BUSY)
            transport.close()
            return
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        transport.set_write_buffer_limits(low=WRITE_LOW_BYTES, high=WRITE_HIGH_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the request's task unless its client's policy keeps it."""
        if self.conn_info is None:  # it was refused
            return
        client, task, http = self.client, self._task, self._http
        in_body = http is not None and bool(http.request_body)
        if http is not None and task is not None:
            task.add_done_callback(http.let_go)
        if client is not None and task is not None and client.lost(task, in_body):
            self._task = None
            super().connection_lost(exc)  # type: ignore[no-untyped-call]
            self._task = task
        else:
            super().connection_lost(exc)  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """Closes at once. The transport stays in place, unlike Sanic's: a sender may be about to ask it."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Keeps the bytes, and wakes whoever waits for some."""
        self._time = monotonic()
        buffer: bytearray = self.recv_buffer
        buffer += data
        if len(buffer) >= PAUSE_READING_BYTES and self.transport is not None:
            self.transport.pause_reading()
        arrival = self._arrival
        if arrival is not None and not arrival.done():
            arrival.set_result(None)

    async def receive_more(self) -> None:
        """Until more bytes are there."""
        assert self.transport is not None
        self.transport.resume_reading()
        self._arrival = arrival = self.loop.create_future()
        await arrival

    async def send(self, data: bytes) -> None:
        """Writes, once there is room. Raises RequestCancelled when the client is gone."""
        if not self._can_write.is_set():
            await self._can_write.wait()
        transport = self.transport
        if transport is None or transport.is_closing():
            raise RequestCancelled
        transport.write(data)
        self._time = monotonic()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._resumed_count += 1
        super().resume_writing()  # type: ignore[no-untyped-call]

    @property
    def _request_count(self) -> int:
        """Of the connection, so that time limits know one from the next."""
        return int(self.state["requests_count"])

    @property
    def room(self) -> asyncio.Event:
        """Set while the client has read most of what it was sent, and once it is gone."""
        return self._can_write

    @property
    def quiet_since(self) -> float:
        """When something was last sent or received, on `time.monotonic`."""
        return self._time

    def check_timeouts(self) -> None:
        """Looks at the connection and ends it if the client has taken too long; looks again soon."""
        http, task, transport = self._http, self._task, self.transport
        lost = self.conn_info is None or self.conn_info.lost
        if task is None or http is None or transport is None or lost:
            return
        now_s = monotonic()
        elapsed_s, self._looked_s = now_s - self._looked_s, now_s
        unread = transport.get_write_buffer_size()
        if unread and (http.stage is Stage.IDLE or not self._can_write.is_set()):
            self._look_at_reader(http, elapsed_s, unread)
        elif http.stage is Stage.REQUEST:
            if self._patience.is_over((self._request_count, "head"), elapsed_s, self._limits.head_s):
                self._end("head", "The request's head did not arrive in time.")
        elif http.request_body and http.stage in (Stage.HANDLER, Stage.IDLE):
            self._look_at_body(http, elapsed_s)
        elif http.stage is Stage.IDLE:
            if now_s - self._time > self._limits.keep_alive_s:
                task.cancel()
        elif now_s - self._time > self.response_timeout:
            http.exception = ServiceUnavailable("The answer did not come in time.")
            task.cancel()
        self._callback_check_timeouts = self.loop.call_later(self._limits.tick_s, self.check_timeouts)

    def _look_at_reader(self, http: EdgeHttp, elapsed_s: float, unread: int) -> None:
        step = (self._request_count, self._resumed_count)
        if self._patience.is_over(step, elapsed_s, self._limits.read_s, unread):
            metrics.connection_cut("read")
            self.transport.abort()  # type: ignore[union-attr]

    def _look_at_body(self, http: EdgeHttp, elapsed_s: float) -> None:
        # While bytes of it wait here, it is us who are slow.
        waited_s = 0.0 if self.recv_buffer else elapsed_s
        received = (http.request_bytes or 0) - (http.request_bytes_left or 0)
        if self._patience.is_over((self._request_count, "body"), waited_s, self._limits.body_s, received):
            self._end("body", "The request's body did not arrive in time.")

    def _end(self, part: str, message: str) -> None:
        """Answers, if nothing was yet; the next look ends what Sanic still reads after its answer."""
        if self._http.stage is not Stage.IDLE:
            metrics.connection_cut(part)
            self._http.exception = RequestTimeout(message)
        self._task.cancel()  # type: ignore[union-attr]
