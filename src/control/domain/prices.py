"""Rates of prices, between the contract, rows (JSON) and the arithmetic (docs/pricing.md)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tollkeeper.cost import RATE_NAMES, PriceRates, resolve
from tollkeeper.errors import invalid
from tollkeeper.money import NANOUSD_PER_USD
from tollkeeper.v1 import prices_pb2

# Nano-dollars per million units: a dollar a token or a request. More is a mistake, and int64 sums stay safe.
MAX_RATE = 1_000_000 * NANOUSD_PER_USD
MAX_STEPS = 8
MAX_TIERS = 8
MAX_TOKENS = 1_000_000_000

STEPS = "steps"
ABOVE_INPUT_TOKENS = "above_input_tokens"
TIERS = "tiers"
SERVICE_TIER = "service_tier"

# As a row keeps them: `{component: rate, ..., "steps": [{"above_input_tokens": n, component: rate, ...}],
# "tiers": [{"service_tier": name, component: rate, ..., "steps": [...]}]}`.
RateMap = Mapping[str, Any]

_TIER_NAME = re.compile(r"[a-z0-9_-]{1,40}")
# What vendors call what has no tier of its own; the rates beside the tiers are for these.
STANDARD_TIERS = frozenset({"", "auto", "default", "standard"})


def check_rates(rates: prices_pb2.Rates) -> dict[str, Any]:
    """The rates of a new price, as its row keeps them.

    Raises INVALID_ARGUMENT when input or output is left out (an explicit 0 is free), a rate is negative or
    beyond MAX_RATE, steps don't rise, or tiers can't be told apart.
    """
    checked = _check_with_steps(rates, "rates")
    if len(rates.tiers) > MAX_TIERS:
        raise invalid(f"At most {MAX_TIERS} service tiers.", field="rates.tiers")
    tiers: dict[str, dict[str, Any]] = {}
    for index, tier in enumerate(rates.tiers):
        field = f"rates.tiers[{index}]"
        name = tier.service_tier
        if name in STANDARD_TIERS or name in tiers or not _TIER_NAME.fullmatch(name):
            raise invalid(
                f"{name!r} is no name for a service tier, or is used twice.", field=f"{field}.service_tier"
            )
        if tier.rates.tiers:
            raise invalid("A tier has no tiers of its own.", field=field)
        tiers[name] = {SERVICE_TIER: name, **_check_with_steps(tier.rates, f"{field}.rates")}
    if tiers:
        checked[TIERS] = list(tiers.values())
    return checked


def _check_with_steps(rates: prices_pb2.Rates, where: str) -> dict[str, Any]:
    checked: dict[str, Any] = _check_components(rates, where)
    if len(rates.steps) > MAX_STEPS:
        raise invalid(f"At most {MAX_STEPS} steps.", field=f"{where}.steps")
    steps = []
    floor = 0
    for index, step in enumerate(rates.steps):
        field = f"{where}.steps[{index}]"
        if step.rates.steps or step.rates.tiers:
            raise invalid("A step has neither steps nor tiers of its own.", field=field)
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
    for tier in rates.get(TIERS, ()):
        _fill(message.tiers.add(service_tier=tier[SERVICE_TIER]).rates, tier)
    return message


def _fill(message: prices_pb2.Rates, rates: RateMap) -> None:
    for name, rate in _components(rates).items():
        setattr(message, name, rate)
    for step in rates.get(STEPS, ()):
        _fill(message.steps.add(above_input_tokens=step[ABOVE_INPUT_TOKENS]).rates, step)


def price_rates(rates: RateMap) -> PriceRates:
    """The rates of a row, for the arithmetic of tollkeeper.cost."""
    steps: Sequence[Mapping[str, Any]] = rates.get(STEPS, ())
    tiers: Sequence[Mapping[str, Any]] = rates.get(TIERS, ())
    return PriceRates(
        resolve(_components(rates)),
        tuple((step[ABOVE_INPUT_TOKENS], resolve(_components(step))) for step in steps),
        {tier[SERVICE_TIER]: price_rates(tier) for tier in tiers},
    )


def _components(rates: RateMap) -> dict[str, int]:
    return {name: rates[name] for name in RATE_NAMES if name in rates}


def check_token_count(value: int, field: str) -> int:
    """A model's largest output or context. Raises INVALID_ARGUMENT."""
    if not 0 <= value <= MAX_TOKENS:
        raise invalid(f"{field} must be from 0 to {MAX_TOKENS}.", field=field)
    return value
