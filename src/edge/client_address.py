"""Where a request comes from, and whether its key may be used from there."""

from collections.abc import Sequence

from sanic.request import Request

from edge.grants import GrantView
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.networks import Address, Network, address

_FORWARDED = "x-forwarded-for"


class ClientAddresses:
    """What is believed of whom, and what follows for a key with a list of addresses."""

    def __init__(self, trusted_proxies: Sequence[Network]) -> None:
        """`trusted_proxies`: whose x-forwarded-for is believed."""
        self._trusted = tuple(trusted_proxies)

    def check(self, request: Request, grant: GrantView) -> None:
        """Raises ADDRESS_NOT_ALLOWED. An address that nobody can tell is on no list."""
        if not grant.allowed_networks:
            return
        found = self._find(request)
        if found is None or not any(found in network for network in grant.allowed_networks):
            place = str(found) if found is not None else "an unknown address"
            raise TollkeeperError(
                Reason.ADDRESS_NOT_ALLOWED, f"This key may not be used from {place}.", {"address": place}
            )

    def of(self, request: Request) -> str:
        """Where a request comes from; empty when nobody can tell."""
        found = self._find(request)
        return "" if found is None else str(found)

    def find(self, peer: str, forwarded: Sequence[str]) -> Address | None:
        """The socket's peer; behind trusted proxies the last hop before them. None where that isn't an IP
        address.

        Read from the right, since a client can write what it likes to the left of what proxies add.
        """
        found = address(peer)
        hops = [hop for line in forwarded for hop in line.split(",")]
        while hops and found is not None and self._trusts(found):
            found = address(hops.pop())
        return found

    def _find(self, request: Request) -> Address | None:
        return self.find(request.ip, request.headers.getall(_FORWARDED, ()))

    def _trusts(self, found: Address) -> bool:
        return any(found in network for network in self._trusted)
