"""Credentials of sessions, of API tokens, of the edges and of the local CLI: found by the SHA-256 of their
secret."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.identity import CallerKind, Identity, Role
from control.store.directory import Entry, Kind, claim, find
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row
from control.store.tables import api_tokens, credentials, customers, directory, memberships, users
from tollkeeper.errors import not_found
from tollkeeper.ids import uuid7

# A user signs in on so many devices; beyond, the oldest session ends.
MAX_SESSIONS_PER_USER = 50
_USE_NOTED_EACH = timedelta(minutes=1)


async def add(
    connection: AsyncConnection,
    customer_id: str,
    kind: CallerKind,
    secret_hash: bytes,
    user_id: str | None = None,
    acting_customer_id: str | None = None,
    ttl: timedelta | None = None,
    credential_id: str | None = None,
) -> datetime | None:
    """Makes a credential, with an id of its own unless one is given; returns when it expires."""
    credential_id = credential_id or str(uuid7())
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
    if kind is CallerKind.SESSION and user_id is not None:
        await _end_oldest(connection, customer_id, user_id)
    return expire_time


async def identify(connection: AsyncConnection, secret_hash: bytes) -> Identity | None:
    """Who holds the secret; None when it isn't known, has ended, or its user or customer is gone or
    suspended. Notes when an API token was last used, to the minute."""
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
    if kind is CallerKind.SESSION:
        return await _session(connection, entry, str(row.user_id), str(row.acting))
    if kind is CallerKind.API_TOKEN:
        return await _api_token(connection, entry, row.user_id, str(row.acting))
    return Identity(kind, entry.customer_id, credential_id=entry.target_id, operator=kind is CallerKind.CLI)


async def _session(connection: AsyncConnection, entry: Entry, user_id: str, acting: str) -> Identity | None:
    """A session's caller: its role is that in the customer it acts in; operators stay operators everywhere,
    and are back with the platform when that customer is gone or suspended."""
    roles = await _roles(connection, entry.customer_id, user_id, acting)
    if entry.customer_id not in roles:
        return None
    operator = roles[entry.customer_id] is Role.OPERATOR
    if acting not in roles:
        if not operator:
            return None
        acting = entry.customer_id
    return Identity(
        CallerKind.SESSION,
        acting,
        user_id=user_id,
        credential_id=entry.target_id,
        role=roles[acting],
        operator=operator,
        home_customer_id=entry.customer_id,
    )


async def _api_token(
    connection: AsyncConnection, entry: Entry, user_id: str | None, acting: str
) -> Identity | None:
    """A token's caller: never more than its maker is at this moment. The local command line's token, which no
    user made, is what it was made as."""
    of_token = api_tokens.c.customer_id == acting, api_tokens.c.api_token_id == entry.target_id
    active = select(customers.c.customer_id).where(customers.c.customer_id == acting, *_active())
    statement = select(api_tokens.c.role, api_tokens.c.scopes).where(*of_token, active.exists())
    token = (await connection.execute(statement)).one_or_none()
    if token is None:
        return None
    highest = Role.OPERATOR
    if user_id is not None:
        roles = await _roles(connection, entry.customer_id, str(user_id), acting)
        if entry.customer_id not in roles:
            return None
        if roles[entry.customer_id] is not Role.OPERATOR:
            highest = roles[acting]
    role = min(Role(token.role), highest)
    last_use = api_tokens.c.last_use_time
    due = or_(last_use.is_(None), last_use < func.now() - _USE_NOTED_EACH)
    await connection.execute(update(api_tokens).where(*of_token, due).values(last_use_time=func.now()))
    return Identity(
        CallerKind.API_TOKEN,
        acting,
        user_id=str(user_id or ""),
        credential_id=entry.target_id,
        role=role,
        operator=role is Role.OPERATOR,
        home_customer_id=entry.customer_id if user_id else "",
        scopes=frozenset(token.scopes) or None,
    )


async def _roles(
    connection: AsyncConnection, home_customer_id: str, user_id: str, acting: str
) -> dict[str, Role]:
    """The user's roles at home and where it acts, as far as the user and those customers are active."""
    live_user = select(users.c.user_id).where(
        users.c.customer_id == home_customer_id,
        users.c.user_id == user_id,
        users.c.delete_time.is_(None),
        users.c.suspended.is_(False),
    )
    active_customers = select(customers.c.customer_id).where(
        customers.c.customer_id.in_([home_customer_id, acting]), *_active()
    )
    statement = select(memberships.c.customer_id, memberships.c.role).where(
        memberships.c.user_id == user_id,
        memberships.c.customer_id.in_(active_customers),
        live_user.exists(),
    )
    return {str(row.customer_id): Role(row.role) for row in (await connection.execute(statement)).all()}


