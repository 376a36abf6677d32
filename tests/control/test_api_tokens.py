"""API tokens: what they may do, whose power they have, and how they end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from structlog.testing import capture_logs

from clients.control import ControlClient
from control.domain.identity import Role
from control.domain.roles import SCOPES, covers
from control.store.tables import PLATFORM_CUSTOMER_ID
from tests.control.harness import Person, RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1.api_tokens_pb2 import (
    ApiToken,
    CreateApiTokenRequest,
    CreateApiTokenResponse,
    GetApiTokenRequest,
    ListApiTokensRequest,
    RevokeApiTokenRequest,
)
from tollkeeper.v1.audit_pb2 import ListAuditEntriesRequest
from tollkeeper.v1.customers_pb2 import Customer, ListCustomersRequest, UpdateCustomerRequest
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, Key, ListKeysRequest
from tollkeeper.v1.sessions_pb2 import DeleteSessionRequest, GetSessionRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, ListTeamsRequest, Team
from tollkeeper.v1.users_pb2 import (
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OPERATOR,
    ROLE_OWNER,
    ChangePasswordRequest,
    DeleteUserRequest,
    UpdateUserRequest,
    User,
)


async def person(control: RunningControl, role: Role = Role.ADMIN) -> Person:
    customer = await control.customer("acme")
    return await control.person(customer.customer_id, role, "ann@example.com")


async def make(client: ControlClient, **fields: Any) -> CreateApiTokenResponse:
    token = ApiToken(**{"name": "reports", **fields})
    return await client.api_tokens.CreateApiToken(CreateApiTokenRequest(api_token=token))


async def refused(call: Any) -> Reason:
    with pytest.raises(TollkeeperError) as refusal:
        await call
    return refusal.value.reason


async def test_life_of_a_token(control: RunningControl) -> None:
    """The secret is shown once and not logged; it works as its maker until it is revoked, then nowhere."""
    ann = await person(control)
    with capture_logs() as logs:
        made = await make(ann.client, role=ROLE_ADMIN)
    token = made.api_token
    assert made.secret.startswith("tkt_")
    assert token.prefix == made.secret[:12]
    assert made.secret not in str(logs)
    assert (token.user_id, token.user_email, token.role) == (ann.user_id, "ann@example.com", ROLE_ADMIN)
    days = (token.expire_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() / 86400
    assert 89.9 < days < 90.1

    tool = await control.client(made.secret)
    team = await tool.teams.CreateTeam(CreateTeamRequest(team=Team(name="Search")))
    assert team.customer_id == token.customer_id
    session = await tool.sessions.GetSession(GetSessionRequest())
    assert (session.user.user_id, session.role, session.operator) == (ann.user_id, ROLE_ADMIN, False)
    named = GetApiTokenRequest(api_token_id=token.api_token_id)
    used = await ann.client.api_tokens.GetApiToken(named)
    assert used.HasField("last_use_time")
    assert [used] == list((await ann.client.api_tokens.ListApiTokens(ListApiTokensRequest())).api_tokens)

    request = RevokeApiTokenRequest(api_token_id=token.api_token_id)
    revoked = await ann.client.api_tokens.RevokeApiToken(request)
    assert revoked.HasField("revoke_time")
    for _ in control.replicas:
        assert await refused(tool.teams.ListTeams(ListTeamsRequest())) == Reason.UNAUTHENTICATED
    assert await ann.client.api_tokens.RevokeApiToken(request) == revoked
    assert not (await ann.client.api_tokens.ListApiTokens(ListApiTokensRequest())).api_tokens
    listed = await ann.client.api_tokens.ListApiTokens(ListApiTokensRequest(show_revoked=True))
    assert list(listed.api_tokens) == [revoked]


async def test_the_secret_is_kept_as_a_hash_only(control: RunningControl) -> None:
    """No table has it, also not the answers that are kept for repeated calls."""
    ann = await person(control)
    request = CreateApiTokenRequest(api_token=ApiToken(name="t"), request_id=str(uuid7()))
    made = await ann.client.api_tokens.CreateApiToken(request)
    again = await ann.client.api_tokens.CreateApiToken(request)
    assert (again.api_token, again.secret) == (made.api_token, "")
    async with control.database.read() as connection:
        for table in ("api_tokens", "credentials", "request_ids", "audit_entries", "directory"):
            rows = (await connection.execute(text(f"SELECT t::text FROM {table} t"))).scalars()
            assert made.secret not in "".join(rows), table
            assert made.secret.encode().hex() not in "".join(rows), table


@pytest.mark.parametrize(
    ("scopes", "may_list_keys", "may_make_keys", "may_list_teams"),
    [
        ([], True, True, True),
        (["keys:read"], True, False, False),
        (["keys:write"], True, True, False),
        (["*:read"], True, False, True),
        (["*:write"], True, True, True),
        (["teams:write", "audit:read"], False, False, True),
    ],
)
async def test_scopes_limit_a_token(
    control: RunningControl, scopes: list[str], may_list_keys: bool, may_make_keys: bool, may_list_teams: bool
) -> None:
    """Reading and writing by resource; writing includes reading; none means all that the role may."""
    tool = await control.client((await make((await person(control)).client, scopes=scopes)).secret)

    async def may(call: Any) -> bool:
        try:
            await call
        except TollkeeperError as error:
            if error.reason != Reason.PERMISSION_DENIED:
                raise
            return False
        return True

    assert await may(tool.keys.ListKeys(ListKeysRequest())) == may_list_keys
    assert await may(tool.keys.CreateKey(CreateKeyRequest(key=Key(name="k")))) == may_make_keys
    assert await may(tool.teams.ListTeams(ListTeamsRequest())) == may_list_teams
    assert await may(tool.sessions.GetSession(GetSessionRequest()))


def test_scopes_come_from_the_table_of_roles() -> None:
    """One to read and one to write for each resource, as far as it can be written."""
    assert {"keys:read", "keys:write", "api_tokens:read", "audit:read", "*:read", "*:write"} <= SCOPES
    assert not {"audit:write", "edge:read", "edge:write", "sessions:nothing"} & SCOPES
    assert covers(None, "keys:write")
    assert covers(frozenset(), "")
    assert not covers(frozenset({"keys:read"}), "keys:write")


async def test_tokens_neither_make_tokens_nor_touch_passwords(control: RunningControl) -> None:
    """What would let a token outlive its end is for people."""
    tool = await control.client((await make((await person(control)).client, role=ROLE_ADMIN)).secret)
    change = ChangePasswordRequest(old_password="x" * 12, new_password="y" * 12)
    for call in (
        make(tool),
        tool.users.ChangePassword(change),
        tool.sessions.DeleteSession(DeleteSessionRequest()),
    ):
        assert await refused(call) == Reason.PERMISSION_DENIED


async def test_a_token_is_never_more_than_its_maker(control: RunningControl) -> None:
    """No higher role can be given, and when the maker's role sinks the token's does at once."""
    ann = await person(control)
    assert await refused(make(ann.client, role=ROLE_OWNER)) == Reason.PERMISSION_DENIED
    assert await refused(make(ann.client, role=ROLE_OPERATOR)) == Reason.INVALID_ARGUMENT
    tool = await control.client((await make(ann.client, role=ROLE_ADMIN)).secret)
    await tool.teams.CreateTeam(CreateTeamRequest(team=Team(name="a")))
    user = User(customer_id="acme", user_id=ann.user_id, role=ROLE_MEMBER)
    await (await control.cli()).users.UpdateUser(UpdateUserRequest(user=user))
    call = tool.teams.CreateTeam(CreateTeamRequest(team=Team(name="b")))
    assert await refused(call) == Reason.PERMISSION_DENIED
    await tool.teams.ListTeams(ListTeamsRequest())


@pytest.mark.parametrize("ending", ["user suspended", "user deleted", "customer suspended", "expired"])
async def test_tokens_end_with_what_they_stand_on(control: RunningControl, ending: str) -> None:
    """Refused from the next call on; resuming a user or a customer brings its tokens back."""
    ann = await person(control)
    made = await make(ann.client)
    tool = await control.client(made.secret)
    await tool.teams.ListTeams(ListTeamsRequest())
    cli = await control.cli()

    async def suspend(suspended: bool) -> None:
        mask = FieldMask(paths=["suspended"])
        if ending == "user suspended":
            user = User(customer_id="acme", user_id=ann.user_id, suspended=suspended)
            await cli.users.UpdateUser(UpdateUserRequest(user=user, update_mask=mask))
        else:
            customer = Customer(customer_id="acme", suspended=suspended)
            await cli.customers.UpdateCustomer(UpdateCustomerRequest(customer=customer, update_mask=mask))

    if ending == "expired":
        async with control.database.write() as connection:
            await connection.execute(
                text("UPDATE credentials SET expire_time = now() WHERE kind = 'api_token'")
            )
    elif ending == "user deleted":
        await cli.users.DeleteUser(DeleteUserRequest(customer_id="acme", user_id=ann.user_id))
    else:
        await suspend(True)
    assert await refused(tool.teams.ListTeams(ListTeamsRequest())) == Reason.UNAUTHENTICATED
    if ending.endswith("suspended"):
        await suspend(False)
        await tool.teams.ListTeams(ListTeamsRequest())
    if ending == "user deleted":
        request = GetApiTokenRequest(customer_id="acme", api_token_id=made.api_token.api_token_id)
        assert (await cli.api_tokens.GetApiToken(request)).HasField("revoke_time")


async def test_operators_make_tokens_of_the_platform_and_of_customers(control: RunningControl) -> None:
    """One acts everywhere, read-only when scoped so; the other in its customer alone."""
    cli = await control.cli()
    for slug in ("acme", "other"):
        await control.customer(slug)
    reader = await control.client(
        (await make(cli, customer_id=PLATFORM_CUSTOMER_ID, role=ROLE_OPERATOR, scopes=["*:read"])).secret
    )
    listed = await reader.customers.ListCustomers(ListCustomersRequest())
    assert {each.slug for each in listed.customers} == {"acme", "other"}
    request = CreateTeamRequest(team=Team(customer_id="acme", name="t"))
    assert await refused(reader.teams.CreateTeam(request)) == Reason.PERMISSION_DENIED

    owner = await control.client((await make(cli, customer_id="acme", role=ROLE_OWNER)).secret)
    await owner.teams.CreateTeam(request)
    request.team.customer_id = "other"
    assert await refused(owner.teams.CreateTeam(request)) == Reason.NOT_FOUND
    listed = await owner.customers.ListCustomers(ListCustomersRequest())
    assert {each.slug for each in listed.customers} == {"acme"}


async def test_members_reach_their_own_tokens_only(control: RunningControl) -> None:
    """Others' are as absent; administrators see and revoke them, but none of a higher role."""
    ann = await person(control, Role.MEMBER)
    made = (await make(ann.client)).api_token
    bob = await control.person(made.customer_id, Role.MEMBER)
    admin = await control.person(made.customer_id, Role.ADMIN)
    owner = await control.person(made.customer_id, Role.OWNER)
    named = {"api_token_id": made.api_token_id}
    assert not (await bob.client.api_tokens.ListApiTokens(ListApiTokensRequest())).api_tokens
    for call in (
        bob.client.api_tokens.GetApiToken(GetApiTokenRequest(**named)),
        bob.client.api_tokens.RevokeApiToken(RevokeApiTokenRequest(**named)),
    ):
        assert await refused(call) == Reason.NOT_FOUND
    owners = (await make(owner.client, role=ROLE_OWNER)).api_token
    listed = await admin.client.api_tokens.ListApiTokens(ListApiTokensRequest())
    assert [each.api_token_id for each in listed.api_tokens] == [made.api_token_id, owners.api_token_id]
    await admin.client.api_tokens.RevokeApiToken(RevokeApiTokenRequest(**named))
    call = admin.client.api_tokens.RevokeApiToken(RevokeApiTokenRequest(api_token_id=owners.api_token_id))
    assert await refused(call) == Reason.PERMISSION_DENIED


