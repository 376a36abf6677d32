"""Making and changing budgets, alone or together with their owner. The caller has locked the customer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from control.domain.budgets import (
    FOREVER,
    MAX_BUDGETS_PER_SCOPE,
    Period,
    check_limit,
    check_period,
    window_at,
)
from control.domain.ledger import Window
from control.services.convert import etag, timestamp
from control.store import budgets as store
from control.store.chains import ensure_window
from control.store.database import Connection
from control.store.ledger import database_now, lock_windows
from control.store.resources import raise_chain
from control.store.rows import Row
from tollkeeper.errors import invalid
from tollkeeper.v1 import budgets_pb2


async def add_budget(connection: Connection, customer_id: str, values: Row) -> str:
    """A new budget on its scope; returns its id.

    Raises NOT_FOUND for a scope that isn't there, INVALID_ARGUMENT when it has as many as it may have.
    """
    await raise_chain(connection, customer_id, values["scope"], values["scope_id"])
    if await store.count_budgets(connection, customer_id, values["scope_id"]) >= MAX_BUDGETS_PER_SCOPE:
        raise invalid(f"A scope has at most {MAX_BUDGETS_PER_SCOPE} budgets.", field="scope_id")
    return await store.insert_budget(connection, customer_id, values)


async def change_budget(connection: Connection, row: Row, values: Mapping[str, Any], now: datetime) -> None:
    """Writes the named columns of a live budget.

    The present window stays as it is, limit and spend apart from each other, and a new period acts when it
    ends. One that would never end gets the end of the new period.
    """
    customer_id, budget_id = row["customer_id"], row["budget_id"]
    period = values.get("period", row["period"])
    if row["period"] == Period.PERIOD_NONE and period != Period.PERIOD_NONE:
        _, end_time = window_at(period, row["time_zone"], now, row["create_time"])
        await store.end_endless_window(connection, customer_id, budget_id, end_time)
    await store.update_budget(connection, customer_id, budget_id, values)
    await raise_chain(connection, customer_id, row["scope"], row["scope_id"])


async def lock_current_window(connection: Connection, row: Row) -> Window:
    """The window in force of a live budget, which comes into being now if nothing was spent in it yet,
    locked."""
    customer_id, budget_id = row["customer_id"], row["budget_id"]
    now = await database_now(connection)
    key = await ensure_window(connection, customer_id, row["scope_id"], budget_id, row["time_zone"], now)
    return (await lock_windows(connection, customer_id, [key]))[key]


async def end_budget(connection: Connection, row: Row, now: datetime) -> None:
    """Tombstones a live budget; what was posted to its windows stays."""
    await store.update_budget(connection, row["customer_id"], row["budget_id"], {"delete_time": now})
    await raise_chain(connection, row["customer_id"], row["scope"], row["scope_id"])


async def set_first_budget(
    connection: Connection,
    customer_id: str,
    scope: int,
    scope_id: str,
    wanted: budgets_pb2.InitialBudget,
    now: datetime,
) -> None:
    """Changes the first budget of a scope, makes it, or without a limit removes it. A period left out
    stays."""
    present = (await store.budgets_of(connection, customer_id, [scope_id], now))[scope_id]
    if not wanted.HasField("limit_nanousd"):
        if present:
            await end_budget(connection, present[0], now)
        return
    values: dict[str, Any] = {"limit_nanousd": check_limit(wanted.limit_nanousd)}
    if not present:
        values |= {"scope": scope, "scope_id": scope_id, "period": check_period(wanted.period)}
        await add_budget(connection, customer_id, values)
        return
    if wanted.period:
        values["period"] = check_period(wanted.period)
    await change_budget(connection, present[0], values, now)


def budget_message(row: Row, now: datetime) -> budgets_pb2.Budget:
    """The message of a budget, with the window in force; before the first request that one has nothing in
    it."""
    return budgets_pb2.Budget(
        budget_id=row["budget_id"],
        customer_id=row["customer_id"],
        scope=row["scope"],
        scope_id=row["scope_id"],
        limit_nanousd=row["limit_nanousd"],
        period=row["period"],
        soft=row["soft"],
        thresholds=row["thresholds"],
        window=_window_message(row, now) if row["delete_time"] is None else None,
        top_up_nanousd=row["top_up_nanousd"] or 0,
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )


def _window_message(row: Row, now: datetime) -> budgets_pb2.Window:
    if row["window_start"] is not None:
        start, end = row["window_start"], row["window_end"]
    else:
        start, end = window_at(row["period"], row["time_zone"], now, row["create_time"], row["latest_end"])
    return budgets_pb2.Window(
        start_time=timestamp(start),
        end_time=timestamp(end) if end < FOREVER else None,
        spent_nanousd=row["spent_nanousd"] or 0,
        held_nanousd=row["held_nanousd"] or 0,
        limit_nanousd=row["limit_nanousd"] + (row["top_up_nanousd"] or 0),
    )
