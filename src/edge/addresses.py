"""Which addresses a customer's base URL may lead to: asked for every address that is about to be
connected."""

import ipaddress

from edge.upstream.failures import AddressRefused

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_public(address: str) -> None:
    """Lets only addresses of the Internet through, also where one is wrapped in an IPv6 one.

    Raises AddressRefused.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        parsed = inner or parsed
    if not parsed.is_global or parsed.is_multicast:
        raise AddressRefused("the provider's name leads to a private or local address")
