"""System B's surface (B4, B5) with plain httpx: roles, key objects and statuses as its clients know them."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.rest.conftest import UNKNOWN, Join, Person
from tests.e2e.stack import Stack, found
from tests.e2e.wire import ask, chat, until
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.teams_pb2_grpc import TeamsServiceStub
from tollkeeper.v1.users_pb2 import Role, UpdateUserRequest, User
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

KEYS = "/v1/ai/keys"
FIELDS = {
    "id", "key_hash", "name", "user_id", "team_id", "user_email", "user_name", "team_name", "budget_usd",
    "budget_reset", "spend_usd", "allowed_models", "disabled", "created_at",
}  # fmt: skip


class Company:
    """A customer with an owner, a manager, two members and a team of one of them."""

    def __init__(self, stack: Stack, tenant: Tenant, join: Join) -> None:
        tenant.update(default_router_id=tenant.router_id)
        self.tenant = tenant
        self.manager = join(tenant.customer_id, Role.ROLE_MANAGER)
        self.member = join(tenant.customer_id, Role.ROLE_MEMBER)
        self.other = join(tenant.customer_id, Role.ROLE_MEMBER)
        team = Team(customer_id=tenant.customer_id, name="Team")
        made = TeamsServiceStub(stack.admin.channel).CreateTeam(CreateTeamRequest(team=team))
        self.team_id = made.team_id
        user = User(customer_id=tenant.customer_id, user_id=self.member.user_id, team_ids=[self.team_id])
        request = UpdateUserRequest(user=user)
        request.update_mask.paths.append("team_ids")
        UsersServiceStub(stack.admin.channel).UpdateUser(request)


@pytest.fixture
def company(stack: Stack, tenant: Tenant, join: Join) -> Company:
    """People with different roles in one customer."""
    return Company(stack, tenant, join)


def made(person: Person, path: str = f"{KEYS}/user", **fields: Any) -> dict[str, Any]:
    """The answer to a new key."""
    return dict(person.json("POST", path, {"name": "key", **fields}, 201))


def ids(answer: dict[str, Any]) -> set[str]:
    """Of the keys in a list."""
    return {key["id"] for key in answer["keys"]}


async def test_b5_a_key_from_making_to_deleting(stack: Stack, company: Company) -> None:
    """The object, the secret this once, details with spend and reset, changes, the end."""
    person = company.member
    answer = made(person, budget_usd="1.50", budget_reset="monthly", allowed_models=["gpt-4o*"])
    key, raw_key = answer["key"], answer["raw_key"]
    assert set(answer) == {"key", "raw_key"}
    assert set(key) == FIELDS
    assert raw_key.startswith("aig_")
    assert key["key_hash"] == hashlib.sha256(raw_key.encode()).hexdigest()
    assert (key["user_id"], key["user_email"], key["team_id"]) == (person.user_id, person.email, None)
    assert (key["budget_usd"], key["budget_reset"], key["spend_usd"]) == ("1.50", "monthly", "0.00")
    assert (key["allowed_models"], key["disabled"]) == (["gpt-4o*"], False)
    reply = await ask(stack.edge, raw_key, chat(max_tokens=16))
    assert reply.status == 200
    path = f"{KEYS}/{key['key_hash']}"
    details = found(lambda: _spent(person, path))
    assert set(details) == FIELDS | {"spend_reset_at"}
    assert details["spend_usd"] == reply.headers["x-tollkeeper-cost-usd"]
    assert details["spend_reset_at"].endswith("Z")
    assert person.json("GET", f"{KEYS}/{key['id']}/details")["key"] == details
    assert set(person.json("DELETE", f"{KEYS}/user/{key['key_hash']}")) == {"message"}
    for method, there in (("GET", f"{path}/details"), ("DELETE", f"{KEYS}/user/{key['id']}")):
        assert person.refusal(method, there) == (404, "NOT_FOUND")
    assert person.refusal("PATCH", path, {"name": "x"}) == (404, "NOT_FOUND")
    await until(stack.edge, raw_key, chat(), 401)


def _spent(person: Person, path: str) -> dict[str, Any] | None:
    key: dict[str, Any] = person.json("GET", f"{path}/details")["key"]
    return key if key["spend_usd"] != "0.00" else None


def test_b5_without_a_budget(company: Company) -> None:
    """Null is unlimited, never resets, and allows all models; no reset is told."""
    for fields in ({}, {"budget_usd": None, "budget_reset": None, "allowed_models": None}):
        key = made(company.member, **fields)["key"]
        assert (key["budget_usd"], key["budget_reset"], key["allowed_models"]) == (None, None, None)
        details = company.member.json("GET", f"{KEYS}/{key['id']}/details")["key"]
        assert details["spend_reset_at"] is None


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({}, {"name": "other"}, {"name": "other", "budget_usd": None}),
        ({}, {"budget_usd": "0.0001"}, {"budget_usd": "0.0001", "budget_reset": None}),
        ({}, {"budget_usd": 2.5, "budget_reset": "daily"}, {"budget_usd": "2.50", "budget_reset": "daily"}),
        (
            {"budget_usd": "1", "budget_reset": "weekly"},
            {"budget_usd": "2"},
            {"budget_usd": "2.00", "budget_reset": "weekly"},
        ),
        ({"budget_usd": "1"}, {"budget_reset": "daily"}, {"budget_usd": "1.00", "budget_reset": "daily"}),
        (
            {"budget_usd": "1", "budget_reset": "daily"},
            {"budget_reset": None},
            {"budget_usd": "1.00", "budget_reset": None},
        ),
        ({"budget_usd": "1"}, {"budget_usd": None}, {"budget_usd": None, "budget_reset": None}),
        ({"allowed_models": ["a"]}, {"allowed_models": None}, {"allowed_models": None}),
        ({}, {"allowed_models": ["a", "b*"]}, {"allowed_models": ["a", "b*"]}),
        ({}, {"disabled": True}, {"disabled": True}),
        (
            {"budget_usd": "1"},
            {"disabled": True, "name": "n", "budget_usd": "3"},
            {"disabled": True, "name": "n", "budget_usd": "3.00"},
        ),
    ],
)
def test_b5_changes(
    resident: Person, before: dict[str, Any], changes: dict[str, Any], after: dict[str, Any]
) -> None:
    """Only what was sent changes; null takes away."""
    key = made(resident, **before)["key"]
    answer = resident.json("PATCH", f"{KEYS}/{key['key_hash']}", changes)
    assert set(answer) == {"key"}
    assert answer["key"] == {**key, **after}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 5},
        {"name": "k", "budget": "1"},
        {"name": "k", "budget_usd": "-1"},
        {"name": "k", "budget_usd": "0"},
        {"name": "k", "budget_usd": "NaN"},
        {"name": "k", "budget_usd": "1e99999999"},
        {"name": "k", "budget_usd": "0.0000000001"},
        {"name": "k", "budget_usd": True},
        {"name": "k", "budget_usd": "99999999999"},
        {"name": "k", "budget_usd": "1", "budget_reset": "hourly"},
        {"name": "k", "budget_reset": "daily"},
        {"name": "k", "allowed_models": "gpt-4o"},
        {"name": "k", "allowed_models": [5]},
        {"name": "k", "user_id": 5},
    ],
)
def test_b5_bad_keys(resident: Person, body: object) -> None:
    """400; a mistyped budget is never an unlimited key."""
    assert resident.refusal("POST", f"{KEYS}/user", body) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body", [{}, {"name": None}, {"name": ""}, {"user_id": "x"}, {"budget_reset": "daily"}, {"disabled": 1}]
)
def test_b5_bad_changes(resident: Person, body: object) -> None:
    """400, also for a reset without a budget."""
    key = made(resident)["key"]
    assert resident.refusal("PATCH", f"{KEYS}/{key['id']}", body) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("name", [UNKNOWN, "0" * 64, "nonsense", "%00", "a%2Fb"])
def test_b5_unknown_keys(resident: Person, name: str) -> None:
    """404 on every route."""
    for method, path, body in (
        ("GET", f"{KEYS}/{name}/details", None),
        ("PATCH", f"{KEYS}/{name}", {"name": "x"}),
        ("DELETE", f"{KEYS}/{name}", None),
        ("DELETE", f"{KEYS}/user/{name}", None),
        ("DELETE", f"{KEYS}/team/{UNKNOWN}/{name}", None),
    ):
        status, reason = resident.refusal(method, path, body)
        assert (status, reason) in ((404, "NOT_FOUND"), (400, "INVALID_ARGUMENT")), path
        assert status == 404 or name == "%00"


def test_b4_what_each_role_sees(company: Company) -> None:
    """Managers see all keys, members their own and their teams'."""
    mine = made(company.member)["key"]["id"]
    others = made(company.other)["key"]["id"]
    teams = made(company.member, f"{KEYS}/team/{company.team_id}")["key"]
    assert (teams["team_id"], teams["team_name"], teams["user_id"]) == (company.team_id, "Team", None)
    everything = {mine, others, teams["id"]}
    assert ids(company.manager.json("GET", f"{KEYS}/customer")) == everything
    assert company.member.refusal("GET", f"{KEYS}/customer") == (403, "PERMISSION_DENIED")
    assert ids(company.member.json("GET", f"{KEYS}/user")) == {mine, teams["id"]}
    assert ids(company.other.json("GET", f"{KEYS}/user")) == {others}
    assert ids(company.manager.json("GET", f"{KEYS}/user")) == set()
    there = f"{KEYS}/user/{company.member.user_id}"
    assert ids(company.member.json("GET", there)) == {mine, teams["id"]}
    assert ids(company.manager.json("GET", there)) == {mine, teams["id"]}
    assert company.other.refusal("GET", there)[0] == 404
    assert company.manager.refusal("GET", f"{KEYS}/user/{UNKNOWN}") == (404, "NOT_FOUND")


