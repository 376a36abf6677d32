"""UsersService: the people of a customer, and what they may do."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from control.caller import caller
from control.domain.identity import Role
from control.domain.key_limits import RATES, check_rate_limits
from control.domain.passwords import check_password, hash_password, random_password
from control.services.access import denied, own_role, sees_all
from control.services.audit import record_change
from control.services.convert import (
    check_etag,
    checked_email,
    checked_name,
    etag,
    masked_fields,
    resource_id,
    timestamp,
)
from control.services.once import once
from control.services.paging import page_of
from control.services.password_checks import PasswordChecks
from control.services.scope import scoped_customer
from control.store import users as store
from control.store.credentials import end_sessions
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.teams import load_team, put_user_in_teams, teams_of_users
from control.store.versions import customer_changed
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import uuid7
from tollkeeper.v1 import users_pb2, users_pb2_grpc

User = users_pb2.User

MAX_TEAMS_PER_USER = 100
_CHANGEABLE = ("name", "role", "suspended", "team_ids", *RATES)


class UsersService(users_pb2_grpc.UsersServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, passwords: PasswordChecks) -> None:
        self._database = database
        self._passwords = passwords

    async def CreateUser(self, request: users_pb2.CreateUserRequest, context: object) -> User:
        """A new user, with a password or without (who then can't sign in)."""
        password_hash = None
        if request.password:
            check_password(request.password)
            password_hash = await asyncio.to_thread(hash_password, request.password)

        async def work(connection: Connection) -> User:
            customer_id = await scoped_customer(connection, request.user.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                User,
                lambda: self._create(connection, customer_id, request.user, password_hash),
            )

        return await self._database.write_again(work)

    async def GetUser(self, request: users_pb2.GetUserRequest, context: object) -> User:
        """A user, deleted ones too. Members see only themselves."""
        user_id = resource_id("user", request.user_id)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            if not sees_all() and user_id != caller().user_id:
                raise not_found("user", user_id)
            return await _load(connection, customer_id, user_id)

    async def ListUsers(
        self, request: users_pb2.ListUsersRequest, context: object
    ) -> users_pb2.ListUsersResponse:
        """Live users, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            team_id = resource_id("team", request.team_id) if request.team_id else ""
            if team_id:
                await load_team(connection, customer_id, team_id)
            rows = await store.list_users(connection, customer_id, page.after, page.size + 1, team_id)
            shown = rows[: page.size]
            teams = await teams_of_users(connection, customer_id, [row["user_id"] for row in shown])
        return users_pb2.ListUsersResponse(
            users=[user_message(row, teams[row["user_id"]]) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["user_id"]) if shown else "",
        )

    async def UpdateUser(self, request: users_pb2.UpdateUserRequest, context: object) -> User:
        """Changes the masked fields. Suspending signs out and stops the user's keys at once."""
        sent = request.user
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)
        user_id = resource_id("user", sent.user_id)

        async def work(connection: Connection) -> User:
            customer_id = await scoped_customer(connection, sent.customer_id)
            await lock_customer(connection, customer_id)
            row = await store.load_live_user(connection, customer_id, user_id)
            check_etag(sent.etag, row["revision"])
            check_outranks(row)
            before = await _load(connection, customer_id, user_id)
            if "role" in fields:
                role = checked_role(sent.role, customer_id)
                await _check_not_last(connection, row, leaves=role != row["role"])
                await store.set_role(connection, customer_id, user_id, role)
            if "suspended" in fields:
                # Operators may suspend a customer's last owner, and resume it.
                of_operator = caller().operator and row["role"] != Role.OPERATOR
                await _check_not_last(connection, row, leaves=sent.suspended and not of_operator)
            if "team_ids" in fields:
                await put_user_in_teams(connection, customer_id, user_id, _team_ids(sent))
            await store.update_user(connection, customer_id, user_id, _columns(sent, fields))
            message = await _load(connection, customer_id, user_id)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id, urgent="suspended" in fields)
            return message

        return await self._database.write_again(work)

    async def DeleteUser(self, request: users_pb2.DeleteUserRequest, context: object) -> User:
        """Ends a user; keys stay with their team, or with the customer."""
        user_id = resource_id("user", request.user_id)

        async def work(connection: Connection) -> User:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            row = await store.load_live_user(connection, customer_id, user_id)
            check_etag(request.etag, row["revision"])
            check_outranks(row)
            await _check_not_last(connection, row, leaves=True)
            before = await _load(connection, customer_id, user_id)
            await store.delete_user(connection, row, await transaction_time(connection))
            message = await _load(connection, customer_id, user_id)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def ChangePassword(self, request: users_pb2.ChangePasswordRequest, context: object) -> User:
        """The caller's own; its other sessions end."""
        identity = caller()
        if not identity.user_id:
            raise invalid("The caller is no user: it has no password.")
        home, user_id = identity.home_customer_id, identity.user_id
        if not request.old_password:
            raise invalid("old_password is needed.", field="old_password")
        check_password(request.new_password, "new_password")
        async with self._database.read() as connection:
            row = await store.load_live_user(connection, home, user_id)
        await self._passwords.check(f"change {user_id}", "", request.old_password, row["password_hash"])
        password_hash = await asyncio.to_thread(hash_password, request.new_password)

        async def work(connection: Connection) -> User:
            return await _set_password(connection, home, user_id, password_hash, identity.credential_id)

        return await self._database.write_again(work)

    async def ResetPassword(
        self, request: users_pb2.ResetPasswordRequest, context: object
    ) -> users_pb2.ResetPasswordResponse:
        """Somebody else's, given or made; all sessions of the user end."""
        user_id = resource_id("user", request.user_id)
        if user_id == caller().user_id:
            raise invalid("Change your own password with the old one.", field="user_id")
        password = request.password or random_password()
        check_password(password)
        password_hash = await asyncio.to_thread(hash_password, password)

        async def work(connection: Connection) -> User:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            check_outranks(await store.load_live_user(connection, customer_id, user_id))
            return await _set_password(connection, customer_id, user_id, password_hash)

        user = await self._database.write_again(work)
        made = "" if request.password else password
        return users_pb2.ResetPasswordResponse(user=user, password=made)

    async def _create(
        self, connection: Connection, customer_id: str, sent: User, password_hash: str | None
    ) -> User:
        await lock_customer(connection, customer_id)
        user_id = str(uuid7())
        values = {
            "email": checked_email(sent.email),
            "name": checked_name(sent.name) if sent.name else "",
            "suspended": sent.suspended,
            "password_hash": password_hash,
            **check_rate_limits(sent),
        }
        role = checked_role(sent.role or users_pb2.ROLE_MEMBER, customer_id)
        await store.insert_user(connection, customer_id, user_id, role, values)
        await put_user_in_teams(connection, customer_id, user_id, _team_ids(sent))
        message = await _load(connection, customer_id, user_id)
        secrets = ("password",) if password_hash else ()
        await record_change(connection, customer_id, None, message, secrets)
        await customer_changed(connection, customer_id)
        return message


