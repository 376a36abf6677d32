"""Whether the addresses of all parts are free, asked before anything is started."""

import socket
from dataclasses import dataclass

_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Listener:
    """An address one part is going to listen on, and the setting that moves it."""

    part: str
    host: str
    port: int
    setting: str

    @property
    def address(self) -> str:
        """host:port, as one writes it (IPv6 in brackets)."""
        return _address(self.host, self.port)

    @property
    def reachable_address(self) -> str:
        """host:port to connect to from this machine, also where the part listens on every interface."""
        return _address(_LOOPBACKS.get(self.host, self.host), self.port)

    @property
    def url(self) -> str:
        """Likewise, for HTTP."""
        return f"http://{self.reachable_address}"


def problems(listeners: list[Listener]) -> list[str]:
    """One line for each address that can't be listened on, or that two parts want."""
    found = []
    takers: dict[tuple[str, int], str] = {}
    for each in listeners:
        other = takers.setdefault((each.host, each.port), each.part)
        if other != each.part:
            found.append(f"{each.part} and {other} both want port {each.port}; change {each.setting}")
        elif (problem := _problem(each)) is not None:
            found.append(problem)
    return found


def _problem(listener: Listener) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do, so that connections of an earlier run in TIME_WAIT don't count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        why = error.strerror or str(error)
        return (
            f"{listener.part}: can't listen on {listener.address}: {why.lower()}; "
            f"free it or set {listener.setting}"
        )
    return None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
