"""What a request costs, and the most it may cost: plain arithmetic on nano-dollars per million units.

Used by the edge (to draw from leases) and by the control plane (whose figure is the one booked).
docs/pricing.md explains it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

UNITS_PER_RATE = 1_000_000
# What markups are counted in: parts per million of the price.
MARKUP_UNIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-dollars per million units of each component; absent ones are resolved to their parent's."""

    input: int
    output: int
    cached_input: int
    cache_write: int
    audio_input: int
    reasoning: int
    audio_output: int
    cache_write_1h: int
    image_input: int
    image_output: int
    request: int = 0
    web_search: int = 0
    image: int = 0
    second: int = 0
    character: int = 0


@dataclass(frozen=True, slots=True)
class PriceRates:
    """The rates of one price: the base, steps `(above_input_tokens, rates)` by rising threshold, and service
    tiers, which have steps of their own and no tiers."""

    base: Rates
    steps: tuple[tuple[int, Rates], ...] = ()
    tiers: Mapping[str, "PriceRates"] = field(default_factory=dict, hash=False)

    def at(self, input_tokens: int, service_tier: str = "") -> Rates:
        """The rates that apply to a request with so many input tokens; those without a tier where the price
        has none of this name."""
        if service_tier and (tier := self.tiers.get(service_tier)) is not None:
            return tier.at(input_tokens)
        rates = self.base
        for above_input_tokens, step in self.steps:
            if input_tokens > above_input_tokens:
                rates = step
        return rates

    def every(self) -> Iterator[Rates]:
        """The rates of every tier and step."""
        yield self.base
        for _, rates in self.steps:
            yield rates
        for tier in self.tiers.values():
            yield from tier.every()


class UsageCounts(NamedTuple):
    """Model tokens as vendors report them: cached, cache write, audio and image input are within input,
    reasoning, audio and image output within output, one-hour cache writes within cache writes. Beside them
    other units, and the service tier that the vendor says it used (empty: its standard one)."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    requests: int = 1
    web_searches: int = 0
    cache_write_1h_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    seconds: int = 0
    characters: int = 0
    service_tier: str = ""


def resolve(rates: Mapping[str, int]) -> Rates:
    """Fills absent components from their parents. Raises KeyError without input or output."""
    input_rate, output_rate = rates["input"], rates["output"]
    cache_write = rates.get("cache_write", input_rate)
    return Rates(
        input=input_rate,
        output=output_rate,
        cached_input=rates.get("cached_input", input_rate),
        cache_write=cache_write,
        audio_input=rates.get("audio_input", input_rate),
        reasoning=rates.get("reasoning", output_rate),
        audio_output=rates.get("audio_output", output_rate),
        cache_write_1h=rates.get("cache_write_1h", cache_write),
        image_input=rates.get("image_input", input_rate),
        image_output=rates.get("image_output", output_rate),
        request=rates.get("request", 0),
        web_search=rates.get("web_search", 0),
        image=rates.get("image", 0),
        second=rates.get("second", 0),
        character=rates.get("character", 0),
    )


def cost_nanousd(price: PriceRates, usage: UsageCounts, markup_ppm: int = 0) -> int:
    """Exact cost with its markup, rounded up once. A detail larger than its whole (a vendor's mistake) is
    billed in full, and nothing is ever subtracted below zero."""
    (
        input_tokens,
        cached,
        cache_write,
        audio_in,
        output_tokens,
        reasoning,
        audio_out,
        requests,
        web_searches,
        cache_write_1h,
        image_in,
        image_out,
        images,
        seconds,
        characters,
        service_tier,
    ) = usage
    # Steps are about one prompt: of many requests together, about the mean one.
    rates = price.at(input_tokens // requests if requests > 1 else input_tokens, service_tier)
    # One-hour writes are within the cache writes, so they are taken off the input once.
    written = max(cache_write, cache_write_1h)
    plain_input = input_tokens - (cached + written + audio_in + image_in)
    plain_output = output_tokens - (reasoning + audio_out + image_out)
    total = (
        max(0, plain_input) * rates.input
        + cached * rates.cached_input
        + (written - cache_write_1h) * rates.cache_write
        + cache_write_1h * rates.cache_write_1h
        + audio_in * rates.audio_input
        + image_in * rates.image_input
        + max(0, plain_output) * rates.output
        + reasoning * rates.reasoning
        + audio_out * rates.audio_output
        + image_out * rates.image_output
        + requests * rates.request
        + web_searches * rates.web_search
        + images * rates.image
        + seconds * rates.second
        + characters * rates.character
    )
    if markup_ppm:
        return -(-total * (MARKUP_UNIT + markup_ppm) // (UNITS_PER_RATE * MARKUP_UNIT))
    return -(-total // UNITS_PER_RATE)


@dataclass(frozen=True, slots=True)
class WorstRates:
    """The dearest rate a unit can cost under a price, whatever it turns out to be (L15)."""

    input: int
    output: int
    request: int
    web_search: int
    image: int = 0
    second: int = 0
    character: int = 0

    def cost_nanousd(
        self,
        input_tokens: int,
        output_tokens: int,
        web_searches: int = 0,
        images: int = 0,
        seconds: int = 0,
        characters: int = 0,
    ) -> int:
        """The most a request can cost, rounded up."""
        total = (
            input_tokens * self.input
            + output_tokens * self.output
            + self.request
            + web_searches * self.web_search
            + images * self.image
            + seconds * self.second
            + characters * self.character
        )
        return -(-total // UNITS_PER_RATE)


def worst_rates(price: PriceRates, markup_ppm: int = 0) -> WorstRates:
    """Dearest tier, step and component of a price, each with its markup rounded up."""
    every = list(price.every())

    def dearest(*components: str) -> int:
        rate: int = max(getattr(rates, component) for rates in every for component in components)
        return -(-rate * (MARKUP_UNIT + markup_ppm) // MARKUP_UNIT)

    return WorstRates(
        input=dearest(*_INPUTS),
        output=dearest(*_OUTPUTS),
        request=dearest("request"),
        web_search=dearest("web_search"),
        image=dearest("image"),
        second=dearest("second"),
        character=dearest("character"),
    )


_INPUTS = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input")
_OUTPUTS = ("output", "reasoning", "audio_output", "image_output")
RATE_NAMES = tuple(field.name for field in fields(Rates))
