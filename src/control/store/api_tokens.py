"""Rows of API tokens. Each has a credential of the same id as long as it lives."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.identity import CallerKind
from control.store import credentials
from control.store.fetch import fetch_all, fetch_optional
from control.store.resources import insert_row
from control.store.rows import Row
from control.store.tables import api_tokens, users
from tollkeeper.errors import not_found

# Beside the token's own columns, rows that are read here have the maker's email.


async def insert_api_token(
    connection: AsyncConnection, values: Row, secret_hash: bytes, ttl: timedelta
) -> None:
    """A new token with its credential, which its maker's user holds."""
    await insert_row(connection, api_tokens, values)
    await credentials.end_expired_tokens(connection, values["home_customer_id"])
    await credentials.add(
        connection,
        values["home_customer_id"],
        CallerKind.API_TOKEN,
        secret_hash,
        user_id=values["user_id"],
        acting_customer_id=values["customer_id"],
        ttl=ttl,
        credential_id=values["api_token_id"],
    )


async def load_api_token(connection: AsyncConnection, customer_id: str, api_token_id: str) -> Row:
    """A token, ended or not. Raises NOT_FOUND."""
    statement = _with_email().where(
        api_tokens.c.customer_id == customer_id, api_tokens.c.api_token_id == api_token_id
    )
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("api_token", api_token_id)
    return row


async def list_api_tokens(
    connection: AsyncConnection,
    customer_id: str,
    after: str | None,
    limit: int,
    of_user: str | None,
    ended_too: bool,
) -> Sequence[Row]:
    """Tokens that act in a customer in the order they were made; with `of_user` that user's only."""
    statement = _with_email().where(api_tokens.c.customer_id == customer_id)
    if of_user is not None:
        statement = statement.where(api_tokens.c.user_id == of_user)
    if not ended_too:
        statement = statement.where(_is_live())
    if after is not None:
        statement = statement.where(api_tokens.c.api_token_id > after)
    return await fetch_all(connection, statement.order_by(api_tokens.c.api_token_id).limit(limit))


async def count_live(connection: AsyncConnection, customer_id: str) -> int:
    """How many tokens of the customer still work."""
    statement = select(func.count()).where(api_tokens.c.customer_id == customer_id, _is_live())
    return int((await connection.execute(statement)).scalar_one())


async def revoke_api_token(connection: AsyncConnection, row: Row, now: datetime) -> None:
    """Ends a token and its credential."""
    await connection.execute(
        update(api_tokens)
        .where(
            api_tokens.c.customer_id == row["customer_id"], api_tokens.c.api_token_id == row["api_token_id"]
        )
        .values(revoke_time=now)
    )
    await credentials.end(connection, row["home_customer_id"], row["api_token_id"])


def _is_live() -> Any:
    return and_(
        api_tokens.c.revoke_time.is_(None),
        or_(api_tokens.c.expire_time.is_(None), api_tokens.c.expire_time > func.now()),
    )


def _with_email() -> Select[Any]:
    maker = and_(
        users.c.customer_id == api_tokens.c.home_customer_id, users.c.user_id == api_tokens.c.user_id
    )
    return select(api_tokens, users.c.email.label("user_email")).outerjoin(users, maker)
