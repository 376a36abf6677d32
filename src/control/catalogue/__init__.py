"""The global prices a new installation starts with (docs/pricing.md)."""

from collections.abc import Sequence
from datetime import datetime

from control.catalogue.genai import genai_prices
from control.domain.price_list import Name, Schedule, new_rows, take_over
from control.store.database import Connection
from control.store.prices import insert_global_prices, known_models
from control.store.resources import transaction_time
from control.store.rows import Row


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


def catalogue_rows(now: datetime) -> Sequence[Row]:
    """The catalogue as rows of prices: for each model the price in force at `now`, and those announced."""
    schedules: dict[Name, Schedule] = {}
    take_over(genai_prices(now).prices, schedules, now)
    return new_rows(schedules)
