"""Model tokens out of what vendors report, in OpenAI's convention: every detail is a part of its parent."""

from typing import TypeGuard

from tollkeeper.cost import UsageCounts

# No request has this many tokens; a larger figure is garbage and would overflow what sums it up.
_MAX_TOKENS = 1_000_000_000
_STANDARD_TIERS = frozenset({"", "auto", "default", "standard"})
_MAX_TIER_CHARS = 40
_INT = frozenset({int})
_PROMPT = "prompt_tokens"
_COMPLETION = "completion_tokens"


def counts(usage: object, web_searches: int = 0, service_tier: object = None) -> UsageCounts | None:
    """The counts of a `usage` object, or None when it can't be trusted: missing, misshapen or negative.

    Known deviations: the names of the Responses API (`input_tokens`, `output_tokens`), null details, and
    vendors (xAI, and Google's compatible endpoint) that leave reasoning out of `completion_tokens` but not
    out of `total_tokens`: what the total has on top is billed as output. `service_tier` is what the vendor
    names beside the usage, in whatever form.
    """
    if not isinstance(usage, dict):
        return None
    prompt = usage.get(_PROMPT)
    if prompt is None:
        prompt = usage.get("input_tokens")
    completion = usage.get(_COMPLETION)
    if completion is None:
        completion = usage.get("output_tokens")
    if not (_is_count(prompt) and _is_count(completion)):
        return None
    into = _figures(usage.get("prompt_tokens_details") or usage.get("input_tokens_details")).get
    out = _figures(usage.get("completion_tokens_details") or usage.get("output_tokens_details")).get
    reasoning = out("reasoning_tokens", 0)
    total = usage.get("total_tokens", 0)
    if total != prompt + completion and _is_count(total) and total > prompt + completion:
        reasoning = max(reasoning, total - prompt - completion)
        completion = total - prompt
    return UsageCounts(
        input_tokens=prompt,
        cached_input_tokens=into("cached_tokens", 0),
        cache_write_tokens=into("cache_write_tokens", 0),
        audio_input_tokens=into("audio_tokens", 0),
        output_tokens=completion,
        reasoning_tokens=reasoning,
        audio_output_tokens=out("audio_tokens", 0),
        web_searches=web_searches,
        image_input_tokens=into("image_tokens", 0),
        image_output_tokens=out("image_tokens", 0),
        service_tier=_tier(service_tier),
    )


def input_counts(usage: object) -> UsageCounts | None:
    """The counts of an answer that has no output: embeddings. None like `counts`."""
    if not isinstance(usage, dict):
        return None
    figures = _figures(usage)
    for name in (_PROMPT, "input_tokens", "total_tokens"):
        if name in figures:
            return UsageCounts(input_tokens=figures[name])
    return None


def _tier(value: object) -> str:
    """Empty for the standard tier, whatever it is called, and for what can't be a name."""
    if type(value) is not str or value in _STANDARD_TIERS or len(value) > _MAX_TIER_CHARS:
        return ""
    return value if value.isascii() and value.isprintable() else ""


def _is_count(value: object) -> TypeGuard[int]:
    """Whether it can be one of model tokens."""
    return type(value) is int and 0 <= value <= _MAX_TOKENS


def _figures(reported: object) -> dict[str, int]:
    """Those of its fields that can be counts of model tokens."""
    if type(reported) is not dict:
        return {}
    values = reported.values()
    # Mostly all of them can, and are told so without a look at each.
    if values and _INT.issuperset(map(type, values)) and min(values) >= 0 and max(values) <= _MAX_TOKENS:
        return reported
    return {name: value for name, value in reported.items() if _is_count(value)}
