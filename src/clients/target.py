"""One channel over all replicas: what gRPC is told about their addresses, and how it treats connections."""

import ipaddress
import json
import socket
from collections.abc import Sequence

from tollkeeper.errors import Reason, TollkeeperError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

Options = list[tuple[str, int | str]]


def target_of(addresses: Sequence[str]) -> tuple[str, Options]:
    """gRPC's target for these `host:port`, and the options that go with it.

    One address is left to gRPC, which resolves its name again when it must. It can't take several names, so
    those are resolved here, once; their certificates are checked against the first name, or the first address
    where there is no name. Raises ValueError for what is no `host:port`, and TollkeeperError UNAVAILABLE when
    no name can be resolved.
    """
    pairs = [_split(address) for address in addresses]
    if not pairs:
        raise ValueError("name at least one control address (host:port)")
    if len(pairs) == 1:
        return addresses[0], options()
    numbers = [number for host, port in pairs for number in _numbers(host, port)]
    if not numbers:
        raise TollkeeperError(Reason.UNAVAILABLE, "None of the control plane's names can be resolved.")
    name = next((host for host, _ in pairs if not _is_number(host)), pairs[0][0])
    authority = f"[{name}]" if ":" in name else name
    return _joined(numbers), [*options(), ("grpc.default_authority", authority)]


def options() -> Options:
    """How connections are kept and found again."""
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Notices a dead peer within 80 s even without calls; the server allows a ping each 30 s.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # How long an attempt may take, whatever its name says: a busy or distant control plane greets late.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Shared ones would refuse calls of a new client while another one's waits after a failed connect.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"a control address must be host:port, not {address!r}")
    return host.strip("[]"), int(port)


def _numbers(host: str, port: int) -> list[tuple[str, int]]:
    if _is_number(host):
        return [(host, port)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        # Another of them may be known; without any the caller is told.
        return []
    return [(str(address[0]), port) for *_, address in found]


def _joined(numbers: Sequence[tuple[str, int]]) -> str:
    """A target has one family: among IPv6 addresses an IPv4 one is written as one of them."""
    unique = list(dict.fromkeys(numbers))
    if all(ipaddress.ip_address(host).version == 4 for host, _ in unique):
        return "ipv4:" + ",".join(f"{host}:{port}" for host, port in unique)
    sixes = [(host if ":" in host else f"::ffff:{host}", port) for host, port in unique]
    return "ipv6:" + ",".join(f"[{host}]:{port}" for host, port in sixes)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
