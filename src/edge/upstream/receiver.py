"""What an HTTP/1.1 connection to an upstream receives: the parser's half of it.

llhttp (by way of httptools) parses, and calls here for each part of an answer. What these methods raise
reaches the connection as the context of a HttpParserError.
"""

import asyncio
import math

from httptools import HttpResponseParser

from edge.upstream.failures import BadAnswer
from edge.upstream.limits import Limits
from edge.upstream.response import Response


class Receiver(asyncio.BufferedProtocol):
    """The answer that is being received, if any, and the few states around the parser."""

    __slots__ = (
        "_can_reuse",
        "_head",
        "_head_only",
        "_interim",
        "_limits",
        "_overhead",
        "_parser",
        "_paused",
        "_response",
        "_transport",
        "deadline",
    )
    # From connection_made on, which is before the pool hands it out.
    _transport: asyncio.Transport
    _parser: HttpResponseParser

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._paused = False
        self._response: Response | None = None
        self._head: list[tuple[bytes, bytes]] | None = (
            None  # where headers go; None once the head is complete
        )
        self._head_only = False
        self._interim = False
        self._can_reuse = False
        self._overhead = 0  # bytes received since the last byte of a body
        self.deadline = math.inf

    def on_message_begin(self) -> None:
        """Refuse bytes behind the end of an answer: they would be taken for the next request's."""
        response = self._response
        if response is None or response.ended:
            raise BadAnswer("the upstream sent more than it was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect the head. Trailers are dropped."""
        if self._head is not None:
            # llhttp leaves optional white space at the end of a value.
            self._head.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Publish the head; an interim (1xx) one is forgotten."""
        response = self._response
        assert response is not None
        status = self._parser.get_status_code()
        limit = self._limits.max_head_bytes
        if self._overhead > limit and _head_bytes(response.headers) > limit:
            raise BadAnswer(f"the head of the upstream's answer is larger than {limit} bytes")
        if not 200 <= status < 600:
            if status not in (100, 102, 103):
                raise BadAnswer(f"the upstream answered with status {status}")
            response.headers.clear()
            self._interim = True
            return
        response.status = status
        self._head = None
        if self._head_only:
            self._end(response)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, and stop reading when the consumer is too far behind."""
        response = self._response
        assert response is not None
        if self._head_only:
            raise BadAnswer("the upstream sent a body where none may be")
        self._overhead = 0
        response.chunks.append(body)
        response.buffered += len(body)
        if response.buffered > response.high_water_bytes and not self._paused:
            self._pause()

    def on_message_complete(self) -> None:
        """The end of an answer, or of an interim head before it."""
        if self._interim:
            self._interim = False
        elif self._response is not None:
            self._end(self._response)

    def _end(self, response: Response) -> None:
        response.ended = True
        # llhttp knows this only here: it forgets the head's flags once the next message begins.
        self._can_reuse = self._parser.should_keep_alive()

    def _pause(self) -> None:
        transport = self._transport
        if not transport.is_closing():
            transport.pause_reading()
            self._paused = True
            self.deadline = math.inf  # silence is ours now, not the upstream's

    def _unpause(self) -> None:
        transport = self._transport
        self._paused = False
        if not transport.is_closing():
            transport.resume_reading()


def _head_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def lasts_until_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a body's end is the connection's: no length, and not chunked in the end (RFC 9112 §6.3)."""
    encodings = b",".join(value for name, value in headers if name == b"transfer-encoding")
    if encodings:
        return encodings.rpartition(b",")[2].strip().lower() != b"chunked"
    return all(name != b"content-length" for name, _ in headers)
