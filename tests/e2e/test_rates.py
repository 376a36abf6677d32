"""Rates and concurrency over real edges with several workers: exact, told in headers, changed at once."""

import asyncio
import time
from pathlib import Path

import openai
from google.protobuf.field_mask_pb2 import FieldMask

from tests.e2e.admin import Tenant
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, found
from tests.e2e.wire import Connection, Reply, ask, burst, chat, steered, until
from tollkeeper.v1.keys_pb2 import ModelLimit
from tollkeeper.v1.teams_pb2 import CreateTeamRequest, Team
from tollkeeper.v1.users_pb2 import CreateUserRequest, UpdateUserRequest, User


def statuses(replies: list[Reply]) -> list[int]:
    """In ascending order."""
    return sorted(reply.status for reply in replies)


def test_workers_of_two_edges_share_a_limit(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    """Three workers, thirty connections, all at once and again: as many as the limit, not one more."""

    async def twice(urls: list[str], secret: str) -> list[Reply]:
        replies = []
        for _ in range(2):
            asked = [burst(url, [(secret, chat())] * 15) for url in urls]
            replies += [reply for each in await asyncio.gather(*asked) for reply in each]
        return replies

    with edge(stack, tmp_path) as second:
        for limit in (1, 7):
            secret = tenant.key(requests_per_minute=limit).secret
            replies = asyncio.run(twice([stack.edge, second], secret))
            assert statuses(replies) == [200] * limit + [429] * (60 - limit)
            for reply in replies:
                assert reply.headers["x-ratelimit-limit-requests"] == str(limit)
                if reply.status == 429:
                    assert reply.error["code"] == "rate_limit_exceeded"
                    assert 1 <= int(reply.headers["retry-after"]) <= 60


def test_every_scope_holds(stack: Stack, tenant: Tenant) -> None:
    """Keys of one user, of one team, of one customer: each limit over all its keys; a model's over one."""
    admin, customer_id = tenant.admin, tenant.customer_id
    team = admin.teams.CreateTeam(
        CreateTeamRequest(team=Team(customer_id=customer_id, name="red", requests_per_minute=3))
    )
    email = f"{team.team_id}@example.com"
    user = admin.users.CreateUser(
        CreateUserRequest(user=User(customer_id=customer_id, email=email, requests_per_minute=2))
    )
    of_user = [tenant.key(user_id=user.user_id) for _ in range(2)]
    of_team = [tenant.key(team_id=team.team_id) for _ in range(2)]
    by_model = tenant.key(model_limits=[ModelLimit(model="gpt-4o", requests_per_minute=1)])

    async def ask_all() -> list[list[int]]:
        users = await burst(stack.edge, [(key.secret, chat()) for key in of_user] * 4)
        teams = await burst(stack.edge, [(key.secret, chat()) for key in of_team] * 4)
        models = await burst(stack.edge, [(by_model.secret, chat(model="gpt-4o"))] * 3)
        others = await burst(stack.edge, [(by_model.secret, chat(model="gpt-4o-mini"))] * 3)
        return [statuses(each) for each in (users, teams, models, others)]

    users, teams, models, others = asyncio.run(ask_all())
    assert (users, teams) == ([200] * 2 + [429] * 6, [200] * 3 + [429] * 5)
    assert (models, others) == ([200] + [429] * 2, [200] * 3)
    tenant.update(requests_per_minute=4)
    free = tenant.key()
    found(lambda: asyncio.run(ask(stack.edge, free.secret, chat())).status == 429)
    admin.users.UpdateUser(
        UpdateUserRequest(
            user=User(customer_id=customer_id, user_id=user.user_id),
            update_mask=FieldMask(paths=["requests_per_minute"]),
        )
    )
    tenant.update(requests_per_minute=0)
    asyncio.run(until(stack.edge, of_user[0].secret, chat(), 200, within_s=5))


def test_tokens_are_counted_up_front_and_corrected(stack: Stack, tenant: Tenant) -> None:
    """A large output limit counts until the answer tells what it was; then the next one fits."""
    key = tenant.key(tokens_per_minute=1000)

    async def three() -> list[Reply]:
        async with Connection(stack.edge, key.secret) as connection:
            return [
                await connection.request(steered("prompt=10 tokens=20", max_tokens=limit))
                for limit in (900, 900, 2000)
            ]

    first, second, too_large = asyncio.run(three())
    assert (first.status, second.status, too_large.status) == (200, 200, 429)
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert int(second.headers["x-ratelimit-remaining-tokens"]) <= 1000 - 2 * 30
    assert too_large.headers["x-should-retry"] == "false"
    assert too_large.error["type"] == "tokens"
    assert too_large.error["message"].startswith("Request too large for gpt-4o-mini in key ")


def test_requests_at_once_are_limited(stack: Stack, tenant: Tenant) -> None:
    """Two streams run, a third is refused; when one ends, the next is served, whichever worker takes it."""
    key = tenant.key(max_concurrent_requests=2)
    gate = f"rates-{time.time_ns()}"
    held = steered(f"gate={gate} tokens=3", stream=True)

    async def scenario() -> tuple[list[int], int, list[int]]:
        async with Connection(stack.edge, key.secret) as one, Connection(stack.edge, key.secret) as two:
            heads = []
            for connection in (one, two):
                await connection.send(held)
                heads.append(await connection.head())
            refused = await ask(stack.edge, key.secret, chat())
            assert "requests at once: Limit 2" in refused.error["message"]
            await asyncio.to_thread(stack.open_gate, gate)
            for connection, (_, headers) in zip((one, two), heads, strict=True):
                assert [piece async for piece in connection.pieces(headers)]
            after = [(await ask(stack.edge, key.secret, chat())).status for _ in range(8)]
            return [status for status, _ in heads], refused.status, after

    assert asyncio.run(scenario()) == ([200, 200], 429, [200] * 8)


def test_openai_s_sdk_waits_and_is_served(stack: Stack, tenant: Tenant) -> None:
    """It obeys retry-after: a refusal for concurrency is over when it asks again."""
    key = tenant.key(max_concurrent_requests=1)
    gate = f"rates-{time.time_ns()}"

    async def scenario() -> str:
        async with Connection(stack.edge, key.secret) as first:
            await first.send(steered(f"gate={gate} tokens=1", stream=True))
            _, headers = await first.head()
            base_url = f"{stack.edge}/v1"
            async with openai.AsyncOpenAI(base_url=base_url, api_key=key.secret) as client:
                asking = asyncio.create_task(
                    client.chat.completions.create(
                        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
                    )
                )
                await asyncio.sleep(0.8)
                await asyncio.to_thread(stack.open_gate, gate)
                assert [piece async for piece in first.pieces(headers)]
                return str((await asking).choices[0].finish_reason)

    assert asyncio.run(scenario()) == "stop"
