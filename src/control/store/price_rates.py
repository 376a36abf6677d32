"""Rates by price id. A price row is never edited, so what was read once holds."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection

from sqlalchemy import select

from control.domain.prices import price_rates
from control.store.database import Database
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, prices
from tollkeeper.cost import PriceRates

CAPACITY = 50_000
# A batch of many customers that are new here must not take all connections.
MAX_READS = 4


class PriceRatesCache:
    """Rates of prices, and which customers exist: what settling must know beside the record."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rates: OrderedDict[tuple[str, str], PriceRates] = OrderedDict()
        self._customers: OrderedDict[str, None] = OrderedDict()
        self._reads = asyncio.Semaphore(MAX_READS)

    async def rates(self, customer_id: str, price_ids: Collection[str]) -> dict[str, PriceRates]:
        """Rates of those prices that exist for this customer."""
        missing = [price_id for price_id in price_ids if (customer_id, price_id) not in self._rates]
        if missing:
            await self._load(customer_id, missing)
        return {
            price_id: self._rates[customer_id, price_id]
            for price_id in price_ids
            if (customer_id, price_id) in self._rates
        }

    async def customer_exists(self, customer_id: str) -> bool:
        """Whether there is or was such a customer; a deleted one still gets its bills."""
        if customer_id not in self._customers:
            async with self._reads, self._database.read() as connection:
                found = await connection.execute(
                    select(customers.c.customer_id).where(customers.c.customer_id == customer_id)
                )
                if found.first() is None:
                    return False
            self._customers[customer_id] = None
            _trim(self._customers)
        return True

    async def _load(self, customer_id: str, price_ids: Collection[str]) -> None:
        async with self._reads, self._database.read() as connection:
            found = await connection.execute(
                select(prices.c.price_id, prices.c.rates).where(
                    prices.c.customer_id.in_([customer_id, PLATFORM_CUSTOMER_ID]),
                    prices.c.price_id.in_(list(price_ids)),
                )
            )
            for row in found:
                self._rates[customer_id, row.price_id] = price_rates(row.rates)
        _trim(self._rates)


def _trim(cache: "OrderedDict[tuple[str, str], PriceRates] | OrderedDict[str, None]") -> None:
    while len(cache) > CAPACITY:
        cache.popitem(last=False)
