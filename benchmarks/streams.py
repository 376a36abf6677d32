"""A thousand streams at once through one worker, beside the bare forwarder: evenly spread, and in bursts.

    python -m benchmarks.streams

Every stream has 20 events, two a second. Spread, each is followed by another on the same connection, so that
while a thousand are open a hundred begin each second; that state is held for 30 seconds. In a burst all
thousand begin at one instant: the first is cold (nothing was asked of the worker before, so it has neither
the key nor money nor connections to the vendor), the others find all that. Timed is each beginning, to the
answer's first byte. The edge has one core to itself and so has the bare forwarder in its turn; all else
shares the other. Exits with 1 when an event was lost, a stream failed, or the edge adds more than 20 ms at
the 99th percentile to streams that are spread.
"""

import argparse
import resource
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from benchmarks import cpu, peers, stack
from benchmarks.bench import RIVALS_PATH, RIVALS_SECRET
from benchmarks.load import LoadFailed, Target
from benchmarks.stream_load import BODY, Flow, bursts, spread

LIMIT_S = 500
STREAMS = 1000
SECONDS = 30
BURSTS = 3
MOST_ADDED_MS = 20.0


@dataclass(frozen=True)
class Measured:
    """A peer's flows, its processor time during the spread one as part of a core, and its memory before and
    at most."""

    cold: Flow
    warm: Flow
    spread: Flow
    cpu_percent: float
    idle_rss_mb: float
    rss_mb: float

    @property
    def flows(self) -> tuple[Flow, ...]:
        return self.cold, self.warm, self.spread


def measured(target: Target, pid: int, count: int, seconds: float) -> Measured:
    """Bursts first, while the peer is cold. Raises LoadFailed."""
    idle_rss_mb = cpu.rss_mb(pid)
    cold, *warm = bursts(target, count, BURSTS)
    used_s, began = cpu.used_s(pid), time.perf_counter()
    flow = spread(target, count, seconds)
    cpu_percent = (cpu.used_s(pid) - used_s) / (time.perf_counter() - began) * 100
    return Measured(cold, _together(warm), flow, cpu_percent, idle_rss_mb, cpu.peak_rss_mb(pid))


def _together(flows: list[Flow]) -> Flow:
    return Flow(
        sum(flow.streams for flow in flows),
        sum(flow.events for flow in flows),
        sum(flow.lost for flow in flows),
        sum(flow.failed for flow in flows),
        sorted(each for flow in flows for each in flow.first_byte_ms),
    )


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
        streams = sum(flow.streams for flow in edge.flows)
        print(f"\nstreams {streams}, billed {running.billed()}, posted {sent}")
        print(f"ledger verify: {running.verify_ledger()}")
    return summary(count, bare, edge, everything_booked=sent == streams)


def print_peers(found: dict[str, Measured]) -> None:
    """A table for people."""
    starts = "".join(f"{start + ' p50':>12}{'p99':>8}" for start in ("spread", "burst", "cold"))
    print(f"{'first byte, ms':18}{starts}")
    for name, one in found.items():
        flows = (one.spread, one.warm, one.cold)
        cells = [f"{flow.percentile_ms(0.5):12.1f}{flow.percentile_ms(0.99):8.1f}" for flow in flows]
        print(f"{name:18}{''.join(cells)}")
    print(f"\n{'':18}{'CPU':>12}{'RSS idle':>12}{'RSS':>10}{'lost':>8}")
    for name, one in found.items():
        lost = sum(flow.lost for flow in one.flows)
        print(f"{name:18}{one.cpu_percent:10.0f} %{one.idle_rss_mb:9.0f} MB{one.rss_mb:7.0f} MB{lost:8}")


def summary(count: int, bare: Measured, edge: Measured, everything_booked: bool) -> int:
    """The lines for programs, the last for spread streams; the exit status."""
    for start, ours, theirs in (("cold_burst", edge.cold, bare.cold), ("burst", edge.warm, bare.warm)):
        print(f"BENCH_STREAMS start={start} streams={count} {_figures(ours, theirs)}")
    print(
        f"BENCH_STREAMS streams={count} {_figures(edge.spread, bare.spread)}"
        f" cpu_percent={edge.cpu_percent:.0f} rss_mb={edge.rss_mb:.0f}",
        flush=True,
    )
    flows = edge.flows + bare.flows
    whole = not any(flow.lost or flow.failed for flow in flows) and everything_booked
    return 0 if whole and _added_ms(edge.spread, bare.spread, 0.99) <= MOST_ADDED_MS else 1


def _figures(ours: Flow, theirs: Flow) -> str:
    return (
        f"events={ours.events} lost={ours.lost} failed={ours.failed + theirs.failed}"
        f" first_byte_p50_ms={ours.percentile_ms(0.5):.2f} first_byte_p99_ms={ours.percentile_ms(0.99):.2f}"
        f" added_p50_ms={_added_ms(ours, theirs, 0.5):.2f} added_p99_ms={_added_ms(ours, theirs, 0.99):.2f}"
    )


def _added_ms(ours: Flow, theirs: Flow, part: float) -> float:
    return ours.percentile_ms(part) - theirs.percentile_ms(part)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=STREAMS, help="of streams open at once")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that so many are open, spread")
    options = parser.parse_args()
    cpu.need_two_cores()
    # All that are started inherit it; each stream takes two files of whoever forwards it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call a limit unlimited and refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        return run(options.count, options.seconds)
    except (LoadFailed, TimeoutError) as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
