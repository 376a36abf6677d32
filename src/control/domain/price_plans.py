"""Markups: what customers pay on top of global prices, in parts per million (docs/pricing.md)."""

from collections.abc import Iterable, Sequence
from typing import Any

from control.domain.models import check_model
from tollkeeper.errors import invalid
from tollkeeper.v1 import price_plans_pb2

# From free of charge to a hundred times on top.
MIN_MARKUP_PPM = -1_000_000
MAX_MARKUP_PPM = 100_000_000
MAX_MODEL_MARKUPS = 100


def check_markup(markup_ppm: int, field: str = "markup_ppm") -> int:
    """Parts per million. Raises INVALID_ARGUMENT."""
    if not MIN_MARKUP_PPM <= markup_ppm <= MAX_MARKUP_PPM:
        raise invalid(f"{field} must be from {MIN_MARKUP_PPM} to {MAX_MARKUP_PPM}.", field=field)
    return markup_ppm


def check_model_markups(markups: Sequence[price_plans_pb2.ModelMarkup]) -> list[dict[str, Any]]:
    """Markups by pattern, as a row keeps them. Raises INVALID_ARGUMENT for a pattern that is no name, or that
    comes twice."""
    if len(markups) > MAX_MODEL_MARKUPS:
        raise invalid(f"At most {MAX_MODEL_MARKUPS} model markups.", field="model_markups")
    if len({markup.pattern for markup in markups}) < len(markups):
        raise invalid("A pattern comes twice.", field="model_markups")
    return [
        {
            "pattern": check_model(markup.pattern),
            "markup_ppm": check_markup(markup.markup_ppm, "model_markups"),
        }
        for markup in markups
    ]


def model_markup_messages(rows: Iterable[dict[str, Any]]) -> list[price_plans_pb2.ModelMarkup]:
    """A row's markups by pattern, for the contract."""
    return [price_plans_pb2.ModelMarkup(**row) for row in rows]