async def _set_password(
    connection: Connection, customer_id: str, user_id: str, password_hash: str, kept_id: str | None = None
) -> User:
    before = await _load(connection, customer_id, user_id)
    await store.update_user(connection, customer_id, user_id, {"password_hash": password_hash})
    await end_sessions(connection, customer_id, user_id, kept_id)
    user = await _load(connection, customer_id, user_id)
    await record_change(connection, customer_id, before, user, ("password",))
    return user


async def _load(connection: Connection, customer_id: str, user_id: str) -> User:
    row = await store.load_user(connection, customer_id, user_id)
    teams = await teams_of_users(connection, customer_id, [user_id])
    return user_message(row, teams[user_id])


def _columns(sent: User, fields: frozenset[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "name" in fields:
        values["name"] = checked_name(sent.name) if sent.name else ""
    if "suspended" in fields:
        values["suspended"] = sent.suspended
    return values | check_rate_limits(sent, fields)


def _team_ids(sent: User) -> list[str]:
    if len(sent.team_ids) > MAX_TEAMS_PER_USER:
        raise invalid(f"A user is in at most {MAX_TEAMS_PER_USER} teams.", field="team_ids")
    return sorted({resource_id("team", team_id) for team_id in sent.team_ids})


def checked_role(value: int, customer_id: str) -> Role:
    """A role the caller may give. Nobody gives a higher one than the own; operators are the platform's
    alone."""
    try:
        role = Role(value)
    except ValueError:
        raise invalid("role isn't one.", field="role") from None
    if role is Role.OPERATOR and customer_id != PLATFORM_CUSTOMER_ID:
        raise invalid("Only the platform's own customer has operators.", field="role")
    if role > own_role():
        raise denied("The caller can't give a higher role than its own.")
    return role


def check_outranks(row: Row) -> None:
    """Raises PERMISSION_DENIED when the user of this row has a higher role than the caller."""
    if (row["role"] or 0) > own_role():
        raise denied("The caller can't change somebody with a higher role.")


async def _check_not_last(connection: Connection, row: Row, leaves: bool) -> None:
    """Somebody has to run the platform, and somebody to own a customer that had an owner."""
    role = row["role"]
    if not leaves or role not in (Role.OPERATOR, Role.OWNER) or row["suspended"]:
        return
    if await store.count_with_role(connection, row["customer_id"], Role(role)) <= 1:
        name = Role(role).name.lower()
        raise invalid(f"This is the last {name}.", resource="user", resource_id=row["user_id"])


async def put_in_teams(connection: Connection, row: Row, team_ids: Collection[str]) -> User:
    """Makes these the teams of a live user of a locked customer."""
    customer_id, user_id = row["customer_id"], row["user_id"]
    check_outranks(row)
    if len(team_ids) > MAX_TEAMS_PER_USER:
        raise invalid(f"A user is in at most {MAX_TEAMS_PER_USER} teams.", field="team_ids")
    before = await _load(connection, customer_id, user_id)
    await put_user_in_teams(connection, customer_id, user_id, team_ids)
    await store.update_user(connection, customer_id, user_id, {})
    user = await _load(connection, customer_id, user_id)
    await record_change(connection, customer_id, before, user)
    await customer_changed(connection, customer_id)
    return user


def role_name(role: int | None) -> str:
    """The contract's name of a stored role; unspecified for users who lost theirs with their account."""
    return users_pb2.Role.Name(int(role or 0))


def user_message(row: Row, team_ids: Sequence[str]) -> User:
    """The message of a user's row."""
    return User(
        user_id=row["user_id"],
        customer_id=row["customer_id"],
        email=row["email"],
        name=row["name"],
        role=role_name(row["role"]),
        suspended=row["suspended"],
        team_ids=team_ids,
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        max_concurrent_requests=row["max_concurrent_requests"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
