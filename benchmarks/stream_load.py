"""Streams of one address, in a process of its own: a thousand that are open all the time, or bursts of them.

    echo TARGET_AS_JSON | python -m benchmarks.stream_load --count 1000 --seconds 30
    echo TARGET_AS_JSON | python -m benchmarks.stream_load --count 1000 --bursts 3

Evenly spread, each connection asks for another stream when one has ended; timed are those that begin while
all are open, from the request to the answer's first byte. In a burst all ask at one instant, on connections
that are open already, and are timed from that instant. Prints a list of flows as JSON.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import uvloop

from benchmarks.cpu import OTHERS_CPU
from benchmarks.families import chat_body
from benchmarks.load import Connection, LoadFailed, Target

EVENTS = 20
INTERVAL_MS = 500
# The role, the finish and [DONE] are events, too.
BODY = chat_body(f"[[sim tokens={EVENTS - 3} drip_ms={INTERVAL_MS}]]", stream=True)
STREAM_S = (EVENTS - 1) * INTERVAL_MS / 1e3
OPEN_WITHIN_S = 20.0
# Between the end of a burst and the next, so that everything is booked and nothing waits any more.
PAUSE_S = 1.5


@dataclass(frozen=True)
class Flow:
    """What was seen. `first_byte_ms` are of the streams that are timed, in order."""

    streams: int
    events: int
    lost: int
    failed: int
    first_byte_ms: list[float]

    def percentile_ms(self, part: float) -> float:
        return self.first_byte_ms[int(len(self.first_byte_ms) * part)]


class Timed(Connection):
    """A connection that knows when the answer's first byte came."""

    def __init__(self) -> None:
        super().__init__()
        self.first_byte_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.first_byte_at = self.first_byte_at or time.perf_counter()
        super().data_received(data)


class Streams:
    """All of them, over connections that stay open."""

    def __init__(self, target: Target, connections: list[Timed]) -> None:
        self._request = target.request()
        self._connections = connections
        self._first_byte_ms: list[float] = []
        self._streams = self._events = self._lost = self._failed = 0

    async def run(self, spread_s: float, seconds: float) -> Flow:
        """They begin within `spread_s`, at once where that is 0. For `seconds` from then on each is followed
        by another."""
        # A moment from now, so that the first don't wait for the making of the others.
        began = time.perf_counter() + 0.1
        count = len(self._connections)
        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(self._connections):
                due = began + number / count * spread_s
                group.create_task(self._one_after_the_other(connection, due, began + spread_s, seconds))
        return Flow(self._streams, self._events, self._lost, self._failed, sorted(self._first_byte_ms))

    async def _one_after_the_other(
        self, connection: Timed, due: float, timed_from: float, seconds: float
    ) -> None:
        await asyncio.sleep(due - time.perf_counter())
        while True:
            connection.first_byte_at = 0.0
            try:
                status = await connection.ask(self._request)
            except ConnectionError:
                self._failed += 1
                return
            self._failed += status != 200
            if due >= timed_from:
                self._first_byte_ms.append((connection.first_byte_at - due) * 1e3)
            self._count_events(connection)
            due = time.perf_counter()
            if due >= timed_from + seconds:
                return

    def _count_events(self, connection: Timed) -> None:
        events = connection.body.count(b"data: ")
        self._streams += 1
        self._events += events
        self._lost += EVENTS - events


def spread(target: Target, count: int, seconds: float) -> Flow:
    """Evenly, so many open all the time. Raises LoadFailed."""
    [flow] = _run(target, count, seconds, 0)
    return flow


def bursts(target: Target, count: int, number: int) -> list[Flow]:
    """Each of so many at one instant. Raises LoadFailed."""
    return _run(target, count, 0, number)


def _run(target: Target, count: int, seconds: float, burst_count: int) -> list[Flow]:
    options = {"--count": count, "--seconds": seconds, "--bursts": burst_count}
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.stream_load", *words],
        input=json.dumps(asdict(target)),
        capture_output=True,
        text=True,
        timeout=OPEN_WITHIN_S + seconds + (burst_count + 4) * (STREAM_S + PAUSE_S),
        preexec_fn=lambda: os.sched_setaffinity(0, {OTHERS_CPU}),
        check=False,
    )
    if done.returncode:
        raise LoadFailed(f"{target.url}: {done.stderr.strip()[-500:]}")
    return [Flow(**flow) for flow in json.loads(done.stdout)]


async def _flows(target: Target, count: int, seconds: float, burst_count: int) -> list[Flow]:
    """Raises OSError when a connection can't be made."""
    opening = asyncio.Semaphore(32)

    async def connected() -> Timed:
        async with opening:
            _, made = await asyncio.get_running_loop().create_connection(Timed, *target.address)
            return made

    async with asyncio.timeout(OPEN_WITHIN_S):
        connections = await asyncio.gather(*(connected() for _ in range(count)))
    flows = []
    if not burst_count:
        flows.append(await Streams(target, connections).run(STREAM_S, seconds))
    for _ in range(burst_count):
        await asyncio.sleep(PAUSE_S)
        flows.append(await Streams(target, connections).run(0, 0))
    for connection in connections:
        connection.close()
    return flows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, required=True, help="of streams open at once")
    parser.add_argument("--seconds", type=float, default=0, help="that so many are open")
    parser.add_argument("--bursts", type=int, default=0, help="so many in place of that")
    options = parser.parse_args()
    target = Target(**json.load(sys.stdin))
    gc.freeze()
    flows = uvloop.run(_flows(target, options.count, options.seconds, options.bursts))
    print(json.dumps([asdict(flow) for flow in flows]))


if __name__ == "__main__":
    main()
