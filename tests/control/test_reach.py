"""How far the roles reach through methods that are about somebody's things (B4): one's own, those of one's
teams, others'. Generated over the table of roles: a method with such a reach needs its line here."""

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from clients.control import ControlClient
from control.domain.identity import CallerKind, Role
from control.domain.roles import REQUIREMENTS, Access, Reach
from control.store import credentials
from tests.control.contract import METHODS
from tests.control.harness import Person, RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.key_format import SESSION_PREFIX, mint, secret_hash
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.api_tokens_pb2 import ApiToken, CreateApiTokenRequest
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, Key
from tollkeeper.v1.teams_pb2 import AddTeamMemberRequest, CreateTeamRequest, Team

# Methods whose request names a thing: `$key` is the key of whoever is meant, and so on.
NAMED: list[tuple[str, dict[str, Any]]] = [
    ("UsersService/GetUser", {"user_id": "$user"}),
    ("SessionsService/ListSessions", {"user_id": "$user"}),
    ("SessionsService/RevokeSession", {"user_id": "$user", "session_id": "$session"}),
    ("KeysService/CreateKey", {"key": {"name": "k", "user_id": "$user", "team_id": "$team"}}),
    ("KeysService/GetKey", {"key_id": "$key"}),
    ("KeysService/UpdateKey", {"key": {"key_id": "$key", "name": "other"}}),
    ("KeysService/RotateKey", {"key_id": "$key", "overlap": "60s"}),
    ("KeysService/EndKeyOverlap", {"key_id": "$key"}),
    ("KeysService/RevokeKey", {"key_id": "$key"}),
    ("ApiTokensService/GetApiToken", {"api_token_id": "$api_token"}),
    ("ApiTokensService/RevokeApiToken", {"api_token_id": "$api_token"}),
    ("UsageService/GetUsage", {"usage_id": "$usage"}),
    ("UsageService/GetUsageSummary", {"key_id": "$key"}),
    ("UsageService/GetUsageSummary", {"user_id": "$user"}),
    ("UsageService/QueryUsage", {"key_id": "$key"}),
    ("UsageService/QueryUsage", {"user_id": "$user"}),
    ("UsageService/QueryUsage", {"team_id": "$team"}),
]
# Methods that answer with all that the caller may see: the kind of thing in their answers.
LISTED: dict[str, str] = {
    "KeysService/ListKeys": "key",
    "ApiTokensService/ListApiTokens": "api_token",
    "UsageService/ListUsage": "usage",
    "UsageService/ExportUsage": "usage",
}
# What they make is the caller's own, whatever the request says.
MADE = {"ApiTokensService/CreateApiToken"}

METHODS_WITH_REACH = {
    method.removeprefix("/tollkeeper.v1."): requirement.reach
    for method, requirement in REQUIREMENTS.items()
    if requirement.access is Access.ROLE
    and requirement.reach in (Reach.OWN, Reach.TEAM)
    and not requirement.fixed
}


@dataclass(slots=True)
class Cast:
    """Ann is a member, alone in a team; Bob is another one; Max is their manager. By whom things are."""

    ann: Person
    max: Person
    ids: dict[str, dict[str, str]]


async def make_cast(control: RunningControl) -> Cast:
    """Ann's things, her team's, and Bob's."""
    customer_id = (await control.customer("acme")).customer_id
    cli = await control.cli()
    ann, bob = [await control.person(customer_id, Role.MEMBER) for _ in range(2)]
    manager = await control.person(customer_id, Role.MANAGER)
    team = await cli.teams.CreateTeam(CreateTeamRequest(team=Team(customer_id="acme", name="t")))
    member = AddTeamMemberRequest(customer_id="acme", team_id=team.team_id, user_id=ann.user_id)
    await cli.teams.AddTeamMember(member)
    ids = {
        "own": {"user": ann.user_id, "team": ""},
        "team": {"user": "", "team": team.team_id},
        "other": {"user": bob.user_id, "team": ""},
    }
    for owner in ids.values():
        key = Key(customer_id="acme", name="k", user_id=owner["user"], team_id=owner["team"])
        owner["key"] = (await cli.keys.CreateKey(CreateKeyRequest(key=key))).key.key_id
        owner["usage"] = await _used(control, customer_id, owner)
    for whose, person in (("own", ann), ("other", bob)):
        token = CreateApiTokenRequest(api_token=ApiToken(name="t"))
        made = await person.client.api_tokens.CreateApiToken(token)
        ids[whose]["api_token"] = made.api_token.api_token_id
        ids[whose]["session"] = await _session(control, customer_id, person.user_id)
    return Cast(ann, manager, ids)


