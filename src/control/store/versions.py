"""Versions that tell the edges what to fetch again (L3, L27)."""

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import counters, customers

CUSTOMERS_COUNTER = "customers"
PRICES_COUNTER = "prices"
NOTIFY_CHANNEL = "tollkeeper_changes"


async def raise_counter(connection: AsyncConnection, name: str) -> int:
    """The next number. Holds the row's lock until commit, so call it late in the transaction."""
    statement = insert(counters).values(name=name, value=1)
    statement = statement.on_conflict_do_update(
        index_elements=[counters.c.name], set_={"value": counters.c.value + 1}
    )
    number = (await connection.execute(statement.returning(counters.c.value))).scalar_one()
    await connection.execute(select(func.pg_notify(NOTIFY_CHANNEL, f"{name}:{number}")))
    return int(number)


async def customer_changed(connection: AsyncConnection, customer_id: str, urgent: bool = False) -> int:
    """Marks that grants of this customer are out of date; urgent ones (revoked, disabled, suspended) are
    dropped at once.

    The last thing a changing transaction does. Returns the new version.
    """
    return await customers_changed(connection, [customer_id], urgent)


async def customers_changed(
    connection: AsyncConnection, customer_ids: Sequence[str], urgent: bool = False
) -> int:
    """The same for several customers at once, whose rows the transaction has locked in order."""
    version = await raise_counter(connection, CUSTOMERS_COUNTER)
    values: dict[str, object] = {"version": version, "change_time": func.clock_timestamp()}
    if urgent:
        values["urgent_version"] = version
    changed = update(customers).where(customers.c.customer_id.in_(customer_ids))
    await connection.execute(changed.values(**values))
    return version
