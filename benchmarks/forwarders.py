"""Measures what forwarding costs in Sanic: own transport, aiohttp and pyreqwest behind one interface.

    PYTHONPATH=src:. python -m benchmarks.forwarders

The Sanic process has one core to itself; the upstream (asyncio and httptools, answering at once) and the load
share the other. CPU is user and system time of the Sanic process, all its threads, per request. Rounds are
interleaved, figures are medians. An event stream has 50 events, spaced so that no forwarder meets two at once
unless it falls behind.
"""

import argparse
import asyncio
import contextlib
import datetime
import ipaddress
import os
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httptools
import uvloop
import yarl
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as PyreqwestResponse
from sanic import HTTPResponse, Request, Sanic

from benchmarks.bare_forwarder import Answer, Forwarder, create_app, parse_origin, serve
from edge.upstream.transport import Origin, Timeouts, Transport, tls_context

BODY = b'{"model":"gpt-5-mini","messages":[{"role":"user","content":"' + b"x" * 135 + b'"}]}'
CONNECTIONS = 16
EVENTS = 50
EVENT_INTERVAL_S = 0.001
EDGE_CPU, LOAD_CPU = 0, 1
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"content":"%b"}}]}'
    % (b"y" * 100)
)
ANSWER_BYTES = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncf-aig-cache-status: MISS\r\n"
    b"cf-aig-log-id: 01JADMCQQQBWH3NXZ5GCRN98DP\r\ncf-aig-step: 0\r\nserver: upstream\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
)
EVENT = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a few words"}}]}\n\n'
EVENT_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cf-aig-step: 0\r\ntransfer-encoding: chunked\r\n\r\n"
)


# The rivals, behind the transport's interface.


class AiohttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: bytes) -> bytes | None:
        value = self._response.headers.get(name.decode())
        return None if value is None else value.encode()

    async def read(self, max_bytes: int) -> bytes:
        return await self._response.read()

    async def next_chunk(self) -> bytes | None:
        return await self._response.content.readany() or None

    def close(self) -> None:
        self._response.close()


class AiohttpForwarder:
    """One session, a pool as large as the transport's; nothing decoded, no cookies kept."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=512, keepalive_timeout=15, ssl=tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=10.0),
        )

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        timeouts: Timeouts,
    ) -> Answer:
        return AiohttpAnswer(
            await self._session.request(
                method,
                yarl.URL(f"{origin}{target}", encoded=True),
                headers=[(name.decode(), value.decode()) for name, value in headers],
                data=body,
                allow_redirects=False,
            )
        )


class PyreqwestAnswer:
    def __init__(self, response: PyreqwestResponse, stream: StreamRequest | None) -> None:
        self._response = response
        self._stream = stream
        self.status = response.status

    def header(self, name: bytes) -> bytes | None:
        value = self._response.get_header(name.decode())
        return None if value is None else value.encode()

    async def read(self, max_bytes: int) -> bytes:
        return bytes(await self._response.bytes())

    async def next_chunk(self) -> bytes | None:
        chunk = await self._response.body_reader.read_chunk()
        if chunk is None and self._stream is not None:
            await self._stream.__aexit__(None, None, None)
        return None if chunk is None else bytes(chunk)

    def close(self) -> None:
        """Nothing to do: a consumed answer gave its connection back."""


class PyreqwestForwarder:
    """In its best form: whole answers are asked for as such, event streams (by their path) as streams."""

    def __init__(self, ca_file: str | None) -> None:
        builder = ClientBuilder().follow_redirects(False).gzip(False).brotli(False).zstd(False).deflate(False)
        builder = builder.no_proxy().connect_timeout(datetime.timedelta(seconds=2))
        builder = builder.read_timeout(datetime.timedelta(seconds=10)).max_connections(512)
        if ca_file is not None:
            builder = builder.add_root_certificate_pem(Path(ca_file).read_bytes())
        self._client: Client = builder.build()

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        timeouts: Timeouts,
    ) -> Answer:
        request = self._client.request(method, f"{origin}{target}")
        request = request.headers([(name.decode(), value.decode()) for name, value in headers])
        request = request.body_bytes(body)
        if target.endswith("stream"):
            stream = request.build_streamed()
            return PyreqwestAnswer(await stream.__aenter__(), stream)
        return PyreqwestAnswer(await request.build().send(), None)


async def serve_forwarder(name: str, upstream: str, ca_file: str | None) -> None:
    """The measured process."""
    origin = parse_origin(upstream)
    if name == "sanic":
        app = Sanic("answers_at_once", configure_logging=False)

        @app.post("/<path:path>")
        async def answer(request: Request, path: str) -> HTTPResponse:
            return HTTPResponse(ANSWER, content_type="application/json")

        await serve(app, 0)
    tls = tls_context(ca_file) if ca_file else None
    forwarder: Forwarder
    if name == "aiohttp":
        forwarder = AiohttpForwarder(tls)
    elif name == "pyreqwest":
        forwarder = PyreqwestForwarder(ca_file)
    else:
        forwarder = Transport(tls=tls)
    await serve(create_app(forwarder, origin), 0)


# The upstream.


class UpstreamProtocol(asyncio.Protocol):
    """Answers any request: at once, or with an event stream if the path ends in `stream`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpRequestParser(self)
        self._events_left = 0

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._is_stream = url.endswith(b"stream")

    def on_message_complete(self) -> None:
        if self._is_stream:
            self._transport.write(STREAM_HEAD)
            self._events_left = EVENTS
            self._next_event()
        else:
            self._transport.write(ANSWER_BYTES)

    def _next_event(self) -> None:
        if self._transport.is_closing():
            return
        if not self._events_left:
            self._transport.write(b"0\r\n\r\n")
            return
        self._events_left -= 1
        self._transport.write(EVENT_CHUNK)
        asyncio.get_running_loop().call_later(EVENT_INTERVAL_S, self._next_event)


