"""TeamsService over real gRPC and a real database."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from control.domain.identity import Role
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, GetKeyRequest, Key
from tollkeeper.v1.teams_pb2 import (
    AddTeamMemberRequest,
    CreateTeamRequest,
    DeleteTeamRequest,
    GetTeamRequest,
    ListTeamsRequest,
    RemoveTeamMemberRequest,
    Team,
    UpdateTeamRequest,
)
from tollkeeper.v1.users_pb2 import CreateUserRequest, GetUserRequest, ListUsersRequest, User


async def test_life_of_a_team(control: RunningControl) -> None:
    """Created, read, renamed, deleted; then it is read but not listed."""
    cli = await control.cli()
    await control.customer("acme")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name=" Search ")))
    assert team.name == "Search"
    assert await cli.teams.GetTeam(GetTeamRequest(customer_id="acme", team_id=team.team_id)) == team

    team.name = "Ranking"
    renamed = await cli.teams.UpdateTeam(UpdateTeamRequest(team=team, update_mask=FieldMask(paths=["name"])))
    assert (renamed.name, renamed.suspended) == ("Ranking", False)
    assert renamed.etag != team.etag

    deleted = await cli.teams.DeleteTeam(DeleteTeamRequest(customer_id="acme", team_id=team.team_id))
    assert deleted.HasField("delete_time")
    assert not (await cli.teams.ListTeams(ListTeamsRequest(customer_id="acme"))).teams
    read = await cli.teams.GetTeam(GetTeamRequest(customer_id="acme", team_id=team.team_id))
    assert read == deleted
    with pytest.raises(TollkeeperError) as again:
        await cli.teams.DeleteTeam(DeleteTeamRequest(customer_id="acme", team_id=team.team_id))
    assert again.value.reason == Reason.NOT_FOUND


async def test_pages_cover_a_list_once(control: RunningControl) -> None:
    """Every team comes up exactly once, in the order they were made, and the token is bound to the list."""
    cli = await control.cli()
    await control.customer("acme")
    await control.customer("other")
    made = [
        (await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name=f"t{n}")))).team_id
        for n in range(5)
    ]
    seen, token, pages = [], "", 0
    while True:
        request = ListTeamsRequest(customer_id="acme", page_size=2, page_token=token)
        answer = await cli.teams.ListTeams(request)
        seen += [team.team_id for team in answer.teams]
        pages, token = pages + 1, answer.next_page_token
        if not token:
            break
        other = token
    assert (seen, pages) == (made, 3)

    changed = ("x" if other[0] != "x" else "y") + other[1:]
    for request in (
        ListTeamsRequest(customer_id="other", page_size=2, page_token=other),
        ListTeamsRequest(customer_id="acme", page_token=changed),
        ListTeamsRequest(customer_id="acme", page_token="nonsense"),
        ListTeamsRequest(customer_id="acme", page_size=-1),
    ):
        with pytest.raises(TollkeeperError) as refusal:
            await cli.teams.ListTeams(request)
        assert refusal.value.reason == Reason.INVALID_ARGUMENT


async def test_repeated_request_makes_one_team(control: RunningControl) -> None:
    """The same request id gives the first answer again; with other content it is refused."""
    cli = await control.cli()
    await control.customer("acme")
    request = CreateTeamRequest(team=Team(customer_id="acme", name="Search"), request_id=str(uuid7()))
    first = await cli.teams.CreateTeam(request)
    assert await cli.teams.CreateTeam(request) == first
    assert len((await cli.teams.ListTeams(ListTeamsRequest(customer_id="acme"))).teams) == 1

    request.team.name = "Ranking"
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.CreateTeam(request)
    assert refusal.value.reason == Reason.REQUEST_ID_REUSED


async def test_old_etag_is_refused(control: RunningControl) -> None:
    """Who read an older version can neither change nor delete."""
    cli = await control.cli()
    await control.customer("acme")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    change = UpdateTeamRequest(team=team, update_mask=FieldMask(paths=["suspended"]))
    change.team.suspended = True
    changed = await cli.teams.UpdateTeam(change)
    assert changed.suspended
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.UpdateTeam(change)
    assert refusal.value.reason == Reason.ETAG_MISMATCH
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.DeleteTeam(
            DeleteTeamRequest(customer_id="acme", team_id=team.team_id, etag=team.etag)
        )
    assert refusal.value.reason == Reason.ETAG_MISMATCH


@pytest.mark.parametrize(
    ("paths", "team"),
    [
        (["create_time"], Team(name="x")),
        (["team_id"], Team(name="x")),
        (["nonsense"], Team(name="x")),
        ([], Team()),
        (["name"], Team(name="  ")),
        (["name"], Team(name="x" * 201)),
    ],
)
async def test_masks_that_change_nothing_allowed(
    control: RunningControl, paths: list[str], team: Team
) -> None:
    """Fields that can't be changed, that don't exist or that hold nonsense are refused."""
    cli = await control.cli()
    await control.customer("acme")
    made = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    team.customer_id, team.team_id = "acme", made.team_id
    with pytest.raises(TollkeeperError) as refusal:
        await cli.teams.UpdateTeam(UpdateTeamRequest(team=team, update_mask=FieldMask(paths=paths)))
    assert refusal.value.reason == Reason.INVALID_ARGUMENT


async def test_another_customers_team_is_not_there(control: RunningControl) -> None:
    """Others get the answer for a team, or a customer, that doesn't exist."""
    cli = await control.cli()
    acme, other = await control.customer("acme"), await control.customer("other")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    owner = await control.person(other.customer_id, Role.OWNER)

    refusals = []
    for customer_id, team_id in (
        ("", team.team_id),
        ("acme", team.team_id),
        (acme.customer_id, team.team_id),
        ("nobody", team.team_id),
        ("", "not-an-id"),
    ):
        with pytest.raises(TollkeeperError) as refusal:
            await owner.client.teams.GetTeam(GetTeamRequest(customer_id=customer_id, team_id=team_id))
        refusals.append(refusal.value)
    assert {refusal.reason for refusal in refusals} == {Reason.NOT_FOUND}
    assert refusals[1].message.replace("acme", "?") == refusals[3].message.replace("nobody", "?")


