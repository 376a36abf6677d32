"""`make soak`: see the package. Ends by itself, soon after its minutes are over."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from control import postgres
from tests.chaos.check import bill, posted
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, audit, running
from tests.soak import rates
from tests.soak.books import violations
from tests.soak.processes import Watcher
from tests.soak.traffic import Edge, Traffic
from tollkeeper.v1.routers_pb2 import RoutingRule

WORKERS = 4
CLIENTS = 24
KILL_EVERY_S = 45.0
SETTLE_TIMEOUT_S = 60.0
# Spent within the first minutes.
SMALL_LIMIT_NANOUSD = 2_000_000
PROGRESS_EVERY_S = 30.0
# Which models each vendor is asked for, in its own format; OpenAI for all others.
VENDORS = {"anthropic": ["claude*"], "google": ["gemini*"], "openai": []}
PARTS = ("edge", "control", "postgres", "simulator")
# The simulator stands in for others; PostgreSQL's first process only watches over its sessions.
JUDGED = ("edge", "edge-worker", "control")


@dataclass
class Soak:
    """What runs. Workers of the second edge are killed, those of the first live through it all."""

    stack: Stack
    second_url: str
    second_dir: Path
    minutes: float
    seed: int

    @property
    def urls(self) -> list[str]:
        """Of both edges."""
        return [self.stack.edge, self.second_url]

    def processes(self) -> dict[str, int]:
        """Pids of what lasts, by name."""
        found = {part: self.stack.up.pid(part) for part in PARTS}
        for number, pid in enumerate(sorted(self.stack.workers())):
            found[f"edge-worker-{number}"] = pid
        return found

    async def rates(self) -> list[str]:
        """What is wrong with the rates of a key that asks for twice what it may have, beside the traffic."""
        minutes = min(rates.MINUTES, int(self.minutes))
        return await rates.measure(self.stack, self.urls, minutes) if minutes else []

    async def kill_workers(self, stop: asyncio.Event, after: "asyncio.Task[list[str]]") -> int:
        """kill -9 of one worker of the second edge every now and then; how many.

        Not before the rates are measured: a killed worker takes its shares with it.
        """
        kills = 0
        await asyncio.wait([after])
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_EVERY_S):
                    await stop.wait()
                return kills
            pid_files = sorted((self.second_dir / "run").glob("edge-worker-*.pid"))
            if pid_files:
                with suppress(ProcessLookupError):
                    os.kill(int(pid_files[kills % len(pid_files)].read_text()), signal.SIGKILL)
                    kills += 1

    async def run(self) -> int:
        """Traffic and faults for so many minutes, then the books; the exit status."""
        large, small = make_keys(self.stack)
        edges = [Edge(url, steady=url == self.stack.edge) for url in self.urls]
        traffic = Traffic(edges, large, small, self.seed)
        watcher = Watcher(self.processes)
        watching = asyncio.create_task(watcher.run())
        measuring = asyncio.create_task(self.rates())
        killing = asyncio.create_task(self.kill_workers(traffic.stop, measuring))
        asking = asyncio.create_task(traffic.run(CLIENTS))
        try:
            await self._until_over(traffic, asking)
        finally:
            traffic.stop.set()
            await asking
            watching.cancel()
        watcher.sample()
        kills = await killing
        found = await measuring + await self._audited()
        return report(traffic, watcher, found, kills, self.minutes)

    async def _until_over(self, traffic: Traffic, asking: "asyncio.Task[None]") -> None:
        began = time.monotonic()
        while (left_s := began + self.minutes * 60 - time.monotonic()) > 0 and not asking.done():
            await asyncio.sleep(min(left_s, PROGRESS_EVERY_S))
            tally = traffic.tally
            print(
                f"{time.monotonic() - began:5.0f} s: {tally.requests} requests, {dict(tally.outcomes)}",
                file=sys.stderr,
            )

    async def _audited(self) -> list[str]:
        """What is wrong in the books once all is settled, or what still is when time is up."""
        url = postgres.url(self.stack.up.data_dir).replace("postgresql+psycopg://", "postgresql://", 1)
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            found = violations(await bill(self.stack.simulator), await posted(url))
            if not found or time.monotonic() > deadline:
                break
            await asyncio.sleep(1)
        try:
            await asyncio.to_thread(audit, self.stack)
        except AssertionError as error:
            found.append(f"ledger verify: {str(error)[:2000]}")
        return found


def make_keys(stack: Stack) -> tuple[list[str], list[str]]:
    """Secrets of keys of two customers: those whose budgets hold, and those that will be spent."""
    large, small = [], []
    for _ in range(2):
        tenant = stack.admin.customer()
        rules = [
            RoutingRule(
                provider_id=tenant.provider(vendor, credential="sk-vendor"),
                allowed_models=models,
                priority=place,
            )
            for place, (vendor, models) in enumerate(VENDORS.items(), 1)
        ]
        tenant.route(*rules)
        large += [tenant.key(budget_nanousd=10**12).secret for _ in range(3)]
        small += [tenant.key(budget_nanousd=SMALL_LIMIT_NANOUSD).secret for _ in range(2)]
    return large, small


def report(traffic: Traffic, watcher: Watcher, found: list[str], kills: int, minutes: float) -> int:
    """Prints what was seen; the exit status."""
    tally = traffic.tally
    for text in [*tally.unexpected[:30], *found[:30]]:
        print(text, file=sys.stderr)
    histories = [each for each in watcher.lasting() if each.samples]
    for history in histories:
        print(history.line())
    judged = [each for each in histories if each.name.rstrip("0123456789").rstrip("-") in JUDGED]
    growing = [each.name for each in judged if not each.is_flat()]
    print(f"outcomes {dict(tally.outcomes)}; by kind {dict(tally.by_kind)}")
    print(
        f"SOAK minutes={minutes:g} requests={tally.requests} answered={tally.outcomes['answered']}"
        f" kills={kills} unexpected={tally.outcomes['unexpected']} violations={len(found)}"
        f" growing={','.join(growing) or '-'}",
        flush=True,
    )
    return 1 if growing or found or tally.outcomes["unexpected"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="tollkeeper-soak-")))
        workers = {"TOLLKEEPER_EDGE_WORKERS": str(WORKERS)}
        stack = exit_stack.enter_context(running(workers))
        second_url = exit_stack.enter_context(edge(stack, folder, **workers))
        soak = Soak(stack, second_url, folder / "edge", options.minutes, options.seed)
        return asyncio.run(soak.run())


if __name__ == "__main__":
    sys.exit(main())
