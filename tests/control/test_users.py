"""UsersService over real gRPC and a real database."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, GetKeyRequest, Key
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.users_pb2 import (
    ROLE_ADMIN,
    ROLE_MANAGER,
    ROLE_MEMBER,
    ROLE_OPERATOR,
    ROLE_OWNER,
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListUsersRequest,
    UpdateUserRequest,
    User,
)


async def refused(awaitable: object) -> Reason:
    """The reason a call is refused with."""
    with pytest.raises(TollkeeperError) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.reason


async def test_life_of_a_user(control: RunningControl) -> None:
    """Created with a team, changed, deleted; then read but not listed, and the email is free again."""
    cli = await control.cli()
    await control.customer("acme")
    teams = [
        (await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name=name)))).team_id
        for name in ("one", "two")
    ]
    sent = User(customer_id="acme", email="Ann@Example.com", name="Ann", team_ids=teams[:1])
    user = await cli.users.CreateUser(CreateUserRequest(user=sent))
    assert (user.email, user.role, list(user.team_ids)) == ("ann@example.com", ROLE_MEMBER, teams[:1])

    user.role = ROLE_MANAGER
    user.name = "Ann B."
    del user.team_ids[:]
    user.team_ids.extend(teams)
    mask = FieldMask(paths=["role", "name", "team_ids"])
    changed = await cli.users.UpdateUser(UpdateUserRequest(user=user, update_mask=mask))
    assert (changed.name, changed.role, list(changed.team_ids)) == ("Ann B.", ROLE_MANAGER, teams)
    assert changed.etag != user.etag
    listed = await cli.users.ListUsers(ListUsersRequest(customer_id="acme"))
    assert list(listed.users) == [changed]

    deleted = await cli.users.DeleteUser(DeleteUserRequest(customer_id="acme", user_id=user.user_id))
    assert deleted.HasField("delete_time")
    read = await cli.users.GetUser(GetUserRequest(customer_id="acme", user_id=user.user_id))
    assert read == deleted
    assert not (await cli.users.ListUsers(ListUsersRequest(customer_id="acme"))).users
    again = await cli.users.CreateUser(CreateUserRequest(user=sent))
    assert again.user_id != user.user_id


async def test_emails_are_unique_over_all_customers(control: RunningControl) -> None:
    """The same address, in whatever case, signs in to one customer only."""
    cli = await control.cli()
    await control.customer("acme")
    await control.customer("other")
    await cli.users.CreateUser(CreateUserRequest(user=User(customer_id="acme", email="a@b.example")))
    second = CreateUserRequest(user=User(customer_id="other", email="A@B.example"))
    assert await refused(cli.users.CreateUser(second)) == Reason.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        (User(), "", Reason.INVALID_ARGUMENT),
        (User(email="no address"), "", Reason.INVALID_ARGUMENT),
        (User(email="a@b.example"), "too short", Reason.INVALID_ARGUMENT),
        (User(email="a@b.example"), "x" * 257, Reason.INVALID_ARGUMENT),
        (User(email="a@b.example", role=77), "", Reason.INVALID_ARGUMENT),
        (User(email="a@b.example", role=ROLE_OPERATOR), "", Reason.INVALID_ARGUMENT),
        (User(email="a@b.example", team_ids=["none"]), "", Reason.NOT_FOUND),
        (User(email="a@b.example", team_ids=[str(uuid7())]), "", Reason.NOT_FOUND),
    ],
)
async def test_what_no_user_can_be(
    control: RunningControl, user: User, password: str, reason: Reason
) -> None:
    """Bad addresses, passwords, roles and teams are refused, and nothing is left behind."""
    cli = await control.cli()
    await control.customer("acme")
    user.customer_id = "acme"
    request = CreateUserRequest(user=user, password=password)
    assert await refused(cli.users.CreateUser(request)) == reason
    assert not (await cli.users.ListUsers(ListUsersRequest(customer_id="acme"))).users


@pytest.mark.parametrize(
    ("fields", "paths", "reason"),
    [
        ({"name": "x" * 201}, ["name"], Reason.INVALID_ARGUMENT),
        ({"name": "a\x00b"}, ["name"], Reason.INVALID_ARGUMENT),
        ({"name": "a\nb"}, ["name"], Reason.INVALID_ARGUMENT),
        ({"role": 77}, ["role"], Reason.INVALID_ARGUMENT),
        ({"role": 0}, ["role"], Reason.INVALID_ARGUMENT),
        ({"role": ROLE_OPERATOR}, ["role"], Reason.INVALID_ARGUMENT),
        ({"team_ids": ["none"]}, ["team_ids"], Reason.NOT_FOUND),
        ({"team_ids": [str(uuid7())]}, ["team_ids"], Reason.NOT_FOUND),
        ({"team_ids": [str(uuid7()) for _ in range(101)]}, ["team_ids"], Reason.INVALID_ARGUMENT),
        ({"email": "new@example.com"}, ["email"], Reason.INVALID_ARGUMENT),
        ({"name": "n"}, ["nonsense"], Reason.INVALID_ARGUMENT),
        ({}, [], Reason.INVALID_ARGUMENT),
        ({"name": "n", "etag": '"99"'}, ["name"], Reason.ETAG_MISMATCH),
        ({"name": "n", "user_id": ""}, ["name"], Reason.INVALID_ARGUMENT),
        ({"name": "n", "user_id": "x"}, ["name"], Reason.NOT_FOUND),
        ({"name": "n", "customer_id": "nowhere"}, ["name"], Reason.NOT_FOUND),
    ],
)
async def test_changes_no_user_can_have(
    control: RunningControl, fields: dict[str, Any], paths: list[str], reason: Reason
) -> None:
    """Each field's nonsense is refused, and nothing is changed."""
    cli = await control.cli()
    await control.customer("acme")
    made = await cli.users.CreateUser(
        CreateUserRequest(user=User(customer_id="acme", email="a@b.example", name="A"))
    )
    user = User(**{"customer_id": "acme", "user_id": made.user_id, **fields})
    change = UpdateUserRequest(user=user, update_mask=FieldMask(paths=paths))
    assert await refused(cli.users.UpdateUser(change)) == reason
    assert await cli.users.GetUser(GetUserRequest(customer_id="acme", user_id=made.user_id)) == made


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"team_id": "x"}, Reason.NOT_FOUND),
        ({"team_id": str(uuid7())}, Reason.NOT_FOUND),
        ({"page_size": -1}, Reason.INVALID_ARGUMENT),
        ({"page_token": "nonsense"}, Reason.INVALID_ARGUMENT),
        ({"customer_id": "nowhere"}, Reason.NOT_FOUND),
    ],
)
async def test_lists_that_cannot_be(control: RunningControl, fields: dict[str, Any], reason: Reason) -> None:
    """By field."""
    await control.customer("acme")
    request = ListUsersRequest(**{"customer_id": "acme", **fields})
    assert await refused((await control.cli()).users.ListUsers(request)) == reason


