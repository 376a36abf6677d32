"""What Cloudflare is told beside the request itself: whether its answer may come from the cache, and whose
it is.

Facts: Cloudflare's AI Gateway documentation (features/caching, observability/custom-metadata).
"""

import hmac
from dataclasses import dataclass

import orjson

_VALUE_CHARS = 100
_SKIP_CACHE = b"cf-aig-skip-cache: true\r\n"


@dataclass(frozen=True, slots=True)
class GatewayLines:
    """Header lines for the requests of one rule."""

    metadata: dict[str, str]
    plain: bytes
    """Of a request that has no labels and isn't cached."""

    def special(self, labels: str, cache_ttl_s: int, cache_key: bytes) -> bytes:
        """Of one that has labels (else empty) or is cached (else 0)."""
        cache = _SKIP_CACHE
        if cache_ttl_s:
            cache = b"cf-aig-cache-ttl: %d\r\ncf-aig-cache-key: %b\r\n" % (cache_ttl_s, cache_key)
        return cache + _metadata_line({**self.metadata, "labels": labels})


def gateway_lines(metadata: dict[str, str]) -> GatewayLines:
    """Lines with at most four entries of metadata: Cloudflare keeps five, and the fifth is for labels."""
    return GatewayLines(metadata, _SKIP_CACHE + _metadata_line(metadata))


def cache_key(secret: bytes, customer_id: str, provider_id: str, target: str, body: bytes) -> bytes:
    """A key in place of Cloudflare's own, whose cache all users of a gateway share: nobody else's request
    has it, nor one with another word in it."""
    whose = "\0".join((customer_id, provider_id, target, "")).encode()
    return hmac.digest(secret, whose + body, "sha256").hex().encode()


def _metadata_line(metadata: dict[str, str]) -> bytes:
    """Flat JSON of short ASCII texts: one null or nested value would make Cloudflare drop all of it."""
    short = {
        name: value.encode("ascii", "replace").decode()[:_VALUE_CHARS]
        for name, value in metadata.items()
        if value
    }
    return b"cf-aig-metadata: %b\r\n" % orjson.dumps(short)
