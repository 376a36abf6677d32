"""Those compared: what each is asked, and what that cost its processes."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import cpu, stack
from benchmarks.cpu import EDGE_CPU, OTHERS_CPU
from benchmarks.load import Outcome, Target
from benchmarks.stack import Stack


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


def edge(name: str, running: Stack, target: Target) -> Peer:
    """The edge of a stack; its work is finished when everything is booked."""
    parts = {"own" if part == "edge" else part: running.pids[part] for part in stack.PARTS}
    return Peer(name, target, parts, finish=lambda: stack.settled(running))


def pin(running: Stack) -> None:
    """The edge on a core of its own, everything else on the other."""
    for part, pid in running.pids.items():
        cpu.pin(pid, EDGE_CPU if part == "edge" else OTHERS_CPU)


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
