"""Inputs that are texts or model tokens, one or many: of completions and embeddings."""

from typing import NamedTuple

from edge.call import invalid_field

# Of vendors known, OpenAI takes the most embeddings at a time: 2,048. A loose bound against absurd bodies.
MAX_PROMPTS = 16_384


class Prompts(NamedTuple):
    """How many inputs there are, and what they can't exceed together."""

    number: int
    bytes_bound: int
    """Model tokens at most: bytes of text, or the tokens themselves where they are given."""


def prompts_of(value: object, name: str, body_bytes: int) -> Prompts:
    """Reads a text, a list of texts, a list of model tokens, or a list of such lists; others are taken for
    texts. `body_bytes` bounds texts. Raises INVALID_ARGUMENT."""
    if type(value) is str:
        return Prompts(1, body_bytes)
    if type(value) is not list:
        raise invalid_field(f"'{name}' must be a text or an array.", name, "invalid_type")
    if not value:
        raise invalid_field(f"'{name}' must not be empty.", name, "empty_array")
    if type(value[0]) is int:
        _check_tokens(value, name)
        return Prompts(1, len(value))
    if len(value) > MAX_PROMPTS:
        raise invalid_field(f"'{name}' holds more than {MAX_PROMPTS} inputs.", name, "array_above_max_length")
    if type(value[0]) is list:
        tokens = 0
        for index, each in enumerate(value):
            _check_tokens(each, f"{name}[{index}]")
            tokens += len(each)
        return Prompts(len(value), tokens)
    return Prompts(len(value), body_bytes)


def _check_tokens(value: object, name: str) -> None:
    if type(value) is not list or not value or any(type(each) is not int for each in value):
        raise invalid_field(f"'{name}' must be an array of model tokens.", name, "invalid_type")
