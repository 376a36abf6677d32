"""Answers of creating calls, kept so that a repeated call changes nothing (AIP-155)."""

from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.tables import request_ids
from tollkeeper.errors import Reason, TollkeeperError

KEPT = timedelta(hours=24)
_PURGED_AT_ONCE = 100


async def begin(
    connection: AsyncConnection, customer_id: str, request_id: str, method: str, digest: bytes
) -> bytes | None:
    """The answer stored for this id; None the first time, and then the caller acts and calls `finish`.

    Waits for a transaction that is at it with the same id. Raises REQUEST_ID_REUSED for another request under
    the id.
    """
    await _purge(connection)
    statement = insert(request_ids).values(
        customer_id=customer_id, request_id=request_id, method=method, digest=digest, response=b""
    )
    first = await connection.execute(statement.on_conflict_do_nothing().returning(request_ids.c.request_id))
    if first.first() is not None:
        return None
    columns = request_ids.c.method, request_ids.c.digest, request_ids.c.response
    known = (await connection.execute(select(*columns).where(*_is(customer_id, request_id)))).one()
    if known.method != method or known.digest != digest:
        raise TollkeeperError(
            Reason.REQUEST_ID_REUSED,
            f"The request id {request_id!r} was used with another request.",
            {"request_id": request_id},
        )
    return bytes(known.response)


async def finish(connection: AsyncConnection, customer_id: str, request_id: str, response: bytes) -> None:
    """Stores the answer, in the transaction that made the change."""
    await connection.execute(
        update(request_ids).where(*_is(customer_id, request_id)).values(response=response)
    )


def _is(customer_id: str, request_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return request_ids.c.customer_id == customer_id, request_ids.c.request_id == request_id


async def _purge(connection: AsyncConnection) -> None:
    """A few old ones each time: no job is needed, and no call pays for many."""
    old = (
        select(request_ids.c.customer_id, request_ids.c.request_id)
        .where(request_ids.c.create_time < func.now() - KEPT)
        .limit(_PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    rows = (await connection.execute(old)).all()
    for row in rows:
        await connection.execute(delete(request_ids).where(*_is(row.customer_id, row.request_id)))
