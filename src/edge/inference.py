"""Which paths belong to inference, whose clients read OpenAI's error object; all others are management or
operations."""

# Of OpenAI's API, and not served: a 404 would look like a mistyped URL.
_UNSERVED = frozenset({"images", "audio", "files", "batches"})
_PREFIXES = _UNSERVED | {"chat", "completions", "embeddings", "models", "moderations", "responses"}


def is_inference(path: str) -> bool:
    """Whether a path is below one of inference's, served or not."""
    parts = path.split("/")[1:4]
    if parts[:2] == ["v1", "ai"]:
        parts = ["v1", *parts[2:]]
    return len(parts) > 1 and parts[0] == "v1" and parts[1] in _PREFIXES


def is_unserved(path: str) -> bool:
    """Whether it is OpenAI's, and nothing is served there."""
    parts = path.split("/")
    return len(parts) > 2 and parts[1] == "v1" and parts[2] in _UNSERVED
