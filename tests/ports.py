"""Ports that a test names before somebody listens there, if anybody ever does."""

import fcntl
import os
import socket
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

# Below those that systems hand out by themselves: whoever asks for any port, or connects to somewhere, never
# gets one of these meanwhile.
_FIRST, _EACH, _BLOCKS = 15_000, 250, 40
_tried = count()


def free_port() -> int:
    """A port of the loopback interface that nobody has, and no other test process is given."""
    first = _block()
    for _ in range(_EACH):
        port = first + next(_tried) % _EACH
        with socket.socket() as probe:
            # As servers do: a connection of an earlier one, that lingers, is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"all ports from {first} to {first + _EACH} are taken")


@cache
def _block() -> int:
    """The first port of those that are this process's until it ends, whoever else tests on this machine."""
    for number in range(_BLOCKS):
        path = Path(tempfile.gettempdir()) / f"tollkeeper-tests-ports-{number}"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # Until the process ends, which closes it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return _FIRST + number * _EACH
    raise AssertionError("too many tests run on this machine")
