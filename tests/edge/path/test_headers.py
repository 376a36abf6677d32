"""Which headers pass through the edge: by name on the way up, by name on the way down, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import PATH, body

Start = Callable[..., Any]
JSON_BODY = orjson.dumps(body())
HOSTILE = b"""\
authorization: Bearer %b
x-api-key: sk-mine
x-goog-api-key: sk-mine
cookie: session=1
connection: keep-alive, X-Named
x-named: of the connection
keep-alive: timeout=1000
proxy-authorization: Basic eDp5
proxy-connection: keep-alive
te: trailers
upgrade: h2c
via: 1.1 evil
forwarded: for=10.0.0.1
x-forwarded-for: 10.0.0.1
x-forwarded-host: evil
x-real-ip: 10.0.0.1
true-client-ip: 10.0.0.1
cf-connecting-ip: 10.0.0.1
cf-aig-authorization: Bearer stolen
cf-aig-skip-cache: false
cf-aig-cache-key: shared
cf-aig-custom-cost: {"per_token_in":0}
cf-aig-metadata: {"customer":"somebody-else"}
cf-aig-event-id: mine
x-tollkeeper-request-id: mine
x-stainless-lang: python
openai-organization: org-other
user-agent: evil
x-allowed: yes
"""


async def ask(edge: Edge, head: bytes) -> bytes:
    """One request with these header lines; all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    first = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % (PATH.encode(), len(JSON_BODY))
    writer.write(first + head + b"\r\n" + JSON_BODY)
    async with asyncio.timeout(20):
        got = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return got


async def test_what_clients_cannot_send_on(start: Start) -> None:
    """Upstream goes what the edge itself says, and of the client's only the header that a setting names."""
    edge = await start(forward_headers=("x-allowed", "x-named"))
    lines = (HOSTILE % KEY.encode()).replace(b"\n", b"\r\n")
    got = await ask(edge, lines)
    async with edge.client as client:
        [request] = (await client.get(f"{edge.simulator.url}/_sim/requests/last?n=1")).json()
    headers = dict(request["headers"])

    assert got.startswith(b"HTTP/1.1 200 ")
    assert len(headers) == len(request["headers"])
    assert sorted(headers) == [
        "accept-encoding",
        "authorization",
        "cf-aig-authorization",
        "cf-aig-event-id",
        "cf-aig-metadata",
        "cf-aig-skip-cache",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-allowed",
    ]
    assert headers["authorization"] == "Bearer sk-vendor"
    assert headers["cf-aig-authorization"] == "Bearer cf-token"
    assert headers["cf-aig-event-id"] == f"{edge.ledger.opened[0].usage_id}-1"
    assert headers["cf-aig-skip-cache"] == "true"
    assert "somebody-else" not in headers["cf-aig-metadata"]
    assert headers["user-agent"] == "tollkeeper"


@asynccontextmanager
async def vendor(answer: bytes) -> AsyncIterator[str]:
    """A vendor that says this to everyone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


ANSWER = b'{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def answered(lines: bytes) -> bytes:
    """A success with these header lines."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b" % (len(ANSWER), lines, ANSWER)


async def through(start: Callable[..., Awaitable[Edge]], answer: bytes) -> bytes:
    """The head that a client gets for what a vendor said."""
    async with vendor(answer) as url:
        own = rule("own", provider_type="custom", base_url=url)
        edge = await start(FakeLedger(grant(own), price("gpt-4o-mini")))
        return await ask(edge, b"authorization: Bearer %b\r\n" % KEY.encode())


async def test_what_vendors_cannot_send_on(start: Start) -> None:
    """Cookies, the connection's own, Cloudflare's, our own names, and whatever nobody knows stay here."""
    lines = (
        b"content-type: application/json\r\nset-cookie: a=b\r\nserver: vendor\r\nvia: 1.1 x\r\n"
        b"cf-ray: 1\r\ncf-aig-log-id: 01\r\nx-tollkeeper-cost-usd: 0\r\nx-powered-by: y\r\n"
        b"access-control-allow-origin: *\r\nstrict-transport-security: max-age=1\r\nalt-svc: h3\r\n"
        b"location: http://evil\r\nrefresh: 0\r\nkeep-alive: timeout=1\r\n"
        b"openai-organization: org\r\nopenai-project: proj\r\nx-internal: secret\r\n"
        b"anthropic-organization-id: org\r\n"
        b"x-request-id: req-1\r\nopenai-processing-ms: 5\r\nopenai-version: 2020-10-01\r\n"
    )
    head = await through(start, answered(lines))
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2]]

    assert sorted(name for name in names if not name.startswith(b"x-tollkeeper-")) == [
        b"connection",
        b"content-length",
        b"content-type",
        b"openai-processing-ms",
        b"openai-version",
        b"x-request-id",
    ]
    assert names.count(b"x-tollkeeper-cost-usd") == 1
    assert b"x-tollkeeper-cost-usd: 0\r\n" not in head


@pytest.mark.parametrize(
    "lines",
    [
        b"x-request-id: a\r\n set-cookie: b=c\r\n",
        b"x-request-id: a\nset-cookie: b=c\r\n",
        b"x-request-id: a\rset-cookie: b=c\r\n",
        b"x-request-id: a\0b\r\n",
        b"content-type: text/html\nset-cookie: b=c\r\n",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
    ],
)
async def test_a_vendor_that_injects_headers(start: Start, lines: bytes) -> None:
    """A head that could be read in two ways is no answer: 502, and nothing of it reaches the client."""
    head = await through(start, answered(lines))

    assert head.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 200 "))
    assert b"set-cookie" not in head.replace(b"x-request-id: a set-cookie: b=c", b"")
    assert head.count(b"content-length") == 1
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\0" not in head
