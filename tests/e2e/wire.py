"""HTTP/1.1 by hand: every byte of an answer as it came, and thousands of requests a second."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

PATH = "/v1/chat/completions"
TIMEOUT_S = 30.0
# For a change to reach a busy edge: nothing but a push does within a minute, and how soon pushes arrive is
# measured by `make bench-revocation`.
PUSHED_WITHIN_S = 10.0


@dataclass
class Reply:
    """One answer, its body without the chunk framing."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The object under `error`."""
        return dict(self.json()["error"])


class Connection:
    """One connection to the edge; use it as a context manager."""

    def __init__(self, url: str, secret: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._secret = secret

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def send(
        self, body: bytes, method: str = "POST", path: str = PATH, headers: dict[str, str] | None = None
    ) -> None:
        """Writes a request."""
        named = {"host": "edge", "content-type": "application/json", "content-length": str(len(body))}
        if self._secret:
            named["authorization"] = f"Bearer {self._secret}"
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in (named | (headers or {})).items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self._writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer, names in lower case."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def pieces(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """The body as it comes. Raises IncompleteReadError when it is cut."""
        if "content-length" in headers:
            if length := int(headers["content-length"]):
                yield await self._reader.readexactly(length)
            return
        assert headers.get("transfer-encoding") == "chunked", headers
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)

    async def request(
        self, body: bytes, method: str = "POST", path: str = PATH, headers: dict[str, str] | None = None
    ) -> Reply:
        """A request and its whole answer."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.send(body, method, path, headers)
            status, got = await self.head()
            return Reply(status, got, b"".join([piece async for piece in self.pieces(got)]))


def chat(text: str = "Hello", model: str = "gpt-4o-mini", **fields: Any) -> bytes:
    """The body of a chat completion."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **fields}).encode()


def steered(pairs: str, **fields: Any) -> bytes:
    """The same, whose answer the simulator steers (docs/simulator.md)."""
    return chat(f"[[sim {pairs}]]", **fields)


async def ask(url: str, secret: str, body: bytes, **options: Any) -> Reply:
    """One request on a connection of its own."""
    async with Connection(url, secret) as connection:
        return await connection.request(body, **options)


async def until(url: str, secret: str, body: bytes, status: int, within_s: float = PUSHED_WITHIN_S) -> Reply:
    """The first answer with this status. Raises TimeoutError when none comes in time."""
    async with asyncio.timeout(within_s):
        while True:
            reply = await ask(url, secret, body)
            if reply.status == status:
                return reply
            await asyncio.sleep(0.02)


async def burst(url: str, requests: Iterable[tuple[str, bytes]]) -> list[Reply]:
    """Secret and body of each: all at once, each on a connection of its own."""
    return list(await asyncio.gather(*(ask(url, secret, body) for secret, body in requests)))


async def load(url: str, secret: str, body: bytes, count: int, connections: int = 16) -> list[int]:
    """The statuses of `count` requests over a few connections that stay open."""
    left = iter(range(count))

    async def one() -> list[int]:
        async with Connection(url, secret) as connection:
            return [(await connection.request(body)).status for _ in left]

    statuses = await asyncio.gather(*(one() for _ in range(connections)))
    return [status for each in statuses for status in each]


def events(body: bytes) -> list[Any]:
    """The events of a stream: parsed JSON, or `[DONE]` as text."""
    payloads = [part.removeprefix(b"data: ") for part in body.strip().split(b"\n\n")]
    return ["[DONE]" if payload == b"[DONE]" else json.loads(payload) for payload in payloads]
