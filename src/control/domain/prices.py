"""Rates of prices, between the contract, rows (JSON) and the arithmetic (docs/pricing.md)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tollkeeper.cost import RATE_NAMES, PriceRates, resolve, worst_rates
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


class Prices:
    """Prices in force or to come, asked as the edges ask theirs: the global one of the provider type first,
    else the dearest global one of that name, else the provider's own."""

    def __init__(self, global_prices: Iterable[prices_pb2.Price], own: Iterable[prices_pb2.Price]) -> None:
        """Messages as edges get them: `starts_in` marks those to come."""
        self._by_type = _latest((price.provider_type, price.model, price) for price in global_prices)
        self._own = _latest((price.provider_id, price.model, price) for price in own)

    def of(self, provider_type: str, provider_id: str, model: str) -> prices_pb2.Price | None:
        """The price that a request would be billed with."""
        own = self._own.get((provider_id, model))
        if (provider_type, model) in self._by_type:
            return self._by_type[provider_type, model] or own
        named = [price for (_, name), price in self._by_type.items() if name == model and price is not None]
        return max(named, key=_dearness, default=own)


def _latest(
    prices: Iterable[tuple[str, str, prices_pb2.Price]],
) -> dict[tuple[str, str], prices_pb2.Price | None]:
    """The price in force of each model: the one that began last; None where all are still to come."""
    found: dict[tuple[str, str], prices_pb2.Price | None] = {}
    for owner, model, price in prices:
        present = found.setdefault((owner, model), None)
        if price.HasField("starts_in"):
            continue
        if present is None or present.effective_time.ToNanoseconds() <= price.effective_time.ToNanoseconds():
            found[owner, model] = price
    return found


def _dearness(price: prices_pb2.Price) -> int:
    worst = worst_rates(_parsed(price.rates))
    return worst.input + worst.output


def _parsed(rates: prices_pb2.Rates) -> PriceRates:
    steps = tuple((step.above_input_tokens, resolve(_named(step.rates))) for step in rates.steps)
    tiers = {tier.service_tier: _parsed(tier.rates) for tier in rates.tiers}
    return PriceRates(resolve(_named(rates)), steps, tiers)


def _named(rates: prices_pb2.Rates) -> dict[str, int]:
    return {name: getattr(rates, name) for name in RATE_NAMES if rates.HasField(name)}
