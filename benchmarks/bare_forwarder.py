"""Sanic with the edge's transport and nothing else: the baseline for the edge's own cost.

    python -m benchmarks.bare_forwarder --port 8081 --upstream http://127.0.0.1:8090

It forwards method, path, body, content type and credential; no keys, no budgets, no journal, no metrics.
"""

import argparse
import contextlib
import socket
from typing import Any, Protocol
from urllib.parse import urlsplit

import uvloop
from sanic import HTTPResponse, Request, Sanic

from edge.upstream.transport import Origin, Timeouts, Transport, tls_context

MAX_BODY_BYTES = 16 * 1024 * 1024
FORWARDED = ("content-type", "authorization", "accept")
TIMEOUTS = Timeouts(connect_s=2.0, first_byte_s=10.0, idle_s=10.0)


class Answer(Protocol):
    """What a handler needs of an upstream's answer."""

    @property
    def status(self) -> int: ...

    def header(self, name: bytes) -> bytes | None: ...

    async def read(self, max_bytes: int) -> bytes: ...

    async def next_chunk(self) -> bytes | None: ...

    def close(self) -> None: ...


class Forwarder(Protocol):
    """The part of the transport's interface that is measured; `benchmarks.forwarders` has rivals."""

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        timeouts: Timeouts,
    ) -> Answer: ...


def create_app(forwarder: Forwarder, origin: Origin) -> Sanic[Any, Any]:
    """One route for everything; must be called in the loop that serves it."""
    app: Sanic[Any, Any] = Sanic("bare_forwarder", configure_logging=False)
    app.config.REQUEST_MAX_SIZE = MAX_BODY_BYTES

    @app.route("/<path:path>", methods=["GET", "POST"])
    async def forward(request: Request, path: str) -> HTTPResponse | None:
        headers = [
            (name.encode(), value.encode())
            for name in FORWARDED
            if (value := request.headers.get(name)) is not None
        ]
        answer = await forwarder.send(
            origin, request.method, request.raw_url.decode(), headers, request.body, TIMEOUTS
        )
        try:
            content_type = (answer.header(b"content-type") or b"").decode()
            if content_type.startswith("text/event-stream"):
                await relay(request, answer, content_type)
                return None
            return HTTPResponse(
                await answer.read(MAX_BODY_BYTES),
                status=answer.status,
                content_type=content_type,
            )
        finally:
            answer.close()

    return app


async def relay(request: Request, answer: Answer, content_type: str) -> None:
    """Pass chunks on as they come."""
    stream = await request.respond(status=answer.status, content_type=content_type)
    while (chunk := await answer.next_chunk()) is not None:
        await stream.send(chunk)
    await stream.eof()


async def serve(app: Sanic[Any, Any], port: int) -> None:
    """Serve until cancelled; prints the port once connections are accepted (useful with port 0)."""
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        server = await app.create_server(sock=listener, access_log=False)
        assert server is not None
        await server.startup()  # type: ignore[no-untyped-call]
        await server.start_serving()  # type: ignore[no-untyped-call]
        print(f"listening on {listener.getsockname()[1]}", flush=True)
        await server.serve_forever()  # type: ignore[no-untyped-call]


def parse_origin(url: str) -> Origin:
    """An upstream URL without a path."""
    parts = urlsplit(url)
    return Origin(
        parts.scheme, parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)
    )


async def main(port: int, upstream: str, ca_file: str | None) -> None:
    transport = Transport(tls=tls_context(ca_file) if ca_file else None)
    await serve(create_app(transport, parse_origin(upstream)), port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8081, help="0 for any free port")
    parser.add_argument("--upstream", required=True, metavar="URL")
    parser.add_argument("--ca-file", help="authorities to trust instead of the system's")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(arguments.port, arguments.upstream, arguments.ca_file))
