"""A thousand streams at once through one worker, beside the bare forwarder.

    python -m benchmarks.streams

Every stream has 20 events, two a second, and is followed by another on the same connection. They begin
evenly spread, so that while a thousand are open a hundred begin each second; that state is held for 30
seconds. Timed is each beginning, from the request to the answer's first byte. The edge has one core to itself
and so has the bare forwarder in its turn; all else shares the other. Exits with 1 when an event was lost, a
stream failed, or the edge adds more than 20 ms at the 99th percentile.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import uvloop

from benchmarks import cpu, peers, stack
from benchmarks.bench import RIVALS_PATH, RIVALS_SECRET
from benchmarks.cpu import OTHERS_CPU
from benchmarks.families import chat_body
from benchmarks.load import Connection, LoadFailed, Target

LIMIT_S = 400
STREAMS = 1000
SECONDS = 30
EVENTS = 20
INTERVAL_MS = 500
# The role, the finish and [DONE] are events, too.
BODY = chat_body(f"[[sim tokens={EVENTS - 3} drip_ms={INTERVAL_MS}]]", stream=True)
STREAM_S = (EVENTS - 1) * INTERVAL_MS / 1e3
MOST_ADDED_MS = 20.0
OPEN_WITHIN_S = 20.0


@dataclass(frozen=True)
class Flow:
    """What the load saw. `first_byte_ms` are those of streams that began while all were open, in order."""

    streams: int
    events: int
    lost: int
    failed: int
    first_byte_ms: list[float]

    def percentile_ms(self, part: float) -> float:
        return self.first_byte_ms[int(len(self.first_byte_ms) * part)]


@dataclass(frozen=True)
class Measured:
    """A peer's flow, its processor time as part of a core, and its memory before and at most."""

    flow: Flow
    cpu_percent: float
    idle_rss_mb: float
    rss_mb: float


class Timed(Connection):
    """A connection that knows when the answer's first byte came."""

    def __init__(self) -> None:
        super().__init__()
        self.first_byte_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.first_byte_at = self.first_byte_at or time.perf_counter()
        super().data_received(data)


class Streams:
    """All of them, in this process."""

    def __init__(self, target: Target, count: int, seconds: float) -> None:
        self._target = target
        self._request = target.request()
        self._count = count
        self._seconds = seconds
        self._first_byte_ms: list[float] = []
        self._streams = self._events = self._lost = self._failed = 0

    async def run(self) -> Flow:
        """Raises OSError when a connection can't be made."""
        opening = asyncio.Semaphore(32)

        async def connected() -> Timed:
            async with opening:
                _, made = await asyncio.get_running_loop().create_connection(Timed, *self._target.address)
                return made

        async with asyncio.timeout(OPEN_WITHIN_S):
            connections = await asyncio.gather(*(connected() for _ in range(self._count)))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(connections):
                group.create_task(self._one_after_the_other(connection, began, number))
        for connection in connections:
            connection.close()
        return Flow(self._streams, self._events, self._lost, self._failed, sorted(self._first_byte_ms))

    async def _one_after_the_other(self, connection: Timed, began: float, number: int) -> None:
        await asyncio.sleep(number / self._count * STREAM_S)
        until = began + STREAM_S + self._seconds
        while (sent := time.perf_counter()) < until:
            connection.first_byte_at = 0.0
            try:
                status = await connection.ask(self._request)
            except ConnectionError:
                self._failed += 1
                return
            self._failed += status != 200
            if sent >= began + STREAM_S:
                self._first_byte_ms.append((connection.first_byte_at - sent) * 1e3)
            self._count_events(connection)

    def _count_events(self, connection: Timed) -> None:
        events = connection.body.count(b"data: ")
        self._streams += 1
        self._events += events
        self._lost += EVENTS - events