def _active() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return customers.c.delete_time.is_(None), customers.c.suspended.is_(False)


async def load_session(connection: AsyncConnection, customer_id: str, user_id: str, session_id: str) -> Row:
    """An open session of a user with the customer it acts in: customer_id, role, slug, plan. Raises
    NOT_FOUND."""
    statement = _sessions(customer_id, user_id).where(credentials.c.credential_id == session_id)
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("session", session_id)
    return row


async def list_sessions(
    connection: AsyncConnection, customer_id: str, user_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """A user's open sessions, newest first."""
    statement = _sessions(customer_id, user_id)
    if after is not None:
        statement = statement.where(credentials.c.credential_id < after)
    return await fetch_all(connection, statement.order_by(credentials.c.credential_id.desc()).limit(limit))


def _sessions(customer_id: str, user_id: str) -> Select[Any]:
    acting = func.coalesce(credentials.c.acting_customer_id, credentials.c.customer_id)
    member = and_(memberships.c.customer_id == acting, memberships.c.user_id == credentials.c.user_id)
    columns = credentials.c.credential_id, credentials.c.create_time, credentials.c.expire_time
    of_customer = customers.c.customer_id, customers.c.slug, customers.c.plan, memberships.c.role
    return (
        select(*columns, *of_customer)
        .join(customers, customers.c.customer_id == acting)
        .outerjoin(memberships, member)
        .where(
            credentials.c.customer_id == customer_id,
            credentials.c.user_id == user_id,
            credentials.c.kind == CallerKind.SESSION,
            or_(credentials.c.expire_time.is_(None), credentials.c.expire_time > func.now()),
        )
    )


async def end(connection: AsyncConnection, customer_id: str, credential_id: str) -> None:
    """Ends one credential."""
    await _end(connection, customer_id, credentials.c.credential_id == credential_id)


async def end_all_of_user(connection: AsyncConnection, customer_id: str, user_id: str) -> None:
    """Ends whatever a user holds: sessions and API tokens."""
    await _end(connection, customer_id, credentials.c.user_id == user_id)


async def end_sessions(
    connection: AsyncConnection, customer_id: str, user_id: str, kept_id: str | None = None
) -> None:
    """Signs a user out everywhere, but for the session `kept_id`."""
    conditions = [credentials.c.user_id == user_id, credentials.c.kind == CallerKind.SESSION]
    if kept_id is not None:
        conditions.append(credentials.c.credential_id != kept_id)
    await _end(connection, customer_id, *conditions)


async def end_expired_tokens(connection: AsyncConnection, customer_id: str) -> None:
    """Removes what is left of API tokens that expired; sessions go when their user signs in again."""
    expired = credentials.c.expire_time < func.now()
    await _end(connection, customer_id, credentials.c.kind == CallerKind.API_TOKEN, expired)


async def end_all(connection: AsyncConnection, customer_id: str) -> None:
    """Signs everybody of a customer out."""
    await _end(connection, customer_id)


async def _end_oldest(connection: AsyncConnection, customer_id: str, user_id: str) -> None:
    """Drops a user's expired sessions, and the oldest of too many."""
    sessions = credentials.c.user_id == user_id, credentials.c.kind == CallerKind.SESSION
    newest = (
        select(credentials.c.credential_id)
        .where(credentials.c.customer_id == customer_id, *sessions)
        .order_by(credentials.c.credential_id.desc())
        .limit(MAX_SESSIONS_PER_USER)
    )
    over = or_(credentials.c.expire_time < func.now(), credentials.c.credential_id.not_in(newest))
    await _end(connection, customer_id, *sessions, over)


async def _end(connection: AsyncConnection, customer_id: str, *conditions: ColumnElement[bool]) -> None:
    """No ledger entry refers to a credential, so ended ones are removed."""
    statement = delete(credentials).where(credentials.c.customer_id == customer_id, *conditions)
    ended = await connection.execute(statement.returning(credentials.c.secret_hash))
    values = [bytes(row.secret_hash).hex() for row in ended]
    if values:
        await connection.execute(
            delete(directory).where(directory.c.kind == Kind.CREDENTIAL_HASH, directory.c.value.in_(values))
        )
