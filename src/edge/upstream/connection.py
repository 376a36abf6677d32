"""One HTTP/1.1 connection to an upstream: writes a request, feeds what comes back to the parser, and ends.

It has no task of its own: bytes are parsed where the event loop delivers them, and every time limit is a
`deadline` that the transport's tick looks at. What the parser finds is `receiver`'s.
"""

import asyncio
import math
import select
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from edge.upstream.failures import (
    BadAnswer,
    BrokenBody,
    FirstByteTimeout,
    IdleTimeout,
    SentButNoAnswer,
    TotalTimeout,
    TransportError,
)
from edge.upstream.limits import Limits, Timeouts
from edge.upstream.receiver import Receiver, lasts_until_close
from edge.upstream.response import Response

# A connection idle for longer than this is asked whether the peer has hung up in the meantime; below it the
# loop has just looked, and the question would cost every request a system call.
PROBE_AFTER_S = 0.5

# Larger bodies are written on their own: copying them behind the head would cost more than a second write.
JOIN_BODY_MAX_BYTES = 65_536
TLS_HIGH_WATER_BYTES = 16_384


class Owner(Protocol):
    """The pool, as its connections see it."""

    def release(self, connection: "Connection") -> None:
        """Take back a connection that can serve another request."""

    def forget(self, connection: "Connection") -> None:
        """Stop counting a connection that is gone. Idempotent."""


