"""Lists of prices in files: JSON as `tollkeeper prices list --json` prints it, and CSV (docs/pricing.md).

Amounts are US dollars per million units, as decimal text or numbers.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from control.domain.models import check_model
from control.domain.price_list import MAX_LISTED, ListedPrice, PriceList
from control.domain.prices import check_rates, check_token_count
from control.domain.providers import provider_type
from tollkeeper.cost import RATE_NAMES
from tollkeeper.errors import TollkeeperError, invalid
from tollkeeper.money import parse_usd
from tollkeeper.v1.prices_pb2 import Rates

MAX_CONTENT_BYTES = 4 * 1024 * 1024
_TOKEN_COUNTS = ("max_output_tokens", "context_tokens")
_COLUMNS = frozenset({"provider_type", "model", "effective_time", *_TOKEN_COUNTS, *RATE_NAMES})
# Printed with a price, and of no use for another one.
_PASSED_OVER = frozenset({"price_id", "customer_id", "provider_id", "end_time", "create_time"})


def prices_of_json(content: bytes) -> PriceList:
    """An array of prices. Raises INVALID_ARGUMENT naming the line."""
    try:
        lines = json.loads(_text(content), parse_float=Decimal)
    except (ValueError, RecursionError):
        raise invalid("The content isn't JSON.", field="content") from None
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise invalid("The content isn't an array of prices.", field="content")
    return _price_list("JSON", lines, _json_line)


def prices_of_csv(content: bytes) -> PriceList:
    """A heading with the names of fields, and a line for each price. Raises INVALID_ARGUMENT naming the
    line."""
    try:
        reader = csv.DictReader(io.StringIO(_text(content)), strict=True)
        lines = [{name: value for name, value in line.items() if value not in ("", None)} for line in reader]
    except csv.Error as error:
        raise invalid(f"The content isn't CSV: {error}.", field="content") from None
    return _price_list("CSV", lines, _csv_line)


def _text(content: bytes) -> str:
    if len(content) > MAX_CONTENT_BYTES:
        raise invalid(f"The content is larger than {MAX_CONTENT_BYTES} bytes.", field="content")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid("The content isn't UTF-8.", field="content") from None


def _price_list(
    source: str, lines: list[dict[str, Any]], read: Callable[[dict[str, Any]], ListedPrice]
) -> PriceList:
    if not 1 <= len(lines) <= MAX_LISTED:
        raise invalid(f"A list has 1 to {MAX_LISTED} prices.", field="content")
    prices: list[ListedPrice] = []
    seen: set[object] = set()
    for number, line in enumerate(lines, start=1):
        try:
            price = read(line)
        except TollkeeperError as error:
            raise invalid(f"Price {number}: {error.message}", field="content", price=str(number)) from None
        moment = price.name, price.effective_time
        if moment in seen:
            raise invalid(
                f"Price {number}: {price.model} has two prices at one time.",
                field="content",
                price=str(number),
            )
        seen.add(moment)
        prices.append(price)
    return PriceList(source, prices)


def _json_line(line: dict[str, Any]) -> ListedPrice:
    if line.get("provider_id"):
        raise invalid("it is a customer's own; only global prices can be imported.")
    rates = line.get("rates")
    if not isinstance(rates, dict):
        raise invalid("rates is missing.")
    given = {name: value for name, value in line.items() if name not in _PASSED_OVER and value is not None}
    return _listed({**given, "rates": None}, _rates(rates))


def _csv_line(line: dict[str, Any]) -> ListedPrice:
    if None in line:
        raise invalid("it has more fields than the heading.")
    return _listed(line, _rates({name: line[name] for name in RATE_NAMES if name in line}))


def _listed(line: Mapping[str, Any], rates: Rates) -> ListedPrice:
    for name in sorted(line.keys() - _COLUMNS - {"rates"}):
        raise invalid(f"{name!r} is no field of a price.")
    for name in ("provider_type", "model"):
        if not isinstance(line.get(name), str):
            raise invalid(f"{name} is missing.")
    return ListedPrice(
        provider_type=provider_type(line["provider_type"]),
        model=check_model(line["model"]),
        rates=check_rates(rates),
        max_output_tokens=_count(line, "max_output_tokens"),
        context_tokens=_count(line, "context_tokens"),
        effective_time=_time(line.get("effective_time")),
    )


def _rates(given: Mapping[str, Any]) -> Rates:
    """Rates with steps and tiers, as the command line prints them."""
    rates = Rates()
    for name, value in given.items():
        if value is None:
            continue
        if name in RATE_NAMES:
            setattr(rates, name, _usd(name, value))
        elif name == "steps":
            for step in _objects(name, value):
                above = _count(step, "above_input_tokens")
                rates.steps.add(above_input_tokens=above).rates.CopyFrom(_rates(_object(step.get("rates"))))
        elif name == "tiers":
            for tier in _objects(name, value):
                added = rates.tiers.add(service_tier=str(tier.get("service_tier", "")))
                added.rates.CopyFrom(_rates(_object(tier.get("rates"))))
        else:
            raise invalid(f"{name!r} is no component of a price.")
    return rates


def _usd(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise invalid(f"{name} is not an amount.")
    try:
        amount = parse_usd(str(value))
    except ValueError as error:
        raise invalid(f"{name}: {error}.") from None
    if amount < 0:
        raise invalid(f"{name} is less than nothing.")
    return amount


def _objects(name: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise invalid(f"{name} is not a list.")
    return [_object(each) for each in value]


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid("steps and tiers have rates of their own.")
    return value


def _count(line: Mapping[str, Any], name: str) -> int:
    value = line.get(name, 0)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        value = int(value)
    if type(value) is not int:
        raise invalid(f"{name} is not a whole number.")
    return check_token_count(value, name)


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(f"effective_time: {value!r} is not a time such as 2026-12-01T00:00:00Z.") from None
