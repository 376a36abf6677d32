"""Where a routing rule's requests go and how: Cloudflare AI Gateway's provider path, its /compat, or a vendor
directly.

Pure: everything that doesn't depend on the single request is worked out once per grant and rule, headers
encoded. Facts: Cloudflare's AI Gateway documentation (usage/providers, usage/chat-completion,
bring-your-own-keys).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from edge.upstream.gateway_lines import GatewayLines, gateway_lines
from edge.upstream.limits import Origin
from edge.upstream.transport import EncodedHeaders, encode_headers
from tollkeeper.operations import Operation, Wire
from tollkeeper.provider_types import (
    CUSTOM,
    MODEL_IN_PATH,
    PROVIDER_TYPES,
    direct_base_url,
    find_type,
    operations_of,
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The Cloudflare account this edge forwards to."""

    origin: Origin
    account_id: str
    token: str | None
    shared_gateway_id: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What a routing rule says about authentication; hidden from reprs."""

    secret: str
    stored_key_alias: str

    def header(self, name: str) -> tuple[bytes, bytes]:
        """The secret as a vendor takes it: a bearer, or bare in a header of the vendor's own."""
        scheme = b"Bearer " if name == "authorization" else b""
        return name.encode(), scheme + self.secret.encode()

    def __repr__(self) -> str:
        return f"<Credential {'own' if self.secret else 'stored or unified'}>"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests for one operation and model go. The event id, the content type and what Cloudflare is
    told of a request are all that is still to be added to its headers."""

    origin: Origin
    target: str
    headers: EncodedHeaders
    event_id_header: bytes
    model_prefix: str
    limit_field: str
    renames_limit: bool
    through: GatewayLines | None
    """None: directly to the vendor."""

    @property
    def direct(self) -> bool:
        """Without Cloudflare."""
        return self.through is None

    def below(self, path: str, query: str) -> "Endpoint":
        """What is at a path below this one, which begins with a slash, with a query string."""
        root, _, own_query = self.target.partition("?")
        queries = "&".join(filter(None, (own_query, query)))
        return replace(self, target=f"{root}{path}?{queries}" if queries else root + path)

    def __repr__(self) -> str:
        return f"<Endpoint {self.origin}{self.target}>"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one rule leads: a vendor, through Cloudflare or directly, with a path for each operation."""

    wire: Wire
    operations: frozenset[Operation]
    path: Callable[[Operation], str]
    """MODEL_IN_PATH stands where a path names the model."""
    root: Endpoint
    """Without a target."""
    base: str = ""
    """What a vendor's own path follows, without a slash at its end; empty: nothing goes through as it is."""

    def endpoint(self, operation: Operation, model: str) -> Endpoint | None:
        """None where the vendor doesn't serve the operation."""
        if operation not in self.operations:
            return None
        target = self.path(operation).replace(MODEL_IN_PATH, quote(model, safe=""))
        return replace(self.root, target=target)

    def passing(self, path: str, query: str) -> Endpoint | None:
        """A path of the vendor's own, as it is."""
        return replace(self.root, target=self.base).below(f"/{path}", query) if self.base else None


def gateway_destination(
    gateway: Gateway,
    provider_type: str,
    base_url: str,
    gateway_id: str,
    credential: Credential,
    metadata: dict[str, str],
) -> Destination:
    """Through Cloudflare. `metadata` tells customers apart in its logs, in at most four entries. `base_url`
    names the resource where the path has one.

    Raises ValueError for a type that Cloudflare has no path for.
    """
    known = find_type(provider_type)
    if known is None or not known.through_gateway:
        raise ValueError(f"Cloudflare has no path for {provider_type}")
    headers = _BASE_HEADERS.copy()
    if gateway.token is not None:
        headers.append((b"cf-aig-authorization", b"Bearer " + gateway.token.encode()))
    # Any provider header at all is forwarded in place of a stored key, and makes unified billing fail.
    if credential.secret:
        headers.append(credential.header(known.key_header))
    elif credential.stored_key_alias:
        headers.append((b"cf-aig-byok-alias", credential.stored_key_alias.encode()))
    start = f"/v1/{gateway.account_id}/{gateway_id or gateway.shared_gateway_id}/"
    known.gateway_path(Operation.CHAT, base_url)  # raises for a base URL that won't do
    return Destination(
        known.wire,
        known.operations,
        lambda operation: start + known.gateway_path(operation, base_url),
        Endpoint(
            origin=gateway.origin,
            target="",
            headers=encode_headers(headers),
            event_id_header=b"cf-aig-event-id: ",
            model_prefix=known.compat_prefix,
            limit_field=known.output_limit,
            renames_limit=known.knows_one_limit,
            through=gateway_lines(metadata),
        ),
        f"{start}{known.slug}",
    )


def direct_destination(provider_type: str, base_url: str, credential: Credential) -> Destination:
    """Straight to a vendor: `base_url` as it is when it ends in /chat/completions (nothing but chat is there
    then), else as a base URL; the vendor's own where there is none.

    Raises ValueError for what isn't an http(s) URL.
    """
    origin, root = split_url(direct_base_url(provider_type, base_url))
    named = find_type(provider_type) or PROVIDER_TYPES[CUSTOM]
    # Behind an address of the customer's own may be any server that speaks the format.
    known = PROVIDER_TYPES[CUSTOM] if base_url and named.wire is Wire.OPENAI else named
    headers = _BASE_HEADERS.copy()
    if credential.secret:
        headers.append(credential.header(named.key_header))
    chat_only = root.endswith(f"/{Operation.CHAT}")
    return Destination(
        known.wire,
        operations_of(provider_type, base_url, direct=True),
        lambda operation: root if chat_only else f"{root.rstrip('/')}/{known.direct_path(operation)}",
        Endpoint(
            origin=origin,
            target="",
            headers=encode_headers(headers),
            event_id_header=b"x-client-request-id: ",
            model_prefix="",
            limit_field=known.output_limit,
            renames_limit=known.knows_one_limit,
            through=None,
        ),
        "" if chat_only else root.rstrip("/"),
    )


def split_url(url: str) -> tuple[Origin, str]:
    """Origin and path of an http(s) URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii():
        raise ValueError(f"{url!r} is not an http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname, port), parts.path


# Encodings stay off: what is relayed must be readable for its usage.
_BASE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"tollkeeper"),
]
