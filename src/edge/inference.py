"""Which paths belong to inference, whose clients read errors in their vendor's dialect; all others are
management or operations."""

from edge.dialects import OPENAI, Dialect
from edge.dialects.anthropic import ANTHROPIC

# Of OpenAI's API, and not served: a 404 would look like a mistyped URL.
_UNSERVED = frozenset({"images", "audio", "files", "batches"})
# Anthropic's.
_MESSAGES = "messages"
_PREFIXES = _UNSERVED | {
    *("chat", "completions", "embeddings", "models", "moderations", "responses"),
    _MESSAGES,
}


def is_inference(path: str) -> bool:
    """Whether a path is below one of inference's, served or not."""
    parts = path.split("/")[1:4]
    if parts[:2] == ["v1", "ai"]:
        parts = ["v1", *parts[2:]]
    return len(parts) > 1 and parts[0] == "v1" and parts[1] in _PREFIXES


def dialect_of(path: str) -> Dialect:
    """What the clients of one of inference's paths read errors in."""
    return ANTHROPIC if _MESSAGES in path.split("/")[2:4] else OPENAI


def is_unserved(path: str) -> bool:
    """Whether it is a vendor's, and nothing is served there."""
    parts = path.split("/")
    return len(parts) > 2 and parts[1] == "v1" and (parts[2] in _UNSERVED or parts[2] == _MESSAGES)
