"""Scripted upstreams on loopback, and transports that are closed after each test."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.upstream.transport import Limits, Origin, Transport
from tests.edge.upstream.peers import MakeTransport, Peer, Script, Serve


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops: workers use uvloop, and the two differ in their transports."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(script)` starts a peer; `tls=` its context."""
    async with contextlib.AsyncExitStack() as stack:
        peers: list[Peer] = []

        async def start(script: Script, tls: ssl.SSLContext | None = None) -> Peer:
            peer = Peer(script)
            server = await asyncio.start_server(peer.accept, "127.0.0.1", 0, ssl=tls, limit=2**20)
            peer.origin = Origin(
                "https" if tls is not None else "http", "127.0.0.1", server.sockets[0].getsockname()[1]
            )
            peers.append(peer)
            stack.callback(server.close)
            return peer

        yield start
        for peer in peers:
            for task in peer.tasks:
                task.cancel()
            await asyncio.gather(*peer.tasks, return_exceptions=True)
            for failure in peer.failures:
                raise failure


@pytest.fixture
async def make_transport() -> AsyncIterator[MakeTransport]:
    """`make_transport(max_connections=1, ...)`: limits by name, a short tick unless given."""
    made: list[Transport] = []

    def make(
        tls: ssl.SSLContext | None = None,
        check_address: Callable[[str], None] | None = None,
        **limits: float,
    ) -> Transport:
        transport = Transport(tls, Limits(**{"tick_s": 0.02, **limits}), check_address)  # type: ignore[arg-type]
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()
        assert transport.stats().open == 0


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and certificate.pem and key.pem for 127.0.0.1 signed by it."""
    folder = tmp_path_factory.mktemp("certificates")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )

    authority = builder(ca_name, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    leaf = builder(x509.Name([]), key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "certificate.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture
def server_tls(certificates: Path) -> ssl.SSLContext:
    """What a TLS peer serves with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
    return context
