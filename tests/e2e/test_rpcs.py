"""The steady state makes no calls: the control plane counts them itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, audited, found
from tests.e2e.wire import ask, chat, load, until
from tollkeeper.v1.budgets_pb2 import Budget, CreateBudgetRequest, Scope
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest

REQUESTS = 10_000
MOST_RPCS = 200
DOLLAR = 1_000_000_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A product with one worker, and nobody else who could call the control plane."""
    with audited({"TOLLKEEPER_EDGE_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture
def limited(stack: Stack) -> tuple[Tenant, VirtualKey]:
    """A key with a hard budget of its own, below one of its customer and a second one of both."""
    tenant = stack.admin.tenant(budget_nanousd=100 * DOLLAR)
    key = tenant.key(budget_nanousd=100 * DOLLAR)
    for scope, scope_id in ((Scope.SCOPE_KEY, key.key_id), (Scope.SCOPE_CUSTOMER, tenant.customer_id)):
        budget = Budget(
            customer_id=tenant.customer_id, scope=scope, scope_id=scope_id, limit_nanousd=200 * DOLLAR
        )
        stack.admin.budgets.CreateBudget(CreateBudgetRequest(budget=budget))
    return tenant, key


def settled_requests(stack: Stack) -> int:
    return stack.counted("tollkeeper_control_records_total", outcome="posted")


async def test_10_000_requests_cost_at_most_200_calls(
    stack: Stack, limited: tuple[Tenant, VirtualKey]
) -> None:
    """On a warm key below four hard budgets; leases, settlement and all else included."""
    tenant, key = limited
    body = chat(max_tokens=16)
    await load(stack.edge, key.secret, body, 50)
    found(lambda: settled_requests(stack) >= 50)
    before = stack.rpcs()
    assert set(await load(stack.edge, key.secret, body, REQUESTS)) == {200}
    found(lambda: settled_requests(stack) >= 50 + REQUESTS, timeout_s=30)
    calls = {method: count - before.get(method, 0) for method, count in stack.rpcs().items()}
    assert calls["Settle"] > 0
    assert sum(calls.values()) <= MOST_RPCS, calls
    assert calls.get("Authorize", 0) == 0
    bill = stack.http.get(f"{stack.simulator}/_sim/bill/summary").json()
    [totals] = bill["by_model"].values()
    cost_nanousd = totals["prompt_tokens"] * 150 + totals["completion_tokens"] * 600
    found(lambda: tenant.spend(key) == cost_nanousd)


# The Watch stream is lost


async def test_a_killed_control_plane_is_not_polled(stack: Stack, limited: tuple[Tenant, VirtualKey]) -> None:
    """After kill -9 Watch comes back once, and keys aren't authorized request by request."""
    _, key = limited
    unlimited = stack.admin.tenant().key()
    body = chat(max_tokens=16)
    for each in (key, unlimited):
        await load(stack.edge, each.secret, body, 50)
    stack.kill_control()
    assert set(await load(stack.edge, unlimited.secret, body, 200, connections=4)) == {200}
    await _until(lambda: stack.control_is_back(workers=1))
    for each in (key, unlimited):
        assert set(await load(stack.edge, each.secret, body, 500, connections=4)) == {200}
    await asyncio.sleep(1)
    before = stack.rpcs()
    await asyncio.sleep(2)
    # Since the restart, which set the counters to zero. A stream that goes on isn't counted yet.
    calls = stack.rpcs()
    assert calls.get("Watch", 0) == 0, calls
    assert calls.get("Authorize", 0) <= 2, calls
    assert sum(calls.values()) <= 40, calls
    assert sum(calls.values()) - sum(before.values()) <= 4, (before, calls)


class Cable:
    """A TCP connection to the control plane that can be cut, and stays cut until it is mended."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        other_reader, other_writer = await asyncio.open_connection(self._host, int(self._port))
        self._writers |= {writer, other_writer}
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))

    def cut(self) -> None:
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        self._cut = False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def cabled(stack: Stack, path: Path) -> AsyncIterator[tuple[Cable, str]]:
    """A second edge whose only way to the control plane is a cable."""
    cable = Cable(str(stack.up.ready["control"]))
    server = await asyncio.start_server(cable.accept, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    started = edge(stack, path, TOLLKEEPER_CONTROL_ADDRESSES=address)
    url = await asyncio.to_thread(started.__enter__)
    try:
        yield cable, url
    finally:
        await asyncio.to_thread(started.__exit__, None, None, None)
        cable.cut()
        server.close()


async def test_what_happened_during_a_cut_is_learned_afterwards(stack: Stack, tmp_path: Path) -> None:
    """A key revoked while the stream was down is refused after it, and asked about once at most."""
    tenant = stack.admin.tenant()
    revoked, kept = tenant.key(), tenant.key()
    async with cabled(stack, tmp_path) as (cable, url):
        for key in (revoked, kept):
            assert (await ask(url, key.secret, chat())).status == 200
        watches = stack.watches()
        cable.cut()
        request = RevokeKeyRequest(customer_id=tenant.customer_id, key_id=revoked.key_id)
        await asyncio.to_thread(tenant.admin.keys.RevokeKey, request)
        await _until(lambda: stack.watches() == watches - 1)
        assert (await ask(url, kept.secret, chat())).status == 200
        cable.mend()
        await _until(lambda: stack.watches() == watches)
        before = stack.rpcs()
        await until(url, revoked.secret, chat(), 401)
        assert set(await load(url, kept.secret, chat(), 300, connections=4)) == {200}
        assert stack.rpcs()["Authorize"] - before["Authorize"] <= 2


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while True:
            if await asyncio.to_thread(holds):
                return
            await asyncio.sleep(0.05)
