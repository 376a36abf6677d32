"""The global prices a new installation starts with: one JSON file per provider type, written by
scripts/seed-prices.

Amounts there are US dollars per million units, as decimal text (docs/pricing.md).
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from control.domain.models import check_model
from control.domain.prices import ABOVE_INPUT_TOKENS, STEPS, check_rates, check_token_count
from control.domain.providers import provider_type
from control.store.database import Connection
from control.store.prices import insert_global_prices, known_models
from control.store.resources import transaction_time
from control.store.rows import Row
from tollkeeper.cost import RATE_NAMES
from tollkeeper.money import parse_usd
from tollkeeper.v1 import prices_pb2


async def seed_prices(connection: Connection) -> int:
    """Adds the catalogue's prices for models that never had a global one; returns how many rows that were.

    Run again it adds nothing, and what an operator changed or ended stays so.
    """
    known = await known_models(connection)
    now = await transaction_time(connection)
    rows = [row for row in catalogue_rows(now) if (row["provider_type"], row["model"]) not in known]
    if rows:
        await insert_global_prices(connection, rows)
    return len(rows)


def catalogue_rows(now: datetime) -> list[Row]:
    """The catalogue as rows of prices: for each model the price in force at `now`, and those announced."""
    schedules: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _listed_rows():
        schedules.setdefault((row["provider_type"], row["model"]), []).append(row)
    return [row for schedule in schedules.values() for row in _in_sequence(schedule, now)]


def _in_sequence(schedule: list[dict[str, Any]], now: datetime) -> Iterator[Row]:
    """Gives each price the start of its successor as its end, and leaves out what has ended."""
    schedule.sort(key=lambda row: row["effective_time"])
    for row, successor in zip(schedule, [*schedule[1:], None], strict=True):
        end_time = successor["effective_time"] if successor is not None else None
        if end_time is None or end_time > now:
            yield {**row, "effective_time": max(now, row["effective_time"]), "end_time": end_time}


def _listed_rows() -> Iterator[dict[str, Any]]:
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".json"):
            continue
        content = json.loads(file.read_text())
        for entry in content["prices"]:
            rates = check_rates(_rates(entry["rates"]))
            for model in entry["models"]:
                yield {
                    "provider_type": provider_type(content["provider_type"]),
                    "model": check_model(model),
                    "rates": rates,
                    "max_output_tokens": check_token_count(
                        entry.get("max_output_tokens", 0), "max_output_tokens"
                    ),
                    "context_tokens": check_token_count(entry.get("context_tokens", 0), "context_tokens"),
                    "effective_time": _start(entry.get("effective_date")),
                }


def _rates(listed: Mapping[str, Any]) -> prices_pb2.Rates:
    rates = prices_pb2.Rates()
    for name in RATE_NAMES:
        if name in listed:
            setattr(rates, name, parse_usd(listed[name]))
    for step in listed.get(STEPS, ()):
        rates.steps.add(above_input_tokens=step[ABOVE_INPUT_TOKENS], rates=_rates(step))
    return rates


def _start(date_text: str | None) -> datetime:
    if date_text is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.fromisoformat(date_text).replace(tzinfo=UTC)