def test_b4_who_makes_keys_for_whom(company: Company) -> None:
    """For others and their teams only managers do."""
    key = made(company.manager, user_id=company.other.user_id)["key"]
    assert key["user_id"] == company.other.user_id
    body = {"name": "k", "user_id": company.member.user_id}
    assert company.other.refusal("POST", f"{KEYS}/user", body) == (403, "PERMISSION_DENIED")
    team = f"{KEYS}/team/{company.team_id}"
    assert company.other.refusal("POST", team, {"name": "k"}) == (403, "PERMISSION_DENIED")
    assert made(company.manager, team)["key"]["team_id"] == company.team_id
    assert company.manager.refusal("POST", f"{KEYS}/team/{UNKNOWN}", {"name": "k"}) == (404, "NOT_FOUND")


def test_b4_who_deletes_what(company: Company) -> None:
    """Each route reaches the keys that its name says, whoever calls it."""
    mine = made(company.member)["key"]["key_hash"]
    teams = made(company.member, f"{KEYS}/team/{company.team_id}")["key"]["key_hash"]
    by_team = f"{KEYS}/team/{company.team_id}"
    # Not by the route of another kind, nor by a stranger.
    assert company.member.refusal("DELETE", f"{KEYS}/user/{teams}") == (404, "NOT_FOUND")
    assert company.member.refusal("DELETE", f"{by_team}/{mine}") == (404, "NOT_FOUND")
    assert company.member.refusal("DELETE", f"{KEYS}/team/{UNKNOWN}/{teams}") == (404, "NOT_FOUND")
    assert company.manager.refusal("DELETE", f"{KEYS}/user/{mine}") == (404, "NOT_FOUND")
    assert company.member.refusal("DELETE", f"{KEYS}/{mine}") == (403, "PERMISSION_DENIED")
    for hash_ in (mine, teams):
        assert company.other.refusal("GET", f"{KEYS}/{hash_}/details") == (404, "NOT_FOUND")
        assert company.other.refusal("PATCH", f"{KEYS}/{hash_}", {"name": "x"}) == (404, "NOT_FOUND")
        assert company.other.refusal("DELETE", f"{by_team}/{hash_}") == (404, "NOT_FOUND")
    company.member.json("DELETE", f"{by_team}/{teams}")
    company.manager.json("DELETE", f"{KEYS}/{mine}")
    assert ids(company.manager.json("GET", f"{KEYS}/customer")) == set()


