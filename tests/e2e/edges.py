"""Further edges of a running product, as on machines of their own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import httpx

from tests.e2e.stack import TIMEOUTS, Stack, found, process
from tests.ports import free_port


@contextmanager
def edge(stack: Stack, path: Path, **settings: str) -> Iterator[str]:
    """The URL of an edge with one worker and a data directory below `path`."""
    data_dir = path / "edge"
    data_dir.mkdir()
    shutil.copy(stack.up.data_dir / "edge.credential", data_dir)
    port = free_port()
    named = {
        "TOLLKEEPER_DATA_DIR": str(data_dir),
        "TOLLKEEPER_EDGE_PORT": str(port),
        "TOLLKEEPER_EDGE_WORKERS": "1",
        "TOLLKEEPER_CONTROL_ADDRESSES": str(stack.up.ready["control"]),
        "TOLLKEEPER_CF_GATEWAY_URL": stack.simulator,
        "TOLLKEEPER_ALLOW_PRIVATE_BASE_URLS": "true",
        "CF_ACCOUNT_ID": "0" * 32,
        "CF_AI_GATEWAY_API_TOKEN": "simulator",
        **TIMEOUTS,
    }
    url = f"http://127.0.0.1:{port}"
    with process("edge", path / "edge.log", **{**named, **settings}) as started:
        found(lambda: _ready(url, started), timeout_s=60)
        yield url


def _ready(url: str, started: Popen[bytes]) -> bool:
    assert started.poll() is None, "the edge ended"
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
