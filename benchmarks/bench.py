"""What a request costs in the edge, beside a bare forwarder and nginx, all in one run.

    python -m benchmarks.bench

The edge has one core to itself (one worker), and so has each rival in its turn; simulator, load, control
plane and PostgreSQL share another. Everything has its shipped defaults: four hard budgets above the key,
journal on disk, ledger and metrics on. Rounds are interleaved and figures are medians. The last line is for
programs; docs/benchmarks.md tells what each figure means.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from benchmarks import cpu, load, nginx, stack
from benchmarks.cpu import EDGE_CPU, OTHERS_CPU
from benchmarks.load import LoadFailed, Outcome, Target
from benchmarks.stack import MODEL, Stack

LIMIT_S = 235
WARM_UP_S = 2
BODY_BYTES = 200
EVENT_TOKENS = 200
# Beside the words: the role, the finish and [DONE]. The usage is kept from clients that don't ask for it.
EVENTS = EVENT_TOKENS + 3
SPACED_MS = 5
# The edge's requests and its rivals' are told apart on the simulator's bill by the provider.
EDGE_PROVIDER, RIVALS_PROVIDER = "openai", "groq"
RIVALS_PATH = f"/v1/{'0' * 32}/default/{RIVALS_PROVIDER}/chat/completions"
RIVALS_SECRET = "sk-" + "0" * 32


@dataclass(frozen=True)
class Sample:
    """One round: processor time per request by part, and what the load saw."""

    cpu_us: dict[str, float]
    outcome: Outcome

    @property
    def rps(self) -> float:
        return self.outcome.requests / self.outcome.took_s


@dataclass
class Peer:
    """One of those compared. `parts` are the processes whose time is counted, its own first."""

    name: str
    target: Target
    parts: dict[str, int]
    finish: Callable[[], object] = lambda: None
    samples: list[Sample] = field(default_factory=list)

    def measure(self, loading: Callable[[Target], Outcome]) -> Sample:
        """Loads it and waits until it has finished its work, which counts too."""
        before = {part: cpu.used_s(pid) for part, pid in self.parts.items()}
        outcome = loading(self.target)
        self.finish()
        used_s = {part: cpu.used_s(pid) - before[part] for part, pid in self.parts.items()}
        return Sample({part: used_s[part] * 1e6 / outcome.requests for part in self.parts}, outcome)

    def cpu_us(self, part: str = "own") -> float:
        return statistics.median(sample.cpu_us[part] for sample in self.samples)

    @property
    def rps(self) -> float:
        return statistics.median(sample.rps for sample in self.samples)

    def latency_ms(self, percentile: str) -> float:
        latencies: list[float] = [getattr(sample.outcome, percentile) for sample in self.samples]
        return statistics.median(latencies) / 1e3


def chat_body(text: str = "", stream: bool = False) -> str:
    """A request of 200 bytes, the text among them."""
    options = '"stream":true,' if stream else ""
    head = f'{{"model":"{MODEL}",{options}"messages":[{{"role":"user","content":"{text}'
    return head + "x" * (BODY_BYTES - len(head) - 4) + '"}]}'


@contextmanager
def bare_forwarder(upstream_url: str) -> Iterator[tuple[int, str]]:
    """Its process and URL."""
    command = [sys.executable, "-m", "benchmarks.bare_forwarder", "--port", "0", "--upstream", upstream_url]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {EDGE_CPU}),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise SystemExit("the bare forwarder didn't start")
        yield process.pid, f"http://127.0.0.1:{line.split()[-1]}"
    finally:
        process.kill()
        process.wait()


class Bench:
    """The peers, side by side over one simulator."""

    def __init__(self, running: Stack, secret: str, exit_stack: ExitStack) -> None:
        self.stack = running
        edge_parts = {"own" if part == "edge" else part: running.pids[part] for part in stack.PARTS}
        self.edge = Peer(
            "edge", Target(running.chat_url, secret, chat_body()), edge_parts, finish=self.wait_settled
        )
        self.direct = self._target(running.simulator_url)
        pid, url = exit_stack.enter_context(bare_forwarder(running.simulator_url))
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

    def wait_settled(self) -> None:
        stack.settled(self.stack, EDGE_PROVIDER)

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

    def _measure(self, peer: Peer, loading: Callable[[Target], Outcome]) -> Sample:
        sample = peer.measure(loading)
        if peer.finish == self.wait_settled:
            self.answered += sample.outcome.requests
            self.cut += load.CONNECTIONS
        return sample

    def _target(self, url: str) -> Target:
        return Target(url + RIVALS_PATH, RIVALS_SECRET, chat_body())


def audit(bench: Bench) -> None:
    """Posted is what was sent, and the ledger is whole. Raises SystemExit otherwise.

    wrk leaves up to 16 requests unanswered when its time is over; they were sent all the same.
    """
    billed = bench.stack.billed(EDGE_PROVIDER)
    sent, voided = bench.stack.usage_records()
    print(f"\nanswered {bench.answered}, sent {billed}, posted {sent}, never sent {voided}")
    if sent != billed or not bench.answered <= sent <= bench.answered + bench.cut:
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


def run(rounds: int, seconds: float) -> None:
    """All of it. Raises SystemExit when something fails, LoadFailed when a request did."""
    with ExitStack() as exit_stack:
        running = exit_stack.enter_context(stack.running(workers=1, limit_s=LIMIT_S))
        for part, pid in running.pids.items():
            cpu.pin(pid, EDGE_CPU if part == "edge" else OTHERS_CPU)
        with stack.Admin(running) as admin:
            secret = admin.create_budgeted_key()
        bench = Bench(running, secret, exit_stack)
        if bench.nginx is None:
            print("nginx isn't installed: skipped")
        bench.full_load(rounds, seconds)
        events = {
            peer.name: (bench.event_us(peer, 0, 2, 3), bench.event_us(peer, SPACED_MS, 1, 4))
            for peer in (bench.edge, bench.bare)
        }
        paced = bench.half_load(rounds=5, seconds=3)
        rss_mb = cpu.peak_rss_mb(running.pids["edge"])
        print_peers(f"full load, {load.CONNECTIONS} connections", bench.peers)
        print_peers("at half of that rate", paced)
        print_events(events)
        audit(bench)
        print(last_line(bench, paced, events["edge"][1], rss_mb), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5, help="of load, per round and peer")
    options = parser.parse_args()
    if (os.cpu_count() or 1) <= OTHERS_CPU:
        raise SystemExit("two cores are needed")
    try:
        run(options.rounds, options.seconds)
    except (LoadFailed, TimeoutError) as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    main()
