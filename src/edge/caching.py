"""Whether Cloudflare may answer from its cache: by the router's setting, or by a header of the request."""

from edge.call import Call, invalid_field

CACHE_HEADER = "x-tollkeeper-cache-ttl"
# What Cloudflare takes; 0 is ours, for not at all.
MIN_TTL_S = 60
MAX_TTL_S = 30 * 86_400


def ttl_s_of(header: str | None, call: Call, router_ttl_s: int) -> int:
    """For how long the answer may be kept, 0 for not at all. A stream isn't cached, nor is what changes
    something at the vendor. Raises INVALID_ARGUMENT."""
    ttl_s = router_ttl_s if header is None else _checked(header)
    return ttl_s if call.family.cacheable and not call.stream else 0


def _checked(header: str) -> int:
    if header.isascii() and header.isdigit() and len(header) < 9:
        ttl_s = int(header)
        if ttl_s == 0 or MIN_TTL_S <= ttl_s <= MAX_TTL_S:
            return ttl_s
    message = f"{CACHE_HEADER} must be 0 or from {MIN_TTL_S} to {MAX_TTL_S} seconds."
    raise invalid_field(message, CACHE_HEADER, "invalid_value")
