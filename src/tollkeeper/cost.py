"""What a request costs, and the most it may cost: plain arithmetic on nano-dollars per million units.

Used by the edge (to draw from leases) and by the control plane (whose figure is the one booked).
docs/pricing.md explains it.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

UNITS_PER_RATE = 1_000_000


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
    request: int = 0
    web_search: int = 0


@dataclass(frozen=True, slots=True)
class PriceRates:
    """The rates of one price: the base, and steps `(above_input_tokens, rates)` by rising threshold."""

    base: Rates
    steps: tuple[tuple[int, Rates], ...] = ()

    def at(self, input_tokens: int) -> Rates:
        """The rates that apply to a request with so many input tokens."""
        rates = self.base
        for above_input_tokens, step in self.steps:
            if input_tokens > above_input_tokens:
                rates = step
        return rates


class UsageCounts(NamedTuple):
    """Model tokens as vendors report them: cached, cache write and audio input are within input, reasoning
    and audio output within output."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    requests: int = 1
    web_searches: int = 0


def resolve(rates: dict[str, int]) -> Rates:
    """Fills absent components from their parents. Raises KeyError without input or output."""
    input_rate, output_rate = rates["input"], rates["output"]
    return Rates(
        input=input_rate,
        output=output_rate,
        cached_input=rates.get("cached_input", input_rate),
        cache_write=rates.get("cache_write", input_rate),
        audio_input=rates.get("audio_input", input_rate),
        reasoning=rates.get("reasoning", output_rate),
        audio_output=rates.get("audio_output", output_rate),
        request=rates.get("request", 0),
        web_search=rates.get("web_search", 0),
    )


def cost_nanousd(price: PriceRates, usage: UsageCounts) -> int:
    """Exact cost, rounded up once. A detail larger than its parent (a vendor's mistake) is billed in full,
    and nothing is ever subtracted below zero."""
    rates = price.at(usage.input_tokens)
    plain_input = usage.input_tokens - (
        usage.cached_input_tokens + usage.cache_write_tokens + usage.audio_input_tokens
    )
    plain_output = usage.output_tokens - (usage.reasoning_tokens + usage.audio_output_tokens)
    total = (
        max(0, plain_input) * rates.input
        + usage.cached_input_tokens * rates.cached_input
        + usage.cache_write_tokens * rates.cache_write
        + usage.audio_input_tokens * rates.audio_input
        + max(0, plain_output) * rates.output
        + usage.reasoning_tokens * rates.reasoning
        + usage.audio_output_tokens * rates.audio_output
        + usage.requests * rates.request
        + usage.web_searches * rates.web_search
    )
    return -(-total // UNITS_PER_RATE)


@dataclass(frozen=True, slots=True)
class WorstRates:
    """The dearest rate a unit can cost under a price, whatever it turns out to be (L15)."""

    input: int
    output: int
    request: int
    web_search: int

    def cost_nanousd(self, input_tokens: int, output_tokens: int, web_searches: int = 0) -> int:
        """The most a request can cost, rounded up."""
        total = (
            input_tokens * self.input
            + output_tokens * self.output
            + self.request
            + web_searches * self.web_search
        )
        return -(-total // UNITS_PER_RATE)


def worst_rates(price: PriceRates) -> WorstRates:
    """Dearest tier and component of a price."""
    tiers = [price.base, *(rates for _, rates in price.steps)]
    return WorstRates(
        input=max(max(r.input, r.cached_input, r.cache_write, r.audio_input) for r in tiers),
        output=max(max(r.output, r.reasoning, r.audio_output) for r in tiers),
        request=max(r.request for r in tiers),
        web_search=max(r.web_search for r in tiers),
    )


RATE_NAMES = tuple(field.name for field in fields(Rates))
