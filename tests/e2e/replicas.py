"""A further control plane over the database of a running product."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from tests.e2e.admin import Admin
from tests.e2e.stack import Stack, found, process
from tests.ports import free_port
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1.keys_pb2 import ListKeysRequest


@contextmanager
def replica(stack: Stack, path: Path) -> Iterator[tuple[Popen[bytes], str, Admin]]:
    """Its process, its address, and a client of it alone, once it serves."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    settings = {
        "TOLLKEEPER_DATA_DIR": str(stack.up.data_dir),
        "TOLLKEEPER_CONTROL_PORT": str(port),
        "TOLLKEEPER_CONTROL_METRICS_PORT": str(free_port()),
        "TOLLKEEPER_ALLOW_PRIVATE_BASE_URLS": "true",
    }
    with process("control", path / "control.log", **settings) as started:
        admin = Admin(address, cli_secret(stack))
        found(lambda: _serves(admin, started), timeout_s=60)
        try:
            yield started, address, admin
        finally:
            admin.close()


def cli_secret(stack: Stack) -> str:
    """The operator's credential of this machine."""
    return (stack.up.data_dir / "cli.credential").read_text().strip()


def _serves(admin: Admin, started: Popen[bytes]) -> bool:
    assert started.poll() is None, "the replica ended"
    try:
        admin.keys.ListKeys(ListKeysRequest(customer_id="demo"))
    except TollkeeperError:
        return False
    return True
