"""Rows of teams and of who is in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control.store.budgets import end_budgets_of
from control.store.fetch import fetch_all
from control.store.resources import change_row, find_row, insert_row, list_rows
from control.store.rows import Row
from control.store.tables import keys, team_members, teams
from tollkeeper.errors import not_found


async def insert_team(connection: AsyncConnection, customer_id: str, team_id: str, values: Row) -> Row:
    """A new team."""
    return await insert_row(connection, teams, {**values, "customer_id": customer_id, "team_id": team_id})


async def load_team(connection: AsyncConnection, customer_id: str, team_id: str) -> Row:
    """A team, deleted or not. Raises NOT_FOUND."""
    row = await find_row(connection, teams, customer_id, team_id)
    if row is None:
        raise not_found("team", team_id)
    return row


async def load_live_team(connection: AsyncConnection, customer_id: str, team_id: str) -> Row:
    """A team that can be changed. Raises NOT_FOUND."""
    row = await load_team(connection, customer_id, team_id)
    if row["delete_time"] is not None:
        raise not_found("team", team_id)
    return row


async def list_teams(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Live teams in the order they were made."""
    return await list_rows(connection, teams, customer_id, after, limit, teams.c.delete_time.is_(None))


async def update_team(
    connection: AsyncConnection, customer_id: str, team_id: str, values: Mapping[str, Any]
) -> Row:
    """Changes the named columns."""
    return await change_row(connection, teams, customer_id, team_id, values)


async def delete_team(connection: AsyncConnection, customer_id: str, team_id: str, now: datetime) -> Row:
    """Ends a team and its budgets: nobody is in it any more, and its keys are their users' or the customer's
    alone."""
    of_team = team_members.c.customer_id == customer_id, team_members.c.team_id == team_id
    await connection.execute(delete(team_members).where(*of_team))
    # Another chain of budgets for these keys (L3).
    await connection.execute(
        update(keys)
        .where(keys.c.customer_id == customer_id, keys.c.team_id == team_id)
        .values(team_id=None, chain_version=keys.c.chain_version + 1, revision=keys.c.revision + 1)
    )
    await end_budgets_of(connection, customer_id, team_id, now)
    return await change_row(connection, teams, customer_id, team_id, {"delete_time": now})


async def teams_of_users(
    connection: AsyncConnection, customer_id: str, user_ids: Sequence[str]
) -> dict[str, list[str]]:
    """The ids of each user's teams, oldest first."""
    found: dict[str, list[str]] = {user_id: [] for user_id in user_ids}
    if not found:
        return found
    statement = (
        select(team_members.c.user_id, team_members.c.team_id)
        .where(team_members.c.customer_id == customer_id, team_members.c.user_id.in_(user_ids))
        .order_by(team_members.c.team_id)
    )
    for row in await fetch_all(connection, statement):
        found[row["user_id"]].append(row["team_id"])
    return found


async def put_user_in_teams(
    connection: AsyncConnection, customer_id: str, user_id: str, team_ids: Collection[str]
) -> None:
    """Makes these the user's teams, and no others. Raises NOT_FOUND for one that isn't there."""
    for team_id in sorted(team_ids):
        await load_live_team(connection, customer_id, team_id)
    of_user = team_members.c.customer_id == customer_id, team_members.c.user_id == user_id
    await connection.execute(delete(team_members).where(*of_user))
    if team_ids:
        rows = [{"customer_id": customer_id, "team_id": team_id, "user_id": user_id} for team_id in team_ids]
        await connection.execute(insert(team_members).values(rows))