def test_b5_the_default_router(company: Company) -> None:
    """A key made without a router uses the customer's."""
    key = made(company.member)["key"]
    shown = company.manager.json("GET", f"/v1/customers/{company.tenant.customer_id}/keys/{key['id']}")
    assert shown["router_id"] == company.tenant.router_id


def test_b5_the_first_operator(operator: Person) -> None:
    """Isn't a user of the demo customer: what it makes there is nobody's, and it finds it again."""
    answer = made(operator)
    assert answer["key"]["user_id"] is None
    listed = operator.json("GET", f"{KEYS}/user")["keys"]
    assert answer["key"] in listed
    assert "demo" not in [key["name"] for key in listed]
    operator.json("DELETE", f"{KEYS}/user/{answer['key']['key_hash']}")


def test_traces_are_not_configured(stack: Stack) -> None:
    """503 until taking them in is built."""
    answer = httpx.post(
        f"{stack.edge}/v1/traces", content=b"\n\0", headers={"content-type": "application/x-protobuf"}
    )
    assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")


# ---- B1


def test_b1_registering_a_customer(operator: Person, owner: Person) -> None:
    """201 for operators with the customer, whose gateway may come later; 403 for others."""
    name = f"Registered {owner.user_id[-12:]}"
    body = {"email": f"reg-{owner.email}", "name": name}
    made = operator.json("POST", "/v1/customers/register", body, 201)
    assert set(made) == {"id", "email", "name", "slug", "plan", "cf_gateway_id", "created_at"}
    assert (made["email"], made["name"], made["plan"]) == (body["email"], name, "free")
    assert made["cf_gateway_id"] is None or isinstance(made["cf_gateway_id"], str)
    assert operator.json("GET", f"/v1/customers/{made['id']}")["name"] == name
    assert operator.refusal("POST", "/v1/customers/register", body) == (409, "ALREADY_EXISTS")
    assert owner.refusal("POST", "/v1/customers/register", body) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("body", [{}, {"email": "a@example.com"}, {"name": "x"}, {"email": "x", "name": "x"}])