async def test_nobody_gives_or_touches_a_higher_role(control: RunningControl) -> None:
    """An administrator can't make owners, rise to one, or change one."""
    customer = await control.customer("acme")
    admin = await control.person(customer.customer_id, Role.ADMIN)
    owner = await control.person(customer.customer_id, Role.OWNER)
    users = admin.client.users

    make_owner = CreateUserRequest(user=User(email="o@b.example", role=ROLE_OWNER))
    rise = UpdateUserRequest(
        user=User(user_id=admin.user_id, role=ROLE_OWNER), update_mask=FieldMask(paths=["role"])
    )
    suspend = UpdateUserRequest(
        user=User(user_id=owner.user_id, suspended=True), update_mask=FieldMask(paths=["suspended"])
    )
    for call in (
        users.CreateUser(make_owner),
        users.UpdateUser(rise),
        users.UpdateUser(suspend),
        users.DeleteUser(DeleteUserRequest(user_id=owner.user_id)),
    ):
        assert await refused(call) == Reason.PERMISSION_DENIED
    equal = CreateUserRequest(user=User(email="a@b.example", role=ROLE_ADMIN))
    assert (await users.CreateUser(equal)).role == ROLE_ADMIN
    assert (await owner.client.users.CreateUser(make_owner)).role == ROLE_OWNER


