"""Ports that a test names before somebody listens there, if anybody ever does."""

import os
import socket
from itertools import count

# Below those that systems hand out by themselves, and a part of them for each test process: what asks for any
# port, or connects to somewhere, never gets one of these meanwhile.
_FIRST, _EACH = 15_000, 1_000
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_tried = count(os.getpid())


def free_port() -> int:
    """A port of the loopback interface that nobody has, and nobody else of these tests is given."""
    for _ in range(_EACH):
        port = _FIRST + _process * _EACH + next(_tried) % _EACH
        with socket.socket() as probe:
            # As servers do: a connection of an earlier one, that lingers, is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"all ports of process {_process} are taken")
