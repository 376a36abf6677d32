"""Model tokens out of what Anthropic reports, in OpenAI's convention: every detail is a part of its parent.

Anthropic's `input_tokens` leave out what was read from a cache or written to it; `output_tokens` hold the
thinking, which costs the same. In a stream the first report has the input with the two lifetimes of cache
writes and the tier, later ones have the output so far; each replaces what it repeats, nothing is added up.
"""

from typing import Any

from tollkeeper.cost import UsageCounts

# No request has this many tokens; a larger figure is garbage and would overflow what sums it up.
_MAX_TOKENS = 1_000_000_000
_MAX_TIER_CHARS = 40
# Of tier, speed and place: what prices say without a word.
STANDARD = frozenset({"", "standard", "global", "not_available"})


def merged(earlier: dict[str, Any], later: object) -> dict[str, Any]:
    """Two reports of one stream; what the later one doesn't say, or leaves null, stands."""
    if type(later) is not dict:
        return earlier
    return earlier | {name: value for name, value in later.items() if value is not None}


def counts(usage: object) -> UsageCounts | None:
    """The counts of a `usage` object, or None when it can't be trusted: missing, misshapen or negative."""
    if type(usage) is not dict:
        return None
    plain, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if plain is None or output is None:
        return None
    read = _count(usage, "cache_read_input_tokens") or 0
    split = _object(usage, "cache_creation")
    written_1h = _count(split, "ephemeral_1h_input_tokens") or 0
    written_5m = _count(split, "ephemeral_5m_input_tokens") or 0
    written = max(_count(usage, "cache_creation_input_tokens") or 0, written_5m + written_1h)
    return UsageCounts(
        input_tokens=plain + read + written,
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
        output_tokens=output,
        reasoning_tokens=min(output, _count(_object(usage, "output_tokens_details"), "thinking_tokens") or 0),
        web_searches=_count(_object(usage, "server_tool_use"), "web_search_requests") or 0,
        service_tier=_tier(usage),
    )


def _tier(usage: dict[str, Any]) -> str:
    """What the request was billed as; empty for the standard rates. Speed and place of inference have rates
    of their own, beside which the tier says nothing: `fast-us`."""
    told = [usage.get(name) for name in ("speed", "inference_geo")]
    dearer = [each for each in told if type(each) is str and each not in STANDARD]
    tier = "-".join(dearer) if dearer else usage.get("service_tier")
    if type(tier) is not str or tier in STANDARD or len(tier) > _MAX_TIER_CHARS:
        return ""
    return tier if tier.isascii() and tier.isprintable() else ""


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _object(usage: dict[str, Any], name: str) -> dict[str, Any]:
    value = usage.get(name)
    return value if type(value) is dict else {}
