"""Customers' own Cloudflare gateways: what is wanted, how far it is, and when it is tried next.

They are columns of the customer's row. `gateway_id` is the gateway's id at Cloudflare, made or to be made;
`cf_gateway_id` is what requests use, set while the gateway is ready. What happens here in the background
leaves the revision alone: an etag is about what people set.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.gateways import WANTED, GatewayState
from control.store.directory import Entry, Kind, claim, release
from control.store.fetch import fetch_all, fetch_one
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID, customers, directory

_UNDECIDED = int(GatewayState.GATEWAY_STATE_UNSPECIFIED)
_SHARED = int(GatewayState.GATEWAY_STATE_SHARED)
_READY = int(GatewayState.GATEWAY_STATE_READY)
_DELETING = int(GatewayState.GATEWAY_STATE_DELETING)
_WANTED = [int(state) for state in WANTED]


async def list_gateways(
    connection: AsyncConnection, after: str | None, limit: int, state: int = 0
) -> Sequence[Row]:
    """Customers about whose gateway something was decided, in the order they were made; those of one state
    where it is given."""
    decided = customers.c.gateway_state == state if state else customers.c.gateway_state != _UNDECIDED
    statement = select(customers).where(decided)
    if after is not None:
        statement = statement.where(customers.c.customer_id > after)
    return await fetch_all(connection, statement.order_by(customers.c.customer_id).limit(limit))


async def count_by_state(connection: AsyncConnection) -> dict[int, int]:
    """How many live customers there are in each state."""
    live = customers.c.delete_time.is_(None) | (customers.c.gateway_state == _DELETING)
    state = func.coalesce(func.nullif(customers.c.gateway_state, _UNDECIDED), _SHARED).label("state")
    statement = select(state, func.count().label("count")).where(
        live, customers.c.customer_id != PLATFORM_CUSTOMER_ID
    )
    rows = await fetch_all(connection, statement.group_by(state))
    return {row["state"]: row["count"] for row in rows}


async def undecided(connection: AsyncConnection, account_id: str, limit: int) -> Sequence[Row]:
    """Live customers that nothing was decided about yet, or for another account, oldest first, locked."""
    elsewhere = and_(customers.c.gateway_state == _READY, customers.c.gateway_account_id != account_id)
    statement = select(customers).where(
        customers.c.customer_id != PLATFORM_CUSTOMER_ID,
        customers.c.delete_time.is_(None),
        or_(customers.c.gateway_state == _UNDECIDED, elsewhere),
    )
    ordered = statement.order_by(customers.c.customer_id).limit(limit)
    return await fetch_all(connection, ordered.with_for_update(key_share=True, skip_locked=True))


async def claim_gateway_id(connection: AsyncConnection, customer_id: str, gateway_id: str) -> None:
    """Takes the id for the customer. Raises ALREADY_EXISTS when another one has it."""
    entry = Entry(customer_id, customer_id)
    await claim(connection, Kind.CF_GATEWAY_ID, gateway_id, entry, "gateway")


async def release_gateway_id(connection: AsyncConnection, gateway_id: str) -> None:
    """Nobody has the gateway any more."""
    await release(connection, Kind.CF_GATEWAY_ID, gateway_id)


async def decide(
    connection: AsyncConnection,
    customer_id: str,
    state: GatewayState,
    after: timedelta | None = timedelta(),
    **values: Any,
) -> Row:
    """What is wanted from now on, and after which time it is first tried; None: there is nothing to do. The
    row is locked."""
    statement = update(customers).where(customers.c.customer_id == customer_id)
    statement = statement.values(
        gateway_state=int(state),
        gateway_error="",
        gateway_tries=0,
        gateway_try_time=None if after is None else func.now() + after,
        **values,
    )
    return await fetch_one(connection, statement.returning(customers))


async def claim_due(
    connection: AsyncConnection, limit: int, claimed_for: timedelta, making: bool, only: str | None = None
) -> Sequence[Row]:
    """Takes what is due, so that no other replica does: the next try is put off until this one is surely
    over. Without `making` only what is to be deleted."""
    wanted = customers.c.gateway_state == _DELETING
    if making:
        wanted = or_(wanted, customers.c.gateway_state.in_(_WANTED))
    due = select(customers.c.customer_id).where(customers.c.gateway_try_time <= func.now(), wanted)
    if only is not None:
        due = due.where(customers.c.customer_id == only)
    due = due.order_by(customers.c.gateway_try_time).limit(limit)
    statement = (
        update(customers)
        .where(customers.c.customer_id.in_(due.with_for_update(key_share=True, skip_locked=True)))
        .values(gateway_tries=customers.c.gateway_tries + 1, gateway_try_time=func.now() + claimed_for)
    )
    return await fetch_all(connection, statement.returning(customers))


async def settle(connection: AsyncConnection, row: Row, after: timedelta | None, **values: Any) -> Row | None:
    """Writes what came of a claimed try; None when somebody decided otherwise meanwhile."""
    statement = update(customers).where(
        customers.c.customer_id == row["customer_id"],
        (customers.c.gateway_state == _DELETING) == (row["gateway_state"] == _DELETING),
        customers.c.gateway_tries == row["gateway_tries"],
    )
    statement = statement.values(**values, gateway_try_time=None if after is None else func.now() + after)
    rows = await fetch_all(connection, statement.returning(customers))
    return rows[0] if rows else None


async def put_off(connection: AsyncConnection, until: timedelta, values: Mapping[str, Any]) -> None:
    """Nothing that is still to be made is tried before then: the account as a whole is in the way."""
    statement = update(customers).where(
        customers.c.gateway_state.in_(_WANTED), customers.c.gateway_try_time < func.now() + until
    )
    await connection.execute(statement.values(**values, gateway_try_time=func.now() + until))


async def use_gateway(connection: AsyncConnection, customer_id: str, gateway_id: str | None) -> None:
    """Which gateway the customer's requests go through; None: the shared one."""
    statement = update(customers).where(customers.c.customer_id == customer_id)
    await connection.execute(statement.values(cf_gateway_id=gateway_id))


async def try_one_more(connection: AsyncConnection) -> None:
    """There is room in the account again: of those that went without, the oldest is tried now."""
    waiting = (
        select(customers.c.customer_id)
        .where(customers.c.gateway_state == _SHARED, customers.c.gateway_try_time.is_not(None))
        .order_by(customers.c.customer_id)
        .limit(1)
    )
    statement = update(customers).where(customers.c.customer_id.in_(waiting))
    await connection.execute(statement.values(gateway_try_time=func.now()))


async def known_gateway_ids(connection: AsyncConnection, gateway_ids: Sequence[str]) -> set[str]:
    """Which of these belong to a customer."""
    statement = select(directory.c.value).where(
        directory.c.kind == Kind.CF_GATEWAY_ID, directory.c.value.in_(gateway_ids)
    )
    return {row["value"] for row in await fetch_all(connection, statement)}
