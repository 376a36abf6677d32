"""How many made-up values a day's sums tell apart."""

from datetime import UTC, datetime, timedelta

import pytest

from control.domain.rollups import OTHER, Dimension, Sum, Sums
from control.ledger import value_caps
from control.ledger.value_caps import ValueCaps
from control.store import rollups
from control.store.database import Database
from tollkeeper.ids import uuid7

CUSTOMER = str(uuid7())
HOUR = datetime(2026, 3, 1, 10, tzinfo=UTC)


def sums(*values: str, dimension: Dimension = Dimension.TAG, hour: datetime = HOUR) -> Sums:
    """One request for each value."""
    made = Sums()
    for value in values:
        made.count_value((int(dimension), value, hour), Sum(request_count=1, cost_nanousd=10))
    return made


async def capped(caps: ValueCaps, database: Database, wanted: Sums) -> dict[str, int]:
    """Requests by value after the cap; they are in the database then."""
    async with database.write() as connection:
        result = await caps.cap(connection, CUSTOMER, wanted)
        await rollups.add(connection, CUSTOMER, result)
    return {value: amount.request_count for (_, value, _), amount in result.items()}


async def test_values_beyond_the_cap_are_summed_together(database: Database) -> None:
    """The first ones of a day keep their names all day; nothing is lost from the total."""
    caps = ValueCaps(2)
    assert await capped(caps, database, sums("a", "b", "c", "d")) == {"a": 1, "b": 1, OTHER: 2}
    later = HOUR + timedelta(hours=13)
    assert await capped(caps, database, sums("d", "b", hour=later)) == {"b": 1, OTHER: 1}
    tomorrow = HOUR + timedelta(days=1)
    assert await capped(caps, database, sums("d", hour=tomorrow)) == {"d": 1}


async def test_each_dimension_and_customer_has_its_own(database: Database) -> None:
    """Keys, users, teams and providers are things that exist: they are never capped."""
    caps = ValueCaps(1)
    assert await capped(caps, database, sums("a")) == {"a": 1}
    assert await capped(caps, database, sums("m", dimension=Dimension.MODEL)) == {"m": 1}
    assert await capped(caps, database, sums("k1", "k2", dimension=Dimension.KEY)) == {"k1": 1, "k2": 1}


async def test_another_replica_and_a_restart_read_what_was_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values of a day are those in the database; what is forgotten is read again."""
    assert await capped(ValueCaps(2), database, sums("a", "b")) == {"a": 1, "b": 1}
    assert await capped(ValueCaps(2), database, sums("a", "c")) == {"a": 1, OTHER: 1}
    monkeypatch.setattr(value_caps, "MAX_REMEMBERED", 1)
    caps = ValueCaps(2)
    for _ in range(2):
        assert await capped(caps, database, sums("a", "c")) == {"a": 1, OTHER: 1}
        assert await capped(caps, database, sums("x", dimension=Dimension.END_USER)) == {"x": 1}
