"""Rows of virtual keys, with their owners' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.budgets import Scope
from control.store import directory
from control.store.fetch import fetch_all, fetch_optional
from control.store.resources import change_row, insert_row
from control.store.rows import Row
from control.store.tables import keys, rollups, team_members, teams, users
from tollkeeper.errors import not_found
from tollkeeper.ids import is_uuid, uuid7

# Beside the key's own columns, rows that are read here have user_email, user_name and team_name.


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys a list holds. `include_team_keys`: beside the user's also those of its teams. `visible_to`:
    only keys of this user and of its teams."""

    user_id: str = ""
    include_team_keys: bool = False
    team_id: str = ""
    show_revoked: bool = False
    visible_to: str = ""


async def insert_key(connection: AsyncConnection, customer_id: str, key_hash: bytes, values: Row) -> str:
    """A new key, findable by its hash; returns the id."""
    key_id = str(uuid7())
    identified = {"customer_id": customer_id, "key_id": key_id, "key_hash": key_hash}
    await insert_row(connection, keys, {**values, **identified})
    owner = directory.Entry(customer_id, key_id)
    await directory.claim(connection, directory.Kind.KEY_HASH, key_hash.hex(), owner, "key")
    return key_id


async def find_key(connection: AsyncConnection, name: str, customer_id: str = "") -> tuple[str, str] | None:
    """Customer and id of the key with this id, or with this SHA-256 in hex of a secret that works, or did
    until the key was revoked; of this customer, where given.

    An id without a customer goes through the primary keys of all customers; only operators ask so, by hand.
    """
    if not is_uuid(name):
        entry = await directory.find(connection, directory.Kind.KEY_HASH, name.lower())
        if entry is None or customer_id not in ("", entry.customer_id):
            return None
        live = exists().where(
            keys.c.customer_id == entry.customer_id,
            keys.c.key_id == entry.target_id,
            or_(keys.c.key_hash == bytes.fromhex(name), keys.c.previous_expire_time > func.now()),
        )
        found = (await connection.execute(select(live))).scalar_one()
        return (entry.customer_id, entry.target_id) if found else None
    statement = select(keys.c.customer_id, keys.c.key_id).where(keys.c.key_id == name)
    if customer_id:
        statement = statement.where(keys.c.customer_id == customer_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else (row.customer_id, row.key_id)


async def load_key(connection: AsyncConnection, customer_id: str, key_id: str) -> Row:
    """A key, revoked or not. Raises NOT_FOUND."""
    statement = _with_owners().where(keys.c.customer_id == customer_id, keys.c.key_id == key_id)
    row = await fetch_optional(connection, statement)
    if row is None:
        raise not_found("key", key_id)
    return row


async def list_keys(
    connection: AsyncConnection, customer_id: str, after: str | None, limit: int, chosen: KeyFilter
) -> Sequence[Row]:
    """Keys in the order they were made."""
    conditions: list[ColumnElement[bool]] = [keys.c.customer_id == customer_id]
    if chosen.user_id and chosen.include_team_keys:
        conditions.append(_reached_by(chosen.user_id))
    elif chosen.user_id:
        conditions.append(keys.c.user_id == chosen.user_id)
    if chosen.team_id:
        conditions.append(keys.c.team_id == chosen.team_id)
    if not chosen.show_revoked:
        conditions.append(keys.c.revoke_time.is_(None))
    if chosen.visible_to:
        conditions.append(_reached_by(chosen.visible_to))
    if after is not None:
        conditions.append(keys.c.key_id > after)
    statement = _with_owners().where(*conditions).order_by(keys.c.key_id).limit(limit)
    return await fetch_all(connection, statement)


async def update_key(
    connection: AsyncConnection, customer_id: str, key_id: str, values: Mapping[str, Any]
) -> None:
    """Changes the named columns."""
    await change_row(connection, keys, customer_id, key_id, values)


async def rotate_key(
    connection: AsyncConnection, row: Row, key_hash: bytes, prefix: str, until: datetime
) -> None:
    """Another secret; the present one becomes the previous, until then. One that was the previous before is
    forgotten."""
    customer_id, key_id = row["customer_id"], row["key_id"]
    if row["previous_key_hash"] is not None:
        await directory.release(connection, directory.Kind.KEY_HASH, row["previous_key_hash"].hex())
    owner = directory.Entry(customer_id, key_id)
    await directory.claim(connection, directory.Kind.KEY_HASH, key_hash.hex(), owner, "key")
    values = {
        "key_hash": key_hash,
        "prefix": prefix,
        "previous_key_hash": row["key_hash"],
        "previous_prefix": row["prefix"],
        "previous_expire_time": until,
        "rotate_time": func.now(),
    }
    await update_key(connection, customer_id, key_id, values)


async def end_previous(connection: AsyncConnection, row: Row) -> None:
    """Forgets the secret before the last rotation."""
    await directory.release(connection, directory.Kind.KEY_HASH, row["previous_key_hash"].hex())
    values = {"previous_key_hash": None, "previous_prefix": "", "previous_expire_time": None}
    await update_key(connection, row["customer_id"], row["key_id"], values)


async def is_team_member(connection: AsyncConnection, customer_id: str, team_id: str, user_id: str) -> bool:
    """Whether the user belongs to the team."""
    statement = select(
        exists().where(
            team_members.c.customer_id == customer_id,
            team_members.c.team_id == team_id,
            team_members.c.user_id == user_id,
        )
    )
    return bool((await connection.execute(statement)).scalar_one())


async def check_owner(connection: AsyncConnection, customer_id: str, user_id: str, team_id: str) -> None:
    """Raises NOT_FOUND unless the user and the team that are named exist."""
    for kind, table, column, owner_id in (
        ("user", users, users.c.user_id, user_id),
        ("team", teams, teams.c.team_id, team_id),
    ):
        if not owner_id:
            continue
        if not is_uuid(owner_id):
            raise not_found(kind, owner_id)
        statement = select(
            exists().where(
                table.c.customer_id == customer_id, column == owner_id, table.c.delete_time.is_(None)
            )
        )
        if not (await connection.execute(statement)).scalar_one():
            raise not_found(kind, owner_id)


async def spend_of_keys(
    connection: AsyncConnection, customer_id: str, key_ids: Sequence[str]
) -> dict[str, int]:
    """What each key has cost since it was made, in nano-dollars, from the sums by hour."""
    if not key_ids:
        return {}
    statement = (
        select(rollups.c.value, func.sum(rollups.c.cost_nanousd))
        .where(
            rollups.c.customer_id == customer_id,
            rollups.c.dimension == int(Scope.SCOPE_KEY),
            rollups.c.value.in_(key_ids),
        )
        .group_by(rollups.c.value)
    )
    return {row[0]: int(row[1]) for row in await connection.execute(statement)}


def _reached_by(user_id: str) -> ColumnElement[bool]:
    """Keys of the user, and of the teams it is in."""
    in_team = exists().where(
        team_members.c.customer_id == keys.c.customer_id,
        team_members.c.team_id == keys.c.team_id,
        team_members.c.user_id == user_id,
    )
    return or_(keys.c.user_id == user_id, in_team)


def _with_owners() -> Select[Any]:
    return (
        select(
            keys,
            users.c.email.label("user_email"),
            users.c.name.label("user_name"),
            teams.c.name.label("team_name"),
        )
        .outerjoin(users, and_(users.c.customer_id == keys.c.customer_id, users.c.user_id == keys.c.user_id))
        .outerjoin(teams, and_(teams.c.customer_id == keys.c.customer_id, teams.c.team_id == keys.c.team_id))
    )


async def ids_of_owners(
    connection: AsyncConnection, customer_id: str, user_id: str, team_ids: Sequence[str]
) -> list[str]:
    """Keys of a user or of one of these teams."""
    found = await connection.execute(
        select(keys.c.key_id).where(
            keys.c.customer_id == customer_id, or_(keys.c.user_id == user_id, keys.c.team_id.in_(team_ids))
        )
    )
    return list(found.scalars())
