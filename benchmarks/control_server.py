"""A control plane on an embedded PostgreSQL of its own, with fsync, kept from run to run."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.nginx import free_port
from control import migrations, postgres
from tollkeeper.key_format import CREDENTIAL_PREFIX, secret_hash

EDGE_SECRET, CLI_SECRET = CREDENTIAL_PREFIX + "e" * 43, CREDENTIAL_PREFIX + "c" * 43
_KEY = base64.b64encode(b"k" * 32).decode()
PLATFORM_CUSTOMER_ID = "00000000-0000-7000-8000-000000000001"
START_WITHIN_S = 60.0


@dataclass(frozen=True)
class Server:
    """A running control plane."""

    address: str
    database_url: str
    pid: int
    postgres_pid: int


@contextmanager
def database(data_dir: Path) -> Iterator[str]:
    """The address of the migrated database, with what any installation has."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o711)  # PostgreSQL may run as another user, who has to get through.
    with postgres.Embedded(data_dir) as embedded:
        migrations.upgrade(embedded.url)
        url = embedded.url.replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            _make_platform(connection)
        yield url


@contextmanager
def serving(data_dir: Path, database_url: str) -> Iterator[Server]:
    """One replica in a process of its own, over a database that runs already."""
    port = free_port()
    environment = {
        **os.environ,
        "TOLLKEEPER_DATA_DIR": str(data_dir),
        "TOLLKEEPER_DATABASE_URL": database_url,
        "TOLLKEEPER_ENCRYPTION_KEY": _KEY,
        "TOLLKEEPER_CONTROL_PORT": str(port),
        "TOLLKEEPER_CONTROL_METRICS_PORT": "0",
        "TOLLKEEPER_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-P", "-m", "control"], env=environment)
    try:
        address = f"127.0.0.1:{port}"
        _await(address)
        postgres_pid = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        yield Server(address, database_url, process.pid, postgres_pid)
    finally:
        process.terminate()
        process.wait(30)


def connect(server: Server) -> grpc.Channel:
    """A connection of its own."""
    return grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])


def signed_in(secret: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller."""
    return (("authorization", f"Bearer {secret}"),)


def _await(address: str) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(address))
    while True:
        try:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
        else:
            return


def _make_platform(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO customers (customer_id, slug, name) VALUES (%s, 'platform', 'Platform')"
        " ON CONFLICT DO NOTHING",
        (PLATFORM_CUSTOMER_ID,),
    )
    for number, (kind, secret) in enumerate((("edge", EDGE_SECRET), ("cli", CLI_SECRET))):
        credential_id = f"0190ffff-0000-7000-8000-{number:012x}"
        connection.execute(
            "INSERT INTO credentials (customer_id, credential_id, kind, secret_hash) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (PLATFORM_CUSTOMER_ID, credential_id, kind, secret_hash(secret)),
        )
        connection.execute(
            "INSERT INTO directory (kind, value, customer_id, target_id)"
            " VALUES ('credential_hash', %s, %s, %s) ON CONFLICT DO NOTHING",
            (secret_hash(secret).hex(), PLATFORM_CUSTOMER_ID, credential_id),
        )
