"""Prices as the edge uses them: parsed once, and changing by themselves when the next one begins (L16)."""

from collections.abc import Iterable
from copy import copy
from math import inf

from edge.windows import duration_s
from tollkeeper import cost
from tollkeeper.v1 import edge_pb2, prices_pb2

# Markups whose views are kept with a price; with more, views are made anew for each request.
MAX_KEPT_MARKUPS = 64


class PriceView:
    """One price with a customer's markup on it, ready for arithmetic."""

    __slots__ = (
        "_marked_up",
        "by_units",
        "context_tokens",
        "customer_id",
        "markup_ppm",
        "max_output_tokens",
        "model",
        "price_id",
        "rates",
        "worst",
    )

    def __init__(self, price: prices_pb2.Price) -> None:
        self.price_id = price.price_id
        # Whose price it is; empty for a global one.
        self.customer_id = price.customer_id
        self.model = price.model
        self.rates: cost.PriceRates = price_rates(price.rates)
        self.worst: cost.WorstRates = cost.worst_rates(self.rates)
        # Model tokens cost nothing: seconds, characters, images or requests do.
        self.by_units = not self.worst.input and not self.worst.output
        # Model tokens; 0 where unknown.
        self.max_output_tokens = price.max_output_tokens
        self.context_tokens = price.context_tokens
        self.markup_ppm = 0
        self._marked_up: dict[int, PriceView] = {}

    def marked_up(self, markup_ppm: int) -> "PriceView":
        """This price with a markup, in parts per million; the worst case has it too."""
        if markup_ppm == self.markup_ppm:
            return self
        view = self._marked_up.get(markup_ppm)
        if view is None:
            view = copy(self)
            view.markup_ppm = markup_ppm
            view.worst = cost.worst_rates(self.rates, markup_ppm)
            if len(self._marked_up) < MAX_KEPT_MARKUPS:
                self._marked_up[markup_ppm] = view
        return view

    def cost_nanousd(self, usage: cost.UsageCounts) -> int:
        """What a request costs, markup included (docs/pricing.md)."""
        return cost.cost_nanousd(self.rates, usage, self.markup_ppm)

    def __repr__(self) -> str:
        return f"PriceView({self.price_id}, {self.model})"


def price_rates(rates: prices_pb2.Rates) -> cost.PriceRates:
    """The rates of a price message. Raises KeyError where a base, step or tier lacks input or output."""
    steps = tuple(
        sorted(
            ((step.above_input_tokens, cost.resolve(_named(step.rates))) for step in rates.steps),
            key=lambda step: step[0],
        )
    )
    tiers = {tier.service_tier: price_rates(tier.rates) for tier in rates.tiers}
    return cost.PriceRates(cost.resolve(_named(rates)), steps, tiers)


def _named(rates: prices_pb2.Rates) -> dict[str, int]:
    return {name: getattr(rates, name) for name in cost.RATE_NAMES if rates.HasField(name)}


class PriceSchedule:
    """The prices of one model at one provider: the one in force, and those that follow it."""

    __slots__ = ("_change_at_s", "_current", "_entries")

    def __init__(self) -> None:
        # price id → (starts at, ends at, price), on the clock of `Clock.now_s`.
        self._entries: dict[str, tuple[float, float, PriceView]] = {}
        self._current: PriceView | None = None
        self._change_at_s = -inf

    def put(self, price: prices_pb2.Price, now_s: float) -> None:
        """Adds a price, or replaces what was known of it."""
        starts_at_s = now_s + duration_s(price.starts_in) if price.HasField("starts_in") else -inf
        ends_at_s = now_s + duration_s(price.ends_in) if price.HasField("ends_in") else inf
        self._entries[price.price_id] = (starts_at_s, ends_at_s, PriceView(price))
        self._change_at_s = -inf

    def at(self, now_s: float) -> PriceView | None:
        """The price in force; where two overlap, the one that began last."""
        if now_s >= self._change_at_s:
            self._advance(now_s)
        return self._current

    def _advance(self, now_s: float) -> None:
        self._entries = {key: entry for key, entry in self._entries.items() if entry[1] > now_s}
        begun = [entry for entry in self._entries.values() if entry[0] <= now_s]
        self._current = max(begun, key=lambda entry: entry[0])[2] if begun else None
        edges = [moment for entry in self._entries.values() for moment in entry[:2] if moment > now_s]
        self._change_at_s = min(edges, default=inf)


class PriceBook:
    """Global prices by (provider type, model), kept current by Watch."""

    __slots__ = ("_by_model", "_incoming", "_replaces", "_schedules", "version")

    def __init__(self) -> None:
        self.version = 0
        self._schedules: dict[tuple[str, str], PriceSchedule] = {}
        self._by_model: dict[str, list[PriceSchedule]] = {}
        self._incoming: list[prices_pb2.Price] = []
        self._replaces = False

    def __len__(self) -> int:
        return len(self._schedules)

    def lookup(self, provider_type: str, model: str, now_s: float) -> PriceView | None:
        """The global price in force, if the model has one.

        A model that other vendors serve under the same name (`gpt-4o` at a custom endpoint) has the dearest
        of their prices: no own price may stand for such a name.
        """
        schedule = self._schedules.get((provider_type, model))
        if schedule is not None:
            return schedule.at(now_s)
        prices = [price for named in self._by_model.get(model, ()) if (price := named.at(now_s)) is not None]
        return max(prices, key=lambda price: price.worst.input + price.worst.output, default=None)

    def apply(self, update: edge_pb2.PriceBook, now_s: float) -> None:
        """Takes a part of the book; nothing shows before the last part is here."""
        self._incoming.extend(update.prices)
        self._replaces = self._replaces or update.full
        if not update.last:
            return
        schedules = {} if self._replaces else self._schedules
        for price in self._incoming:
            key = (price.provider_type, price.model)
            schedules.setdefault(key, PriceSchedule()).put(price, now_s)
        self._schedules, self.version = schedules, update.version
        self._by_model = {}
        for (_, model), schedule in schedules.items():
            self._by_model.setdefault(model, []).append(schedule)
        self.restart()

    def restart(self) -> None:
        """Forgets parts of an update that will not be completed: the stream that carried them is gone."""
        self._incoming, self._replaces = [], False

    def has(self, provider_type: str, model: str) -> bool:
        """Whether the vendor sells the model, now or soon."""
        return (provider_type, model) in self._schedules

    def models(self) -> list[tuple[str, str]]:
        """Every (provider type, model) that has a global price."""
        return list(self._schedules)


def schedules_by_provider(
    prices: Iterable[prices_pb2.Price], now_s: float
) -> dict[tuple[str, str], PriceSchedule]:
    """A customer's own prices by (provider id, model)."""
    schedules: dict[tuple[str, str], PriceSchedule] = {}
    for price in prices:
        schedules.setdefault((price.provider_id, price.model), PriceSchedule()).put(price, now_s)
    return schedules
