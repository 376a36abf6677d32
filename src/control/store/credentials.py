"""Credentials of sessions, of the edges and of the local CLI: found by the SHA-256 of their secret."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.identity import CallerKind, Identity, Role
from control.store.directory import Entry, Kind, claim, find
from control.store.tables import credentials, customers, directory, memberships, users
from tollkeeper.ids import uuid7

# A user signs in on so many devices; beyond, the oldest session ends.
MAX_SESSIONS_PER_USER = 50


async def add(
    connection: AsyncConnection,
    customer_id: str,
    kind: CallerKind,
    secret_hash: bytes,
    user_id: str | None = None,
    acting_customer_id: str | None = None,
    ttl: timedelta | None = None,
) -> datetime | None:
    """Makes a credential; returns when it expires."""
    credential_id = str(uuid7())
    statement = insert(credentials).values(
        customer_id=customer_id,
        credential_id=credential_id,
        kind=kind,
        secret_hash=secret_hash,
        user_id=user_id,
        acting_customer_id=acting_customer_id,
        expire_time=None if ttl is None else func.now() + ttl,
    )
    entry = Entry(customer_id, credential_id)
    await claim(connection, Kind.CREDENTIAL_HASH, secret_hash.hex(), entry, "credential")
    expire_time: datetime | None = (
        await connection.execute(statement.returning(credentials.c.expire_time))
    ).scalar_one()
    if user_id is not None:
        await _end_oldest(connection, customer_id, user_id)
    return expire_time


async def identify(connection: AsyncConnection, secret_hash: bytes) -> Identity | None:
    """Who holds the secret; None when it isn't known, has ended, or its user or customer is gone or
    suspended."""
    entry = await find(connection, Kind.CREDENTIAL_HASH, secret_hash.hex())
    if entry is None:
        return None
    acting = func.coalesce(credentials.c.acting_customer_id, credentials.c.customer_id).label("acting")
    statement = select(credentials.c.kind, credentials.c.user_id, acting).where(
        credentials.c.customer_id == entry.customer_id,
        credentials.c.credential_id == entry.target_id,
        credentials.c.revoke_time.is_(None),
        or_(credentials.c.expire_time.is_(None), credentials.c.expire_time > func.now()),
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    kind = CallerKind(row.kind)
    if kind is not CallerKind.SESSION:
        return Identity(
            kind, entry.customer_id, credential_id=entry.target_id, operator=kind is CallerKind.CLI
        )
    return await _session(connection, entry, str(row.user_id), str(row.acting))


async def _session(connection: AsyncConnection, entry: Entry, user_id: str, acting: str) -> Identity | None:
    """A session's caller: its role is that in the customer it acts in; operators stay operators
    everywhere."""
    live_user = select(users.c.user_id).where(
        users.c.customer_id == entry.customer_id,
        users.c.user_id == user_id,
        users.c.delete_time.is_(None),
        users.c.suspended.is_(False),
    )
    live_customers = select(customers.c.customer_id).where(
        customers.c.customer_id.in_([entry.customer_id, acting]), customers.c.delete_time.is_(None)
    )
    statement = select(memberships.c.customer_id, memberships.c.role).where(
        memberships.c.user_id == user_id,
        memberships.c.customer_id.in_(live_customers),
        live_user.exists(),
    )
    roles = {str(row.customer_id): Role(row.role) for row in (await connection.execute(statement)).all()}
    if entry.customer_id not in roles or acting not in roles:
        return None
    return Identity(
        CallerKind.SESSION,
        acting,
        user_id=user_id,
        credential_id=entry.target_id,
        role=roles[acting],
        operator=roles[entry.customer_id] is Role.OPERATOR,
        home_customer_id=entry.customer_id,
    )


async def expire_time(connection: AsyncConnection, customer_id: str, credential_id: str) -> datetime | None:
    """When a credential ends by itself; None: never."""
    statement = select(credentials.c.expire_time).where(
        credentials.c.customer_id == customer_id, credentials.c.credential_id == credential_id
    )
    moment: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
    return moment


async def end(connection: AsyncConnection, customer_id: str, credential_id: str) -> None:
    """Ends one credential."""
    await _end(connection, customer_id, credentials.c.credential_id == credential_id)


async def end_all_of_user(connection: AsyncConnection, customer_id: str, user_id: str) -> None:
    """Signs a user out everywhere."""
    await _end(connection, customer_id, credentials.c.user_id == user_id)


async def end_all(connection: AsyncConnection, customer_id: str) -> None:
    """Signs everybody of a customer out."""
    await _end(connection, customer_id)


async def _end_oldest(connection: AsyncConnection, customer_id: str, user_id: str) -> None:
    """Drops a user's expired sessions, and the oldest of too many."""
    of_user = credentials.c.customer_id == customer_id, credentials.c.user_id == user_id
    newest = (
        select(credentials.c.credential_id)
        .where(*of_user)
        .order_by(credentials.c.credential_id.desc())
        .limit(MAX_SESSIONS_PER_USER)
    )
    over = or_(credentials.c.expire_time < func.now(), credentials.c.credential_id.not_in(newest))
    await _end(connection, customer_id, credentials.c.user_id == user_id, over)


async def _end(connection: AsyncConnection, customer_id: str, *conditions: ColumnElement[bool]) -> None:
    """No ledger entry refers to a credential, so ended ones are removed."""
    statement = delete(credentials).where(credentials.c.customer_id == customer_id, *conditions)
    ended = await connection.execute(statement.returning(credentials.c.secret_hash))
    values = [bytes(row.secret_hash).hex() for row in ended]
    if values:
        await connection.execute(
            delete(directory).where(directory.c.kind == Kind.CREDENTIAL_HASH, directory.c.value.in_(values))
        )
