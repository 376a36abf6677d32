"""Cost to the nano-dollar, against a table computed by hand (docs/pricing.md)."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.cost import RATE_NAMES, PriceRates, Rates, UsageCounts, cost_nanousd, resolve, worst_rates

# USD per million tokens: in 0.15, cached 0.075, out 0.60.
MINI = PriceRates(resolve({"input": 150_000_000, "cached_input": 75_000_000, "output": 600_000_000}))
# In 1.25, cached 0.125, cache write 1.5625, out 10, reasoning 12, audio in 40, audio out 80;
# 0.00001 a request, 0.01 a search; above 200,000 input tokens in 2.50, out 15.
RICH = PriceRates(
    resolve(
        {
            "input": 1_250_000_000,
            "cached_input": 125_000_000,
            "cache_write": 1_562_500_000,
            "output": 10_000_000_000,
            "reasoning": 12_000_000_000,
            "audio_input": 40_000_000_000,
            "audio_output": 80_000_000_000,
            "request": 10_000_000_000,
            "web_search": 10_000_000_000_000,
        }
    ),
    steps=((200_000, resolve({"input": 2_500_000_000, "output": 15_000_000_000})),),
)
# Units beside model tokens, one-hour cache writes, and tiers: half price in batches, double with priority.
UNITS = PriceRates(
    resolve(
        {
            "input": 1_000_000,
            "cache_write": 1_250_000,
            "cache_write_1h": 2_000_000,
            "image_input": 3_000_000,
            "output": 4_000_000,
            "image_output": 30_000_000,
            "image": 40_000_000_000_000,
            "second": 100_000_000_000,
            "character": 15_000_000_000,
        }
    ),
    tiers={
        "batch": PriceRates(resolve({"input": 500_000, "output": 2_000_000})),
        "priority": PriceRates(
            resolve({"input": 2_000_000, "output": 8_000_000}),
            steps=((1000, resolve({"input": 3_000_000, "output": 9_000_000})),),
        ),
    },
)
# 1 nano-dollar and a third of one for a million tokens: nearly nothing, never nothing.
TINY = PriceRates(resolve({"input": 1, "output": 3}))
FREE = PriceRates(resolve({"input": 0, "output": 0}))


@pytest.mark.parametrize(
    ("price", "usage", "nanousd"),
    [
        (MINI, UsageCounts(input_tokens=1, output_tokens=0), 150),
        (MINI, UsageCounts(input_tokens=0, output_tokens=1), 600),
        (MINI, UsageCounts(input_tokens=1000, output_tokens=500), 150_000 + 300_000),
        # 1024 of 2048 cached: 1024 × 150 + 1024 × 75 + 300 × 600.
        (MINI, UsageCounts(2048, 1024, output_tokens=300), 153_600 + 76_800 + 180_000),
        # Cache writes cost as input where the price has no rate for them.
        (MINI, UsageCounts(2048, 1024, 512, output_tokens=300), 76_800 + 76_800 + 76_800 + 180_000),
        # Reasoning is within output, and costs as output where the price has no rate for it.
        (MINI, UsageCounts(10, output_tokens=300, reasoning_tokens=256), 1_500 + 180_000),
        # 512 plain, 1024 cached, 512 written; 44 plain out, 256 reasoning; one request.
        (
            RICH,
            UsageCounts(2048, 1024, 512, output_tokens=300, reasoning_tokens=256),
            640_000 + 128_000 + 800_000 + 440_000 + 3_072_000 + 10_000,
        ),
        # 90 text and 10 audio in, 5 text and 15 audio out, two searches.
        (
            RICH,
            UsageCounts(100, audio_input_tokens=10, output_tokens=20, audio_output_tokens=15, web_searches=2),
            112_500 + 400_000 + 50_000 + 1_200_000 + 20_000_000 + 10_000,
        ),
        # At the step the base still holds, past it the whole request costs the step's rates, which have no
        # fee of their own.
        (RICH, UsageCounts(200_000, requests=0), 250_000_000),
        (RICH, UsageCounts(200_001, output_tokens=1, requests=0), 500_002_500 + 15_000),
        # Rounded up, once: 1 + 3 millionths of a nano-dollar cost one, not two.
        (TINY, UsageCounts(1, output_tokens=1), 1),
        (TINY, UsageCounts(1_000_000, output_tokens=1), 2),
        (TINY, UsageCounts(0, output_tokens=0), 0),
        (FREE, UsageCounts(10**6, output_tokens=10**6), 0),
        # 100 plain, 40 written for five minutes, 60 for an hour; 10 in images, 5 of 7 out in images.
        (
            UNITS,
            UsageCounts(
                210,
                cache_write_tokens=100,
                cache_write_1h_tokens=60,
                image_input_tokens=10,
                output_tokens=7,
                image_output_tokens=5,
            ),
            100 + 50 + 120 + 30 + 8 + 150,
        ),
        # Two images, three seconds, a thousand characters.
        (UNITS, UsageCounts(images=2, seconds=3, characters=1000), 80_000_000 + 300_000 + 15_000_000),
        # Tiers have rates of their own, steps too; one that the price doesn't know costs as the standard one.
        (UNITS, UsageCounts(1000, output_tokens=10, service_tier="batch"), 500 + 20),
        (UNITS, UsageCounts(1000, output_tokens=10, service_tier="priority"), 2_000 + 80),
        (UNITS, UsageCounts(1001, output_tokens=10, service_tier="priority"), 3_003 + 90),
        (UNITS, UsageCounts(1000, output_tokens=10, service_tier="flex"), 1_000 + 40),
        # Written for an hour though not counted as written: billed in full, and once.
        (UNITS, UsageCounts(100, cache_write_1h_tokens=60), 40 + 120),
        # A vendor's mistake, more cached than input: what is named is billed, nothing is subtracted.
        (MINI, UsageCounts(10, 20), 1_500),
    ],
)
def test_cost(price: PriceRates, usage: UsageCounts, nanousd: int) -> None:
    """Every component at its own rate, details within their parents, rounded up once."""
    assert cost_nanousd(price, usage) == nanousd


tokens = st.integers(0, 500_000)
rates = st.builds(
    lambda given: Rates(*given),
    st.lists(st.integers(0, 10**12), min_size=len(RATE_NAMES), max_size=len(RATE_NAMES)),
)
steps = st.lists(st.tuples(st.integers(1, 400_000), rates), max_size=2, unique_by=lambda step: step[0])
stepped = st.builds(PriceRates, rates, steps.map(lambda found: tuple(sorted(found, key=lambda s: s[0]))))
prices = st.builds(
    lambda price, tiers: PriceRates(price.base, price.steps, tiers),
    stepped,
    st.dictionaries(st.sampled_from(["batch", "flex", "priority"]), stepped),
)
markups = st.integers(-1_000_000, 100_000_000)


@st.composite
def usages(draw: st.DrawFn) -> UsageCounts:
    """What vendors report: details within their wholes."""
    plain, cached, written, written_1h, audio, images = (draw(tokens) for _ in range(6))
    outputs = [draw(tokens) for _ in range(4)]
    return UsageCounts(
        input_tokens=plain + cached + written + written_1h + audio + images,
        cached_input_tokens=cached,
        cache_write_tokens=written + written_1h,
        cache_write_1h_tokens=written_1h,
        audio_input_tokens=audio,
        image_input_tokens=images,
        output_tokens=sum(outputs),
        reasoning_tokens=outputs[1],
        audio_output_tokens=outputs[2],
        image_output_tokens=outputs[3],
        web_searches=draw(st.integers(0, 10)),
        service_tier=draw(st.sampled_from(["", "batch", "flex", "priority"])),
    )


@given(price=prices, usage=usages(), markup_ppm=markups)
def test_the_worst_case_is_never_passed(price: PriceRates, usage: UsageCounts, markup_ppm: int) -> None:
    """L15: whatever the split over components, steps and tiers, a request costs at most its hold, markup
    included."""
    worst = worst_rates(price, markup_ppm).cost_nanousd(
        usage.input_tokens, usage.output_tokens, usage.web_searches
    )
    assert cost_nanousd(price, usage, markup_ppm) <= worst


@given(price=prices, usage=usages(), markup_ppm=markups)
def test_markups_are_exact(price: PriceRates, usage: UsageCounts, markup_ppm: int) -> None:
    """Against fractions: price and markup are multiplied first and rounded up once, never twice."""
    exact = sum(
        Fraction(count * rate, 1_000_000)
        for count, rate in _billed(price.at(usage.input_tokens, usage.service_tier), usage)
    )
    assert cost_nanousd(price, usage) == ceil(exact)
    assert cost_nanousd(price, usage, markup_ppm) == ceil(exact * (1 + Fraction(markup_ppm, 1_000_000)))


def _billed(at: Rates, usage: UsageCounts) -> Iterator[tuple[int, int]]:
    """Every count with its rate, one by one."""
    details_in = (
        usage.cached_input_tokens
        + usage.cache_write_tokens
        + usage.audio_input_tokens
        + usage.image_input_tokens
    )
    details_out = usage.reasoning_tokens + usage.audio_output_tokens + usage.image_output_tokens
    yield usage.input_tokens - details_in, at.input
    yield usage.cached_input_tokens, at.cached_input
    yield usage.cache_write_tokens - usage.cache_write_1h_tokens, at.cache_write
    yield usage.cache_write_1h_tokens, at.cache_write_1h
    yield usage.audio_input_tokens, at.audio_input
    yield usage.image_input_tokens, at.image_input
    yield usage.output_tokens - details_out, at.output
    yield usage.reasoning_tokens, at.reasoning
    yield usage.audio_output_tokens, at.audio_output
    yield usage.image_output_tokens, at.image_output
    yield usage.requests, at.request
    yield usage.web_searches, at.web_search


@pytest.mark.parametrize(
    ("markup_ppm", "nanousd"),
    [
        (0, 150),
        (200_000, 180),
        # A millionth of 150: a fraction of a nano-dollar is one.
        (1, 151),
        (-1, 150),
        (-500_000, 75),
        (-1_000_000, 0),
        (100_000_000, 15_150),
    ],
)
def test_markup(markup_ppm: int, nanousd: int) -> None:
    """Parts per million on top of one input token at $0.15 per million; rounded up."""
    assert cost_nanousd(MINI, UsageCounts(1), markup_ppm) == nanousd
