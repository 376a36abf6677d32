"""Cost to the nano-dollar, against a table computed by hand (docs/pricing.md)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.cost import PriceRates, Rates, UsageCounts, cost_nanousd, resolve, worst_rates

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
        # A vendor's mistake, more cached than input: what is named is billed, nothing is subtracted.
        (MINI, UsageCounts(10, 20), 1_500),
    ],
)
def test_cost(price: PriceRates, usage: UsageCounts, nanousd: int) -> None:
    """Every component at its own rate, details within their parents, rounded up once."""
    assert cost_nanousd(price, usage) == nanousd


tokens = st.integers(0, 500_000)


@given(
    rates=st.lists(st.integers(0, 10**12), min_size=9, max_size=9),
    step=st.none()
    | st.tuples(st.integers(1, 400_000), st.lists(st.integers(0, 10**12), min_size=9, max_size=9)),
    shares=st.lists(tokens, min_size=4, max_size=4),
    outputs=st.lists(tokens, min_size=3, max_size=3),
)
def test_the_worst_case_is_never_passed(
    rates: list[int], step: tuple[int, list[int]] | None, shares: list[int], outputs: list[int]
) -> None:
    """Whatever the split over components and tiers, a request costs at most its hold (L15)."""
    price = PriceRates(Rates(*rates), ((step[0], Rates(*step[1])),) if step else ())
    plain, cached, written, audio = shares
    usage = UsageCounts(
        plain + cached + written + audio,
        cached,
        written,
        audio,
        sum(outputs),
        outputs[0],
        outputs[1],
        requests=1,
    )
    worst = worst_rates(price).cost_nanousd(usage.input_tokens, usage.output_tokens)
    assert cost_nanousd(price, usage) <= worst
