import pytest

from control.domain.prices import MAX_RATE, check_rates, price_rates, rates_to_proto
from tollkeeper.cost import UsageCounts, cost_nanousd
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.prices_pb2 import Rates, RateStep, RateTier


def tiered(*names: str) -> Rates:
    """Rates with service tiers of these names."""
    tiers = [RateTier(service_tier=name, rates=Rates(input=1, output=1)) for name in names]
    return Rates(input=1, output=1, tiers=tiers)


def test_rates_survive_the_row() -> None:
    """What is stored says the same as what was sent, an explicit 0 and steps included."""
    sent = Rates(
        input=0,
        output=5,
        cached_input=1,
        web_search=7,
        steps=[RateStep(above_input_tokens=200_000, rates=Rates(input=1, output=10))],
        cache_write_1h=9,
        image=40,
        tiers=[
            RateTier(service_tier="batch", rates=Rates(input=0, output=2)),
            RateTier(
                service_tier="priority",
                rates=Rates(
                    input=3,
                    output=9,
                    steps=[RateStep(above_input_tokens=5, rates=Rates(input=4, output=9))],
                ),
            ),
        ],
    )
    assert rates_to_proto(check_rates(sent)) == sent


def test_rates_of_a_row_price_a_request() -> None:
    """A stored price costs a request what its components say, steps for long prompts included."""
    row = check_rates(
        Rates(
            input=2_500_000_000,
            output=10_000_000_000,
            cached_input=1_250_000_000,
            steps=[
                RateStep(above_input_tokens=1000, rates=Rates(input=5_000_000_000, output=20_000_000_000))
            ],
        )
    )
    short = UsageCounts(input_tokens=1000, cached_input_tokens=400, output_tokens=10)
    assert cost_nanousd(price_rates(row), short) == 600 * 2500 + 400 * 1250 + 10 * 10_000
    assert price_rates(check_rates(tiered("flex"))).tiers["flex"].base.input == 1
    long = UsageCounts(input_tokens=1001, cached_input_tokens=400, output_tokens=10)
    assert cost_nanousd(price_rates(row), long) == 1001 * 5000 + 10 * 20_000


@pytest.mark.parametrize(
    "rates",
    [
        Rates(),
        Rates(input=1),
        Rates(output=1),
        Rates(input=-1, output=1),
        Rates(input=1, output=MAX_RATE + 1),
        Rates(input=1, output=1, cached_input=-1),
        Rates(input=1, output=1, steps=[RateStep(above_input_tokens=0, rates=Rates(input=1, output=1))]),
        Rates(input=1, output=1, steps=[RateStep(above_input_tokens=5, rates=Rates(input=1))]),
        Rates(input=1, output=1, steps=[RateStep(above_input_tokens=5, rates=Rates(input=1, output=1))] * 2),
        Rates(
            input=1,
            output=1,
            steps=[RateStep(above_input_tokens=n + 1, rates=Rates(input=1, output=1)) for n in range(9)],
        ),
        Rates(input=1, output=1, character=-1),
        Rates(input=1, output=1, steps=[RateStep(above_input_tokens=1, rates=tiered("flex"))]),
        tiered(""),
        tiered("default"),
        tiered("Batch"),
        tiered("x" * 41),
        tiered("flex", "flex"),
        tiered(*(f"tier-{n}" for n in range(9))),
        Rates(input=1, output=1, tiers=[RateTier(service_tier="flex", rates=Rates(input=1))]),
        Rates(input=1, output=1, tiers=[RateTier(service_tier="flex", rates=tiered("batch"))]),
    ],
)
def test_rates_that_are_left_out_or_out_of_range_are_refused(rates: Rates) -> None:
    """A price left out is never taken for 0, and nonsense never becomes a price."""
    with pytest.raises(TollkeeperError) as refused:
        check_rates(rates)
    assert refused.value.reason == Reason.INVALID_ARGUMENT