class Connection(Receiver):
    """One connection and the response that it is receiving, if any."""

    __slots__ = (
        "_blocked",
        "_buffer",
        "_loop",
        "_owner",
        "_timeouts",
        "_uploading",
        "closed",
        "end_by_s",
        "idle_since",
    )

    def __init__(
        self, owner: Owner, loop: asyncio.AbstractEventLoop, limits: Limits, buffer: memoryview
    ) -> None:
        """`buffer` is where the loop puts what it reads; connections of one loop may share it."""
        super().__init__(limits)
        self._owner = owner
        self._buffer = buffer
        self._loop = loop
        self.closed = False
        self._timeouts = Timeouts()
        self._uploading = False  # a body that comes in pieces has not ended
        self._blocked = False  # the upstream takes less than it is sent
        self.end_by_s = math.inf  # for the whole request, whoever is silent
        self.idle_since = 0.0

    # What the pool does with it.

    def start(
        self,
        head: bytes,
        body: bytes,
        head_only: bool,
        timeouts: Timeouts,
        end_by_s: float = math.inf,
        uploads: bool = False,
    ) -> Response:
        """Write a request. Its response is filled in as bytes arrive; wait for its status.

        `end_by_s` is on the loop's clock. `uploads`: more of the body follows, by `send`, until `sent`; time
        for the answer runs from there on.
        """
        transport = self._transport
        assert self._response is None
        response = Response(self, self._loop, self._limits.high_water_bytes)
        self._response = response
        self._head = response.headers
        self._head_only = head_only
        self._overhead = 0
        self._timeouts = timeouts
        self._uploading = uploads
        self.end_by_s = end_by_s
        self.deadline = math.inf if uploads else self._loop.time() + timeouts.first_byte_s
        if len(body) <= JOIN_BODY_MAX_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return response

    def reusable(self) -> bool:
        """Whether an idle connection can take a request, as far as anyone can know without sending."""
        now = self._loop.time()
        if self.closed or now >= self.deadline or self._transport.is_closing():
            return False
        return now - self.idle_since < PROBE_AFTER_S or not self._has_input()

    def expire(self, now: float) -> None:
        """Give up if the deadline has passed: an idle connection quietly, an active one with its failure."""
        if now >= self.end_by_s and self._response is not None:
            self._fail(TotalTimeout("the time for the request is over"))
        elif now < self.deadline:
            return
        elif self._response is None:
            self.abort()
        elif self._head is not None:
            self._fail(FirstByteTimeout("the upstream did not answer in time"))
        else:
            self._fail(IdleTimeout(f"the upstream sent nothing for {self._timeouts.idle_s:g} s"))

    def lose(self, reason: str) -> None:
        """Close at once; a response in progress fails as if the upstream had hung up."""
        self._fail(self._broken(reason))

    def abort(self) -> None:
        """Close at once, dropping what is unsent and unread. Idempotent."""
        self.closed = True
        self._response = None
        self._owner.forget(self)
        transport = getattr(self, "_transport", None)
        if transport is not None:
            transport.abort()

    # What the response asks for.

    def give_up(self, response: Response) -> None:
        """Abort if this response is still being received."""
        if self._response is response:
            self.abort()

    def resume(self, response: Response) -> None:
        """Read on after a pause, now that the consumer has caught up."""
        if self._paused and self._response is response:
            self._unpause()
            self.deadline = self._loop.time() + self._timeouts.idle_s

    # What a body that comes in pieces asks for.

    @property
    def blocked(self) -> bool:
        """Whether the upstream takes less than it is sent."""
        return self._blocked

    def send(self, response: Response, data: bytes) -> None:
        """Write, if this response's request is still the connection's."""
        if self._response is response:
            self._transport.write(data)

    def sent(self, response: Response) -> None:
        """The request's last byte was written: from now on the upstream's time runs."""
        if self._response is response:
            self._uploading = False
            if self._head is not None:
                self.deadline = self._loop.time() + self._timeouts.first_byte_s

    # asyncio.BufferedProtocol

    def pause_writing(self) -> None:
        """The upstream is behind; it has as long for the next byte as for one of its own."""
        self._blocked = True
        if self._uploading and self._head is not None:
            self.deadline = self._loop.time() + self._timeouts.idle_s

    def resume_writing(self) -> None:
        """It has caught up."""
        self._blocked = False
        if self._uploading and self._response is not None:
            if self._head is not None:
                self.deadline = math.inf
            self._response.wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; a connection given up while being made is closed at once."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's doesn't derive from it
        self._parser = HttpResponseParser(self)
        # Of what TLS has received and nobody has decrypted; the loop's own bound is 256 KiB.
        limit = getattr(transport, "set_read_buffer_limits", None)
        if limit is not None:
            limit(high=TLS_HIGH_WATER_BYTES)
        if self.closed:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop puts what it reads: one place for all connections, since it is parsed at once."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse, then tell the consumer once, however many pieces the bytes held."""
        response = self._response
        if response is None:  # nobody asked: the peer is about to hang up, or out of step
            self.abort()
            return
        self._overhead += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (HttpParserError, HttpParserUpgrade) as error:
            self._refuse(response, error)
            return
        if response.ended:
            self._finish()
        elif self._overhead > self._limits.max_head_bytes:
            self._fail(self._broken("the upstream sent too many bytes outside the body"))
            return
        elif self._head is None and not self._paused:
            self.deadline = self._loop.time() + self._timeouts.idle_s
        response.wake()

    def eof_received(self) -> None:
        """The peer is done sending: no further request, and the loop closes the connection."""
        self.closed = True
        self._owner.forget(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a body that lasts until the connection closes; fail any other."""
        del self._parser  # it refers to us: without it nothing waits for the garbage collector
        self.closed = True
        self._owner.forget(self)
        response = self._response
        if response is None:
            return
        if self._head is None and exc is None and lasts_until_close(response.headers):
            self._response = None
            response.ended = True
            response.wake()
        else:
            failure = self._broken("the upstream closed the connection early")
            failure.__cause__ = exc
            self._fail(failure)

    # Endings

    def _finish(self) -> None:
        """The body is complete: back to the pool, if the connection can serve another request."""
        transport = self._transport
        if not self._can_reuse or self.closed or self._uploading or transport.get_write_buffer_size():
            self.abort()  # also when the upstream answered without reading all of the request
            return
        self._response = None
        if self._paused:
            self._unpause()
        if self._head_only:  # the parser still expects the body that the head announced
            self._parser = HttpResponseParser(self)
        self._owner.release(self)

    def _refuse(self, response: Response, error: Exception) -> None:
        """Unparsable input: the connection is lost, a body that was already complete is not."""
        if response.ended:
            self.abort()
            response.wake()
            return
        own = error.__context__
        if self._head is not None:
            failure: TransportError = own if isinstance(own, TransportError) else BadAnswer(str(error))
        else:
            failure = BrokenBody(str(own) if isinstance(own, TransportError) else str(error))
        self._fail(failure)

    def _fail(self, failure: TransportError) -> None:
        response = self._response
        self.abort()
        if response is not None:
            response.failure = failure
            response.wake()

    def _broken(self, message: str) -> TransportError:
        return SentButNoAnswer(message) if self._head is not None else BrokenBody(message)

    def _has_input(self) -> bool:
        """Whether an idle connection has bytes or an end of file that the loop has not delivered yet."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "idle" if self._response is None else "in use"
        return f"<Connection {state} to {self._owner!r}>"
