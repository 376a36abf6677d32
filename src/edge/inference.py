"""Which paths belong to inference, whose clients read errors in their vendor's dialect; all others are
management or operations."""

import re

from edge.dialects import OPENAI, Dialect
from edge.dialects.anthropic import ANTHROPIC
from edge.dialects.google import GOOGLE

# Of OpenAI's API, and not served: a 404 would look like a mistyped URL.
_UNSERVED = frozenset(
    {
        *("assistants", "chatkit", "containers", "conversations", "evals", "fine_tuning"),
        *("graders", "realtime", "skills", "threads", "uploads", "vector_stores", "videos"),
    }
)
# Anthropic's.
_MESSAGES = "messages"
# Google's, whose methods of models are below /v1/models as well.
_GOOGLES = "/v1beta/"
_VERSION = re.compile(r"v\d+[a-z0-9]*")
_PREFIXES = _UNSERVED | {
    *("audio", "batches", "chat", "completions", "embeddings", "files", "images", "key", "models"),
    *("moderations", "passthrough", "responses"),
    _MESSAGES,
}


def is_inference(path: str) -> bool:
    """Whether a path is below one of inference's, served or not."""
    return path.startswith(_GOOGLES) or _first_of(path) in _PREFIXES


def names_what_is_served(path: str) -> bool:
    """Whether a path at a vendor is one that the edge serves itself, whatever version it begins with."""
    parts = path.lower().split("/")
    first = parts[1] if _VERSION.fullmatch(parts[0]) and len(parts) > 1 else parts[0]
    return first in _PREFIXES - _UNSERVED


def may_name_kept(path: str) -> bool:
    """Whether a path at a vendor may lead to what it keeps for somebody."""
    return not _PREFIXES.isdisjoint(path.lower().split("/"))


def dialect_of(path: str) -> Dialect:
    """What the clients of one of inference's paths read errors in."""
    first = _first_of(path)
    if path.startswith(_GOOGLES) or (first == "models" and ":" in path):
        return GOOGLE
    return ANTHROPIC if first == _MESSAGES else OPENAI


def is_unserved(path: str) -> bool:
    """Whether it is a vendor's, and nothing is served there."""
    first = _first_of(path)
    return path.startswith(_GOOGLES) or first in _UNSERVED or first == _MESSAGES


def _first_of(path: str) -> str:
    """What comes first below the root of inference."""
    parts = path.split("/")[1:4]
    if parts[:2] == ["v1", "ai"]:
        parts = ["v1", *parts[2:]]
    return parts[1] if len(parts) > 1 and parts[0] == "v1" else ""
