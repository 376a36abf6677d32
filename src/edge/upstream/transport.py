"""The edge's forwarding transport: HTTP/1.1 requests to upstreams, and nothing else.

    transport = Transport(tls=tls_context(ca_file), limits=Limits(), check_address=None)  # in a running loop
    response = await transport.send(
        Origin("https", "gateway.ai.cloudflare.com", 443), "POST", "/v1/acct/gw/openai/chat/completions",
        [(b"authorization", b"Bearer ...")], body, Timeouts(), on_sent=attempt.mark_sent,
    )
    try:
        body = await response.read(max_bytes)               # the whole body, or
        while (chunk := await response.next_chunk()) is not None: ...   # as it arrives
    finally:
        response.close()                                    # synchronous, any time, any number of times
    await transport.close(drain_s)

What it promises:

- A request is written at most once. A kept-alive connection that dies under a request is `SentButNoAnswer`,
  never a silent second try; whoever calls decides about failover, from `TransportError.request_sent`.
- Every failure is a `TransportError` (see `edge.upstream.failures`). `on_sent` is called synchronously just
  before the first byte is written, so that a caller who is cancelled knows which side of that line it was on.
- Redirects are not followed, content encodings not touched, statuses not judged.
- Cancelling any await aborts the connection it waited on. A connection returns to the pool only by receiving
  a complete answer; `Response.close()` before that aborts it.
- A body is bytes, or an `Upload` that is sent as it comes, in either case once.
- A consumer that falls behind stops the upstream: at most `Limits.high_water_bytes` and one read of
  `Limits.read_bytes` are held for it.
- `host`, `content-length`, `transfer-encoding` and `connection` are written here and refused in `headers`.

There is no task and no timer per request: one tick (`Limits.tick_s`) looks at all deadlines while any
connection exists.
"""

import asyncio
import contextlib
import functools
import math
import re
import ssl
from collections.abc import Callable, Sequence
from typing import NewType

from edge.upstream.failures import (
    AddressRefused,
    BadAnswer,
    BodyTooLarge,
    BrokenBody,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    NotSent,
    SentButNoAnswer,
    TotalTimeout,
    TransportError,
)
from edge.upstream.limits import Limits, Origin, Stats, Timeouts
from edge.upstream.pool import Pool
from edge.upstream.response import Response
from edge.upstream.upload import Upload

__all__ = [
    "AddressRefused",
    "BadAnswer",
    "BodyTooLarge",
    "BrokenBody",
    "ConnectFailed",
    "EncodedHeaders",
    "FirstByteTimeout",
    "IdleTimeout",
    "InvalidRequest",
    "Limits",
    "NotSent",
    "Origin",
    "Response",
    "SentButNoAnswer",
    "Stats",
    "Timeouts",
    "TotalTimeout",
    "Transport",
    "TransportError",
    "Upload",
    "encode_headers",
    "tls_context",
]

EncodedHeaders = NewType("EncodedHeaders", bytes)

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-~]*|\*")
_WRITTEN_HERE = {b"host", b"content-length", b"transfer-encoding", b"connection"}
_EXPECT_BODY = {"POST", "PUT", "PATCH"}


