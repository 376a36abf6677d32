"""Rates of prices, between the contract, rows (JSON) and the arithmetic (docs/pricing.md)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tollkeeper.cost import RATE_NAMES, PriceRates, resolve
from tollkeeper.errors import invalid
from tollkeeper.money import NANOUSD_PER_USD
from tollkeeper.v1 import prices_pb2

# Nano-dollars per million units: a dollar a token or a request. More is a mistake, and int64 sums stay safe.
MAX_RATE = 1_000_000 * NANOUSD_PER_USD
MAX_STEPS = 8
MAX_TOKENS = 1_000_000_000

STEPS = "steps"
ABOVE_INPUT_TOKENS = "above_input_tokens"

# As a row keeps them: `{component: rate, ..., "steps": [{"above_input_tokens": n, component: rate, ...}]}`.
RateMap = Mapping[str, Any]


def check_rates(rates: prices_pb2.Rates) -> dict[str, Any]:
    """The rates of a new price, as its row keeps them.

    Raises INVALID_ARGUMENT when input or output is left out (an explicit 0 is free), a rate is negative or
    beyond MAX_RATE, or steps don't rise.
    """
    checked: dict[str, Any] = _check_components(rates, "rates")
    if len(rates.steps) > MAX_STEPS:
        raise invalid(f"At most {MAX_STEPS} steps.", field="rates.steps")
    steps = []
    floor = 0
    for index, step in enumerate(rates.steps):
        field = f"rates.steps[{index}]"
        if step.rates.steps:
            raise invalid("A step has no steps of its own.", field=field)
        if not floor < step.above_input_tokens <= MAX_TOKENS:
            raise invalid(f"{field}.above_input_tokens must rise and be at least 1.", field=field)
        floor = step.above_input_tokens
        steps.append({ABOVE_INPUT_TOKENS: floor, **_check_components(step.rates, field)})
    if steps:
        checked[STEPS] = steps
    return checked


def _check_components(rates: prices_pb2.Rates, field: str) -> dict[str, int]:
    for name in ("input", "output"):
        if not rates.HasField(name):
            raise invalid(
                f"{field}.{name} is missing; for a free model set it to 0.", field=f"{field}.{name}"
            )
    given = {name: getattr(rates, name) for name in RATE_NAMES if rates.HasField(name)}
    for name, rate in given.items():
        if not 0 <= rate <= MAX_RATE:
            raise invalid(f"{field}.{name} must be from 0 to {MAX_RATE}.", field=f"{field}.{name}")
    return given


def rates_to_proto(rates: RateMap) -> prices_pb2.Rates:
    """The rates of a row, for the contract."""
    message = prices_pb2.Rates()
    _fill(message, rates)
    for step in rates.get(STEPS, ()):
        _fill(message.steps.add(above_input_tokens=step[ABOVE_INPUT_TOKENS]).rates, step)
    return message


def _fill(message: prices_pb2.Rates, rates: RateMap) -> None:
    for name, rate in _components(rates).items():
        setattr(message, name, rate)


def price_rates(rates: RateMap) -> PriceRates:
    """The rates of a row, for the arithmetic of tollkeeper.cost."""
    steps: Sequence[Mapping[str, Any]] = rates.get(STEPS, ())
    return PriceRates(
        resolve(_components(rates)),
        tuple((step[ABOVE_INPUT_TOKENS], resolve(_components(step))) for step in steps),
    )


def _components(rates: RateMap) -> dict[str, int]:
    return {name: rates[name] for name in RATE_NAMES if name in rates}


def check_token_count(value: int, field: str) -> int:
    """A model's largest output or context. Raises INVALID_ARGUMENT."""
    if not 0 <= value <= MAX_TOKENS:
        raise invalid(f"{field} must be from 0 to {MAX_TOKENS}.", field=field)
    return value
