"""What clients that don't read cost a worker: memory, measured on a real one."""

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, found
from tests.e2e.wire import PATH, ask, steered

READERS = 250
MOST_BYTES_EACH = 65_536
# More than everything between the simulator and the client can hold: about 350 kB.
ENDLESS = "tokens=1200 uncapped"
# What the simulator may take over so many streams at once is no failure.
PATIENT = {
    "TOLLKEEPER_CLIENT_READ_TIMEOUT_S": "600",
    "TOLLKEEPER_FIRST_BYTE_TIMEOUT_S": "60",
    "TOLLKEEPER_IDLE_TIMEOUT_S": "60",
}


@pytest.fixture(scope="module")
def alone(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An edge with one worker that nobody else uses."""
    with edge(stack, tmp_path_factory.mktemp("alone"), **PATIENT) as url:
        yield url


def worker(url: str) -> psutil.Process:
    """The process that serves a URL."""
    port = urlsplit(url).port
    for each in psutil.process_iter(["cmdline"]):
        if "edge.worker" in " ".join(each.info["cmdline"] or ()):
            listening = [it for it in each.net_connections("tcp") if it.status == psutil.CONN_LISTEN]
            if port in [it.laddr.port for it in listening]:
                return each
    raise AssertionError(f"nobody listens on {port}")


async def deaf(url: str, secret: str) -> socket.socket:
    """Asks for a long stream, and reads nothing of it."""
    parts = urlsplit(url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (parts.hostname, parts.port))
    body = steered(ENDLESS, stream=True, max_tokens=3000)
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n"
    await loop.sock_sendall(sock, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return sock


async def stalled(url: str, secret: str) -> list[socket.socket]:
    """All of them, a few at a time."""
    readers: list[socket.socket] = []
    while len(readers) < READERS:
        readers += await asyncio.gather(*(deaf(url, secret) for _ in range(25)))
        await asyncio.sleep(0.1)
    return readers


async def warm_up(url: str, secret: str) -> None:
    """So that what a worker allocates once is there."""
    body = steered("tokens=300 uncapped", stream=True)
    for _ in range(3):
        await asyncio.gather(*(ask(url, secret, body) for _ in range(30)))


def streams(url: str) -> int:
    """Those that the edge serves now."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    [value] = [line.split()[-1] for line in lines if line.startswith("tollkeeper_edge_streams ")]
    return int(float(value))


def grown(process: psutil.Process) -> int:
    """Bytes of its memory, once they have stopped growing."""
    sizes = [process.memory_info().rss]

    def steady() -> bool:
        sizes.append(process.memory_info().rss)
        return len(sizes) > 10 and sizes[-1] - sizes[-10] < 65_536

    found(steady, timeout_s=30)
    return sizes[-1]


def test_stalled_readers(alone: str, tenant: Tenant) -> None:
    """Each adds at most 64 KiB to its worker, all there is to a request included; others are served."""
    secret = tenant.key().secret
    asyncio.run(warm_up(alone, secret))
    process = worker(alone)
    before = process.memory_info().rss
    readers = asyncio.run(stalled(alone, secret))
    found(lambda: streams(alone) == READERS)
    bytes_each = (grown(process) - before) / READERS
    reply = asyncio.run(ask(alone, secret, steered("tokens=1")))
    for reader in readers:
        reader.close()

    assert reply.status == 200
    assert bytes_each <= MOST_BYTES_EACH
