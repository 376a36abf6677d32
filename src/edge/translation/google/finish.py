"""Why a Gemini answer ended, in OpenAI's words."""

from tollkeeper.errors import Reason, TollkeeperError

_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
    }
)
# The model failed: what it wrote isn't an answer.
FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "NO_IMAGE",
        "OTHER",
    }
)


def finish_reason(reason: str, has_calls: bool) -> str:
    """Of a reason that isn't among FAILED. Gemini has none of its own for calls, and one that nobody knows
    yet is an end like any other."""
    if reason == "MAX_TOKENS":
        return "length"
    if reason in _FILTERED:
        return "content_filter"
    return "tool_calls" if has_calls else "stop"


def failure(reason: str, message: object) -> TollkeeperError:
    """An answer that isn't one."""
    told = f": {message}" if type(message) is str and message else ""
    return TollkeeperError(
        Reason.UPSTREAM_DISCONNECTED,
        f"The model failed to answer ({reason}{told}).",
        {"code": reason.lower()},
    )


def blocked(feedback: object) -> str | None:
    """Of an answer without candidates: why the prompt was refused; None when it wasn't."""
    reason = feedback.get("blockReason") if type(feedback) is dict else None
    return reason if type(reason) is str else None
