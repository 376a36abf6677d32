"""Model tokens out of what vendors report, in OpenAI's convention: every detail is a part of its parent."""

from typing import Any

from tollkeeper.cost import UsageCounts

# No request has this many tokens; a larger figure is garbage and would overflow what sums it up.
_MAX_TOKENS = 1_000_000_000
_STANDARD_TIERS = frozenset({"", "auto", "default", "standard"})
_MAX_TIER_CHARS = 40


def counts(usage: object, web_searches: int = 0, service_tier: object = None) -> UsageCounts | None:
    """The counts of a `usage` object, or None when it can't be trusted: missing, misshapen or negative.

    Known deviations: the names of the Responses API (`input_tokens`, `output_tokens`), null details, and
    vendors (xAI, and Google's compatible endpoint) that leave reasoning out of `completion_tokens` but not
    out of `total_tokens`: what the total has on top is billed as output. `service_tier` is what the vendor
    names beside the usage, in whatever form.
    """
    if not isinstance(usage, dict):
        return None
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens")
    if prompt is None or completion is None:
        return None
    into = _details(usage, "prompt_tokens_details", "input_tokens_details")
    out = _details(usage, "completion_tokens_details", "output_tokens_details")
    reasoning = _detail(out, "reasoning_tokens")
    total = _count(usage, "total_tokens", "total_tokens")
    if total is not None and total > prompt + completion:
        reasoning = max(reasoning, total - prompt - completion)
        completion = total - prompt
    return UsageCounts(
        input_tokens=prompt,
        cached_input_tokens=_detail(into, "cached_tokens"),
        cache_write_tokens=_detail(into, "cache_write_tokens"),
        audio_input_tokens=_detail(into, "audio_tokens"),
        output_tokens=completion,
        reasoning_tokens=reasoning,
        audio_output_tokens=_detail(out, "audio_tokens"),
        web_searches=web_searches,
        image_input_tokens=_detail(into, "image_tokens"),
        image_output_tokens=_detail(out, "image_tokens"),
        service_tier=_tier(service_tier),
    )


def input_counts(usage: object) -> UsageCounts | None:
    """The counts of an answer that has no output: embeddings. None like `counts`."""
    if not isinstance(usage, dict):
        return None
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    if prompt is None:
        prompt = _count(usage, "total_tokens", "total_tokens")
    return None if prompt is None else UsageCounts(input_tokens=prompt)


def _tier(value: object) -> str:
    """Empty for the standard tier, whatever it is called, and for what can't be a name."""
    if type(value) is not str or value in _STANDARD_TIERS or len(value) > _MAX_TIER_CHARS:
        return ""
    return value if value.isascii() and value.isprintable() else ""


def _count(usage: dict[str, Any], name: str, other_name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        value = usage.get(other_name)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _details(usage: dict[str, Any], name: str, other_name: str) -> dict[str, Any]:
    value = usage.get(name) or usage.get(other_name)
    return value if isinstance(value, dict) else {}


def _detail(details: dict[str, Any], name: str) -> int:
    value = details.get(name)
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else 0
