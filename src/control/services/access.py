"""Checks that the table of roles can't express, because they depend on what a request is about."""

from control.caller import caller
from control.domain.identity import Role
from control.store.database import Connection
from control.store.keys import is_team_member
from control.store.rows import Row
from tollkeeper.errors import Reason, TollkeeperError


def sees_all() -> bool:
    """Whether the caller may reach everything of its customer; otherwise only what is its own or its teams'
    (B4)."""
    identity = caller()
    return identity.operator or (identity.role is not None and identity.role >= Role.MANAGER)


def own_role() -> Role:
    """The highest role that the caller acts with; nobody may give or touch a higher one."""
    identity = caller()
    return Role.OPERATOR if identity.operator else identity.role or Role.MEMBER


def require_operator(what: str) -> None:
    """Raises PERMISSION_DENIED unless the caller is an operator."""
    if not caller().operator:
        raise denied(f"Only operators may {what}.")


def denied(message: str) -> TollkeeperError:
    """The role of the caller doesn't allow it."""
    return TollkeeperError(Reason.PERMISSION_DENIED, message)


async def is_own(connection: Connection, row: Row) -> bool:
    """Whether a key or usage record belongs to the caller or one of its teams, or the caller sees all."""
    if sees_all():
        return True
    user_id = caller().user_id
    if not user_id:
        return False
    if row["user_id"] == user_id:
        return True
    team_id: str | None = row["team_id"]
    return team_id is not None and await is_team_member(connection, row["customer_id"], team_id, user_id)
