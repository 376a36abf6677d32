"""OpenAI's `reasoning_effort` as Anthropic's thinking and effort."""

from typing import Any

from edge.translation.anthropic import VENDOR
from edge.translation.anthropic.models import Capability, Thinking
from edge.translation.refusals import object_of, unsupported

# The least that Anthropic takes; it must stay below the output limit, of which it is a part.
MIN_BUDGET_TOKENS = 1024
# Parts of the output limit, for models that think within a budget.
_BUDGET_PERCENT = {"low": 20, "medium": 50, "high": 80}


def thinking_of(
    body: dict[str, Any], max_tokens: int, capability: Capability
) -> tuple[dict[str, Any] | None, str | None]:
    """The `thinking` field and the level of effort. An app that knows Anthropic may give `thinking`."""
    effort, given = body.get("reasoning_effort"), body.get("thinking")
    if given is not None:
        if effort is not None:
            raise unsupported("thinking", VENDOR, "give it or reasoning_effort, not both")
        return object_of(given, "thinking"), None
    if effort is None:
        return None, None
    if effort == "none":
        return ({"type": "disabled"} if capability.thinking is Thinking.ADAPTIVE else None), None
    level = "low" if effort == "minimal" else effort
    if capability.thinking is Thinking.NONE:
        raise unsupported("reasoning_effort", VENDOR, "this model doesn't think")
    if capability.thinking is Thinking.ADAPTIVE:
        if level not in capability.efforts:
            raise unsupported("reasoning_effort", VENDOR, _levels(capability.efforts))
        thinking = {"type": "adaptive"}
        if capability.hides_thinking:
            thinking["display"] = "summarized"
        return thinking, level
    if type(level) is not str or level not in _BUDGET_PERCENT:
        raise unsupported("reasoning_effort", VENDOR, _levels(tuple(_BUDGET_PERCENT)))
    return _budget(level, max_tokens), None


def goes_on_unthought(thinking: dict[str, Any], messages: list[dict[str, Any]]) -> bool:
    """Whether a tool loop is to go on whose signed thinking the app didn't hand back. With a budget Anthropic
    takes that without thinking only."""
    if thinking["type"] != "enabled" or len(messages) < 2:
        return False
    asked, answered = messages[-2]["content"], messages[-1]["content"]
    in_loop = any(block["type"] == "tool_result" for block in answered)
    return in_loop and asked[0]["type"] not in ("thinking", "redacted_thinking")


def _budget(level: str, max_tokens: int) -> dict[str, Any]:
    if max_tokens <= MIN_BUDGET_TOKENS:
        why = f"thinking needs an output limit above {MIN_BUDGET_TOKENS} tokens"
        raise unsupported("reasoning_effort", VENDOR, why)
    budget = max(MIN_BUDGET_TOKENS, max_tokens * _BUDGET_PERCENT[level] // 100)
    return {"type": "enabled", "budget_tokens": budget}


def _levels(known: tuple[str, ...]) -> str:
    return f"this model knows {', '.join(('none', 'minimal', *known))}"