def test_b1_bad_registrations(operator: Person, body: object) -> None:
    """400."""
    assert operator.refusal("POST", "/v1/customers/register", body) == (400, "INVALID_ARGUMENT")


def test_b1_registration_is_not_open(stack: Stack) -> None:
    """401 without a credential, as the setting is by default."""
    body = {"email": "stranger@example.com", "name": "Stranger"}
    answer = httpx.post(f"{stack.edge}/v1/customers/register", json=body)
    assert answer.status_code == 401, answer.text


# ---- Models


def test_b5_models_of_cloudflare(resident: Person) -> None:
    """With id, name, description and task, for anyone signed in."""
    models = resident.json("GET", "/v1/ai/models")["models"]
    assert models
    assert all(set(model) == {"id", "name", "description", "task"} for model in models)


async def test_b5_models_of_a_key(stack: Stack, tenant: Tenant) -> None:
    """With a virtual key OpenAI's list, as /v1/models; refusals are OpenAI's, too."""
    key = tenant.key()
    there = await ask(stack.edge, key.secret, b"", method="GET", path="/v1/ai/models")
    plain = await ask(stack.edge, key.secret, b"", method="GET", path="/v1/models")
    assert (there.status, there.json()) == (200, plain.json())
    assert there.json()["object"] == "list"
    unknown = await ask(stack.edge, "aig_" + "C" * 43, b"", method="GET", path="/v1/ai/models")
    assert (unknown.status, unknown.error["code"]) == (401, "invalid_api_key")
