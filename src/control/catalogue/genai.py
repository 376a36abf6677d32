"""The prices of the `genai-prices` package, as the installed version has them: what a new installation starts
with, and what imports offer.

Models are left out that it prices by something we don't count (pages, messages): no price is better than a
wrong one. FIXED wins over the package (A6); docs/pricing.md tells the rest.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import Any

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from control.domain.models import check_model
from control.domain.price_list import ListedPrice, PriceList, Skipped
from control.domain.prices import check_rates
from tollkeeper.money import parse_usd
from tollkeeper.v1.prices_pb2 import Rates

# Package's provider -> our provider type.
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "azure": "azure-openai",
    "cloudflare": "workers-ai",
    "groq": "groq",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "x-ai": "grok",
}
# USD per million model tokens, whatever the package says of input and output (A6).
FIXED = {
    ("openai", "gpt-4o"): {"input": "2.50", "output": "10.00"},
    ("openai", "gpt-4o-mini"): {"input": "0.15", "output": "0.60", "cached_input": "0.075"},
    ("openai", "gpt-3.5-turbo"): {"input": "0.50", "output": "1.50"},
    ("google", "gemini-1.5-pro"): {"input": "1.25", "output": "5.00"},
    ("google", "gemini-1.5-flash"): {"input": "0.075", "output": "0.30"},
    ("anthropic", "claude-3-opus"): {"input": "15.00", "output": "75.00"},
    ("anthropic", "claude-3-sonnet"): {"input": "3.00", "output": "15.00"},
    ("anthropic", "claude-3-haiku"): {"input": "0.25", "output": "1.25"},
}
# What vendors don't bill, and the package doesn't know: priced at nothing, since without a price it would be
# refused.
FREE = {
    "openai": [
        "omni-moderation-latest",
        "omni-moderation-2024-09-26",
        "text-moderation-latest",
        "text-moderation-stable",
        "text-moderation-007",
    ],
}
# Names that vendors serve and the package matches by a pattern only; each must match a model of the package.
DATED_NAMES = {
    "openai": [
        "gpt-3.5-turbo-0125",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-2025-04-14",
        "gpt-4.1-mini-2025-04-14",
    ],
    "anthropic": [
        "claude-3-opus",
        "claude-3-opus-20240229",
        "claude-3-sonnet-20240229",
        "claude-3-haiku-20240307",
        "claude-3-5-haiku-20241022",
        "claude-3-5-sonnet-latest",
        "claude-3-5-sonnet-20240620",
        "claude-3-5-sonnet-20241022",
        "claude-3-7-sonnet-20250219",
        "claude-sonnet-4-20250514",
        "claude-sonnet-4-5-20250929",
        "claude-opus-4-1-20250805",
        "claude-opus-4-5-20251101",
        "claude-haiku-4-5-20251001",
    ],
    "google": [
        "gemini-1.5-flash-latest",
        "gemini-1.5-flash-001",
        "gemini-1.5-flash-002",
        "gemini-1.5-pro-latest",
        "gemini-1.5-pro-001",
        "gemini-1.5-pro-002",
        "gemini-2.0-flash-001",
        "gemini-2.0-flash-lite-001",
    ],
}
# The package knows no output limits. Of a model and its dated names (`NAME-…`), the longest NAME that fits;
# none where the vendor's figure isn't certain, since a bound that is too low would let a request cost more
# than was held.
MAX_OUTPUT_TOKENS = {
    "gpt-3.5-turbo": 4096,
    "gpt-4-turbo": 4096,
    "gpt-4o": 16384,
    "gpt-4.1": 32768,
    "gpt-5": 128000,
    "gpt-5-pro": 272000,
    "gpt-5.1": 128000,
    "gpt-5.2": 128000,
    "o1": 100000,
    "o3": 100000,
    "o4-mini": 100000,
    "claude-3-opus": 4096,
    "claude-3-sonnet": 4096,
    "claude-3-haiku": 4096,
    "claude-3-5-haiku": 8192,
    "claude-3-5-sonnet": 8192,
    "claude-3-7-sonnet": 64000,
    "claude-sonnet-4-0": 64000,
    "claude-sonnet-4-5": 64000,
    "claude-haiku-4-5": 64000,
    "claude-opus-4-0": 32000,
    "claude-opus-4-1": 32000,
    "claude-opus-4-5": 64000,
    "gemini-1.5-pro": 8192,
    "gemini-1.5-flash": 8192,
    "gemini-2.0-flash": 8192,
    "gemini-2.5-pro": 65536,
    "gemini-2.5-flash": 65536,
}
# Package's component -> ours, and what turns its price into USD per million units.
COMPONENTS = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cached_input", 1),
    "cache_write_mtok": ("cache_write", 1),
    "input_audio_mtok": ("audio_input", 1),
    "output_audio_mtok": ("audio_output", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "input_image_mtok": ("image_input", 1),
    "output_image_mtok": ("image_output", 1),
    "requests_kcount": ("request", 1000),
    "web_searches_kcount": ("web_search", 1000),
}
# Vendors whose batches cost half of what their requests do one by one (OpenAI's batch guide, 2026); the
# package knows nothing of it.
BATCH_AT_HALF = frozenset({"openai"})
NOT_BY_TOKEN = frozenset({"request", "web_search", "image", "second", "character"})
# Components that stand alone: transcriptions by the hour of audio, speech by a million characters.
BY_UNITS = ({"audio_hours", "input_audio_hours"}, {"input_mchars"})
# Never asked for through chat, or (cached audio and images) counted with their kind; docs/pricing.md.
PASSED_OVER = {"storage_searches_kcount", "cache_audio_read_mtok", "cache_image_read_mtok"}


def genai_prices(now: datetime) -> PriceList:
    """All prices in force at a moment, and those announced."""
    prices: list[ListedPrice] = []
    skipped: list[Skipped] = []
    for provider in providers:
        type_name = PROVIDERS.get(provider.id)
        if type_name is None:
            continue
        for model in provider.models:
            if type_name == "google" and "claude" in model.id:
                continue
            listed = list(_listed(type_name, model, now.date()))
            prices += listed
            if not listed:
                skipped.append(Skipped(type_name, model.id, "billed by something that isn't counted here"))
    known = {(price.provider_type, price.model) for price in prices}
    prices += [
        ListedPrice(type_name, model, check_rates(Rates(input=0, output=0)))
        for type_name, models in FREE.items()
        for model in models
        if (type_name, model) not in known
    ]
    return PriceList(f"genai-prices {version('genai-prices')}", prices, skipped)


def _listed(type_name: str, model: ModelInfo, as_of: date) -> Iterator[ListedPrice]:
    """The prices of one model, present and announced, for all names it is known by."""
    for name in model_names(type_name, model):
        for start, price in scheduled(model, as_of):
            rates = rates_of(model, price)
            if rates is None:
                continue
            rates |= FIXED.get((type_name, name), {})
            message = _message(rates)
            if type_name in BATCH_AT_HALF and message.input:
                half = _halved(message)
                message.tiers.add(service_tier="batch").rates.CopyFrom(half)
            yield ListedPrice(
                provider_type=type_name,
                model=check_model(name),
                rates=check_rates(message),
                max_output_tokens=max_output_tokens(name),
                context_tokens=model.context_window or 0,
                effective_time=None if start is None else datetime.combine(start, time(), tzinfo=UTC),
            )


def _message(rates: dict[str, Any]) -> Rates:
    steps = rates.pop("steps", [])
    message = Rates()
    for name, amount in rates.items():
        setattr(message, name, parse_usd(amount))
    for step in steps:
        message.steps.add(above_input_tokens=step.pop("above_input_tokens")).rates.CopyFrom(_message(step))
    return message


def _halved(rates: Rates) -> Rates:
    """Half of what model tokens cost, rounded up; other units stay."""
    half = Rates()
    for field, value in rates.ListFields():
        if field.name == "steps":
            for step in value:
                added = half.steps.add(above_input_tokens=step.above_input_tokens)
                added.rates.CopyFrom(_halved(step.rates))
        else:
            by_token = field.name not in NOT_BY_TOKEN
            setattr(half, field.name, -(-value // 2) if by_token else value)
    return half


def model_names(type_name: str, model: ModelInfo) -> list[str]:
    """The model's id, exact other names, and the dated ones that match it; no fine-tunes, no bare
    prefixes."""
    clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
    exact = [clause.equals for clause in clauses if isinstance(clause, ClauseEquals)]
    dated = [name for name in DATED_NAMES.get(type_name, ()) if model.is_match(name)]
    names = dict.fromkeys([model.id, *sorted(exact), *dated])
    return [
        name for name in names if not name.startswith("ft:") and not name.endswith("-") and " " not in name
    ]


def scheduled(model: ModelInfo, as_of: date) -> Iterator[tuple[date | None, ModelPrice]]:
    """What is in force on the date, and what starts later. Hours of the day can't be priced: the dearest
    holds."""
    if isinstance(model.prices, ModelPrice):
        yield None, model.prices
        return
    starts: list[tuple[date, ConditionalPrice]] = []
    for price in model.prices:
        if price.constraint is None:
            starts.append((date.min, price))
        elif isinstance(price.constraint, StartDateConstraint):
            starts.append((price.constraint.start_date, price))
    hourly = [price.prices for price in model.prices if isinstance(price.constraint, TimeOfDateConstraint)]
    present = [price for start, price in starts if start <= as_of][-1].prices
    yield None, max([present, *hourly], key=lambda price: base(price.__dict__.get("output_mtok")))
    for start, price in starts:
        if start > as_of:
            yield start, price.prices


def rates_of(model: ModelInfo, price: ModelPrice) -> dict[str, Any] | None:
    """USD per million units by component, with steps for long prompts; None when we can't price the model."""
    given = {
        key: value for key, value in price.__dict__.items() if value is not None and not key.startswith("_")
    }
    if set(given) in BY_UNITS:
        return units_of(given)
    if set(given) - set(COMPONENTS) - PASSED_OVER or "input_mtok" not in given:
        return None
    if "output_mtok" not in given:
        if "embed" not in model.id:
            return None
        given["output_mtok"] = Decimal(0)
    known = {key: value for key, value in given.items() if key in COMPONENTS}
    rates: dict[str, Any] = {
        COMPONENTS[key][0]: usd(base(value) * COMPONENTS[key][1]) for key, value in known.items()
    }
    thresholds = sorted(
        {tier.start for value in known.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    )
    if thresholds:
        rates["steps"] = [
            {
                "above_input_tokens": threshold,
                **{
                    COMPONENTS[key][0]: usd(at(value, threshold) * COMPONENTS[key][1])
                    for key, value in known.items()
                },
            }
            for threshold in thresholds
        ]
    return rates


def units_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is billed by the second or the character, and by nothing else."""
    rates = {"input": "0.00", "output": "0.00"}
    if "input_mchars" in given:
        return rates | {"character": usd(base(given["input_mchars"]))}
    second = base(given["input_audio_hours"]) * 1_000_000 / 3600
    return rates | {"second": usd(second.quantize(Decimal("1e-9"), ROUND_CEILING))}


def base(value: Decimal | TieredPrices | None) -> Decimal:
    """The price of a short prompt."""
    return value.base if isinstance(value, TieredPrices) else value or Decimal(0)


def at(value: Decimal | TieredPrices, threshold: int) -> Decimal:
    """The price of a prompt just above a threshold."""
    price = base(value)
    if isinstance(value, TieredPrices):
        for tier in value.tiers:
            if tier.start <= threshold:
                price = tier.price
    return price


def usd(price: Decimal) -> str:
    """Decimal text, with at least two decimals."""
    text = f"{price:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def max_output_tokens(name: str) -> int:
    """The largest output of a model, where known."""
    known = [known for known in MAX_OUTPUT_TOKENS if name == known or name.startswith(known + "-")]
    return MAX_OUTPUT_TOKENS[max(known, key=len)] if known else 0
