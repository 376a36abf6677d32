"""Which addresses a base URL may lead to, checked where it counts: at the addresses that get connected to."""

import asyncio
import ipaddress
import socket

import httpx

from control.domain.providers import is_public_address


class AddressRefused(Exception):
    """The name leads to an address that only this machine or network reaches."""


async def pinned(url: httpx.URL, allow_private: bool) -> tuple[httpx.URL, dict[str, str]]:
    """The URL with an address in place of its name, and the extensions that keep TLS about the name.

    Every address of the name is checked, so that what was checked is what gets connected to. Raises
    AddressRefused, and OSError for a name without addresses.
    """
    loop = asyncio.get_running_loop()
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private:
        for address in addresses:
            if not is_public_address(ipaddress.ip_address(address.partition("%")[0])):
                raise AddressRefused
    return url.copy_with(host=addresses[0]), {"sni_hostname": url.host}