class Transport:
    """Sends requests over kept-alive connections. Belongs to the event loop it was made in."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        check_address: Callable[[str], None] | None = None,
    ) -> None:
        """`check_address` sees every IP address that an upstream's name resolves to, before one of them is
        connected to (connections go to these addresses, not to the name again); it raises `AddressRefused`.
        """
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._limits = limits or Limits()
        self._check_address = check_address
        self._buffer = memoryview(bytearray(self._limits.read_bytes))
        self._pools: dict[Origin, Pool] = {}
        self._tick_handle: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()  # set by the tick that finds no pool in use
        self._closed = False

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]] | EncodedHeaders,
        body: bytes | Upload,
        timeouts: Timeouts,
        on_sent: Callable[[], object] | None = None,
        end_by_s: float = math.inf,
    ) -> Response:
        """Send one request and wait for the head of its answer; interim (1xx) answers are skipped.

        `target` is path and query as they go on the wire. `headers` may be encoded once with
        `encode_headers` and used again. An `Upload` is read as fast as the upstream takes it; what its source
        raises comes out here, and the connection is gone then. An upstream may answer before its end.
        `end_by_s`, on the loop's clock, is when the whole answer must be there.
        Raises ConnectFailed, NotSent (nothing was sent); SentButNoAnswer, FirstByteTimeout, TotalTimeout
        (outcome unknown, but for an upload that isn't `complete`).
        """
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._open_pool(origin)
        block = headers if isinstance(headers, bytes) else encode_headers(headers)
        if isinstance(body, bytes):
            has_body = body or method in _EXPECT_BODY
            ending = b"content-length: %d\r\n\r\n" % len(body) if has_body else b"\r\n"
        else:
            ending = body.framing()
        head = b"".join((_request_line(method, target), pool.host_line, block, ending))
        connection = pool.take_idle() or await pool.acquire(
            min(timeouts.connect_s, end_by_s - self._loop.time())
        )
        if on_sent is not None:
            on_sent()
        if isinstance(body, bytes):
            response = connection.start(head, body, method == "HEAD", timeouts, end_by_s)
        else:
            response = connection.start(head, b"", False, timeouts, end_by_s, uploads=True)
            await body.send(connection, response)
        while not response.status:
            if response.failure is not None:
                raise response.take_failure()
            await response.wait()
        return response

    def stats(self) -> Stats:
        """Totals over all origins, for metrics."""
        each = [pool.stats() for pool in self._pools.values()]
        return Stats(*(sum(column) for column in zip(*each, strict=True))) if each else Stats(0, 0, 0, 0)

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new requests, close idle connections, give those in use drain_s to end, then abort them."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        if drain_s and self._pools:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await self._drained.wait()
        for pool in self._pools.values():
            pool.abort()
        if self._tick_handle is not None:
            self._tick_handle.cancel()
            self._tick_handle = None
        await asyncio.sleep(0)  # aborted transports tell their connections in the loop's next turn

    def _open_pool(self, origin: Origin) -> Pool:
        if self._closed:
            raise NotSent("the transport is closed")
        if origin.scheme not in ("http", "https"):
            raise InvalidRequest(f"unknown scheme {origin.scheme!r}")
        if len(self._pools) >= self._limits.max_origins:
            raise NotSent(f"connections to {len(self._pools)} upstream hosts are open already")
        if origin.scheme == "https" and self._tls is None:
            self._tls = tls_context()
        tls = self._tls if origin.scheme == "https" else None
        pool = self._pools[origin] = Pool(
            origin, self._limits, tls, self._check_address, self._loop, self._buffer
        )
        if self._tick_handle is None:
            self._drained.clear()
            self._tick_handle = self._loop.call_later(self._limits.tick_s, self._tick)
        return pool

    def _tick(self) -> None:
        """Apply deadlines, drop pools that nobody uses; stops by itself when none is left."""
        now = self._loop.time()
        for origin in [origin for origin, pool in self._pools.items() if not pool.sweep(now)]:
            del self._pools[origin]
        if self._pools:
            self._tick_handle = self._loop.call_later(self._limits.tick_s, self._tick)
        else:
            self._tick_handle = None
            self._drained.set()

    def __repr__(self) -> str:
        stats = self.stats()
        state = "closed" if self._closed else "open"
        return (
            f"<Transport {state} origins={len(self._pools)} open={stats.open} idle={stats.idle} "
            f"in_use={stats.in_use} waiting={stats.waiting}>"
        )


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A client context that verifies certificates: by the system's authorities, or by those in a PEM file.

    Making one reads and parses all authorities (tens of milliseconds): make it once.
    Raises OSError if ca_file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def encode_headers(headers: Sequence[tuple[bytes, bytes]]) -> EncodedHeaders:
    """Header lines as they go on the wire; blocks may be concatenated. Raises InvalidRequest."""
    block = b"".join([_field_start(name) + value + b"\r\n" for name, value in headers])
    count = len(headers)
    if block.count(b"\r") != count or block.count(b"\n") != count or b"\0" in block:
        raise InvalidRequest("a header value contains a line break or a null byte")
    return EncodedHeaders(block)


# Both caches hold what every request repeats: a few header names, a few paths.


@functools.lru_cache(maxsize=256)
def _field_start(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not a header name")
    if name.lower() in _WRITTEN_HERE:
        raise InvalidRequest(f"the transport itself writes the header {name.decode()}")
    return name + b": "


@functools.lru_cache(maxsize=256)
def _request_line(method: str, target: str) -> bytes:
    if not _TOKEN.fullmatch(method.encode()) or not _TARGET.fullmatch(target):
        raise InvalidRequest("the method or the target holds characters that a request line cannot")
    return f"{method} {target} HTTP/1.1\r\n".encode("ascii")
