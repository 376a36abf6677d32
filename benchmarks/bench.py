"""What a request costs in the edge, beside a bare forwarder and nginx, all in one run.

    python -m benchmarks.bench

The edge has one core to itself (one worker), and so has each rival in its turn; simulator, load, control
plane and PostgreSQL share another. Everything has its shipped defaults: four hard budgets above the key,
journal on disk, ledger and metrics on. Rounds are interleaved and figures are medians. The last line is for
programs; docs/benchmarks.md tells what each figure means.
"""

import argparse
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from benchmarks import cpu, families, load, nginx, peers, stack
from benchmarks.cpu import EDGE_CPU, OTHERS_CPU
from benchmarks.families import EVENT_TOKENS, EVENTS, Family, chat_body
from benchmarks.load import LoadFailed, Outcome, Target
from benchmarks.peers import Peer, Sample
from benchmarks.stack import Stack

LIMIT_S = 600
WARM_UP_S = 2
SPACED_MS = 5
FAMILY_ROUNDS = 3
FAMILY_SECONDS = 2
FAMILY_WARM_UP_S = 1
# The edge's requests and its rivals' are told apart on the simulator's bill by the provider.
RIVALS_PATH = f"/v1/{'0' * 32}/default/{stack.RIVALS_PROVIDER}/chat/completions"
RIVALS_SECRET = "sk-" + "0" * 32


class Bench:
    """The peers, side by side over one simulator."""

    def __init__(self, running: Stack, secret: str, exit_stack: ExitStack) -> None:
        self.stack = running
        self.edge = peers.edge("edge", running, Target(running.chat_url, secret, chat_body()))
        self.direct = self._target(running.simulator_url)
        pid, url = exit_stack.enter_context(peers.bare_forwarder(running.simulator_url))
        self.bare = Peer("bare forwarder", self._target(url), {"own": pid})
        self.nginx: Peer | None = None
        upstream = urlsplit(running.simulator_url).netloc
        if (started := exit_stack.enter_context(nginx.running(upstream, EDGE_CPU))) is not None:
            pid, url = started
            self.nginx = Peer("nginx", self._target(url), {"own": pid})
        self.answered = 0
        self.cut = 0

    @property
    def peers(self) -> list[Peer]:
        return [self.edge, self.bare, *([self.nginx] if self.nginx else [])]

    def full_load(self, rounds: int, seconds: float) -> None:
        """Interleaved rounds of all peers, after one that warms them up."""
        for peer in self.peers:
            self._measure(peer, lambda target: load.full(target, WARM_UP_S, OTHERS_CPU))
        for _ in range(rounds):
            for peer in self.peers:
                sample = self._measure(peer, lambda target: load.full(target, seconds, OTHERS_CPU))
                peer.samples.append(sample)

    def half_load(self, rounds: int, seconds: float) -> list[Peer]:
        """The peers at half of the edge's rate, and before them the simulator alone.

        What is timed here are answers, so control plane and PostgreSQL yield the core they share with load
        and simulator, which are elsewhere in real life. There is no way back from that, so this comes last.
        """
        for part in ("control", "postgres"):
            cpu.yield_to_others(self.stack.pids[part])
        rate = self.edge.rps / 2
        paced = [replace(peer, samples=[]) for peer in self.peers]
        paced.insert(0, Peer("simulator alone", self.direct, {"own": self.stack.pids["simulator"]}))
        for _ in range(rounds):
            for peer in paced:
                sample = self._measure(peer, lambda target: load.paced(target, rate, seconds, OTHERS_CPU))
                peer.samples.append(sample)
        return paced

    def event_us(self, peer: Peer, drip_ms: int, rounds: int, seconds: float) -> float:
        """Processor time of one relayed event: of a stream, less that of a plain request, by its events."""
        body = chat_body(f"[[sim tokens={EVENT_TOKENS} drip_ms={drip_ms}]]", stream=True)
        streams = Peer(peer.name, Target(peer.target.url, peer.target.secret, body), peer.parts, peer.finish)
        for _ in range(rounds):
            sample = self._measure(streams, lambda target: load.graceful(target, seconds, OTHERS_CPU))
            streams.samples.append(sample)
        return (streams.cpu_us() - peer.cpu_us()) / EVENTS

    def families(self, served: Iterable[Family], secret: str) -> list[Peer]:
        """Each family of the edge at full load, in turns."""
        measured = {
            family: peers.edge(family.name, self.stack, family.target(self.stack.edge_url, secret))
            for family in served
        }
        for round_number in range(-1, FAMILY_ROUNDS):
            for family, peer in measured.items():
                seconds = FAMILY_SECONDS if round_number >= 0 else FAMILY_WARM_UP_S
                sample = self._measure(peer, partial(family.loading, seconds=seconds, cpu=OTHERS_CPU))
                if round_number >= 0:
                    peer.samples.append(sample)
        return list(measured.values())

    def _measure(self, peer: Peer, loading: Callable[[Target], Outcome]) -> Sample:
        sample = peer.measure(loading)
        if "control" in peer.parts:
            self.answered += sample.outcome.requests
            self.cut += load.CONNECTIONS
        return sample

    def _target(self, url: str) -> Target:
        return Target(url + RIVALS_PATH, RIVALS_SECRET, chat_body())


