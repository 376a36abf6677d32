"""`python -m tests.soak.rates`: clients ask for twice what a key may have, for three real minutes, over two
edges with four workers each. What was admitted must be the limit, within two per cent, in requests and in
model tokens; and no 60 s may hold more than the limit.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.edges import edge
from tests.e2e.stack import Stack, running
from tests.e2e.wire import Connection, Reply, chat, steered

WORKERS = 4
MINUTES = 3
MINUTE_S = 60.0
REQUESTS_PER_MINUTE = 600
TOKENS_PER_MINUTE = 60_000
# Of what is asked for to what may be had.
PRESSURE = 2.0
ALLOWED_PART = 0.02
# Enough that no answer keeps the next request from being sent.
CONNECTIONS = 24
# Answers are timed here, a moment after they were admitted there.
TIMING_S = 0.5
# In the second case an answer has so many tokens, the prompt this many, and clients allow more.
PROMPT_TOKENS = 50
ANSWER_TOKENS = (20, 120)
MAX_TOKENS = 150


@dataclass
class Case:
    """One limited key, and what came through."""

    name: str
    secret: str
    limit: int
    asked_per_minute: float
    body: Callable[[], bytes]
    amount: Callable[[Reply], int]
    # When it was answered, and how much it was.
    admitted: list[tuple[float, int]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def total(self) -> int:
        """Of all that was admitted."""
        return sum(amount for _, amount in self.admitted)

    def most_in_a_minute(self) -> int:
        """The most that any 60 s hold, by the times of answers."""
        most = within = first = 0
        for at_s, amount in self.admitted:
            within += amount
            while self.admitted[first][0] <= at_s - MINUTE_S + TIMING_S:
                within -= self.admitted[first][1]
                first += 1
            most = max(most, within)
        return most

    def findings(self, minutes: int) -> list[str]:
        """What is wrong with what came through."""
        found = []
        expected = self.limit * minutes
        if abs(self.total() - expected) > ALLOWED_PART * expected:
            found.append(f"{self.name}: {self.total()} admitted in {minutes} minutes instead of {expected}")
        if self.most_in_a_minute() > self.limit * (1 + ALLOWED_PART):
            found.append(f"{self.name}: {self.most_in_a_minute()} within a minute, over {self.limit}")
        if strange := set(self.statuses) - {200, 429}:
            found.append(f"{self.name}: answered {', '.join(map(str, sorted(strange)))}")
        return found

    def line(self, minutes: int) -> str:
        """For programs."""
        part = self.total() / (self.limit * minutes)
        return (
            f"RATES kind={self.name} limit={self.limit} minutes={minutes} admitted={self.total()}"
            f" part={part:.4f} most_in_a_minute={self.most_in_a_minute()} refused={self.statuses[429]}"
        )


def cases(stack: Stack) -> list[Case]:
    """A key of each kind."""
    tenant = stack.admin.tenant()
    draw = random.Random(1)
    request_key = tenant.key(requests_per_minute=REQUESTS_PER_MINUTE)
    token_key = tenant.key(tokens_per_minute=TOKENS_PER_MINUTE)
    mean_tokens = PROMPT_TOKENS + sum(ANSWER_TOKENS) / 2
    return [
        Case(
            "requests",
            request_key.secret,
            REQUESTS_PER_MINUTE,
            REQUESTS_PER_MINUTE * PRESSURE,
            lambda: chat(max_tokens=16),
            lambda reply: 1,
        ),
        Case(
            "tokens",
            token_key.secret,
            TOKENS_PER_MINUTE,
            TOKENS_PER_MINUTE / mean_tokens * PRESSURE,
            lambda: steered(
                f"prompt={PROMPT_TOKENS} tokens={draw.randint(*ANSWER_TOKENS)}", max_tokens=MAX_TOKENS
            ),
            lambda reply: int(reply.json()["usage"]["total_tokens"]),
        ),
    ]


async def ask(case: Case, urls: Sequence[str], seconds: float) -> None:
    """Sends requests at an even pace, whatever becomes of them; each connection its share of them."""
    began_s = time.monotonic()
    interval_s = MINUTE_S / case.asked_per_minute

    async def one(number: int) -> None:
        async with Connection(urls[number % len(urls)], case.secret) as connection:
            turn = number
            while (at_s := turn * interval_s) < seconds:
                await asyncio.sleep(max(0.0, began_s + at_s - time.monotonic()))
                reply = await connection.request(case.body())
                case.statuses[reply.status] += 1
                if reply.status == 200:
                    case.admitted.append((time.monotonic(), case.amount(reply)))
                turn += CONNECTIONS

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))


async def measure(stack: Stack, urls: Sequence[str], minutes: int = MINUTES) -> list[str]:
    """Asks through these edges, prints a line for each kind, and returns what is wrong.

    Workers that are killed meanwhile take their shares with them: then it may be less than the limit.
    """
    made = await asyncio.to_thread(cases, stack)
    await asyncio.gather(*(ask(case, urls, minutes * MINUTE_S) for case in made))
    for case in made:
        print(case.line(minutes), flush=True)
    return [finding for case in made for finding in case.findings(minutes)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    minutes = parser.parse_args().minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="tollkeeper-rates-")))
        workers = {"TOLLKEEPER_EDGE_WORKERS": str(WORKERS)}
        stack = exit_stack.enter_context(running(workers))
        second_url = exit_stack.enter_context(edge(stack, folder, **workers))
        found = asyncio.run(measure(stack, [stack.edge, second_url], minutes))
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
