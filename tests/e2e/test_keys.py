"""Keys from the command line to their end: made, used, limited, disabled, revoked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.stack import Stack, found
from tests.e2e.wire import PUSHED_WITHIN_S, Connection, ask, chat, until
from tollkeeper.v1.keys_pb2 import EndKeyOverlapRequest, RevokeKeyRequest, RotateKeyRequest
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team, UpdateTeamRequest
from tollkeeper.v1.users_pb2 import CreateUserRequest, UpdateUserRequest, User

CONNECTIONS = 12


def test_keys_from_the_command_line(stack: Stack) -> None:
    """Created with a secret, shown without it, spent on, revoked; the object has the documented fields."""
    made = stack.cli_json(
        "keys", "create", "--customer", "demo", "--name", "tiny",
        "--budget-usd", "0.01", "--budget-reset", "monthly",
    )  # fmt: skip
    secret = made.pop("raw_key")
    assert secret.startswith("aig_")
    assert set(made) >= {
        "id", "key_hash", "name", "user_id", "team_id", "user_email", "user_name", "team_name", "budget_usd",
        "budget_reset", "spend_usd", "allowed_models", "disabled", "created_at",
    }  # fmt: skip
    assert stack.cli_json("keys", "show", made["id"]) == made
    assert (made["budget_usd"], made["budget_reset"], made["spend_usd"]) == ("0.01", "monthly", "0.00")
    reply = asyncio.run(ask(stack.edge, secret, chat(max_tokens=16)))
    assert reply.status == 200, reply.body
    cost = reply.headers["x-tollkeeper-cost-usd"]
    found(lambda: stack.cli_json("keys", "show", made["id"])["spend_usd"] == cost)
    [entry] = stack.cli_json("usage", "list", "--customer", "demo", "--key", made["id"])
    assert entry["usage_id"] == reply.headers["x-tollkeeper-request-id"]
    assert entry["cost_usd"] == cost
    stack.cli_json("keys", "revoke", made["id"])
    found(lambda: asyncio.run(ask(stack.edge, secret, chat())).status == 401, PUSHED_WITHIN_S)


@asynccontextmanager
async def at_every_worker(stack: Stack, key: VirtualKey) -> AsyncIterator[list[Connection]]:
    """Connections that the kernel spreads over the workers; each has served the key already."""
    async with AsyncExitStack() as opened:
        made = [Connection(stack.edge, key.secret) for _ in range(CONNECTIONS)]
        connections = [await opened.enter_async_context(each) for each in made]
        for connection in connections:
            assert (await connection.request(chat())).status == 200
        yield connections


async def refusals(connections: list[Connection]) -> list[tuple[int, str]]:
    """Status and code of each connection's first refusal."""
    deadline_s = time.monotonic() + PUSHED_WITHIN_S
    refused = []
    for connection in connections:
        while (reply := await connection.request(chat())).status == 200:
            assert time.monotonic() < deadline_s, "a worker still serves the key"
            await asyncio.sleep(0.01)
        refused.append((reply.status, reply.error["code"]))
    return refused


async def test_a_revoked_key_is_refused_by_every_worker(stack: Stack, tenant: Tenant) -> None:
    """401, also at workers that have the key's grant in memory."""
    key = tenant.key()
    async with at_every_worker(stack, key) as connections:
        tenant.admin.keys.RevokeKey(RevokeKeyRequest(customer_id=tenant.customer_id, key_id=key.key_id))
        assert set(await refusals(connections)) == {(401, "invalid_api_key")}


async def test_a_disabled_key_is_refused_and_comes_back(stack: Stack, tenant: Tenant) -> None:
    """401 while it is switched off, 200 again soon after it is switched on."""
    key = tenant.key()
    async with at_every_worker(stack, key) as connections:
        tenant.update_key(key, disabled=True)
        assert set(await refusals(connections)) == {(401, "invalid_api_key")}
    tenant.update_key(key, disabled=False)
    for _ in range(CONNECTIONS):
        await until(stack.edge, key.secret, chat(), 200)


