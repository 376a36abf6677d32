"""What each Claude model takes, by the version in its name.

Facts: Anthropic's pages on extended and adaptive thinking, effort and structured outputs, and errors of its
API ("`temperature` is deprecated for this model", "`temperature` and `top_p` cannot both be specified for
this model"). A name without a version is taken for the newest.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

_NUMBER = re.compile(r"(?<![\d])\d{1,2}(?![\d])")
_NEWEST = (99, 0)


class Thinking(Enum):
    """How a model is told to think."""

    NONE = "none"
    BUDGET = "budget"
    """With a number of tokens."""
    ADAPTIVE = "adaptive"
    """As it sees fit, at a level of effort."""


@dataclass(frozen=True, slots=True)
class Capability:
    """What one model's requests may hold."""

    samplers: int
    """How many of temperature and top_p may be given at once."""
    thinking: Thinking
    hides_thinking: bool
    """Sends no text of its thinking unless it is asked to."""
    efforts: tuple[str, ...]
    """Levels of effort; empty: it has none."""
    json_schema: bool
    max_output_tokens: int
    """The most that may be asked for; of newer ones not more than is certain."""


@lru_cache(1024)
def capability(model: str) -> Capability:
    """Of a model as Anthropic names it: `claude-opus-4-1-20250805`, `claude-3-5-haiku-latest`."""
    version = _version(model)
    if version < (4, 6):
        thinking = Thinking.NONE if version < (3, 7) else Thinking.BUDGET
    else:
        thinking = Thinking.ADAPTIVE
    return Capability(
        samplers=2 if version < (4, 1) else 1 if version < (4, 7) else 0,
        thinking=thinking,
        hides_thinking=version >= (4, 7),
        efforts=_efforts(version),
        json_schema=version >= (4, 5),
        max_output_tokens=_max_output(model, version),
    )


def _version(model: str) -> tuple[int, int]:
    numbers = [int(number) for number in _NUMBER.findall(model)]
    if not numbers:
        return _NEWEST
    return numbers[0], numbers[1] if len(numbers) > 1 else 0


def _efforts(version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return ("low", "medium", "high", "xhigh", "max")
    return ("low", "medium", "high", "max") if version >= (4, 6) else ()


def _max_output(model: str, version: tuple[int, int]) -> int:
    if version < (3, 5):
        return 4096
    if version < (3, 7):
        return 8192
    return 32_000 if version in ((4, 0), (4, 1)) and "opus" in model else 64_000
