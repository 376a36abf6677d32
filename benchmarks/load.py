"""Load on one address: as fast as it goes (wrk where it is installed, else our own), or at a fixed rate.

The fixed rate is an open loop: requests are sent when they are due, whether or not earlier ones were
answered, and each is timed from when it was due, so that waiting in a queue counts. Every load runs in a
process of its own, on one core.

    echo TARGET_AS_JSON | python -m benchmarks.load --seconds 5 --rate 1000
"""

import argparse
import asyncio
import json
import math
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import uvloop

CONNECTIONS = 16
WRK_SCRIPT = """
wrk.method = "POST"
%s
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("requests %%d failed %%d p50_us %%d p99_us %%d took_us %%d\\n", summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), summary.duration))
end
"""


class LoadFailed(Exception):
    """Requests failed, or none was answered: such a round measures nothing."""


@dataclass(frozen=True)
class Target:
    """What is asked, and where."""

    url: str
    secret: str
    body: str
    content_type: str = "application/json"
    key_header: str = "authorization"
    """Where the key is: vendors' own SDKs send theirs elsewhere."""
    more_headers: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """Without those that any client adds."""
        is_bearer = self.key_header == "authorization"
        credential = f"Bearer {self.secret}" if is_bearer else self.secret
        return {"content-type": self.content_type, self.key_header: credential, **dict(self.more_headers)}

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def request(self) -> bytes:
        """The request's bytes."""
        host, port = self.address
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return (
            f"POST {urlsplit(self.url).path} HTTP/1.1\r\nhost: {host}:{port}\r\n{lines}"
            f"content-length: {len(self.body.encode())}\r\n\r\n{self.body}"
        ).encode()


@dataclass(frozen=True)
class Outcome:
    """`requests` were answered, `failed` of them with other than 2xx or not at all."""

    requests: int
    failed: int
    p50_us: float
    p99_us: float
    took_s: float


def full(target: Target, seconds: float, cpu: int) -> Outcome:
    """16 connections, each sending its next request as soon as the last is answered. Raises LoadFailed."""
    return _checked(target, _wrk(target, seconds, cpu) if shutil.which("wrk") else _own(target, seconds, cpu))


def graceful(target: Target, seconds: float, cpu: int) -> Outcome:
    """As `full`, but lets the last answers come to their end, which matters where they are long."""
    return _checked(target, _own(target, seconds, cpu))


def paced(target: Target, rate: float, seconds: float, cpu: int) -> Outcome:
    """`rate` requests a second, evenly spaced. Raises LoadFailed."""
    return _checked(target, _own(target, seconds, cpu, rate))


def _checked(target: Target, outcome: Outcome) -> Outcome:
    if outcome.failed or not outcome.requests:
        raise LoadFailed(f"{target.url}: {outcome.failed} failed of {outcome.requests} requests")
    return outcome


def _wrk(target: Target, seconds: float, cpu: int) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        # These are ASCII, whose JSON strings Lua reads alike.
        lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(v)}" for name, v in target.headers.items()]
        lines.append(f"wrk.body = {json.dumps(target.body)}")
        script.write_text(WRK_SCRIPT % "\n".join(lines))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(script), target.url]
        output = _run(command, seconds, cpu)
    found = re.search(r"requests (\d+) failed (\d+) p50_us (\d+) p99_us (\d+) took_us (\d+)", output)
    if found is None:
        raise LoadFailed(f"{target.url}: {output}")
    requests, failed, p50_us, p99_us, took_us = map(int, found.groups())
    return Outcome(requests, failed, p50_us, p99_us, took_us / 1e6)


def _own(target: Target, seconds: float, cpu: int, rate: float = 0) -> Outcome:
    command = [sys.executable, "-m", "benchmarks.load", "--seconds", str(seconds), "--rate", str(rate)]
    return Outcome(**json.loads(_run(command, seconds, cpu, json.dumps(asdict(target)))))


def _run(command: list[str], seconds: float, cpu: int, standard_input: str = "") -> str:
    done = subprocess.run(
        command,
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        check=False,
    )
    if done.returncode:
        raise LoadFailed(f"{command[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Connection(asyncio.Protocol):
    """A connection that is kept, with one request on it at a time."""

    def __init__(self) -> None:
        self.body = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[int] | None = None
        self._parser = httptools.HttpResponseParser(self)

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "Connection":
        """Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, *address)
        return connection

    @property
    def local_port(self) -> int:
        """Tells this connection from others at the same server."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    async def ask(self, request: bytes) -> int:
        """Sends and returns the answer's status; its body is in `body`. Raises ConnectionError."""
        if self._transport is None:
            raise ConnectionResetError("the server has closed the connection")
        self.body.clear()
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the server closed the connection"))

    # httptools

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._parser.get_status_code())


async def _closed_loop(target: Target, seconds: float) -> Outcome:
    request = target.request()
    latencies_us: list[float] = []
    failed = 0
    started = time.perf_counter()

    async def ask_again(connection: Connection) -> None:
        nonlocal failed
        while (since := time.perf_counter()) < started + seconds:
            failed += not _succeeded(await connection.ask(request))
            latencies_us.append((time.perf_counter() - since) * 1e6)

    connections = [await Connection.open(target.address) for _ in range(CONNECTIONS)]
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(ask_again(connection))
    took_s = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return _outcome(latencies_us, failed, took_s)


class Socket:
    """A connection for the open loop, which does without asyncio: that has coarser timers and costs more."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self.due = 0.0
        self.status = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        """Sends; nothing may be under way."""
        self.due, self.status = due, 0
        self._socket.sendall(request)

    def receive(self) -> bool:
        """Reads what is there; whether the answer is complete. Raises ConnectionResetError."""
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._parser.feed_data(data)
        return self.status > 0

    def close(self) -> None:
        self._socket.close()

    def on_message_complete(self) -> None:
        """Called by httptools."""
        self.status = self._parser.get_status_code()


def _open_loop(target: Target, seconds: float, rate: float) -> Outcome:
    request = target.request()
    idle = [Socket(target.address) for _ in range(CONNECTIONS)]
    busy: list[Socket] = []
    latencies_us: list[float] = []
    sent = failed = 0
    started = time.perf_counter()
    while busy or sent < int(rate * seconds):
        due = started + sent / rate if sent < int(rate * seconds) else math.inf
        if idle and due <= time.perf_counter():
            connection = idle.pop()
            connection.ask(request, due)
            busy.append(connection)
            sent += 1
            continue
        wait_s = max(0.0, due - time.perf_counter()) if idle and due < math.inf else None
        for connection in select.select(busy, (), (), wait_s)[0]:
            if connection.receive():
                latencies_us.append((time.perf_counter() - connection.due) * 1e6)
                failed += not _succeeded(connection.status)
                busy.remove(connection)
                idle.append(connection)
    took_s = time.perf_counter() - started
    for connection in idle:
        connection.close()
    return _outcome(latencies_us, failed, took_s)


def _succeeded(status: int) -> bool:
    return 200 <= status < 300


def _outcome(latencies_us: list[float], failed: int, took_s: float) -> Outcome:
    ordered = sorted(latencies_us)
    p50_us, p99_us = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
    return Outcome(len(ordered), failed, p50_us, p99_us, took_s)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second; 0: as many as can be answered"
    )
    options = parser.parse_args()
    target = Target(**json.load(sys.stdin))
    if options.rate:
        outcome = _open_loop(target, options.seconds, options.rate)
    else:
        outcome = uvloop.run(_closed_loop(target, options.seconds))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