async def test_a_suspended_customer_is_refused_by_every_worker(stack: Stack, tenant: Tenant) -> None:
    """403 for a key that itself is in order."""
    key = tenant.key()
    async with at_every_worker(stack, key) as connections:
        tenant.update(suspended=True)
        assert set(await refusals(connections)) == {(403, "customer_suspended")}
    tenant.update(suspended=False)
    await until(stack.edge, key.secret, chat(), 200)


@pytest.mark.parametrize("budget_nanousd", [None, 1_000_000_000])
async def test_a_suspended_team_is_refused_by_every_worker(
    stack: Stack, tenant: Tenant, budget_nanousd: int | None
) -> None:
    """403 for the team's keys, leased or not; other keys of the customer go on."""
    team = Team(customer_id=tenant.customer_id, name="search")
    team = tenant.admin.teams.CreateTeam(CreateTeamRequest(team=team))
    key, other = tenant.key(budget_nanousd, team_id=team.team_id), tenant.key()

    def suspend(suspended: bool) -> None:
        changed = Team(customer_id=tenant.customer_id, team_id=team.team_id, suspended=suspended)
        mask = FieldMask(paths=["suspended"])
        tenant.admin.teams.UpdateTeam(UpdateTeamRequest(team=changed, update_mask=mask))

    async with at_every_worker(stack, key) as connections:
        suspend(True)
        assert set(await refusals(connections)) == {(403, "customer_suspended")}
    assert (await ask(stack.edge, other.secret, chat())).status == 200
    suspend(False)
    await until(stack.edge, key.secret, chat(), 200)


@pytest.mark.parametrize("budget_nanousd", [None, 1_000_000_000])
async def test_a_suspended_user_is_refused_by_every_worker(
    stack: Stack, tenant: Tenant, budget_nanousd: int | None
) -> None:
    """403 for the user's keys, leased or not; other keys of the customer go on."""
    user = User(customer_id=tenant.customer_id, email=f"{tenant.customer_id}@example.com")
    user = tenant.admin.users.CreateUser(CreateUserRequest(user=user))
    key, other = tenant.key(budget_nanousd, user_id=user.user_id), tenant.key()

    def suspend(suspended: bool) -> None:
        changed = User(customer_id=tenant.customer_id, user_id=user.user_id, suspended=suspended)
        mask = FieldMask(paths=["suspended"])
        tenant.admin.users.UpdateUser(UpdateUserRequest(user=changed, update_mask=mask))

    async with at_every_worker(stack, key) as connections:
        suspend(True)
        assert set(await refusals(connections)) == {(403, "customer_suspended")}
    assert (await ask(stack.edge, other.secret, chat())).status == 200
    suspend(False)
    await until(stack.edge, key.secret, chat(), 200)


async def test_an_expired_key_is_refused(stack: Stack, tenant: Tenant) -> None:
    """It works until its time and not after, without anybody pushing anything."""
    ends_s = time.time() + 2.5
    ends = Timestamp()
    ends.FromNanoseconds(int(ends_s * 1e9))
    key = tenant.key(expire_time=ends)
    assert (await ask(stack.edge, key.secret, chat())).status == 200
    asked_s = time.time()
    while (reply := await ask(stack.edge, key.secret, chat())).status == 200:
        assert asked_s < ends_s, "served after its time"
        asked_s = time.time()
    assert time.time() >= ends_s
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


async def test_models_beyond_the_allow_list_are_refused(stack: Stack, tenant: Tenant) -> None:
    """403 names the model's parameter; patterns of the list admit what they match."""
    key = tenant.key(allowed_models=["gpt-4o-*"])
    assert (await ask(stack.edge, key.secret, chat(model="gpt-4o-mini"))).status == 200
    reply = await ask(stack.edge, key.secret, chat(model="gpt-3.5-turbo"))
    assert reply.status == 403
    assert (reply.error["code"], reply.error["param"]) == ("model_not_allowed", "model")