async def serve_upstream(certificate: str, key: str) -> None:
    """Plain and TLS listeners; prints both ports."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(UpstreamProtocol, "127.0.0.1", 0)
    tls = await loop.create_server(UpstreamProtocol, "127.0.0.1", 0, ssl=context)
    ports = [server.sockets[0].getsockname()[1] for server in (plain, tls)]
    print(f"listening on {ports[0]} {ports[1]}", flush=True)
    await asyncio.get_running_loop().create_future()


def write_certificates(folder: Path) -> tuple[str, str, str]:
    """PEM files: an authority, a certificate for 127.0.0.1 signed by it, and that certificate's key."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, address = x509_name("benchmark authority"), ipaddress.ip_address("127.0.0.1")
    authority = certificate(ca_name, ca_name, ca_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    leaf = certificate(x509_name("127.0.0.1"), ca_name, key).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(address)]), critical=False
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    contents = {
        "ca.pem": authority.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "certificate.pem": leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "key.pem": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    ca_file, certificate_file, key_file = (str(folder / name) for name in contents)
    return ca_file, certificate_file, key_file


def certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )


def x509_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


# The load.

WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer 0123456789abcdef0123456789abcdef"
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("requests %%d in_us %%d failed %%d p50_us %%d p99_us %%d\\n", summary.requests,
    summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class LoadProtocol(asyncio.Protocol):
    """Where wrk is missing: one connection, one request after the other."""

    def __init__(self, request: bytes, latencies_us: list[int]) -> None:
        self._request = request
        self._latencies_us = latencies_us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def _send(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._latencies_us.append(int((time.perf_counter() - self._started) * 1e6))
        self._send()


async def serve_load(port: int, path: str, seconds: float) -> None:
    """Print what wrk's script prints."""
    request = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer 0123456789abcdef0123456789abcdef\r\ncontent-length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    latencies_us: list[int] = []
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: LoadProtocol(request, latencies_us), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    percentiles = statistics.quantiles(latencies_us, n=100)
    counts = f"requests {len(latencies_us)} in_us {seconds * 1e6:.0f} failed 0"
    print(f"{counts} p50_us {percentiles[49]:.0f} p99_us {percentiles[98]:.0f}", flush=True)


# The measuring.


class LoadFailed(Exception):
    """A round in which requests failed measures nothing."""


@dataclass(frozen=True)
class Case:
    """One forwarder with one kind of upstream."""

    forwarder: str
    kind: str  # plain, tls, stream, stream-tls
    port: int
    pid: int

    @property
    def path(self) -> str:
        return "/v1/stream" if self.kind.startswith("stream") else "/v1/chat/completions"


@dataclass(frozen=True)
class Sample:
    """What one round of one case measured."""

    cpu_us: float
    rps: float
    p50_us: float
    p99_us: float


@contextlib.contextmanager
def child(cpu: int, log: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """This module in a role of its own, on one core; gives the process and the ports that it printed."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.forwarders", "--cpu", str(cpu), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on"):
            raise SystemExit(f"{arguments} did not start: {line!r}")
        yield process, [int(port) for port in line.split()[2:]]
    finally:
        process.kill()
        process.wait()


def cpu_ticks(pid: int) -> int:
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def measure(case: Case, seconds: int, wrk_script: str | None) -> Sample:
    """Load one forwarder for a while."""
    url = f"http://127.0.0.1:{case.port}{case.path}"
    if wrk_script is not None:
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", wrk_script, url]
    else:
        command = [sys.executable, "-m", "benchmarks.forwarders", "--role", "load"]
        command += ["--port", str(case.port), "--path", case.path, "--seconds", str(seconds)]
    before = cpu_ticks(case.pid)
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}),
    )
    ticks = cpu_ticks(case.pid) - before
    found = re.search(r"requests (\d+) in_us (\d+) failed (\d+) p50_us (\d+) p99_us (\d+)", run.stdout)
    if found is None:
        raise LoadFailed(f"{run.stdout} {run.stderr}")
    requests, took_us, failed, p50_us, p99_us = map(int, found.groups())
    if failed or not requests:
        raise LoadFailed(f"{case.forwarder} {case.kind}: {failed} of {requests} requests failed")
    return Sample(ticks / CLOCK_TICKS_PER_S * 1e6 / requests, requests / took_us * 1e6, p50_us, p99_us)


def print_table(samples: dict[tuple[str, str], list[Sample]], rounds: int) -> None:
    """Medians over the rounds."""
    print(f"\n{'':24}{'CPU per request':>18}{'per event':>12}{'req/s':>10}{'p50':>10}{'p99':>10}")
    last_kind = ""
    for (kind, forwarder), taken in sorted(samples.items(), key=lambda item: (item[0][0], mean_cpu(item[1]))):
        if kind != last_kind:
            print(f"{kind} (median of {rounds})")
            last_kind = kind
        cpu_us = mean_cpu(taken)
        event = f"{cpu_us / EVENTS:9.1f} µs" if kind.startswith("stream") else ""
        rps, p50_us, p99_us = (
            statistics.median(getattr(sample, field) for sample in taken)
            for field in ("rps", "p50_us", "p99_us")
        )
        print(
            f"  {forwarder:22}{cpu_us:15.0f} µs{event:>12}{rps:10.0f}"
            f"{p50_us / 1000:7.2f} ms{p99_us / 1000:7.2f} ms"
        )


def mean_cpu(samples: list[Sample]) -> float:
    return statistics.median(sample.cpu_us for sample in samples)


def run_benchmark(rounds: int, seconds: int, kinds: list[str], forwarders: list[str]) -> None:
    """Start everything, measure in interleaved rounds, print the table."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = folder / "errors.log"
        ca_file, certificate_file, key_file = write_certificates(folder)
        wrk_script: str | None = None
        if shutil.which("wrk"):
            wrk_script = str(folder / "post.lua")
            Path(wrk_script).write_text(WRK_SCRIPT % BODY.decode())
        upstream = ["--role", "upstream", "--certificate", certificate_file, "--key", key_file]
        _, (plain_port, tls_port) = stack.enter_context(child(LOAD_CPU, log, *upstream))
        cases: list[Case] = []
        for kind in kinds:
            url = (
                f"https://127.0.0.1:{tls_port}" if kind.endswith("tls") else f"http://127.0.0.1:{plain_port}"
            )
            for name in forwarders:
                if name == "sanic" and kind != "plain":
                    continue
                role = ["--role", "forwarder", "--name", name, "--upstream", url]
                if kind.endswith("tls"):
                    role += ["--certificate", ca_file]
                process, (port,) = stack.enter_context(child(EDGE_CPU, log, *role))
                cases.append(Case(name, kind, port, process.pid))
        samples: dict[tuple[str, str], list[Sample]] = {}
        for round_number in range(rounds + 1):
            for case in cases:
                try:
                    sample = measure(case, seconds, wrk_script)
                except LoadFailed as error:
                    raise SystemExit(f"{error}\n{log.read_text()[-2000:]}") from error
                if round_number:  # the first one warms up
                    samples.setdefault((case.kind, case.forwarder), []).append(sample)
        print_table(samples, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=1, help="of load, per round and case")
    parser.add_argument("--kinds", default="plain,tls,stream,stream-tls")
    parser.add_argument("--forwarders", default="own,pyreqwest,aiohttp,sanic")
    # How this module starts its own processes.
    for hidden in ("--role", "--name", "--upstream", "--certificate", "--key", "--path"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cpu", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cpu is not None:
        os.sched_setaffinity(0, {arguments.cpu})
    with contextlib.suppress(KeyboardInterrupt):
        if arguments.role == "upstream":
            uvloop.run(serve_upstream(arguments.certificate, arguments.key))
        elif arguments.role == "forwarder":
            uvloop.run(serve_forwarder(arguments.name, arguments.upstream, arguments.certificate))
        elif arguments.role == "load":
            uvloop.run(serve_load(arguments.port, arguments.path, arguments.seconds))
        else:
            kinds, forwarders = arguments.kinds.split(","), arguments.forwarders.split(",")
            run_benchmark(arguments.rounds, arguments.seconds, kinds, forwarders)


if __name__ == "__main__":
    main()