async def test_members_see_themselves_only(control: RunningControl) -> None:
    """For a member, colleagues are not there; for a manager they are."""
    customer = await control.customer("acme")
    member = await control.person(customer.customer_id, Role.MEMBER)
    manager = await control.person(customer.customer_id, Role.MANAGER)
    own = await member.client.users.GetUser(GetUserRequest(user_id=member.user_id))
    assert own.user_id == member.user_id
    colleague = GetUserRequest(user_id=manager.user_id)
    assert await refused(member.client.users.GetUser(colleague)) == Reason.NOT_FOUND
    assert (await manager.client.users.GetUser(colleague)).user_id == manager.user_id


async def test_last_operator_stays(control: RunningControl) -> None:
    """The platform's only operator can't be deleted, suspended or given another role; one of two can."""
    cli = await control.cli()
    [only] = (await cli.users.ListUsers(ListUsersRequest(customer_id="platform"))).users
    suspended = User(customer_id="platform", user_id=only.user_id, suspended=True)
    lowered = User(customer_id="platform", user_id=only.user_id, role=ROLE_MEMBER)
    suspend = UpdateUserRequest(user=suspended, update_mask=FieldMask(paths=["suspended"]))
    lower = UpdateUserRequest(user=lowered, update_mask=FieldMask(paths=["role"]))
    delete = DeleteUserRequest(customer_id="platform", user_id=only.user_id)
    for call in (cli.users.UpdateUser(suspend), cli.users.UpdateUser(lower), cli.users.DeleteUser(delete)):
        assert await refused(call) == Reason.INVALID_ARGUMENT
    second = User(customer_id=PLATFORM_CUSTOMER_ID, email="two@example.com", role=ROLE_OPERATOR)
    await cli.users.CreateUser(CreateUserRequest(user=second))
    assert (await cli.users.DeleteUser(delete)).HasField("delete_time")


async def test_last_owner_stays(control: RunningControl) -> None:
    """A customer's only owner isn't deleted, lowered or suspended by its people; operators may suspend it."""
    customer_id = (await control.customer("acme")).customer_id
    cli, owner = await control.cli(), await control.person(customer_id, Role.OWNER)
    named = {"customer_id": customer_id, "user_id": owner.user_id}
    lower = UpdateUserRequest(user=User(**named, role=ROLE_MEMBER))
    suspend = UpdateUserRequest(user=User(**named, suspended=True))
    delete = DeleteUserRequest(**named)
    for client in (owner.client, cli):
        assert await refused(client.users.UpdateUser(lower)) == Reason.INVALID_ARGUMENT
        assert await refused(client.users.DeleteUser(delete)) == Reason.INVALID_ARGUMENT
    assert await refused(owner.client.users.UpdateUser(suspend)) == Reason.INVALID_ARGUMENT
    assert (await cli.users.UpdateUser(suspend)).suspended
    resume = UpdateUserRequest(user=User(**named), update_mask=FieldMask(paths=["suspended"]))
    await cli.users.UpdateUser(resume)
    second = await control.person(customer_id, Role.OWNER)
    assert (await second.client.users.DeleteUser(delete)).HasField("delete_time")


async def test_deleted_users_keys_stay_with_the_customer(control: RunningControl) -> None:
    """The key goes on, without its owner."""
    cli = await control.cli()
    await control.customer("acme")
    user = await cli.users.CreateUser(CreateUserRequest(user=User(customer_id="acme", email="a@b.example")))
    created = await cli.keys.CreateKey(
        CreateKeyRequest(key=Key(customer_id="acme", name="k", user_id=user.user_id))
    )
    await cli.users.DeleteUser(DeleteUserRequest(customer_id="acme", user_id=user.user_id))
    key = await cli.keys.GetKey(GetKeyRequest(customer_id="acme", key_id=created.key.key_id))
    assert (key.user_id, key.HasField("revoke_time")) == ("", False)


async def test_repeated_request_keeps_no_trace_of_the_password(control: RunningControl) -> None:
    """A repeat makes no second user, and the password is neither compared nor stored."""
    cli = await control.cli()
    await control.customer("acme")
    user = User(customer_id="acme", email="a@b.example")
    request = CreateUserRequest(user=user, password="first password", request_id="one")
    first = await cli.users.CreateUser(request)
    request.password = "other password"
    assert await cli.users.CreateUser(request) == first
    login = CreateSessionRequest(email="a@b.example", password="first password")
    assert (await (await control.client()).sessions.CreateSession(login)).session.user == first
