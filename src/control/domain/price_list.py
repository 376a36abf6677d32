"""Lists of prices from elsewhere, checked, and what taking one over would change (docs/pricing.md)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

# More in one list is a mistake, and its preview wouldn't fit a message.
MAX_LISTED = 5000

# Provider type and model.
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One line of a list. Without a time it is in force at once."""

    provider_type: str
    model: str
    rates: Mapping[str, Any]
    max_output_tokens: int = 0
    context_tokens: int = 0
    effective_time: datetime | None = None

    @property
    def name(self) -> Name:
        return self.provider_type, self.model


@dataclass(frozen=True, slots=True)
class Skipped:
    """A model that the list has no usable price for."""

    provider_type: str
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """Where a list is from, and what it says."""

    source: str
    prices: Sequence[ListedPrice]
    skipped: Sequence[Skipped] = ()


@dataclass(slots=True)
class Slot:
    """One price in the schedule of a model; new ones have no id yet."""

    price_id: str
    effective_time: datetime
    end_time: datetime | None
    rates: Mapping[str, Any]
    max_output_tokens: int
    context_tokens: int
    changed: bool = False

    def holds_at(self, moment: datetime) -> bool:
        """Whether it is in force then."""
        return self.effective_time <= moment and (self.end_time is None or self.end_time > moment)

    @property
    def is_void(self) -> bool:
        """Whether it ends where it begins: it was replaced before its time."""
        return self.end_time is not None and self.end_time <= self.effective_time

    def says(self, listed: ListedPrice) -> bool:
        """Whether a list says the same of the model."""
        mine = self.rates, self.max_output_tokens, self.context_tokens
        return mine == (listed.rates, listed.max_output_tokens, listed.context_tokens)


class Schedule(list[Slot]):
    """The prices of one model, in force and to come."""

    def at(self, moment: datetime) -> Slot | None:
        """The price in force then."""
        return next((slot for slot in self if slot.holds_at(moment)), None)

    def put(self, listed: ListedPrice, now: datetime) -> Slot:
        """Takes a price over: it ends the one in force at its time, and ends where the next one begins that
        was announced for later."""
        start = max(now, listed.effective_time or now)
        before = self.at(start)
        if before is not None:
            before.end_time, before.changed = start, True
        later = [slot.effective_time for slot in self if slot.effective_time > start and not slot.is_void]
        slot = Slot(
            "",
            start,
            min(later, default=None),
            listed.rates,
            listed.max_output_tokens,
            listed.context_tokens,
            changed=True,
        )
        self.append(slot)
        return slot


class ChangeKind(IntEnum):
    """prices.proto PriceChangeKind."""

    ADDED = 1
    CHANGED = 2
    UNCHANGED = 3
    SKIPPED = 4


@dataclass(slots=True)
class Change:
    """What becomes of one line of a list."""

    kind: ChangeKind
    listed: ListedPrice
    before: Slot | None = None
    # Of what was skipped.
    why: str = ""
    # Rows of customers' own prices that the new one ends.
    closed: list[Mapping[str, Any]] = field(default_factory=list)


def take_over(listed: Iterable[ListedPrice], schedules: dict[Name, Schedule], now: datetime) -> list[Change]:
    """Puts a list into the schedules, line by line in the order of time; returns what each line does."""
    changes = []
    for price in sorted(listed, key=lambda each: (each.name, max(now, each.effective_time or now))):
        schedule = schedules.setdefault(price.name, Schedule())
        before = schedule.at(max(now, price.effective_time or now))
        if before is not None and before.says(price):
            changes.append(Change(ChangeKind.UNCHANGED, price, before))
            continue
        kind = ChangeKind.ADDED if before is None else ChangeKind.CHANGED
        changes.append(Change(kind, price, before))
        schedule.put(price, now)
    return changes


def new_rows(schedules: Mapping[Name, Schedule]) -> list[dict[str, Any]]:
    """The rows of prices that are new in schedules."""
    return [
        {
            "provider_type": provider_type,
            "model": model,
            "rates": slot.rates,
            "max_output_tokens": slot.max_output_tokens,
            "context_tokens": slot.context_tokens,
            "effective_time": slot.effective_time,
            "end_time": slot.end_time,
        }
        for (provider_type, model), schedule in schedules.items()
        for slot in schedule
        if not slot.price_id
    ]