def rotated(tenant: Tenant, key: VirtualKey, overlap_s: float) -> VirtualKey:
    """The key with its new secret."""
    overlap = Duration()
    overlap.FromMilliseconds(int(overlap_s * 1000))
    request = RotateKeyRequest(customer_id=tenant.customer_id, key_id=key.key_id, overlap=overlap)
    return VirtualKey(key.key_id, tenant.admin.keys.RotateKey(request).raw_key)


async def test_both_secrets_work_until_the_overlap_ends(stack: Stack, tenant: Tenant) -> None:
    """At every worker; after it the old one is refused without anybody doing anything, the new one isn't."""
    key = tenant.key(1_000_000_000)
    async with at_every_worker(stack, key) as connections:
        began_s = time.monotonic()
        new = rotated(tenant, key, overlap_s=3.0)
        rotated_s = time.monotonic()
        refused: dict[int, tuple[int, str]] = {}
        while len(refused) < CONNECTIONS:
            for place, connection in enumerate(connections):
                asked_s = time.monotonic()
                reply = await connection.request(chat())
                if reply.status == 200:
                    assert asked_s < rotated_s + 3.0, "served after the overlap"
                else:
                    assert time.monotonic() >= began_s + 3.0, "refused within the overlap"
                    refused[place] = reply.status, reply.error["code"]
            assert (await ask(stack.edge, new.secret, chat())).status == 200
        assert set(refused.values()) == {(401, "invalid_api_key")}
    async with at_every_worker(stack, new):
        pass


async def test_an_overlap_that_is_ended_early(stack: Stack, tenant: Tenant) -> None:
    """401 at every worker; the new secret goes on, and the key's budget with it."""
    key = tenant.key(1_000_000_000)
    new = rotated(tenant, key, overlap_s=3600)
    async with at_every_worker(stack, key) as old, at_every_worker(stack, new) as connections:
        request = EndKeyOverlapRequest(customer_id=tenant.customer_id, key_id=key.key_id)
        tenant.admin.keys.EndKeyOverlap(request)
        assert set(await refusals(old)) == {(401, "invalid_api_key")}
        for connection in connections:
            assert (await connection.request(chat())).status == 200


async def test_a_key_s_largest_cost_per_request(stack: Stack, tenant: Tenant) -> None:
    """Refused before anything is sent or held, with what would fit; that is let through."""
    key = tenant.key(max_cost_nanousd=100_000)
    reply = await ask(stack.edge, key.secret, chat(max_tokens=10_000))
    assert (reply.status, reply.error["code"]) == (400, "cost_limit_exceeded")
    fits = reply.error["tollkeeper"]["largest_max_tokens"]
    assert (await ask(stack.edge, key.secret, chat(max_tokens=fits))).status == 200
    [entry] = tenant.settled(1, key)
    assert entry.cost_nanousd <= 100_000


async def test_a_key_s_addresses(stack: Stack, tenant: Tenant) -> None:
    """403 from elsewhere, whatever x-forwarded-for says; a changed list acts."""
    key = tenant.key(allowed_ips=["198.51.100.0/24"])
    async with Connection(stack.edge, key.secret) as connection:
        for headers in ({}, {"x-forwarded-for": "198.51.100.7"}):
            reply = await connection.request(chat(), headers=headers)
            assert (reply.status, reply.error["code"]) == (403, "address_not_allowed")
    tenant.update_key(key, allowed_ips=["127.0.0.0/8", "::1/128"])
    await until(stack.edge, key.secret, chat(), 200)


async def test_a_customer_s_models_bound_all_its_keys(stack: Stack, tenant: Tenant) -> None:
    """The key's own list can't widen it."""
    key = tenant.key(allowed_models=["*"])
    assert (await ask(stack.edge, key.secret, chat(model="gpt-3.5-turbo"))).status == 200
    tenant.update(allowed_models=["gpt-4o-*"])
    reply = await until(stack.edge, key.secret, chat(model="gpt-3.5-turbo"), 403)
    assert reply.error["code"] == "model_not_allowed"
    assert (await ask(stack.edge, key.secret, chat(model="gpt-4o-mini"))).status == 200
