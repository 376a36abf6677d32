"""Rows of users, with their role in their own customer. Emails are unique over all customers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.identity import Role
from control.store import credentials
from control.store.budgets import end_budgets_of
from control.store.directory import Entry, Kind, claim, find, release
from control.store.fetch import fetch_all, fetch_one, fetch_optional
from control.store.resources import change_row, insert_row
from control.store.rows import Row
from control.store.tables import api_tokens, customers, keys, memberships, team_members, users
from control.store.teams import put_user_in_teams
from tollkeeper.errors import not_found

# Beside the user's own columns, rows that are read here have the role.


@dataclass(frozen=True, slots=True)
class Login:
    """What signing in needs. `acting_customer_id`: where the session acts."""

    customer_id: str
    user_id: str
    password_hash: str | None
    acting_customer_id: str


async def insert_user(
    connection: AsyncConnection, customer_id: str, user_id: str, role: Role, values: Row
) -> None:
    """A new user with a role. Raises ALREADY_EXISTS when the email is taken."""
    await claim(connection, Kind.EMAIL, values["email"], Entry(customer_id, user_id), "user")
    await insert_row(connection, users, {**values, "customer_id": customer_id, "user_id": user_id})
    await set_role(connection, customer_id, user_id, role)


async def set_role(connection: AsyncConnection, customer_id: str, user_id: str, role: Role) -> None:
    """Makes the user a member of the customer with this role, or changes the role."""
    statement = insert(memberships).values(customer_id=customer_id, user_id=user_id, role=int(role))
    key = [memberships.c.customer_id, memberships.c.user_id]
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_={"role": int(role)}))


async def load_user(connection: AsyncConnection, customer_id: str, user_id: str) -> Row:
    """A user, deleted or not. Raises NOT_FOUND."""
    statement = _with_role().where(users.c.customer_id == customer_id, users.c.user_id == user_id)
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("user", user_id)
    return row


async def load_live_user(connection: AsyncConnection, customer_id: str, user_id: str) -> Row:
    """A user that can be changed. Raises NOT_FOUND."""
    row = await load_user(connection, customer_id, user_id)
    if row["delete_time"] is not None:
        raise not_found("user", user_id)
    return row


async def list_users(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int, team_id: str = ""
) -> Sequence[Row]:
    """Live users in the order they were made; with `team_id` those of the team."""
    statement = _with_role().where(users.c.customer_id == customer_id, users.c.delete_time.is_(None))
    if team_id:
        of_team = select(team_members.c.user_id).where(
            team_members.c.customer_id == customer_id, team_members.c.team_id == team_id
        )
        statement = statement.where(users.c.user_id.in_(of_team))
    if after is not None:
        statement = statement.where(users.c.user_id > after)
    return await fetch_all(connection, statement.order_by(users.c.user_id).limit(limit))


async def count_with_role(connection: AsyncConnection, customer_id: str, role: Role) -> int:
    """How many live users, not suspended, have the role. Exact under the customer's lock."""
    statement = select(func.count()).select_from(
        _with_role()
        .where(
            users.c.customer_id == customer_id,
            users.c.delete_time.is_(None),
            users.c.suspended.is_(False),
            memberships.c.role == int(role),
        )
        .subquery()
    )
    return int((await connection.execute(statement)).scalar_one())


async def update_user(
    connection: AsyncConnection, customer_id: str, user_id: str, values: Mapping[str, Any]
) -> None:
    """Changes the named columns."""
    await change_row(connection, users, customer_id, user_id, values)


async def delete_user(connection: AsyncConnection, row: Row, now: datetime) -> None:
    """Ends a user and its budgets: signed out everywhere, in no team, and the keys are their teams' or the
    customer's alone."""
    customer_id, user_id = row["customer_id"], row["user_id"]
    await release(connection, Kind.EMAIL, row["email"])
    await credentials.end_all_of_user(connection, customer_id, user_id)
    made = api_tokens.c.home_customer_id == customer_id, api_tokens.c.user_id == user_id
    live = api_tokens.c.revoke_time.is_(None)
    await connection.execute(update(api_tokens).where(*made, live).values(revoke_time=now))
    await put_user_in_teams(connection, customer_id, user_id, ())
    # Another chain of budgets for these keys (L3).
    await connection.execute(
        update(keys)
        .where(keys.c.customer_id == customer_id, keys.c.user_id == user_id)
        .values(user_id=None, chain_version=keys.c.chain_version + 1, revision=keys.c.revision + 1)
    )
    await connection.execute(delete(memberships).where(memberships.c.user_id == user_id))
    await end_budgets_of(connection, customer_id, user_id, now)
    await change_row(connection, users, customer_id, user_id, {"delete_time": now, "password_hash": None})


async def find_login(connection: AsyncConnection, email: str) -> Login | None:
    """The user who may sign in with this email: there, and its customer too, and neither suspended."""
    entry = await find(connection, Kind.EMAIL, email)
    if entry is None:
        return None
    statement = (
        select(users.c.password_hash)
        .join(customers, customers.c.customer_id == users.c.customer_id)
        .where(
            users.c.customer_id == entry.customer_id,
            users.c.user_id == entry.target_id,
            users.c.delete_time.is_(None),
            users.c.suspended.is_(False),
            customers.c.delete_time.is_(None),
            customers.c.suspended.is_(False),
        )
    )
    row = await fetch_optional(connection, statement)
    if row is None:
        return None
    acting = await _acting_customer(connection, entry)
    return Login(entry.customer_id, entry.target_id, row["password_hash"], acting)


async def _acting_customer(connection: AsyncConnection, entry: Entry) -> str:
    """The customer of another membership (an operator's demo customer), else the user's own."""
    statement = (
        select(memberships.c.customer_id)
        .join(customers, customers.c.customer_id == memberships.c.customer_id)
        .where(
            memberships.c.user_id == entry.target_id,
            memberships.c.customer_id != entry.customer_id,
            customers.c.delete_time.is_(None),
        )
        .order_by(memberships.c.create_time)
        .limit(1)
    )
    row = await fetch_optional(connection, statement)
    return entry.customer_id if row is None else str(row["customer_id"])


async def plan_of(connection: AsyncConnection, customer_id: str) -> tuple[str, str]:
    """Slug and plan of a customer."""
    columns = customers.c.slug, customers.c.plan
    row = await fetch_one(connection, select(*columns).where(customers.c.customer_id == customer_id))
    return str(row["slug"]), str(row["plan"])


def _with_role() -> Select[Any]:
    own = and_(memberships.c.customer_id == users.c.customer_id, memberships.c.user_id == users.c.user_id)
    return select(users, memberships.c.role).outerjoin(memberships, own)