async def test_what_a_token_does_is_in_the_audit_log(control: RunningControl) -> None:
    """In the name of its maker, and as a token's deed."""
    ann = await person(control)
    tool = await control.client((await make(ann.client, role=ROLE_ADMIN)).secret)
    await tool.teams.CreateTeam(CreateTeamRequest(team=Team(name="a")))
    request = ListAuditEntriesRequest(customer_id="acme", resource_type="team")
    [entry] = (await ann.client.audit.ListAuditEntries(request)).audit_entries
    assert (entry.actor_kind, entry.actor_id, entry.actor_email) == (
        "api_token",
        ann.user_id,
        "ann@example.com",
    )


async def test_a_customer_has_so_many_tokens(
    control: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live ones count: revoking one makes room."""
    monkeypatch.setattr("control.services.api_tokens.MAX_API_TOKENS", 1)
    ann = await person(control)
    first = (await make(ann.client)).api_token
    assert await refused(make(ann.client)) == Reason.INVALID_ARGUMENT
    await ann.client.api_tokens.RevokeApiToken(RevokeApiTokenRequest(api_token_id=first.api_token_id))
    await make(ann.client)


BAD_INPUT: list[tuple[dict[str, Any], Reason]] = [
    ({"name": ""}, Reason.INVALID_ARGUMENT),
    ({"name": " "}, Reason.INVALID_ARGUMENT),
    ({"name": "x" * 201}, Reason.INVALID_ARGUMENT),
    ({"name": "a\x00b"}, Reason.INVALID_ARGUMENT),
    ({"role": 99}, Reason.INVALID_ARGUMENT),
    ({"role": -1}, Reason.INVALID_ARGUMENT),
    ({"scopes": ["keys"]}, Reason.INVALID_ARGUMENT),
    ({"scopes": ["keys:delete"]}, Reason.INVALID_ARGUMENT),
    ({"scopes": ["*"]}, Reason.INVALID_ARGUMENT),
    ({"scopes": ["edge:write"]}, Reason.INVALID_ARGUMENT),
    ({"scopes": [""]}, Reason.INVALID_ARGUMENT),
    ({"customer_id": "nowhere"}, Reason.NOT_FOUND),
    ({"expire_time": datetime.now(UTC) - timedelta(seconds=1)}, Reason.INVALID_ARGUMENT),
    ({"expire_time": datetime.now(UTC) + timedelta(days=367)}, Reason.INVALID_ARGUMENT),
    ({"expire_time": {"seconds": 1 << 50}}, Reason.INVALID_ARGUMENT),
]


@pytest.mark.parametrize(("fields", "reason"), BAD_INPUT)
async def test_bad_input(control: RunningControl, fields: dict[str, Any], reason: Reason) -> None:
    """Each field's nonsense is refused with the reason."""
    ann = await person(control)
    assert await refused(make(ann.client, **fields)) == reason


@pytest.mark.parametrize("token_id", ["", "x", "01a20170-a033-7567-9b68-2601b7c3eedc", "\x00"])
async def test_bad_ids(control: RunningControl, token_id: str) -> None:
    """What isn't there can neither be read nor revoked."""
    ann = await person(control)
    reasons = {
        await refused(ann.client.api_tokens.GetApiToken(GetApiTokenRequest(api_token_id=token_id))),
        await refused(ann.client.api_tokens.RevokeApiToken(RevokeApiTokenRequest(api_token_id=token_id))),
    }
    assert reasons == {Reason.INVALID_ARGUMENT if token_id in ("", "\x00") else Reason.NOT_FOUND}
