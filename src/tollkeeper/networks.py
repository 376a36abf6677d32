"""IP addresses and networks of allow-lists: control checks them, the edge asks them, files name them."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# gRPC metadata in which an edge passes on who called it over HTTP. Anybody can write it: it only makes limits
# fairer that hold without it too.
CLIENT_ADDRESS_METADATA = "x-tollkeeper-client-address"


def network(text: str) -> Network:
    """A CIDR network, or one address as the network of just it. Raises ValueError saying what to write."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address or network{_meant(text)}") from None
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} wraps IPv4 addresses: name them as IPv4")
    return found


def address(text: str) -> Address | None:
    """The address a text names, without port, brackets and zone; IPv4 also where it is wrapped in IPv6. None
    for anything else."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def _meant(text: str) -> str:
    """For an address with the prefix of a network it lies in."""
    try:
        return f": write {str(ipaddress.ip_network(text, strict=False))!r}"
    except ValueError:
        return ""
