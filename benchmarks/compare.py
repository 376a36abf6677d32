"""What changed since another commit: both run at once, from worktrees, and are loaded in turns.

    python -m benchmarks.compare --base COMMIT

Each round loads both with the same requests, one after the other, and each goes first in every second round.
A ratio is that of one round (this commit's figure by the other's); what is said is the median of all rounds.
Both edges share one core, where the one that isn't loaded sleeps. The exit status is 1 when a request of
chat completions costs more processor time than allowed.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import cpu, load, peers, stack, trees
from benchmarks.cpu import OTHERS_CPU
from benchmarks.families import CHAT_PATH, EVENT_TOKENS, Family, chat_body
from benchmarks.load import LoadFailed
from benchmarks.peers import Peer, Sample
from benchmarks.stack import Stack

LIMIT_S = 1200
MOST_RATIO = 1.05
MIN_ROUNDS = 9
WARM_UP_S = 3
# Both commits must serve these.
COMPARED = (
    Family("chat", CHAT_PATH, chat_body()),
    Family(
        "chat_stream",
        CHAT_PATH,
        chat_body(f"[[sim tokens={EVENT_TOKENS} drip_ms=0]]", stream=True),
        loading=load.graceful,
    ),
)
FIGURES: dict[str, Callable[[Sample], float]] = {
    "cpu_us": lambda sample: sample.cpu_us["own"],
    "control_cpu_us": lambda sample: sample.cpu_us["control"],
    "postgres_cpu_us": lambda sample: sample.cpu_us["postgres"],
    "rps": lambda sample: sample.rps,
}


@dataclass(frozen=True)
class Pair:
    """Base and this commit under one kind of request."""

    family: Family
    base: Peer
    this: Peer

    def round(self, seconds: float, base_first: bool) -> None:
        """Loads both."""
        for peer in (self.base, self.this) if base_first else (self.this, self.base):
            peer.samples.append(self._loaded(peer, seconds))

    def warm_up(self) -> None:
        """Loads both, and forgets it."""
        for peer in (self.base, self.this):
            self._loaded(peer, WARM_UP_S)

    def ratio(self, figure: str) -> float:
        """Median over the rounds."""
        return statistics.median(self._ratios(figure))

    def line(self) -> str:
        """For programs."""
        figures = " ".join(
            f"base_{figure}={_median(self.base, figure):.1f} {figure}={_median(self.this, figure):.1f}"
            f" {figure}_ratio={self.ratio(figure):.3f}"
            for figure in FIGURES
        )
        ratios = self._ratios("cpu_us")
        spread = f"lowest={min(ratios):.3f} highest={max(ratios):.3f}"
        return f"BENCH_RATIO name={self.family.name} {figures} {spread}"

    def _ratios(self, figure: str) -> list[float]:
        of = FIGURES[figure]
        return [of(new) / of(old) for new, old in zip(self.this.samples, self.base.samples, strict=True)]

    def _loaded(self, peer: Peer, seconds: float) -> Sample:
        return peer.measure(partial(self.family.loading, seconds=seconds, cpu=OTHERS_CPU))


def _median(peer: Peer, figure: str) -> float:
    return statistics.median(FIGURES[figure](sample) for sample in peer.samples)


def started(exit_stack: ExitStack, source: Path) -> tuple[Stack, str]:
    """A stack from this tree, pinned, and a key of it."""
    running = exit_stack.enter_context(stack.running(workers=1, source=source))
    peers.pin(running)
    with stack.Admin(running) as admin:
        return running, admin.create_budgeted_key()


def run(base: str, rounds: int, seconds: float) -> int:
    """All of it; the exit status. Raises SystemExit when something can't start, LoadFailed when a request
    failed."""
    base_id, this_id = trees.short_id(base), trees.short_id("HEAD")
    if trees.has_changes():
        print("uncommitted changes below src are not measured")
    with stack.limited(LIMIT_S), ExitStack() as exit_stack:
        base_tree = exit_stack.enter_context(trees.checked_out(base_id, "base"))
        this_tree = exit_stack.enter_context(trees.checked_out(this_id, "this"))
        old, old_secret = started(exit_stack, base_tree)
        new, new_secret = started(exit_stack, this_tree)
        pairs = [
            Pair(
                family,
                peers.edge("base", old, family.target(old.edge_url, old_secret)),
                peers.edge("this", new, family.target(new.edge_url, new_secret)),
            )
            for family in COMPARED
        ]
        for pair in pairs:
            pair.warm_up()
        for number in range(rounds):
            for pair in pairs:
                pair.round(seconds, base_first=number % 2 == 0)
            print(
                f"round {number + 1}: "
                + ", ".join(
                    f"{pair.family.name} {pair.base.samples[-1].cpu_us['own']:.1f} µs"
                    f" → {pair.this.samples[-1].cpu_us['own']:.1f} µs"
                    for pair in pairs
                ),
                flush=True,
            )
        for one in (old, new):
            print(f"ledger verify: {one.verify_ledger()}")
    return summary(base_id, this_id, pairs, rounds)


def summary(base_id: str, this_id: str, pairs: list[Pair], rounds: int) -> int:
    """Prints what was found; the exit status."""
    for pair in pairs:
        print(pair.line())
    chat, chat_stream = pairs
    print(
        f"BENCH_COMPARE base={base_id} this={this_id} rounds={rounds} cpu_ratio={chat.ratio('cpu_us'):.3f}"
        f" stream_cpu_ratio={chat_stream.ratio('cpu_us'):.3f} rps_ratio={chat.ratio('rps'):.3f}",
        flush=True,
    )
    return 0 if chat.ratio("cpu_us") <= MOST_RATIO else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True, metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--seconds", type=float, default=5, help="of load, per round and commit")
    options = parser.parse_args()
    cpu.need_two_cores()
    try:
        return run(options.base, options.rounds, options.seconds)
    except (LoadFailed, TimeoutError) as error:
        raise SystemExit(f"FAILED: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
