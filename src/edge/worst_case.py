"""The most a request can cost (rules L12 and L15 of docs/ledger.md): what is held before it is sent.

Prompt: bytes of the body, since no tokenizer makes two tokens of one byte, and the JSON around a message is
longer than what vendors add to it. Images count by a fixed bound instead. Whatever the body only refers to
(files, earlier audio, the results of a search) counts as the model's whole context window. Output: the limit
in force × choices.
"""

from dataclasses import dataclass
from typing import Any

from tollkeeper.cost import UNITS_PER_RATE, WorstRates

# The dearest image known: gpt-4o-mini counts 2,833 plus 5,667 for each of at most eight tiles.
IMAGE_TOKENS = 48_169
# Vendors describe tools and schemas to their models in words of their own, which may be longer than a short
# request. Fact: Anthropic's tool use pages name 346 tokens for all tools, and up to 735 for one of its own.
TOOL_WORDS_TOKENS = 1024
# Where neither the price nor the request says more. No vendor offers a larger window today.
UNKNOWN_CONTEXT_TOKENS = 2_097_152
# A search model decides by itself how often it searches; chat has no `max_tool_calls` to bound it.
MAX_WEB_SEARCHES = 10


@dataclass(slots=True)
class Demand:
    """What a request may use, before any price is known."""

    prompt_bytes: int
    image_count: int
    beyond_body: bool
    """Input that isn't in the body."""
    asked_output: int | None
    """The client's own limit."""
    choice_count: int
    """0: nothing is generated, so no output limit is sent nor held for."""
    prediction_bytes: int
    """Predicted text that doesn't come true is billed as output, on top of what is visible."""
    web_searches: int
    images: int = 0
    """Made, where a price counts them."""
    seconds: int = 0
    """Of audio or video, at most."""
    characters: int = 0
    prompt_count: int = 1
    """Prompts of their own in one request, each with a context window of its own."""
    requests: int = 1
    """Each with the fee of one."""
    limitable: bool = True
    """The vendor takes an output limit; where it doesn't, the model's own holds."""
    tier: str = ""
    """A dearer service tier that the request asks for: a price without it can't bill the request."""

    def input_tokens(self, context_tokens: int) -> int:
        """Upper bound of the prompt. `context_tokens` 0: unknown. A vendor refuses what its window can't
        hold."""
        if self.beyond_body:
            return (context_tokens or UNKNOWN_CONTEXT_TOKENS) * self.prompt_count
        bound = self.prompt_bytes + self.image_count * IMAGE_TOKENS
        return min(bound, context_tokens * self.prompt_count) if context_tokens else bound

    def hold_nanousd(self, worst: WorstRates, context_tokens: int, output_limit: int) -> int:
        """The most that one attempt can cost under a price, with this output limit for each choice."""
        output_tokens = (output_limit + self.prediction_bytes) * self.choice_count
        return (self.requests - 1) * -(-worst.request // UNITS_PER_RATE) + worst.cost_nanousd(
            self.input_tokens(context_tokens),
            output_tokens,
            self.web_searches,
            self.images,
            self.seconds,
            self.characters,
        )

    def largest_output(self, worst: WorstRates, context_tokens: int, fits_nanousd: int) -> int | None:
        """The largest output limit that `fits_nanousd` covers; None when output is free, 0 when nothing
        fits."""
        fixed = self.input_tokens(context_tokens) * worst.input + worst.request
        fixed += self.web_searches * worst.web_search + self.images * worst.image
        fixed += self.seconds * worst.second + self.characters * worst.character
        left = fits_nanousd * UNITS_PER_RATE - fixed
        if left < 0:
            return 0
        if worst.output == 0 or self.choice_count == 0:
            return None
        return max(0, left // (worst.output * self.choice_count) - self.prediction_bytes)


# Of a request that costs nothing.
NOTHING = Demand(0, 0, False, None, 0, 0, 0, limitable=False, requests=0)
# Of one that costs its fee.
ONE_REQUEST = Demand(0, 0, False, None, 0, 0, 0, limitable=False)


def demand(body: dict[str, Any], body_bytes: int) -> Demand:
    """Reads a checked chat body."""
    image_count, image_bytes, beyond_body = _parts(body["messages"])
    searches = "web_search_options" in body or "search_parameters" in body or "plugins" in body
    prediction = body.get("prediction")
    asked = body.get("max_completion_tokens")
    older = body.get("max_tokens")
    if asked is None or (older is not None and older > asked):
        asked = older
    described = TOOL_WORDS_TOKENS if "tools" in body or "response_format" in body else 0
    return Demand(
        body_bytes - image_bytes + described,
        image_count,
        beyond_body or searches,
        asked,
        body.get("n") or 1,
        0 if prediction is None else _text_bytes(prediction),
        MAX_WEB_SEARCHES if searches else 0,
    )


def _parts(messages: list[dict[str, Any]]) -> tuple[int, int, bool]:
    """Images, the bytes of those that travel in the body, and whether anything is only referred to."""
    image_count = image_bytes = 0
    beyond_body = False
    for message in messages:
        if "audio" in message:
            beyond_body = True
        content = message.get("content")
        if type(content) is not list:
            continue
        for part in content:
            kind = part.get("type") if type(part) is dict else None
            if kind == "image_url":
                image_count += 1
                image_bytes += _inline_bytes(part)
            elif kind not in ("text", "refusal", "input_audio"):
                beyond_body = True
    return image_count, image_bytes, beyond_body


def _inline_bytes(part: dict[str, Any]) -> int:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    # ASCII only, so that characters are bytes; any other URL stays counted as text.
    return len(url) if isinstance(url, str) and url.startswith("data:") and url.isascii() else 0


def _text_bytes(value: object) -> int:
    """Bytes of all text inside a JSON value."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(_text_bytes(each) for each in value.values())
    if isinstance(value, list):
        return sum(_text_bytes(each) for each in value)
    return 0
