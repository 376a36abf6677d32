"""A fake control plane and a worker's ledger over real gRPC, for tests of the edge's ledger side."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.admission import AttemptPlan, Ledger, LedgerSettings, Open, UsageState
from edge.clock import Clock
from edge.control_link import open_channel
from edge.grants import GrantView
from tests.edge.fake_control import FakeControl
from tollkeeper.cost import UsageCounts

MODEL = "gpt-4o-mini"


class TurnedClock(Clock):
    """The machine's clock plus what the test adds."""

    __slots__ = ("added_s",)

    def __init__(self) -> None:
        real = Clock()
        self.added_s = 0.0
        self.now_s = lambda: real.now_s() + self.added_s
        self.wall_s = lambda: real.wall_s() + self.added_s


class Worker:
    """One worker's ledger with its channel, and requests as the routes make them."""

    def __init__(
        self, control: FakeControl, data_dir: Path, clock: Clock | None = None, **settings: Any
    ) -> None:
        values: dict[str, Any] = {
            "settle_interval_s": 0.05,
            "adopt_interval_s": 0.1,
            "fsync_interval_s": 0.02,
        }
        self.channel = open_channel([control.address])
        self.lags: list[float] = []
        self.ledger = Ledger(
            LedgerSettings(data_dir, **(values | settings)),
            self.channel,
            "edge-secret",
            clock=clock,
            on_push_lag=self.lags.append,
        )

    async def start(self) -> "Worker":
        await self.ledger.start()
        return self

    async def close(self) -> None:
        await self.ledger.close()
        await self.channel.close()

    def plan(self, grant: GrantView, hold_nanousd: int) -> AttemptPlan:
        """An attempt by the grant's first rule."""
        rule = grant.rules[0]
        price = self.ledger.price(grant, rule, MODEL)
        assert price is not None
        return AttemptPlan(rule, MODEL, price, hold_nanousd)

    async def begin(self, secret: str, hold_nanousd: int = 1_000_000) -> Open:
        """Admits a request."""
        grant = await self.ledger.authorize(secret)
        plan = self.plan(grant, hold_nanousd)
        return await self.ledger.begin(grant, plan, requested_model=MODEL, stream=False)

    async def request(self, secret: str, hold_nanousd: int = 1_000_000, output_tokens: int = 100) -> int:
        """A whole request; returns its cost: 600 nano-dollars per output token."""
        opened = await self.begin(secret, hold_nanousd)
        try:
            usage = UsageCounts(output_tokens=output_tokens)
            opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=usage)
        finally:
            cost = self.ledger.finish(opened)
        return cost


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


@pytest.fixture
async def control() -> AsyncIterator[FakeControl]:
    """A fake control plane with one budget of $1000."""
    control = await FakeControl().start()
    yield control
    await control.stop()


StartWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start_worker(control: FakeControl, tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Starts workers over one data directory; all are closed in the end."""
    workers: list[Worker] = []

    async def start(**settings: Any) -> Worker:
        worker = Worker(control, tmp_path, **settings)
        workers.append(worker)
        return await worker.start()

    yield start
    for worker in workers:
        await worker.close()
