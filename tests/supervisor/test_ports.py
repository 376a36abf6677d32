"""Addresses checked before anything is started."""

import socket
from collections.abc import Iterator

import pytest

from supervisor.ports import Listener, problems


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_in_use_is_one_line(taken: int) -> None:
    """It names the part, the port and the setting that moves it."""
    found = problems([Listener("edge", "127.0.0.1", taken, "TOLLKEEPER_EDGE_PORT")])
    assert found == [
        f"edge: can't listen on 127.0.0.1:{taken}: address already in use;"
        " free it or set TOLLKEEPER_EDGE_PORT"
    ]


def test_all_ports_are_checked(taken: int) -> None:
    """Every problem is told at once, also that two parts want the same port."""
    found = problems(
        [
            Listener("edge", "127.0.0.1", taken, "TOLLKEEPER_EDGE_PORT"),
            Listener("control", "127.0.0.1", taken, "TOLLKEEPER_CONTROL_PORT"),
            Listener("simulator", "host.invalid", 1, "TOLLKEEPER_SIMULATOR_PORT"),
        ]
    )
    assert len(found) == 3
    assert found[1] == f"control and edge both want port {taken}; change TOLLKEEPER_CONTROL_PORT"
    assert found[2].startswith("simulator: can't listen on host.invalid:1: ")


def test_a_port_of_an_earlier_run_is_free() -> None:
    """Connections that linger in TIME_WAIT don't keep a new start from its port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()
    assert problems([Listener("edge", "127.0.0.1", port, "TOLLKEEPER_EDGE_PORT")]) == []


@pytest.mark.parametrize(
    ("host", "address", "reachable"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0", "0.0.0.0:8080", "127.0.0.1:8080"),
        ("::", "[::]:8080", "[::1]:8080"),
        ("gateway.example", "gateway.example:8080", "gateway.example:8080"),
    ],
)
def test_where_to_connect(host: str, address: str, reachable: str) -> None:
    """A part that listens on every interface is reached on loopback."""
    listener = Listener("edge", host, 8080, "TOLLKEEPER_EDGE_PORT")
    assert (listener.address, listener.reachable_address, listener.url) == (
        address,
        reachable,
        f"http://{reachable}",
    )
