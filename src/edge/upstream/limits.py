"""The plain values of the transport: where to, how long, how much."""

from dataclasses import dataclass
from typing import NamedTuple


class Origin(NamedTuple):
    """Where requests go: `https` or `http`, a host name or address literal (no brackets), a port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As in a Host header: the port only where it isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}.get(self.scheme)
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one request may wait, in seconds.

    connect_s: resolving, connecting and the TLS handshake together.
    first_byte_s: from writing the request until the answer's head is complete. An upload's time runs from its
      last byte.
    idle_s: the longest silence inside a body, while the consumer keeps up; also how long an upstream may take
      nothing of an upload.
    The last two are looked at every `Limits.tick_s`, so they fire up to that much late.
    """

    connect_s: float = 5.0
    first_byte_s: float = 300.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the pool and of what one connection may hold."""

    max_connections: int = 2048  # to one origin
    max_waiting: int = 1024  # requests waiting for a connection to one origin
    max_wait_s: float = 5.0  # how long each of them waits
    max_origins: int = 1024
    keep_alive_s: float = 15.0  # how long an unused connection is kept
    max_head_bytes: int = 65_536  # of an answer's head, also of what is neither head nor body
    # Unread body bytes at which reading stops, and the most that one read brings: what is held for a consumer
    # that has stopped is at most their sum, of which a worker may have a thousand.
    high_water_bytes: int = 4_096
    read_bytes: int = 8_192
    tick_s: float = 0.1


class Stats(NamedTuple):
    """Connections (those being made count as open and in use) and requests waiting for one."""

    open: int
    idle: int
    in_use: int
    waiting: int