def audit(bench: Bench) -> None:
    """Posted is what was sent, and the ledger is whole. Raises SystemExit otherwise.

    wrk leaves up to 16 requests unanswered when its time is over; they were sent all the same. Vendors bill
    nothing for files.
    """
    billed = bench.stack.billed()
    sent, voided = bench.stack.usage_records()
    print(f"\nanswered {bench.answered}, billed {billed}, posted {sent}, never billed {voided}")
    if sent != billed or not bench.answered <= sent + voided <= bench.answered + bench.cut:
        raise SystemExit("FAILED: posted and sent differ")
    try:
        print(f"ledger verify: {bench.stack.verify_ledger()}")
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"FAILED: ledger verify\n{error.stdout[-2000:]}{error.stderr[-2000:]}") from None


def print_peers(title: str, peers: list[Peer]) -> None:
    """A table for people."""
    print(f"\n{title:28}{'CPU/request':>14}{'requests/s':>13}{'p50':>11}{'p99':>11}")
    for peer in peers:
        print(
            f"{peer.name:28}{peer.cpu_us():11.1f} µs{peer.rps:13.0f}"
            f"{peer.latency_ms('p50_us'):8.2f} ms{peer.latency_ms('p99_us'):8.2f} ms"
        )
        for part in peer.parts:
            if part != "own":
                print(f"  {part:26}{peer.cpu_us(part):11.1f} µs")


def print_events(events: dict[str, tuple[float, float]]) -> None:
    """A table for people."""
    print(f"\n{'streams':24}{'CPU/event at once':>18}{f'every {SPACED_MS} ms':>13}")
    for name, (burst_us, spaced_us) in events.items():
        print(f"{name:28}{burst_us:11.1f} µs{spaced_us:10.1f} µs")


def family_line(peer: Peer) -> str:
    """For programs: one family."""
    return (
        f"BENCH_FAMILY name={peer.name} cpu_us={peer.cpu_us():.1f} rps={peer.rps:.0f}"
        f" control_cpu_us={peer.cpu_us('control'):.1f} postgres_cpu_us={peer.cpu_us('postgres'):.1f}"
    )


def last_line(bench: Bench, paced: list[Peer], event_us: float, rss_mb: float) -> str:
    """For programs."""
    direct, edge = paced[:2]
    added_ms = {name: edge.latency_ms(name) - direct.latency_ms(name) for name in ("p50_us", "p99_us")}
    nginx_cpu_us = f"{bench.nginx.cpu_us():.1f}" if bench.nginx else "-"
    return (
        f"BENCH cpu_us={bench.edge.cpu_us():.1f} control_cpu_us={bench.edge.cpu_us('control'):.1f}"
        f" postgres_cpu_us={bench.edge.cpu_us('postgres'):.1f}"
        f" bare_forwarder_cpu_us={bench.bare.cpu_us():.1f} nginx_cpu_us={nginx_cpu_us}"
        f" rps={bench.edge.rps:.0f}"
        f" added_p50_ms={added_ms['p50_us']:.2f} added_p99_ms={added_ms['p99_us']:.2f}"
        f" sse_event_us={event_us:.1f} rss_mb={rss_mb:.0f}"
    )


def run(rounds: int, seconds: float, served: Sequence[Family]) -> None:
    """All of it. Raises SystemExit when something fails, LoadFailed when a request did."""
    with stack.limited(LIMIT_S), ExitStack() as exit_stack:
        running = exit_stack.enter_context(stack.running(workers=1))
        peers.pin(running)
        with stack.Admin(running) as admin:
            secret, family_secret = admin.create_budgeted_key(), admin.create_key_of_all_vendors()
        bench = Bench(running, secret, exit_stack)
        if bench.nginx is None:
            print("nginx isn't installed: skipped")
        bench.full_load(rounds, seconds)
        events = {
            peer.name: (bench.event_us(peer, 0, 2, 3), bench.event_us(peer, SPACED_MS, 1, 4))
            for peer in (bench.edge, bench.bare)
        }
        measured = bench.families(served, family_secret)
        paced = bench.half_load(rounds=5, seconds=3)
        rss_mb = cpu.peak_rss_mb(running.pids["edge"])
        print_peers(f"full load, {load.CONNECTIONS} connections", bench.peers)
        print_peers("at half of that rate", paced)
        print_events(events)
        audit(bench)
        for peer in measured:
            print(family_line(peer))
        print(last_line(bench, paced, events["edge"][1], rss_mb), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5, help="of load, per round and peer")
    parser.add_argument("--families", default="", metavar="NAMES", help="only these, separated by commas")
    options = parser.parse_args()
    cpu.need_two_cores()
    try:
        run(options.rounds, options.seconds, families.named(options.families))
    except (LoadFailed, TimeoutError) as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    main()
