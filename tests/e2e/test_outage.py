"""The control plane is away: what the edge knows it serves, and what it can't know it says so."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.admin import VirtualKey
from tests.e2e.bills import mini_nanousd
from tests.e2e.stack import Stack
from tests.e2e.wire import Reply, ask, burst, chat, steered, until

CONNECTIONS = 12
DOLLAR = 1_000_000_000


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    """The process stands still: its connections stay open, and nothing comes out of them."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def warm(stack: Stack, *keys: VirtualKey) -> int:
    """Every worker has grant and lease of these keys; returns how many requests that took."""
    asked = [(key.secret, steered("tokens=4", max_tokens=16)) for key in keys for _ in range(CONNECTIONS)]
    for _ in range(2):
        assert {reply.status for reply in await burst(stack.edge, asked)} == {200}
    return 2 * CONNECTIONS


def assert_away(reply: Reply) -> None:
    """503 that says when to try again; never a 401, which would send people looking for a wrong key."""
    assert (reply.status, reply.error["code"]) == (503, "service_unavailable")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-should-retry"] == "true"


@pytest.mark.parametrize("away_s", [6, pytest.param(30, marks=pytest.mark.slow)])
async def test_control_away(stack: Stack, away_s: float) -> None:
    """Known keys are served throughout, hard budgets within the lease; afterwards all is settled."""
    tenant = stack.admin.tenant()
    unlimited, limited, unknown = tenant.key(), tenant.key(budget_nanousd=DOLLAR), tenant.key()
    before = stack.billed()
    count = await warm(stack, unlimited, limited)
    served = {unlimited: count, limited: count}
    async with frozen(stack.up.pid("control")):
        ends_s = time.monotonic() + away_s
        while time.monotonic() < ends_s:
            # A lease is as large as the holds that were in flight, so the limited key asks for less.
            for key in [unlimited] * 9 + [limited]:
                body = steered("tokens=4", max_tokens=16, stream=key is limited)
                reply = await ask(stack.edge, key.secret, body)
                assert reply.status == 200, (key is limited, reply.body)
                served[key] += 1
                await asyncio.sleep(0.1)
        assert_away(await ask(stack.edge, unknown.secret, chat()))
        assert_away(await ask(stack.edge, "aig_" + "Z" * 43, chat()))
    usage = [entry for key, number in served.items() for entry in tenant.settled(number, key)]
    billed = {row["event_id"]: mini_nanousd(row) for row in stack.bill(before)}
    assert {f"{entry.usage_id}-1": entry.cost_nanousd for entry in usage} == billed
    assert (await ask(stack.edge, unknown.secret, chat())).status == 200


async def test_rates_while_control_is_away(stack: Stack) -> None:
    """Shares in hand are served; where there is none, nobody is let through, and all is well afterwards."""
    tenant = stack.admin.tenant()
    roomy, tight = tenant.key(requests_per_minute=2000), tenant.key(requests_per_minute=3)
    await warm(stack, roomy)
    assert (await ask(stack.edge, tight.secret, chat())).status == 200
    async with frozen(stack.up.pid("control")):
        for _ in range(10):
            assert (await ask(stack.edge, roomy.secret, chat())).status == 200
        assert_away(await ask(stack.edge, tight.secret, chat()))
    await until(stack.edge, tight.secret, chat(), 200, within_s=10)
    statuses = [(await ask(stack.edge, tight.secret, chat())).status for _ in range(6)]
    assert statuses.count(200) <= 1


async def test_control_away_beyond_the_lease(stack: Stack) -> None:
    """What was lent is spent and no more: the budget holds, and the answer is 503."""
    tenant = stack.admin.tenant()
    limit = 20_000_000
    key = tenant.key(budget_nanousd=limit)
    await warm(stack, key)
    async with frozen(stack.up.pid("control")):
        refusals: list[Reply] = []
        async with asyncio.timeout(60):
            while not refusals:
                body = steered("tokens=max", max_tokens=1000)
                replies = await burst(stack.edge, [(key.secret, body)] * 8)
                refusals = [reply for reply in replies if reply.status != 200]
        for refusal in refusals:
            assert_away(refusal)
    await until(stack.edge, key.secret, steered("tokens=4", max_tokens=16), 200, within_s=20)
    assert tenant.spend(key) <= limit


async def test_control_killed(stack: Stack) -> None:
    """kill -9 and the restart that follows: no request of a known key fails, and all are settled."""
    tenant = stack.admin.tenant()
    key = tenant.key()
    count = await warm(stack, key)
    stack.kill_control()
    async with asyncio.timeout(20):
        while not stack.control_is_back(workers=2):
            assert (await ask(stack.edge, key.secret, chat())).status == 200
            count += 1
    tenant.settled(count, key)
