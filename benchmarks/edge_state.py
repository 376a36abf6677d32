"""CPU of the edge's ledger side per request: authorize, price, begin, finish and settlement bookkeeping, no
network.

    python -m benchmarks.edge_state [--requests N] [--profile]
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from edge.admission import AttemptPlan, Ledger, LedgerSettings, UsageState
from edge.control_link import ControlLink
from tollkeeper import key_format
from tollkeeper.cost import UsageCounts
from tollkeeper.v1 import edge_pb2, prices_pb2

CONCURRENCY = 16
BUDGETS = 4
HOLD_NANOUSD = 2_000_000
SECRET = key_format.mint(key_format.KEY_PREFIX)


def _id() -> str:
    return str(uuid4())


class InstantLink(ControlLink):
    """A control plane that says yes at once, without a network."""

    def __init__(self) -> None:
        self.records = 0
        self.calls_made = 0
        self._grant = _grant()

    async def authorize(self, key_hash: bytes, timeout_s: float = 0) -> edge_pb2.Grant:
        """One grant for all."""
        return self._grant

    async def acquire(
        self, request: edge_pb2.AcquireLeaseRequest, timeout_s: float
    ) -> edge_pb2.AcquireLeaseResponse:
        """All that is wanted, from four hard windows."""
        self.calls_made += 1
        answer = edge_pb2.AcquireLeaseResponse(
            granted_nanousd=request.wanted_nanousd, covered_holds=len(request.holds_nanousd)
        )
        answer.draw_for.seconds = 60
        for scope in ("key", "user", "team", "customer")[:BUDGETS]:
            window = answer.windows.add(
                budget_id=_id(), scope=scope, hard=True, limit_nanousd=10**15, spent_nanousd=0
            )
            window.start_time.seconds = 1_700_000_000
            window.end_time.seconds = 4_000_000_000
        return answer

    async def return_lease(self, request: edge_pb2.ReturnLeaseRequest) -> None:
        """Taken."""
        self.calls_made += 1

    async def settle(self, request: bytes) -> Sequence[int]:
        """Everything posted."""
        self.calls_made += 1
        # Only counts: what parsing costs is the control plane's affair.
        count = request.count(b"gpt-4o-mini-2024")
        self.records += count
        return [edge_pb2.SettleOutcome.POSTED] * count

    async def close_incarnation(self, incarnation_id: str, last_sequence: int) -> int:
        """Closed."""
        return 0

    async def watch(self, request: edge_pb2.WatchRequest) -> AsyncGenerator[edge_pb2.WatchResponse, None]:
        """One price, then heartbeats."""
        yield edge_pb2.WatchResponse(hello=edge_pb2.Hello(database_timeline="t"))
        book = edge_pb2.PriceBook(version=1, full=True, last=True, prices=[_price()])
        yield edge_pb2.WatchResponse(price_book=book)
        while True:
            await asyncio.sleep(0.5)
            yield edge_pb2.WatchResponse(heartbeat=edge_pb2.Heartbeat())


def _grant() -> edge_pb2.Grant:
    rule = edge_pb2.Rule(
        rule_id=_id(),
        priority=1,
        provider_id=_id(),
        provider_name="main",
        provider_type="openai",
        provider_enabled=True,
    )
    return edge_pb2.Grant(
        customer_id=_id(),
        key_id=_id(),
        team_id=_id(),
        user_id=_id(),
        version=1,
        chain_version=1,
        rules=[rule],
    )


def _price() -> prices_pb2.Price:
    rates = prices_pb2.Rates(input=150_000_000, cached_input=75_000_000, output=600_000_000)
    return prices_pb2.Price(price_id=_id(), provider_type="openai", model="gpt-4o-mini", rates=rates)


async def one_request(ledger: Ledger) -> None:
    """What the ledger does for one plain request."""
    grant = await ledger.authorize(SECRET)
    rule = grant.rules[0]
    price = ledger.price(grant, rule, "gpt-4o-mini")
    assert price is not None
    plan = AttemptPlan(rule, "gpt-4o-mini", price, HOLD_NANOUSD)
    opened = await ledger.begin(grant, plan, requested_model="gpt-4o-mini", stream=False)
    try:
        usage = UsageCounts(input_tokens=57, output_tokens=200, cached_input_tokens=10)
        opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=usage)
        opened.status = 200
        opened.response_model = "gpt-4o-mini-2024-07-18"
        opened.finish_reason = "stop"
    finally:
        ledger.finish(opened)


async def measure(requests: int, profile: bool, directory: Path) -> None:
    """Runs so many requests and prints the CPU of each."""
    ledger = Ledger(LedgerSettings(directory), cast(Any, _NoChannel()), "secret")
    link = InstantLink()
    for part in (ledger, ledger.grants):
        part.link = part._link = link  # type: ignore[union-attr]
    await ledger.start()
    for _ in range(200):
        await one_request(ledger)
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    before_s, calls_before = time.process_time(), link.calls_made
    for number in range(requests):
        await one_request(ledger)
        if number % CONCURRENCY == 0:
            # Lets settlement, syncing and refills have their turn, as the network does.
            await asyncio.sleep(0)
    await ledger.settler.flush(10)
    spent_s = time.process_time() - before_s
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    print(f"requests={requests} settled={link.records} rpcs={link.calls_made - calls_before}")
    print(f"EDGE_STATE us_per_request={spent_s / requests * 1e6:.1f}")
    assert await ledger.drain(5)
    await ledger.close()


class _NoChannel:
    def unary_unary(self, *args: object, **kwargs: object) -> None:
        """Never called."""

    unary_stream = unary_unary


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(arguments.requests, arguments.profile, Path(directory)))


if __name__ == "__main__":
    main()
