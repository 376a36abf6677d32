"""`python -m edge`: what can't be started says so in one line and leaves nothing behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge.sockets import PortTaken, listen, reserve


def run(data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The edge with these settings, until it ends by itself."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TOLLKEEPER_", "CF_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "edge"],
        env=environment | {"TOLLKEEPER_DATA_DIR": str(data_dir)} | settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a credential."""
    (tmp_path / "edge.credential").write_text("tkc_secret")
    return tmp_path


def test_a_port_in_use(data_dir: Path) -> None:
    """One line that names the setting; no pid file stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(data_dir, TOLLKEEPER_EDGE_PORT=str(port))

    lines = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert lines == [f"edge: 127.0.0.1:{port}: Address already in use (TOLLKEEPER_EDGE_PORT)"]
    assert not (data_dir / "run" / "edge.pid").exists()


def test_a_port_that_another_edge_shares(data_dir: Path) -> None:
    """Sharing is for the workers of one edge."""
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(PortTaken):
            reserve("127.0.0.1", taken.getsockname()[1])


def test_workers_share_a_reserved_port() -> None:
    """The reservation itself takes no connections."""
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with listen("127.0.0.1", port) as first, listen("127.0.0.1", port) as second:
            for listener in (first, second):
                listener.listen()
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                pass


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"TOLLKEEPER_EDGE_WORKERS": "none"}, "TOLLKEEPER_EDGE_WORKERS: "),
        ({"TOLLKEEPER_EDGE_CREDENTIAL_FILE": "/nowhere/x"}, "TOLLKEEPER_EDGE_CREDENTIAL_FILE: "),
    ],
)
def test_bad_settings(data_dir: Path, settings: dict[str, str], line: str) -> None:
    """One line each, and a status of their own."""
    ended = run(data_dir, **settings)

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(line)


def test_a_missing_file_of_authorities_ends_the_edge(data_dir: Path) -> None:
    """Starting a worker again would not help, so the parent gives up."""
    ended = run(data_dir, TOLLKEEPER_EDGE_PORT="0", TOLLKEEPER_CONTROL_CA_FILE="/nowhere/ca.pem")

    assert ended.returncode == 1
    assert "TOLLKEEPER_CONTROL_CA_FILE: /nowhere/ca.pem: no such file or directory" in ended.stderr
    assert list((data_dir / "run").glob("*.pid")) == []