async def test_deleted_team_gives_up_its_keys_and_members(control: RunningControl) -> None:
    """Its keys stay, with another chain of budgets, and nobody is in it any more."""
    cli = await control.cli()
    await control.customer("acme")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    user = await cli.users.CreateUser(
        CreateUserRequest(user=User(customer_id="acme", email="a@b.example", team_ids=[team.team_id]))
    )
    created = await cli.keys.CreateKey(
        CreateKeyRequest(key=Key(customer_id="acme", name="k", team_id=team.team_id))
    )
    await cli.teams.DeleteTeam(DeleteTeamRequest(customer_id="acme", team_id=team.team_id))
    key = await cli.keys.GetKey(GetKeyRequest(customer_id="acme", key_id=created.key.key_id))
    assert key.team_id == ""
    read = await cli.users.GetUser(GetUserRequest(customer_id="acme", user_id=user.user_id))
    assert list(read.team_ids) == []


async def test_members_come_and_go(control: RunningControl) -> None:
    """Added twice is once; lists tell who is in a team; other teams of the user stay."""
    cli = await control.cli()
    await control.customer("acme")
    search, ranking = [
        (await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name=name)))).team_id
        for name in ("Search", "Ranking")
    ]
    user = User(customer_id="acme", email="a@example.com", team_ids=[ranking])
    made = await cli.users.CreateUser(CreateUserRequest(user=user))
    member = {"customer_id": "acme", "team_id": search, "user_id": made.user_id}

    async def members(team_id: str) -> list[str]:
        request = ListUsersRequest(customer_id="acme", team_id=team_id)
        return [each.user_id for each in (await cli.users.ListUsers(request)).users]

    added = await cli.teams.AddTeamMember(AddTeamMemberRequest(**member))
    assert list(added.team_ids) == sorted([search, ranking])
    assert added.etag != made.etag
    assert await cli.teams.AddTeamMember(AddTeamMemberRequest(**member)) == added
    assert await members(search) == await members(ranking) == [made.user_id]
    removed = await cli.teams.RemoveTeamMember(RemoveTeamMemberRequest(**member))
    assert list(removed.team_ids) == [ranking]
    assert await cli.teams.RemoveTeamMember(RemoveTeamMemberRequest(**member)) == removed
    assert (await members(search), await members(ranking)) == ([], [made.user_id])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"team_id": ""}, Reason.INVALID_ARGUMENT),
        ({"team_id": "x"}, Reason.NOT_FOUND),
        ({"team_id": str(uuid7())}, Reason.NOT_FOUND),
        ({"user_id": ""}, Reason.INVALID_ARGUMENT),
        ({"user_id": "x"}, Reason.NOT_FOUND),
        ({"user_id": str(uuid7())}, Reason.NOT_FOUND),
        ({"customer_id": "nowhere"}, Reason.NOT_FOUND),
    ],
)
async def test_memberships_that_cannot_be(
    control: RunningControl, fields: dict[str, str], reason: Reason
) -> None:
    """By field, for both verbs."""
    cli = await control.cli()
    await control.customer("acme")
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="Search")))
    user = User(customer_id="acme", email="a@example.com")
    made = await cli.users.CreateUser(CreateUserRequest(user=user))
    member = {"customer_id": "acme", "team_id": team.team_id, "user_id": made.user_id, **fields}
    for call in (
        cli.teams.AddTeamMember(AddTeamMemberRequest(**member)),
        cli.teams.RemoveTeamMember(RemoveTeamMemberRequest(**member)),
    ):
        with pytest.raises(TollkeeperError) as refusal:
            await call
        assert refusal.value.reason == reason


async def test_administrators_move_nobody_above_them(control: RunningControl) -> None:
    """An owner's teams are the owner's own affair."""
    customer_id = (await control.customer("acme")).customer_id
    admin = await control.person(customer_id, Role.ADMIN)
    owner = await control.person(customer_id, Role.OWNER)
    team = await admin.client.teams.CreateTeam(CreateTeamRequest(team=Team(name="Search")))
    request = AddTeamMemberRequest(team_id=team.team_id, user_id=owner.user_id)
    with pytest.raises(TollkeeperError) as refusal:
        await admin.client.teams.AddTeamMember(request)
    assert refusal.value.reason == Reason.PERMISSION_DENIED
    await owner.client.teams.AddTeamMember(request)
