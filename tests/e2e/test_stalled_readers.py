"""Thousands of clients at one real worker: what those cost it that don't read, and what stays of them."""

import asyncio
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from edge.worker import BACKLOG
from tests.e2e.admin import Tenant
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, found
from tests.e2e.wire import PATH, ask, steered
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.usage_pb2 import UsageEntry

READERS = 1000
MOST_BYTES_EACH = 65_536
MOST_BYTES_LEFT_EACH = 4_096
# More than everything between the simulator and the client can hold: about 350 kB.
ENDLESS = "tokens=1200 uncapped"
SETTINGS = {
    "TOLLKEEPER_MAX_STREAMS": str(READERS),
    # What the simulator may take over so many streams at once is no failure.
    "TOLLKEEPER_CLIENT_READ_TIMEOUT_S": "600",
    "TOLLKEEPER_FIRST_BYTE_TIMEOUT_S": "60",
    "TOLLKEEPER_IDLE_TIMEOUT_S": "60",
}
PATIENCE_S = 40
ESTABLISHED, SYN_SENT = 1, 2


@pytest.fixture(scope="module")
def alone(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An edge with one worker that nobody else uses."""
    with edge(stack, tmp_path_factory.mktemp("alone"), **SETTINGS) as url:
        yield url


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open as many files as the system lets it; shells often start with a thousand."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call a limit unlimited and refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def worker(url: str) -> psutil.Process:
    """The process that serves a URL."""
    port = urlsplit(url).port
    for each in psutil.process_iter(["cmdline"]):
        if "edge.worker" in " ".join(each.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):  # others' end at any time
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


async def deaf_ones(url: str, secret: str) -> list[socket.socket]:
    """All of them, at once."""
    return list(await asyncio.gather(*(deaf(url, secret) for _ in range(READERS))))


@contextmanager
def stalled(url: str, secret: str, process: psutil.Process) -> Iterator[int]:
    """All of them, served and standing still: the bytes of the worker's memory. They hang up at the end."""
    readers = asyncio.run(deaf_ones(url, secret))
    found(lambda: gauge(url, "streams") == READERS, PATIENCE_S)
    yield grown(process)
    assert gauge(url, "streams") == READERS
    for reader in readers:
        reader.close()
    found(lambda: gauge(url, "streams") == 0, PATIENCE_S)


async def warm_up(url: str, secret: str) -> None:
    """So that what a worker allocates once is there."""
    body = steered("tokens=300 uncapped", stream=True)
    for _ in range(3):
        await asyncio.gather(*(ask(url, secret, body) for _ in range(30)))


def gauge(url: str, name: str) -> int:
    """What the edge shows now."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    [value] = [line.split()[-1] for line in lines if line.startswith(f"tollkeeper_edge_{name} ")]
    return int(float(value))


def files(url: str, process: psutil.Process) -> int:
    """Those a worker has open, but for connections to vendors that wait for another request."""
    return process.num_fds() - gauge(url, 'upstream_connections{state="idle"}')


def grown(process: psutil.Process) -> int:
    """Bytes of its memory, once they have stopped growing."""
    sizes = [process.memory_info().rss]

    def steady() -> bool:
        sizes.append(process.memory_info().rss)
        return len(sizes) > 10 and sizes[-1] - sizes[-10] < 65_536

    found(steady, PATIENCE_S)
    return sizes[-1]


def check_booked(entries: list[UsageEntry], bill: list[dict[str, Any]]) -> None:
    """Each of what the vendor billed, once: as it said where its answer was read on, else as an estimate."""
    assert {entry.status for entry in entries} == {499}
    reported = [entry for entry in entries if entry.state == UsageState.USAGE_STATE_REPORTED]
    estimated = [entry for entry in entries if entry.state == UsageState.USAGE_STATE_ESTIMATED]
    assert len(reported) + len(estimated) == len(entries)
    assert reported
    assert {entry.why for entry in estimated} == {"client_hangup"}
    billed = [row["event_id"] for row in bill]
    assert len(billed) == len(set(billed))
    assert {f"{entry.usage_id}-1" for entry in entries} <= set(billed)


def test_stalled_readers(stack: Stack, alone: str, tenant: Tenant, many_files: None) -> None:
    """Each of 1,000 adds at most 64 KiB to its worker, all there is to a request included. Meanwhile others
    are served, one stream more is told 503. They hang up: each is booked once, no file stays open, and the
    next 1,000 make do with the memory of the first."""
    key, other = tenant.key(), tenant.key().secret
    asyncio.run(warm_up(alone, other))
    process = worker(alone)
    files_before, billed_before = files(alone, process), stack.billed()
    bytes_before = process.memory_info().rss
    with stalled(alone, key.secret, process) as bytes_first:
        plain = asyncio.run(ask(alone, other, steered("tokens=1")))
        refused = asyncio.run(ask(alone, other, steered("tokens=1", stream=True)))

    assert (bytes_first - bytes_before) / READERS <= MOST_BYTES_EACH
    assert (plain.status, refused.status, refused.headers["retry-after"]) == (200, 503, "1")
    found(lambda: files(alone, process) <= files_before, PATIENCE_S)
    found(lambda: stack.billed() >= billed_before + READERS + 1, PATIENCE_S)
    check_booked(tenant.settled(READERS, key), stack.bill(billed_before))
    assert asyncio.run(ask(alone, other, steered("tokens=1", stream=True))).status == 200
    billed_before = stack.billed()
    with stalled(alone, other, process) as bytes_again:
        assert (bytes_again - bytes_first) / READERS <= MOST_BYTES_LEFT_EACH
    # Else the vendor would bill them in the middle of another test.
    found(lambda: stack.billed() >= billed_before + READERS, PATIENCE_S)


def test_a_burst_of_connections(alone: str, many_files: None) -> None:
    """2,000 while the worker is busy: none is turned away by the system, to try again a second later."""
    allowed = Path("/proc/sys/net/core/somaxconn")
    if not allowed.exists() or int(allowed.read_text()) < BACKLOG:
        pytest.skip("this system allows fewer to wait")
    process = worker(alone)
    process.suspend()
    try:
        connected = connections(alone, 2000)
    finally:
        process.resume()
    assert connected == 2000
    assert httpx.get(f"{alone}/readyz").status_code == 200


def connections(url: str, count: int) -> int:
    """How many of so many were made at their first try."""
    parts = urlsplit(url)
    with ExitStack() as opened:
        made = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in made:
            each.setblocking(False)
            each.connect_ex((parts.hostname, parts.port))
        # Who is turned away stays silent, and tries again after a second.
        found(lambda: all(state(each) != (SYN_SENT, 0) for each in made))
        return [state(each) for each in made].count((ESTABLISHED, 0))


def state(connection: socket.socket) -> tuple[int, int]:
    """State, and how often something was sent again: fields of Linux's `struct tcp_info`."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return info[0], int.from_bytes(info[100:104], sys.byteorder)
