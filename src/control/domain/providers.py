"""Types of providers, and which base URLs they may have (DESIGN §8)."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from tollkeeper.errors import invalid
from tollkeeper.model_match import WILDCARD
from tollkeeper.passthrough import is_passthrough_path
from tollkeeper.provider_types import CUSTOM, PROVIDER_TYPES, find_type, why_unreachable

MAX_URL_CHARS = 500
MAX_CREDENTIAL_CHARS = 8192
MAX_ALIAS_CHARS = 100
MAX_PASSTHROUGH_PATHS = 50
# Names that resolvers keep inside: this host, the local network, a cloud's metadata service.
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "lan", "home", "arpa")


def provider_type(name: str) -> str:
    """The type's own name (`gemini` is `google`). Raises INVALID_ARGUMENT for an unknown one."""
    known = find_type(name)
    if known is None:
        raise invalid(
            f"{name!r} is not a provider type; known are {', '.join(PROVIDER_TYPES)}.", field="provider_type"
        )
    return known.name


def check_reach(
    type_name: str, base_url: str, direct: bool, has_credential: bool, stored_key_alias: str
) -> None:
    """Raises INVALID_ARGUMENT, saying why, for settings that no request could be sent with."""
    why = why_unreachable(type_name, base_url, direct, has_credential, stored_key_alias)
    if why is not None:
        raise invalid(f"{why[0].upper()}{why[1:]}.", field="provider")


def credential_context(provider_id: str) -> str:
    """What a vendor credential is sealed for, so that it opens in its own row only."""
    return f"provider:{provider_id}"


def check_credential(credential: str) -> str:
    """A vendor credential, fit for an HTTP header. Raises INVALID_ARGUMENT, without repeating it."""
    if len(credential) > MAX_CREDENTIAL_CHARS or not credential.isascii() or not credential.isprintable():
        raise invalid(
            f"credential must be at most {MAX_CREDENTIAL_CHARS} printable ASCII characters.",
            field="credential",
        )
    return credential.strip()


def check_alias(alias: str) -> str:
    """The alias of a key stored at Cloudflare, fit for an HTTP header. Raises INVALID_ARGUMENT."""
    if len(alias) > MAX_ALIAS_CHARS or not alias.isascii() or not alias.isprintable() or " " in alias:
        raise invalid(
            f"stored_key_alias must be at most {MAX_ALIAS_CHARS} printable ASCII characters.",
            field="stored_key_alias",
        )
    return alias


def check_passthrough(entries: Iterable[str]) -> list[str]:
    """Paths that go through as they are, without repetitions. Raises INVALID_ARGUMENT."""
    unique = list(dict.fromkeys(entries))
    if len(unique) > MAX_PASSTHROUGH_PATHS:
        raise invalid(f"At most {MAX_PASSTHROUGH_PATHS} passthrough paths.", field="passthrough_paths")
    for entry in unique:
        if not is_passthrough_path(entry.replace(WILDCARD, "x")):
            raise invalid(
                f"{entry!r} is no path below a vendor's base URL, such as rerank or jobs/*: without a leading"
                " slash, of letters, digits and -._~:@/.",
                field="passthrough_paths",
            )
    return unique


def check_base_url(url: str, type_name: str, allow_private: bool) -> str:
    """The base URL without a trailing slash; empty is none, which only `custom` providers may not have.

    https and a public host, unless `allow_private`. Names are checked as written; the edge checks the address
    again when it connects. Raises INVALID_ARGUMENT.
    """
    if not url:
        if type_name == CUSTOM:
            raise invalid("A custom provider needs a base_url.", field="base_url")
        return ""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise invalid(
            f"base_url must be a URL of at most {MAX_URL_CHARS} ASCII characters.", field="base_url"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise invalid("base_url is not a URL.", field="base_url") from None
    if not host or parts.scheme not in ("https", "http"):
        raise invalid("base_url must begin with https:// and a host.", field="base_url")
    _check_plain(parts)
    if not allow_private:
        if parts.scheme != "https":
            raise invalid("base_url must be https.", field="base_url")
        if not is_public_host(host):
            raise invalid("base_url must not name a private or local address.", field="base_url")
    return url.rstrip("/")


def _check_plain(parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        raise invalid("base_url must not carry a user name; use the credential.", field="base_url")
    if parts.query or parts.fragment:
        raise invalid("base_url must not have a query or a fragment.", field="base_url")


def is_public_host(host: str) -> bool:
    """Whether a host, as written, can't be an address that only this machine or network reaches."""
    try:
        return is_public_address(ipaddress.ip_address(host.split("%")[0]))
    except ValueError:
        pass
    labels = host.rstrip(".").lower().split(".")
    last = labels[-1]
    # What ends in a number is an address in some old notation (127.1, 0x7f.1, 2130706433), never a name.
    if not last or last[0].isdigit():
        return False
    return len(labels) > 1 and last not in _LOCAL_NAMES


def is_public_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is routed on the Internet, also when it is wrapped in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is not None:
            address = wrapped
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
