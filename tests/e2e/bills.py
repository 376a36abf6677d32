"""The simulator's bill, priced by the tests themselves with nothing of ours."""

from collections.abc import Iterable
from typing import Any

INPUT, CACHED_INPUT, OUTPUT = 150, 75, 600
"""Nano-dollars per model token of gpt-4o-mini."""


def mini_nanousd(row: dict[str, Any]) -> int:
    """What one row of the bill costs; reasoning is part of the output, cache writes cost as input."""
    assert row["model"] == "gpt-4o-mini", row
    prompt, cached, completion = (int(row[f"{part}_tokens"]) for part in ("prompt", "cached", "completion"))
    return (prompt - cached) * INPUT + cached * CACHED_INPUT + completion * OUTPUT


def total_nanousd(rows: Iterable[dict[str, Any]]) -> int:
    """What all of them cost."""
    return sum(mini_nanousd(row) for row in rows)


def hold_nanousd(body: bytes, max_tokens: int, choices: int = 1) -> int:
    """The worst case of a request: a model token a byte, and the whole output limit."""
    return len(body) * INPUT + max_tokens * choices * OUTPUT
