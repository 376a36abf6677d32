"""Where a routing rule's requests go and how: Cloudflare AI Gateway's provider path, its /compat, or a vendor
directly.

Pure: everything that doesn't depend on the single request is worked out once per grant and rule, headers
encoded. Facts: Cloudflare's AI Gateway documentation (usage/providers, usage/chat-completion,
bring-your-own-keys).
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from edge.upstream.limits import Origin
from edge.upstream.transport import EncodedHeaders, encode_headers

# Vendors with an OpenAI endpoint behind their slug, and what follows it: Cloudflare appends it to the
# vendor's base URL as it is, so a `v1` too many or too few is the vendor's 404.
_PROVIDER_PATHS = {
    "openai": "openai/chat/completions",
    "groq": "groq/chat/completions",
    "mistral": "mistral/v1/chat/completions",
    "deepseek": "deepseek/chat/completions",
    "grok": "grok/v1/chat/completions",
    "openrouter": "openrouter/v1/chat/completions",
    "perplexity": "perplexity-ai/chat/completions",
    "cerebras": "cerebras/chat/completions",
    "fireworks": "fireworks/chat/completions",
    "workers-ai": "workers-ai/v1/chat/completions",
}
# All others speak their own format; /compat translates, and the model carries the vendor's name.
_COMPAT_PATH = "compat/chat/completions"
_COMPAT_PREFIXES = {"google": "google-ai-studio", "gemini": "google-ai-studio"}
# Who knows OpenAI's newer name of the output limit. /compat translates both.
_KNOW_MAX_COMPLETION_TOKENS = frozenset({"openai", "groq", "grok", "openrouter", "cerebras"})
# Who refuses or ignores the newer name, so that a limit under it would not limit anything.
_REFUSE_MAX_COMPLETION_TOKENS = frozenset({"mistral", "deepseek", "perplexity", "fireworks", "workers-ai"})
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

    def __repr__(self) -> str:
        return f"<Endpoint {self.origin}{self.target}>"


def gateway_endpoint(
    gateway: Gateway,
    provider_type: str,
    gateway_id: str,
    credential: Credential,
    metadata: dict[str, str],
) -> Endpoint:
    """Through Cloudflare. `metadata` tells customers apart in its logs; at most five flat entries are kept
    there."""
    path = _PROVIDER_PATHS.get(provider_type)
    prefix = "" if path else f"{_COMPAT_PREFIXES.get(provider_type, provider_type)}/"
    headers = _BASE_HEADERS.copy()
    if gateway.token is not None:
        headers.append((b"cf-aig-authorization", b"Bearer " + gateway.token.encode()))
    # Any provider header at all is forwarded in place of a stored key, and makes unified billing fail.
    if credential.secret:
        headers.append((b"authorization", b"Bearer " + credential.secret.encode()))
    elif credential.stored_key_alias:
        headers.append((b"cf-aig-byok-alias", credential.stored_key_alias.encode()))
    headers.append((b"cf-aig-skip-cache", b"true"))
    headers.append((b"cf-aig-metadata", _metadata(metadata)))
    return Endpoint(
        origin=gateway.origin,
        target=f"/v1/{gateway.account_id}/{gateway_id or gateway.shared_gateway_id}/{path or _COMPAT_PATH}",
        headers=encode_headers(headers),
        event_id_header=b"cf-aig-event-id: ",
        model_prefix=prefix,
        limit_field="max_completion_tokens" if provider_type in _KNOW_MAX_COMPLETION_TOKENS else "max_tokens",
        renames_limit=provider_type in _REFUSE_MAX_COMPLETION_TOKENS,
        direct=False,
    )


def direct_endpoint(base_url: str, credential: Credential) -> Endpoint:
    """Straight to a vendor: `base_url` as it is when it ends in /chat/completions, else as an OpenAI base
    URL.

    Raises ValueError for what isn't an http(s) URL.
    """
    origin, path = split_url(base_url)
    headers = _BASE_HEADERS.copy()
    if credential.secret:
        headers.append((b"authorization", b"Bearer " + credential.secret.encode()))
    return Endpoint(
        origin=origin,
        target=path if path.endswith("/chat/completions") else path.rstrip("/") + "/chat/completions",
        headers=encode_headers(headers),
        event_id_header=b"x-client-request-id: ",
        model_prefix="",
        limit_field="max_tokens",
        renames_limit=False,
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
