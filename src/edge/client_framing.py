"""HTTP/1.1 from clients, strictly: where two servers could disagree about a request's end, it is refused.

Sanic's parser is lenient where a proxy before it may not be (white space before a colon, bare line feeds,
chunk sizes in forms that only Python reads), and whoever finds such a difference can hide a request in
another one's body. What RFC 9112 forbids is a 400 here and the end of the connection.
"""

import re
from typing import Any

from sanic import Sanic
from sanic.compat import Header
from sanic.exceptions import BadRequest, BadURL
from sanic.helpers import STATUS_CODES
from sanic.http import Stage
from sanic.http.http1 import HTTP_CONTINUE, Http
from sanic.models.protocol_types import TransportProtocol
from sanic.request import Request

from edge.answer import Answer

# Request line and header fields (RFC 9112 §3 and §5): no control character but a tab, no folded line.
# Possessive repeats, so that it runs once over the bytes.
_HEAD = re.compile(
    rb"[A-Z]++ [!-~]++ HTTP/1\.[01](?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]++:[^\x00-\x08\x0a-\x1f\x7f]*+)*+"
)
# Most heads are told to be valid without it, in a quarter of the time: of printable characters and ends of
# lines, with names that are known to be tokens.
_PRINTABLE = bytes(range(0x20, 0x7F))
_LINE_ENDS = b"\r\n" * 128
_USUAL_METHODS = frozenset({"POST", "GET", "DELETE"})
_USUAL_NAMES = frozenset(
    {"host", "accept", "accept-encoding", "accept-language", "connection", "user-agent", "authorization"}
    | {"content-type", "content-length", "transfer-encoding", "expect", "traceparent", "tracestate"}
    | {"x-api-key", "x-goog-api-key", "x-goog-api-client", "anthropic-version", "anthropic-beta"}
    | {"x-request-id", "x-client-request-id", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"}
    | {f"x-stainless-{each}" for each in ("arch", "async", "lang", "os", "package-version", "read-timeout")}
    | {f"x-stainless-{each}" for each in ("retry-count", "runtime", "runtime-version", "timeout")}
    | {"openai-organization", "openai-project", "idempotency-key"}
)
# What stands between the data of two chunks: the end of the one, the size of the next (§7.1).
_CHUNK_LINE = re.compile(rb"\r\n[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_CHUNK_LINE_BYTES = 256
_STATUS_LINES = [b"HTTP/1.1 %d %b\r\n" % (each, STATUS_CODES.get(each, b"Unknown")) for each in range(600)]
# Whose answers have no body.
_BARE = frozenset({204, 304})
# What Sanic says in place of a length, whatever its annotations do.
_CHUNKED: Any = "chunked"
_SIZED: Any = True
_ENDED: Any = None
_DECIMAL = re.compile(r"[0-9]{1,18}[ \t]*")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{1,16}[ \t]*")


class _Nowhere:
    """In place of the context variable where Sanic puts its current request: whatever is made meanwhile keeps
    its context, so that a vendor's connection would hold a client's request, body and all, while it lives."""

    def set(self, request: Request) -> None:
        """Nobody asks for it."""


class EdgeRequest(Request):
    """Sanic's request, once its head has been checked."""

    __slots__ = ()
    _current: Any = _Nowhere()

    def __init__(
        self,
        url_bytes: bytes,
        headers: Header,
        version: str,
        method: str,
        transport: TransportProtocol,
        app: Sanic[Any, Any],
        head: bytes = b"",
        stream_id: int = 0,
    ) -> None:
        """Raises BadRequest. Without a head it is Sanic's stand-in for a request that couldn't be read."""
        if head:
            _check(head, headers, version, method in _USUAL_METHODS and url_bytes != b"")
        try:
            super().__init__(url_bytes, headers, version, method, transport, app, head, stream_id)
        except BadURL:
            if head:
                raise
            super().__init__(b"*", headers, version, method, transport, app, head, stream_id)

    async def receive_body(self) -> None:
        """All of the body. Most come with their head, and are taken without waiting."""
        http = self.stream
        body = http.buffered_body() if isinstance(http, EdgeHttp) and not self.body else None
        if body is None:
            await super().receive_body()  # type: ignore[no-untyped-call]
        else:
            self.body = body


def _check(head: bytes, headers: Header, version: str, usual: bool) -> None:
    """`usual`: of the request line, that splits at its spaces into three, only control characters are left to
    be refused."""
    if not (usual and _is_usual(head, headers)) and _HEAD.fullmatch(head) is None:
        raise BadRequest("The request's head is not valid HTTP/1.1.")
    host_count = len(headers.getall("host", ()))
    if host_count > 1 or (not host_count and version == "1.1"):
        raise BadRequest("A request must name one host.")
    if version == "1.0" and "transfer-encoding" in headers:
        raise BadRequest("HTTP/1.0 has no transfer-encoding.")


def _is_usual(head: bytes, headers: Header) -> bool:
    """Whether all lines are printable, and their names tokens; False: ask `_HEAD`."""
    ends = head.translate(None, _PRINTABLE)
    return (
        ends == _LINE_ENDS[: len(ends)]
        and head.count(b"\r\n") * 2 == len(ends)
        and _USUAL_NAMES.issuperset(headers)
    )


class EdgeHttp(Http):
    """Sanic's reading of a connection, with strict numbers and chunks."""

    __slots__ = ()

    def __init__(self, protocol: object) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        # Looked at before there is a request.
        self.request_body = None

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        """The head of an answer whose lines are written already, and its body or the beginning of that. All
        other answers as Sanic does it."""
        answer = self.response
        if type(answer) is not Answer or self.head_only or self.expecting_continue or answer.status in _BARE:
            await super().http1_response_header(data, end_stream)
            return
        if answer.body and not data:
            data, end_stream = answer.body, True
        if end_stream:
            self.response_func = _ENDED
            framing = b"content-length: %d\r\n" % len(data)
        elif self.request.version == "1.0":
            self.response_func = self._until_close
            framing = b""
        else:
            self.response_func = self.http1_response_chunked
            framing = b"transfer-encoding: chunked\r\n"
            if data:
                data = b"%x\r\n%b\r\n" % (len(data), data)
        connection = b"keep-alive" if self.keep_alive else b"close"
        head = b"%bcontent-type: %b\r\n%b%bconnection: %b\r\n\r\n%b"
        status = _STATUS_LINES[answer.status]
        await self._send(head % (status, answer.media_type, answer.lines, framing, connection, data))
        self.stage = Stage.IDLE if end_stream else Stage.RESPONSE

    async def _until_close(self, data: bytes, end_stream: bool) -> None:
        """A part of a body for HTTP/1.0, which has no chunks: it ends with the connection."""
        if data:
            await self._send(data)
        if end_stream:
            self.response_func = _ENDED
            self.stage = Stage.IDLE

    def let_go(self, _: object) -> None:
        """The connection is over, perhaps in the middle of an answer: what that kept of us would keep us."""
        self.request = self.response = _ENDED
        self.response_func = _ENDED

    def buffered_body(self) -> bytes | None:
        """The whole body, where it has a length and is here already; None: `read` it."""
        size, most = self.request_bytes_left or 0, self.request_max_size or 0
        buffer: bytearray = self.recv_buffer
        if (
            self.request_body is not _SIZED
            or self.expecting_continue
            or size > most
            or not 0 < size <= len(buffer)
        ):
            return None
        body = bytes(buffer[:size])
        del buffer[:size]
        self.request_bytes_left = 0
        self.request_body = None
        return body

    async def read(self) -> bytes | None:
        """The next piece of the body, None at its end. Raises BadRequest, PayloadTooLarge."""
        if self.request_body == _CHUNKED and not self.request_bytes_left:
            await self._check_chunk_line()
        return await super().read()

    async def _check_chunk_line(self) -> None:
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        buffer = self.recv_buffer
        while (end := buffer.find(b"\r\n", 3)) < 0 and len(buffer) <= _CHUNK_LINE_BYTES:
            await self._receive_more()
        if end < 0 or end > _CHUNK_LINE_BYTES or _CHUNK_LINE.fullmatch(buffer, 0, end) is None:
            self.keep_alive = False
            raise BadRequest("The request's body is not validly chunked.")

    @staticmethod
    def _safe_int(value: str, base: int = 10) -> int:
        """A length or a chunk's size; Python alone would also read `0x1` and digits of other scripts."""
        if base == 10 and len(value) < 19 and value.isascii() and value.isdigit():
            return int(value)
        form = _DECIMAL if base == 10 else _HEXADECIMAL
        if form.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no length")
        return int(value, base)
