"""How often a password was given wrongly, counted over all replicas.

Bounded by what a window can hold: each attempt that isn't throttled costs a password check, of which every
replica does few a second, and rows whose window is over are removed along the way.
"""

from datetime import timedelta

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import password_failures

_REMOVED_AT_ONCE = 100


async def begin_attempt(connection: AsyncConnection, name_hash: bytes, most: int, window: timedelta) -> float:
    """Counts one more attempt of a name; returns 0 or, after `most` in a window, how long to wait in seconds.

    Counted before the password is checked, so that many at once don't get more tries.
    """
    await _remove_old(connection, window)
    old = password_failures.c.begin_time < func.now() - window
    statement = insert(password_failures).values(name_hash=name_hash, attempts=1, begin_time=func.now())
    statement = statement.on_conflict_do_update(
        index_elements=[password_failures.c.name_hash],
        set_={
            "attempts": case((old, 1), else_=password_failures.c.attempts + 1),
            "begin_time": case((old, func.now()), else_=password_failures.c.begin_time),
        },
        where=old | (password_failures.c.attempts < most),
    )
    counted = await connection.execute(statement.returning(password_failures.c.attempts))
    if counted.first() is not None:
        return 0.0
    rest = password_failures.c.begin_time + window - func.clock_timestamp()
    waiting = select(func.extract("epoch", rest)).where(password_failures.c.name_hash == name_hash)
    return max(1.0, float((await connection.execute(waiting)).scalar_one()))


async def forget(connection: AsyncConnection, name_hash: bytes) -> None:
    """The password was right."""
    await connection.execute(delete(password_failures).where(password_failures.c.name_hash == name_hash))


async def _remove_old(connection: AsyncConnection, window: timedelta) -> None:
    old = (
        select(password_failures.c.name_hash)
        .where(password_failures.c.begin_time < func.now() - 2 * window)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(password_failures).where(password_failures.c.name_hash.in_(old)))
