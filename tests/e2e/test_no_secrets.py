"""No secret ever shows: neither apps' keys nor vendors' credentials, in any output, journal or metric."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.edges import edge
from tests.e2e.stack import Stack
from tests.e2e.surfaces import SURFACES
from tests.e2e.wire import Connection, ask, chat, steered
from tests.ports import free_port

VENDOR = "sk-vendor-never-shown"
GATEWAY_TOKEN = "cf-token-never-shown"
# A key of the right shape that nobody has, and one that doesn't even look like one.
UNKNOWN = "aig_" + "U" * 43
SHAPELESS = "sk-shapeless-never-shown"


@pytest.fixture(scope="module")
def talkative(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An edge that logs all it has to say; its URL, and the directory with its log, journal and metrics."""
    path = tmp_path_factory.mktemp("talkative")
    settings = {
        "TOLLKEEPER_LOG_LEVEL": "debug",
        "TOLLKEEPER_CLIENT_HEAD_TIMEOUT_S": "0.5",
        "TOLLKEEPER_CLIENT_BODY_TIMEOUT_S": "0.5",
        "CF_AI_GATEWAY_API_TOKEN": GATEWAY_TOKEN,
    }
    with edge(stack, path, **settings) as url:
        yield url, path


def misuses(secret: str) -> list[bytes]:
    """Requests with a secret wherever one can be put, most of them broken."""
    bearer = b"authorization: Bearer " + secret.encode()
    key = secret.encode()
    body = chat()
    length = b"content-length: %d\r\n\r\n" % len(body)
    post = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    google = b"POST /v1beta/models/gemini-own:%b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    return [
        post + b"authorization: Basic " + key + b"\r\n" + length + body,
        post + b"authorization: " + key + b"\r\n" + length + body,
        post + bearer + b" " + key + b"\r\n" + length + body,
        post + bearer + b"\r\ncontent-length: 2\r\n\r\n{" + key,
        post + bearer + b"\r\ncontent-length: nine\r\n\r\n",
        post + bearer + b"\r\ncontent-length: 100\r\n\r\n{",
        post + bearer + b"\r\ntransfer-encoding: chunked\r\n\r\n" + key + b"\r\n",
        post + bearer + b"\r\nx-forwarded-for: " + key + b"\r\n" + length + body,
        post + bearer + b"\r\nx-tollkeeper-tags: " + key + b"\x00\r\n" + length + body,
        post + b"authorization : " + key + b"\r\n" + length + body,
        post + bearer,
        b"GET /v1/models/" + key + b" HTTP/1.1\r\nhost: x\r\n" + bearer + b"\r\n\r\n",
        b"GET /v1/models?key=" + key + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /nowhere?key=" + key + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[" + key + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        google % (b"streamGenerateContent?alt=sse&key=" + key),
        google % (b"nothing?key=" + key),
        key + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: " + key + b"\r\ncookie: key=" + key + b"\r\nupgrade: websocket\r\n\r\n",
    ]


async def send_and_leave(url: str, raw: bytes) -> None:
    """One of them, and whatever comes back within a moment."""
    parts = httpx.URL(url)
    reader, writer = await asyncio.open_connection(parts.host, parts.port)
    writer.write(raw)
    try:
        async with asyncio.timeout(1.5):
            await reader.read()
    except TimeoutError:
        pass
    writer.close()


async def use(url: str, tenant: Tenant, stack: Stack) -> list[str]:
    """Every kind of success and failure with keys that work; returns their secrets."""
    used = []
    for surface in SURFACES:
        other = stack.admin.customer()
        away = other.provider(
            surface.provider_type,
            name="away",
            credential=VENDOR,
            base_url=f"http://127.0.0.1:{free_port()}/v1",
        )
        secret = surface.key(other, away).secret
        used.append(secret)
        bodies = ("tokens=2", "status=500", "cut_after=3", "garbage", "status=401")
        await asyncio.gather(
            *(
                ask(url, secret, surface.body(sim), path=surface.path, headers=surface.headers)
                for sim in bodies
            )
        )
    own = tenant.key().secret
    used.append(own)
    async with Connection(url, own) as connection:
        await connection.send(steered("tokens=3 first_byte_ms=300", stream=True))
        await asyncio.sleep(0.1)
    await ask(url, own, b"{" + own.encode())
    await ask(url, own, chat(model=own))
    await ask(url, own, b"", method="GET", path=f"/v1/models/{own}")
    return used


async def misuse(url: str, secrets: list[str]) -> None:
    """All misuses of all of them at once."""
    await asyncio.gather(*(send_and_leave(url, raw) for secret in secrets for raw in misuses(secret)))


def test_no_output_has_a_secret(stack: Stack, talkative: tuple[str, Path]) -> None:
    """The log at its most talkative, journals, metrics and the product's own log hold none, however keys are
    misused and whatever fails."""
    url, path = talkative
    tenant = stack.admin.customer()
    tenant.route(tenant.provider("openai", credential=VENDOR))
    secrets = [*asyncio.run(use(url, tenant, stack)), UNKNOWN, SHAPELESS]
    asyncio.run(misuse(url, secrets[-3:]))
    texts = {str(each): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    texts["up"] = stack.up.log.read_bytes()
    texts["metrics"] = httpx.get(f"{url}/metrics").content
    shown = {
        (name, secret)
        for name, text in texts.items()
        for secret in (*secrets, VENDOR, GATEWAY_TOKEN)
        if secret.encode() in text
    }

    assert shown == set()
    assert b"serving" in texts[str(path / "edge.log")]
    assert b"gemini-own" in b"".join(text for name, text in texts.items() if "journal" in name)
