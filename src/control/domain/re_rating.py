"""What requests cost at the prices in force now, instead of those they were booked at (docs/pricing.md)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict

from control.domain.prices import price_rates
from control.domain.records import REPORTED, usage_counts
from tollkeeper.cost import PriceRates, cost_nanousd, worst_rates
from tollkeeper.v1 import edge_pb2

# As rows of the request log keep them: edge.proto Attempt by field name.
AttemptRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PriceInForce:
    """A price that can be booked."""

    price_id: str
    rates: PriceRates


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attempts are booked again; empty: all."""

    provider_type: str = ""
    model: str = ""

    def takes(self, attempt: AttemptRow) -> bool:
        """Whether an attempt is one of them, and was reported: estimates and voids have no price."""
        return (
            attempt.get("state") == REPORTED
            and (not self.provider_type or attempt.get("provider_type") == self.provider_type)
            and (not self.model or attempt.get("model") == self.model)
        )


@dataclass(frozen=True, slots=True)
class ReRated:
    """A request at today's prices. `attempts` name the prices that the cost is from."""

    cost_nanousd: int
    attempts: list[dict[str, Any]]


class PricesInForce:
    """All prices of a moment, and which of them applies: as at the edge (docs/pricing.md)."""

    def __init__(self, global_rows: Iterable[Mapping[str, Any]]) -> None:
        self._by_type: dict[tuple[str, str], PriceInForce] = {}
        self._dearest: dict[str, tuple[int, PriceInForce]] = {}
        self._own: dict[tuple[str, str], PriceInForce] = {}
        for row in global_rows:
            price = PriceInForce(row["price_id"], price_rates(row["rates"]))
            self._by_type[row["provider_type"], row["model"]] = price
            worst = worst_rates(price.rates)
            rank = worst.input + worst.output
            if row["model"] not in self._dearest or rank > self._dearest[row["model"]][0]:
                self._dearest[row["model"]] = rank, price

    def set_own(self, own_rows: Iterable[Mapping[str, Any]]) -> None:
        """The customer's own prices; those of the customer before are forgotten."""
        self._own = {
            (row["provider_id"], row["model"]): PriceInForce(row["price_id"], price_rates(row["rates"]))
            for row in own_rows
        }

    def price(self, provider_type: str, provider_id: str, model: str) -> PriceInForce | None:
        """The global price first, else the dearest of another type for the name, else the customer's own."""
        price = self._by_type.get((provider_type, model))
        if price is None and model in self._dearest:
            price = self._dearest[model][1]
        return price if price is not None else self._own.get((provider_id, model))


def re_rated(
    attempts: Sequence[AttemptRow], wanted: Wanted, prices: PricesInForce, booked: Mapping[str, PriceRates]
) -> ReRated | None:
    """A request at today's prices; attempts that aren't wanted stay at those they are `booked` at. None when
    a price is missing."""
    total, rows = 0, []
    for attempt in attempts:
        row = dict(attempt)
        rows.append(row)
        if row.get("state") != REPORTED:
            continue
        price_id = row.get("price_id", "")
        rates = booked.get(price_id)
        if wanted.takes(row):
            price = prices.price(
                row.get("provider_type", ""), row.get("provider_id", ""), row.get("model", "")
            )
            rates = None if price is None else price.rates
            price_id = "" if price is None else price.price_id
        if rates is None:
            return None
        usage = ParseDict(row.get("usage", {}), edge_pb2.Usage())
        cost = cost_nanousd(rates, usage_counts(usage), row.get("markup_ppm", 0))
        row |= {"price_id": price_id, "cost_nanousd": cost}
        total += cost
    return ReRated(total, rows)
