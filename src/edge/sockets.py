"""The port that all workers share: who holds it, and how each of them listens on it."""

import socket

UNSENT_BYTES = 16_384


class PortTaken(Exception):
    """Somebody else listens there, or the address isn't ours; the message is one line for people."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket that shares its port with the other workers'; the kernel spreads connections over them.

    Raises OSError.
    """
    family, kind, protocol, _, address = _resolve(host, port)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # What the kernel keeps for a client that doesn't read; connections take it over from the listener.
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds the port for the workers without listening. Port 0: any free one. Raises
    PortTaken."""
    try:
        family, kind, protocol, _, address = _resolve(host, port)
        # Without sharing, so that a port which another edge shares counts as taken.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        return listen(host, port)
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise PortTaken(f"edge: {where}: {error.strerror or error} (TOLLKEEPER_EDGE_PORT)") from None


def _resolve(
    host: str, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0]  # type: ignore[return-value]
