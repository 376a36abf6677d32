"""Where a request comes from."""

import pytest

from edge.client_address import ClientAddresses
from tollkeeper.networks import address, network

PROXIES = ("10.0.0.0/8", "fd00::/8", "127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("2001:db8::1", [], "2001:db8::1"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        # A stranger may say what it likes.
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        # What stands left of the last hop before our proxies was written by the client.
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ['"[2001:db8::7]:443"'], "2001:db8::7"),
        ("127.0.0.1", ["198.51.100.7:50123"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7,unknown"], None),
        ("127.0.0.1", [","], None),
        ("", ["198.51.100.7"], None),
    ],
)
def test_the_last_hop_before_trusted_proxies(peer: str, forwarded: list[str], found: str | None) -> None:
    """The socket's peer, unless it is one of ours; garbage is nobody's address."""
    addresses = ClientAddresses([network(text) for text in PROXIES])

    assert addresses.find(peer, forwarded) == (address(found) if found else None)
