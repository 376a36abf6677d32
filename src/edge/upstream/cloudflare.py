"""Where a routing rule's requests go and how: Cloudflare AI Gateway's provider path, its /compat, or a vendor
directly.

Pure: everything that doesn't depend on the single request is worked out once per grant and rule, headers
encoded. Facts: Cloudflare's AI Gateway documentation (usage/providers, usage/chat-completion,
bring-your-own-keys).
"""

from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import orjson

from edge.upstream.limits import Origin
from edge.upstream.transport import EncodedHeaders, encode_headers
from tollkeeper.provider_types import CUSTOM, MODEL_IN_PATH, PROVIDER_TYPES, find_type, openai_base_url

# Vendors without a path of their own speak a format of their own; /compat translates, and the model carries
# the vendor's name.
_COMPAT_PATH = "compat/chat/completions"
_METADATA_VALUE_CHARS = 100


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
    """Where one rule's chat requests go. The event id's header line is all that is still to be added."""

    origin: Origin
    target: str
    headers: EncodedHeaders
    event_id_header: bytes
    model_prefix: str
    limit_field: str
    renames_limit: bool
    direct: bool

    def of_model(self, model: str) -> "Endpoint":
        """The endpoint of one model, where its path names the model."""
        if MODEL_IN_PATH not in self.target:
            return self
        return replace(self, target=self.target.replace(MODEL_IN_PATH, quote(model, safe="")))

    def __repr__(self) -> str:
        return f"<Endpoint {self.origin}{self.target}>"


def gateway_endpoint(
    gateway: Gateway,
    provider_type: str,
    base_url: str,
    gateway_id: str,
    credential: Credential,
    metadata: dict[str, str],
) -> Endpoint:
    """Through Cloudflare. `metadata` tells customers apart in its logs; at most five flat entries are kept
    there. `base_url` names the resource where the path has one.

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
    headers.append((b"cf-aig-skip-cache", b"true"))
    headers.append((b"cf-aig-metadata", _metadata(metadata)))
    path = known.gateway_path(base_url) if known.chat_path else _COMPAT_PATH
    return Endpoint(
        origin=gateway.origin,
        target=f"/v1/{gateway.account_id}/{gateway_id or gateway.shared_gateway_id}/{path}",
        headers=encode_headers(headers),
        event_id_header=b"cf-aig-event-id: ",
        model_prefix=known.compat_prefix,
        limit_field=known.output_limit,
        renames_limit=known.knows_one_limit,
        direct=False,
    )


def direct_endpoint(provider_type: str, base_url: str, credential: Credential) -> Endpoint:
    """Straight to a vendor: `base_url` as it is when it ends in /chat/completions, else as an OpenAI base
    URL; the vendor's own where there is none.

    Raises ValueError for what isn't an http(s) URL.
    """
    origin, path = split_url(openai_base_url(provider_type, base_url))
    named = find_type(provider_type) or PROVIDER_TYPES[CUSTOM]
    # Behind an address of the customer's own may be any server that speaks OpenAI's format.
    known = PROVIDER_TYPES[CUSTOM] if base_url else named
    headers = _BASE_HEADERS.copy()
    if credential.secret:
        headers.append(credential.header(named.key_header))
    return Endpoint(
        origin=origin,
        target=path if path.endswith("/chat/completions") else path.rstrip("/") + "/chat/completions",
        headers=encode_headers(headers),
        event_id_header=b"x-client-request-id: ",
        model_prefix="",
        limit_field=known.output_limit,
        renames_limit=known.knows_one_limit,
        direct=True,
    )


def split_url(url: str) -> tuple[Origin, str]:
    """Origin and path of an http(s) URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii():
        raise ValueError(f"{url!r} is not an http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname, port), parts.path


def _metadata(metadata: dict[str, str]) -> bytes:
    """Flat JSON of short ASCII texts: one null or nested value would make Cloudflare drop all of it."""
    return orjson.dumps(
        {
            name: value.encode("ascii", "replace").decode()[:_METADATA_VALUE_CHARS]
            for name, value in metadata.items()
            if value
        }
    )


# Encodings stay off: what is relayed must be readable for its usage.
_BASE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"application/json"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"tollkeeper"),
]
