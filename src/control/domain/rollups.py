"""Sums of what was posted, by dimension and hour: everything that people ask totals of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any


class Dimension(IntEnum):
    """usage.proto UsageDimension. The first four are the scopes of budgets."""

    KEY = 1
    USER = 2
    TEAM = 3
    CUSTOMER = 4
    END_USER = 5
    TAG = 6
    MODEL = 7
    PROVIDER = 8


# Dimensions whose values apps make up: only so many a day are told apart (control.ledger.value_caps).
MADE_UP = frozenset({Dimension.END_USER, Dimension.TAG, Dimension.MODEL})
# What those beyond are summed under.
OTHER = "(other)"

_OWNERS = (
    (Dimension.KEY, "key_id"),
    (Dimension.USER, "user_id"),
    (Dimension.TEAM, "team_id"),
    (Dimension.CUSTOMER, "customer_id"),
)
_DESCRIPTIONS = (
    (Dimension.END_USER, "end_user"),
    (Dimension.MODEL, "requested_model"),
    (Dimension.PROVIDER, "provider_id"),
)

SumKey = tuple[int, str, datetime]


@dataclass(slots=True)
class Sum:
    """What is added to one value's hour."""

    request_count: int = 0
    refused_count: int = 0
    cost_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, other: "Sum") -> None:
        """Adds another one's amounts, which may be negative."""
        self.request_count += other.request_count
        self.refused_count += other.refused_count
        self.cost_nanousd += other.cost_nanousd
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens


class Sums(dict[SumKey, Sum]):
    """Sums by dimension, value and hour."""

    def count(self, log_row: Mapping[str, Any], amount: Sum) -> None:
        """Adds an amount to every value that a row of the request log has."""
        self.count_owners(log_row, amount)
        hour = _hour(log_row)
        for dimension, value in _descriptions(log_row):
            self.count_value((dimension, value, hour), amount)

    def count_owners(self, log_row: Mapping[str, Any], amount: Sum) -> None:
        """Adds an amount to its key, user, team and customer only."""
        hour = _hour(log_row)
        for dimension, name in _OWNERS:
            if log_row[name]:
                self.count_value((dimension, log_row[name], hour), amount)

    def count_value(self, key: SumKey, amount: Sum) -> None:
        """Adds an amount to one value."""
        before = self.get(key)
        if before is None:
            before = self[key] = Sum()
        before.add(amount)


def _hour(log_row: Mapping[str, Any]) -> datetime:
    begin_time: datetime = log_row["begin_time"]
    return begin_time.replace(minute=0, second=0, microsecond=0)


def _descriptions(log_row: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    for dimension, name in _DESCRIPTIONS:
        if log_row[name]:
            yield dimension, log_row[name]
    for tag in log_row["tags"]:
        yield Dimension.TAG, tag