async def _used(control: RunningControl, customer_id: str, owner: dict[str, str]) -> str:
    """One settled request of the owner's key."""
    record = edge_pb2.UsageRecord(
        usage_id=str(uuid7()),
        incarnation_id=str(uuid7()),
        sequence=1,
        customer_id=customer_id,
        key_id=owner["key"],
        user_id=owner["user"],
        team_id=owner["team"],
        lease_id=str(uuid7()),
        state=edge_pb2.USAGE_STATE_VOIDED,
        requested_model="m",
    )
    record.attempts.add(number=1, model="m", state=edge_pb2.USAGE_STATE_VOIDED)
    request = edge_pb2.SettleRequest(incarnation_id=record.incarnation_id, records=[record])
    answer = await (await control.edge()).edge.Settle(request)
    assert list(answer.outcomes) == [edge_pb2.POSTED]
    return record.usage_id


async def _session(control: RunningControl, customer_id: str, user_id: str) -> str:
    session_id, digest = str(uuid7()), secret_hash(mint(SESSION_PREFIX))
    async with control.database.write() as connection:
        kind = CallerKind.SESSION
        await credentials.add(
            connection, customer_id, kind, digest, user_id=user_id, credential_id=session_id
        )
    return session_id


async def _send(client: ControlClient, name: str, fields: dict[str, Any]) -> "Message | Reason":
    method = f"/tollkeeper.v1.{name}"
    request = ParseDict(fields, GetMessageClass(METHODS[method].input_type)())
    parse = GetMessageClass(METHODS[method].output_type).FromString
    try:
        if METHODS[method].server_streaming:
            stream: Any = client.channel.unary_stream(method, response_deserializer=parse)
            messages = [each async for each in stream(request.SerializeToString(), timeout=10)]
            return messages[-1] if messages else parse(b"")
        unary: Any = client.channel.unary_unary(method, response_deserializer=parse)
        answer: Message = await unary(request.SerializeToString(), timeout=10)
    except TollkeeperError as error:
        return error.reason
    return answer


def _about(fields: dict[str, Any], ids: dict[str, str]) -> dict[str, Any] | None:
    """The request about these ids; None when there is no such thing of theirs."""
    filled: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            value = _about(value, ids)
        elif value.startswith("$"):
            value = ids.get(value[1:])
            if value == "" and len(fields) == 1:
                value = None
        if value is None:
            return None
        filled[name] = value
    return filled


def test_every_method_with_a_reach_is_tried() -> None:
    """A new one that is about somebody's things gets its line above."""
    assert {name for name, _ in NAMED} | LISTED.keys() | MADE == METHODS_WITH_REACH.keys()


@pytest.mark.parametrize(("name", "named"), NAMED)
async def test_b4_members_reach_their_own_and_their_teams(
    control: RunningControl, name: str, named: dict[str, Any]
) -> None:
    """Others' things are refused, by most as if they weren't there; managers reach everybody's."""
    cast, reach = await make_cast(control), METHODS_WITH_REACH[name]
    for whose in ("other", "team", "own"):
        fields = _about(named, cast.ids[whose])
        if fields is None:
            continue
        told = await _send(cast.ann.client, name, fields)
        if whose == "own" or (whose == "team" and reach is Reach.TEAM):
            assert isinstance(told, Message), f"{name} of {whose}: {told}"
        else:
            assert told in (Reason.NOT_FOUND, Reason.PERMISSION_DENIED), f"{name} of {whose}: {told}"
    fields = _about(named, cast.ids["other"]) or {}
    assert isinstance(await _send(cast.max.client, name, fields), Message), f"{name} by a manager"


@pytest.mark.parametrize("name", LISTED)
async def test_b4_lists_show_what_the_caller_reaches(control: RunningControl, name: str) -> None:
    """Members see their own and, where the table says so, their teams' things; managers all."""
    cast, kind = await make_cast(control), LISTED[name]
    by_member = await _send(cast.ann.client, name, {})
    by_manager = await _send(cast.max.client, name, {})
    assert isinstance(by_member, Message)
    assert isinstance(by_manager, Message)
    for whose, ids in cast.ids.items():
        if kind not in ids:
            continue
        seen = whose == "own" or (whose == "team" and METHODS_WITH_REACH[name] is Reach.TEAM)
        assert (ids[kind] in MessageToJson(by_member)) == seen, f"{whose} {kind}"
        assert ids[kind] in MessageToJson(by_manager), f"{whose} {kind} for a manager"
