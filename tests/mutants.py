"""`make mutants`: plants named bugs, one at a time, in a copy of the tree, and shows that the tests catch
each.

A mutant is caught when its tests fail; one that survives makes the command exit 1. A replaced text that
isn't there any more is an error, so that the list can't rot.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "proto", "pyproject.toml")
TIMEOUT_S = 240

LEDGER = "tests/control/ledger"
RULES = f"{LEDGER}/test_ledger_rules.py"
POSTINGS = f"{LEDGER}/test_postings.py"
QUEUE = f"{LEDGER}/test_ledger_queue.py"
MACHINE = f"{LEDGER}/test_ledger_machine.py"
WINDOWS = f"{LEDGER}/test_windows.py"
COST = "tests/tollkeeper/test_cost.py"


@dataclass(frozen=True)
class Mutant:
    """One planted bug: in `file`, `old` becomes `new`; `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "no dedupe: a usage id is posted as often as it is sent",
        "src/control/ledger/postings.py",
        "if usage_id in claimed:",
        "if usage_id not in posting.outcomes:",
        POSTINGS,
    ),
    Mutant(
        "wrong window: a lease is drawn from after its window ended",
        "src/control/ledger/batch.py",
        "ended = any(window.end_time <= locked.now for window in lease.windows)",
        "ended = False",
        WINDOWS,
    ),
    Mutant(
        "double release: a repeated report frees again",
        "src/control/domain/ledger.py",
        "max(0, returned_nanousd - lease.returned_nanousd)",
        "max(0, returned_nanousd)",
        RULES,
    ),
    Mutant(
        "held forgotten at the deadline: a lost lease leaves no estimate",
        "src/control/domain/ledger.py",
        "estimate = min(lease.in_flight_nanousd, lease.held_nanousd)",
        "estimate = 0",
        POSTINGS,
    ),
    Mutant(
        "estimate over report: what the vendor said is overwritten by a guess",
        "src/control/ledger/postings.py",
        "        return Outcome.DUPLICATE\n    posting.conflicts",
        "        posting.better.append((record, stored))\n        return Outcome.POSTED\n"
        "    posting.conflicts",
        POSTINGS,
    ),
    Mutant(
        "conflict hidden: other content under the same id passes as a duplicate",
        "src/control/ledger/postings.py",
        "if record.digest == stored.digest:",
        "if record.usage_id:",
        POSTINGS,
    ),
    Mutant(
        "overrun unlabelled: what exceeds the hold is posted as if it had been held",
        "src/control/domain/ledger.py",
        "label = Label.OVERRUN if lease.state is LeaseState.OPEN else Label.LATE",
        "label = Label.POST",
        POSTINGS,
    ),
    Mutant(
        "holds ignored: a grant looks at what is spent only",
        "src/control/domain/ledger.py",
        "return self.limit_nanousd - self.spent_nanousd - self.held_nanousd",
        "return self.limit_nanousd - self.spent_nanousd",
        QUEUE,
    ),
    Mutant(
        "one budget checked: the loosest hard window decides",
        "src/control/domain/ledger.py",
        "room = min(window.room_nanousd for window in hard)",
        "room = max(window.room_nanousd for window in hard)",
        RULES,
    ),
    Mutant(
        "soft budgets refuse",
        "src/control/domain/ledger.py",
        "hard = [window for window in windows if window.hard]",
        "hard = list(windows)",
        RULES,
    ),
    Mutant(
        "held is spent: a refusal is final while only holds are in the way",
        "src/control/domain/ledger.py",
        "if window.spent_nanousd + first > window.limit_nanousd:",
        "if window.spent_nanousd + window.held_nanousd + first > window.limit_nanousd:",
        RULES,
    ),
    Mutant(
        "answer forgotten: a repeated acquire grants again",
        "src/control/ledger/batch.py",
        "if answered is not None:",
        "if False:",
        QUEUE,
    ),
    Mutant(
        "stale chain accepted: a budget added meanwhile is not asked",
        "src/control/ledger/batch.py",
        "or chain.version != request.chain_version",
        "",
        MACHINE,
    ),
    Mutant(
        "overtaking: a small hold passes a large one in the line",
        "src/control/ledger/batch.py",
        "if queued and isinstance(decision, Granted) and holds:",
        "if False:",
        QUEUE,
    ),
    Mutant(
        "newcomers hidden: a crowd that waits takes every place of the transaction",
        "src/control/ledger/queue.py",
        "tried = job.work.held is not None",
        "tried = False",
        QUEUE,
    ),
    Mutant(
        "drawn past the deadline: the edge goes on with a lease whose time is over",
        "src/edge/lease_book.py",
        "if lease is None or now_s >= lease.draws_until_s:",
        "if lease is None:",
        "tests/edge/test_leases.py",
    ),
    Mutant(
        "undo believed: answers of a rolled back transaction are delivered",
        "src/control/ledger/batch.py",
        "        work.reset()",
        "        pass",
        QUEUE,
    ),
    Mutant(
        "opening forgotten: a budget born mid-month starts at nothing",
        "src/control/store/chains.py",
        "return max(0, int(spent.scalar_one()))",
        "return 0",
        WINDOWS,
    ),
    Mutant(
        "late records lost: an unknown lease pins no windows",
        "src/control/ledger/postings.py",
        "pinned[lease_id] = keys",
        "pinned[lease_id] = []",
        QUEUE,
    ),
    Mutant(
        "lost estimate kept: arriving records are added to it",
        "src/control/ledger/postings.py",
        "if lease.state is LeaseState.LOST:",
        "if False:",
        POSTINGS,
    ),
    Mutant(
        "cost rounded down",
        "src/tollkeeper/cost.py",
        "    return -(-total // UNITS_PER_RATE)\n\n\n@dataclass",
        "    return total // UNITS_PER_RATE\n\n\n@dataclass",
        COST,
    ),
    Mutant(
        "cached tokens billed twice",
        "src/tollkeeper/cost.py",
        "usage.cached_input_tokens + usage.cache_write_tokens + usage.audio_input_tokens",
        "usage.cache_write_tokens + usage.audio_input_tokens",
        COST,
    ),
)


def plant(mutant: Mutant, tree: Path) -> None:
    """Writes the bug into the copy."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: the text to replace is not there once: {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new))


def is_caught(mutant: Mutant) -> bool:
    """Runs the mutant's tests on a copy with the bug in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        tree = Path(directory)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        plant(mutant, tree)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutant.tests]
        environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}:{tree}"}
        try:
            ended = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        # 1: tests failed. Anything else (no tests, a usage error) proves nothing.
        if ended.returncode not in (0, 1):
            raise SystemExit(f"{mutant.name}: pytest ended with {ended.returncode}: {ended.stdout[-2000:]!r}")
        return ended.returncode == 1


def main(wanted: list[str]) -> int:
    """Runs all mutants, or those whose name holds one of the words given."""
    survivors = []
    chosen = [mutant for mutant in MUTANTS if not wanted or any(word in mutant.name for word in wanted)]
    for mutant in chosen:
        began_s = time.monotonic()
        caught = is_caught(mutant)
        print(
            f"{'caught  ' if caught else 'SURVIVED'} {time.monotonic() - began_s:5.1f} s  {mutant.name}",
            flush=True,
        )
        if not caught:
            survivors.append(mutant)
    print(f"MUTANTS planted={len(chosen)} caught={len(chosen) - len(survivors)} survived={len(survivors)}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
