"""Two replicas of the control plane over one database: any of them serves any call, and one may die."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest

from tests.e2e.admin import Admin, Tenant, VirtualKey
from tests.e2e.bills import total_nanousd
from tests.e2e.edges import edge
from tests.e2e.replicas import replica
from tests.e2e.stack import Stack, found
from tests.e2e.wire import PUSHED_WITHIN_S, ask, burst, chat, load, steered
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest

LIMIT = 10_000_000


@dataclass
class Pair:
    """The first replica is the product's own; the edge at `edge` knows both."""

    second: Popen[bytes]
    admin: Admin
    edge: str


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def pair(stack: Stack, path: Path) -> Iterator[Pair]:
    """A second replica beside the product's, and a second edge that calls both in turn."""
    with replica(stack, path) as (second, address, admin):
        both = f"{stack.up.ready['control']},{address}"
        with edge(stack, path, TOLLKEEPER_CONTROL_ADDRESSES=both) as url:
            yield Pair(second, admin, url)


async def test_what_one_replica_changes_the_other_tells(stack: Stack, pair: Pair, tenant: Tenant) -> None:
    """A key of the second is served by both edges; revoked there, both refuse it."""
    through_second = Tenant(pair.admin, tenant.customer_id, tenant.router_id)
    key = through_second.key()
    for url in (stack.edge, pair.edge):
        assert set(await load(url, key.secret, chat(), 20, connections=8)) == {200}
    pair.admin.keys.RevokeKey(RevokeKeyRequest(customer_id=tenant.customer_id, key_id=key.key_id))
    deadline_s = time.monotonic() + PUSHED_WITHIN_S
    for url in (stack.edge, pair.edge):
        for _ in range(8):
            while (await ask(url, key.secret, chat())).status == 200:
                assert time.monotonic() < deadline_s, "a worker still serves the key"


async def test_a16_a_budget_holds_over_both(stack: Stack, pair: Pair, tenant: Tenant) -> None:
    """Bursts on one key through two edges and two replicas: never above the limit, nearly all of it spent."""
    key = tenant.key(budget_nanousd=LIMIT)
    before = stack.billed()
    await _exhaust([stack.edge, pair.edge], key)
    billed_nanousd = total_nanousd(stack.bill(before))
    assert LIMIT * 9 // 10 <= billed_nanousd <= LIMIT
    found(lambda: tenant.spend(key) == billed_nanousd)


async def _exhaust(urls: list[str], key: VirtualKey) -> None:
    body = steered("tokens=max", max_tokens=100)
    for _ in range(12):
        replies = await asyncio.gather(*(burst(url, [(key.secret, body)] * 50) for url in urls))
        assert {reply.status for each in replies for reply in each} <= {200, 429}
        if (await ask(urls[0], key.secret, body)).status == 429:
            return
    raise AssertionError("not spent after 12 bursts")


async def test_a_dead_replica_is_not_missed(stack: Stack, pair: Pair, tenant: Tenant) -> None:
    """kill -9 of one under load: no request fails, all are settled, and new keys are served at once."""
    key, limited = tenant.key(), tenant.key(budget_nanousd=1_000_000_000)
    for each in (key, limited):
        assert set(await load(pair.edge, each.secret, chat(max_tokens=16), 20)) == {200}
    loading = asyncio.create_task(load(pair.edge, key.secret, chat(max_tokens=16), 1500))
    await asyncio.sleep(0.1)
    pair.second.kill()
    assert set(await loading) == {200}
    assert set(await load(pair.edge, limited.secret, chat(max_tokens=16), 500, connections=4)) == {200}
    fresh = tenant.key()
    assert (await ask(pair.edge, fresh.secret, chat())).status == 200
    tenant.settled(20 + 1500, key)
    tenant.settled(20 + 500, limited)
