"""What `usageMetadata` of a Gemini answer counts, as the gateway's own counts.

Gemini counts cached tokens within the prompt, like OpenAI, but thoughts beside the candidates and the results
of its own tools beside the prompt. A count of zero is simply absent.
"""

from typing import Any

from edge.usage import counts
from tollkeeper.cost import UsageCounts


def usage_counts(metadata: object, web_searches: int = 0) -> UsageCounts | None:
    """None when it can't be trusted: missing, misshapen or negative."""
    if type(metadata) is not dict:
        return None
    prompt = _sum(metadata, "promptTokenCount", "toolUsePromptTokenCount")
    completion = _sum(metadata, "candidatesTokenCount", "thoughtsTokenCount")
    if prompt is None or completion is None or "promptTokenCount" not in metadata:
        return None
    cached = metadata.get("cacheTokensDetails")
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": metadata.get("totalTokenCount"),
        "prompt_tokens_details": {
            "cached_tokens": metadata.get("cachedContentTokenCount"),
            "audio_tokens": _uncached(metadata, cached, "AUDIO"),
            "image_tokens": _uncached(metadata, cached, "IMAGE"),
        },
        "completion_tokens_details": {
            "reasoning_tokens": metadata.get("thoughtsTokenCount"),
            "audio_tokens": _modality(metadata.get("candidatesTokensDetails"), "AUDIO"),
            "image_tokens": _modality(metadata.get("candidatesTokensDetails"), "IMAGE"),
        },
    }
    return counts(usage, web_searches, service_tier(metadata))


def service_tier(metadata: object) -> str:
    """The tier that was used, in small letters; empty where none is named."""
    tier = metadata.get("serviceTier") if type(metadata) is dict else None
    return tier.lower() if type(tier) is str else ""


def searches(candidates: object, model: str) -> int:
    """How often Google Search was billed: models up to 2.5 once for a request that searched, later ones for
    each query."""
    queries: set[str] = set()
    for candidate in candidates if type(candidates) is list else ():
        grounding = candidate.get("groundingMetadata") if type(candidate) is dict else None
        asked = grounding.get("webSearchQueries") if type(grounding) is dict else None
        if type(asked) is list:
            queries.update(query for query in asked if type(query) is str)
    return min(1, len(queries)) if model.startswith(("gemini-1", "gemini-2")) else len(queries)


def _sum(metadata: dict[str, Any], *names: str) -> int | None:
    total = 0
    for name in names:
        value = metadata.get(name, 0)
        if type(value) is not int or value < 0:
            return None
        total += value
    return total


def _uncached(metadata: dict[str, Any], cached: object, modality: str) -> int:
    """Cached tokens are billed as such, whatever they stand for."""
    read = _modality(metadata.get("promptTokensDetails"), modality)
    read += _modality(metadata.get("toolUsePromptTokensDetails"), modality)
    return max(0, read - _modality(cached, modality))


def _modality(details: object, modality: str) -> int:
    total = 0
    for detail in details if type(details) is list else ():
        if type(detail) is dict and detail.get("modality") == modality:
            value = detail.get("tokenCount")
            total += value if type(value) is int and value > 0 else 0
    return total