def measured(target: Target, pid: int, count: int, seconds: float) -> Measured:
    """Runs the load in a process of its own. Raises LoadFailed."""
    idle_rss_mb, used_s, began = cpu.rss_mb(pid), cpu.used_s(pid), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.streams", "--count", str(count), "--seconds", str(seconds)]
    done = subprocess.run(
        [*command, "--load"],
        input=json.dumps(asdict(target)),
        capture_output=True,
        text=True,
        timeout=OPEN_WITHIN_S + seconds + 4 * STREAM_S,
        preexec_fn=lambda: os.sched_setaffinity(0, {OTHERS_CPU}),
        check=False,
    )
    if done.returncode:
        raise LoadFailed(f"{target.url}: {done.stderr.strip()[-500:]}")
    cpu_percent = (cpu.used_s(pid) - used_s) / (time.perf_counter() - began) * 100
    return Measured(Flow(**json.loads(done.stdout)), cpu_percent, idle_rss_mb, cpu.peak_rss_mb(pid))


def run(count: int, seconds: float) -> int:
    """Both peers; the exit status. Raises SystemExit when something can't start, LoadFailed."""
    with stack.limited(LIMIT_S), ExitStack() as exit_stack:
        running = exit_stack.enter_context(stack.running(workers=1))
        peers.pin(running)
        with stack.Admin(running) as admin:
            secret = admin.create_budgeted_key()
        bare_pid, bare_url = exit_stack.enter_context(peers.bare_forwarder(running.simulator_url))
        for part in ("control", "postgres"):
            cpu.yield_to_others(running.pids[part])
        bare = measured(Target(bare_url + RIVALS_PATH, RIVALS_SECRET, BODY), bare_pid, count, seconds)
        edge = measured(Target(running.chat_url, secret, BODY), running.pids["edge"], count, seconds)
        stack.settled(running)
        sent, _ = running.usage_records()
        print_peers({"bare forwarder": bare, "edge": edge})
        print(f"\nstreams {edge.flow.streams}, billed {running.billed()}, posted {sent}")
        print(f"ledger verify: {running.verify_ledger()}")
    return summary(count, bare, edge, sent)


def print_peers(found: dict[str, Measured]) -> None:
    """A table for people."""
    print(f"{'':18}{'first byte p50':>15}{'p99':>11}{'CPU':>8}{'RSS idle':>11}{'RSS':>10}{'lost':>6}")
    for name, one in found.items():
        print(
            f"{name:18}{one.flow.percentile_ms(0.5):12.2f} ms{one.flow.percentile_ms(0.99):8.2f} ms"
            f"{one.cpu_percent:6.0f} %{one.idle_rss_mb:8.0f} MB{one.rss_mb:7.0f} MB{one.flow.lost:6}"
        )


def summary(count: int, bare: Measured, edge: Measured, posted: int) -> int:
    """The line for programs; the exit status."""
    added_ms = {part: edge.flow.percentile_ms(part) - bare.flow.percentile_ms(part) for part in (0.5, 0.99)}
    failed = edge.flow.failed + bare.flow.failed
    print(
        f"BENCH_STREAMS streams={count} events={edge.flow.events} lost={edge.flow.lost} failed={failed}"
        f" first_byte_p50_ms={edge.flow.percentile_ms(0.5):.2f}"
        f" first_byte_p99_ms={edge.flow.percentile_ms(0.99):.2f}"
        f" added_p50_ms={added_ms[0.5]:.2f} added_p99_ms={added_ms[0.99]:.2f}"
        f" cpu_percent={edge.cpu_percent:.0f} rss_mb={edge.rss_mb:.0f}",
        flush=True,
    )
    lost = edge.flow.lost + bare.flow.lost
    good = not (lost or failed) and posted == edge.flow.streams and added_ms[0.99] <= MOST_ADDED_MS
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=STREAMS, help="of streams open at once")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that so many are open")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        streams = Streams(Target(**json.load(sys.stdin)), options.count, options.seconds)
        print(json.dumps(asdict(uvloop.run(streams.run()))))
        return 0
    cpu.need_two_cores()
    try:
        return run(options.count, options.seconds)
    except (LoadFailed, TimeoutError) as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
