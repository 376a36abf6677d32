"""How many different end users, tags and models a customer may have in a day's sums.

Apps make these values up. Those beyond the cap are summed under one name, so that no customer can grow the
sums without bound. Each replica counts by itself: with several, a day may have up to as many times the cap.
"""

from collections import OrderedDict
from datetime import datetime

from control.domain.rollups import MADE_UP, OTHER, Sums
from control.store import rollups
from control.store.database import Connection

MAX_VALUES_PER_DAY = 1000
# Values remembered over all customers; the day that wasn't asked for longest is forgotten, and read again.
MAX_REMEMBERED = 500_000

_Day = tuple[str, int, datetime]


class ValueCaps:
    """The values that each customer's days are told apart by."""

    def __init__(self, most: int = MAX_VALUES_PER_DAY) -> None:
        self._most = most
        self._days: OrderedDict[_Day, set[str]] = OrderedDict()
        self._remembered = 0

    async def cap(self, connection: Connection, customer_id: str, sums: Sums) -> Sums:
        """The same sums, with values beyond the cap under OTHER."""
        capped = Sums()
        for (dimension, value, hour), amount in sums.items():
            if dimension in MADE_UP:
                known = await self._known(connection, customer_id, dimension, hour)
                if value not in known and not self._admit(known, value):
                    value = OTHER
            capped.count_value((dimension, value, hour), amount)
        return capped

    def _admit(self, known: set[str], value: str) -> bool:
        if len(known) >= self._most:
            return False
        known.add(value)
        self._remembered += 1
        return True

    async def _known(
        self, connection: Connection, customer_id: str, dimension: int, hour: datetime
    ) -> set[str]:
        day = customer_id, dimension, hour.replace(hour=0)
        known = self._days.get(day)
        if known is None:
            known = await rollups.values_of_day(connection, *day, self._most)
            self._days[day] = known
            self._remembered += len(known)
            while self._remembered > MAX_REMEMBERED and len(self._days) > 1:
                self._remembered -= len(self._days.popitem(last=False)[1])
        self._days.move_to_end(day)
        return known
