"""Circuit breakers: a provider that keeps failing isn't asked for a while, so that requests go to the next
rule at once instead of waiting for it (docs/routing.md).

One breaker for each customer, provider and model, in each worker by itself. It opens when, of the last
outcomes within `window_s`, at least `failures` are failures and they are half or more. Then nothing is sent
for `open_s`; after that one probe at a time is: a success closes it, a failure opens it again, each time for
twice as long. Customers don't share breakers, even of a provider that they share: nobody's requests, or
deadlines, can make it look sick to others.

While nothing fails this costs a request one look at an empty table.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from random import uniform
from typing import NamedTuple

import structlog

from tollkeeper.conditions import Ending, Failure

log = structlog.get_logger()

MAX_OUTCOMES = 128
MAX_BREAKERS = 4096
MAX_ROWS = 200
LONGEST_OPEN_S = 60.0
# A probe that nothing is heard of is given up: its request may have ended without a word.
PROBE_S = 30.0
# Keeps the workers of many edges from probing in the same moment.
_SHORTEST = 0.8


class BreakerKey(NamedTuple):
    """What a breaker is for."""

    customer_id: str
    provider_id: str
    model: str


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When breakers open, and for how long at first. `failures` 0: never."""

    failures: int = 5
    window_s: float = 30.0
    open_s: float = 10.0


class State(StrEnum):
    """Of a breaker. Closed ones are known only while something failed lately."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One provider and model, as one customer's requests found it."""

    __slots__ = ("ending", "failed_at_s", "next_probe_s", "open_s", "outcomes", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.outcomes: deque[tuple[float, bool]] = deque(maxlen=MAX_OUTCOMES)
        """When, and whether it failed."""
        self.open_s = 0.0
        self.next_probe_s = 0.0
        self.failed_at_s = 0.0
        self.ending = Ending(0, Failure.OTHER)
        """How the last failure ended; for conditions, who is passed over has ended so."""

    def failures_since(self, since_s: float) -> int:
        """Failures since then; what is older is forgotten."""
        outcomes = self.outcomes
        while outcomes and outcomes[0][0] < since_s:
            outcomes.popleft()
        return sum(failed for _, failed in outcomes)


class Breakers:
    """All of one worker. The most recently failed `MAX_BREAKERS` are kept, so that memory is bounded."""

    def __init__(
        self,
        settings: BreakerSettings,
        now_s: Callable[[], float],
        on_change: Callable[[State], None] = lambda state: None,
    ) -> None:
        """`on_change` hears the new state of each breaker that changes it."""
        self._settings = settings
        self._now_s = now_s
        self._on_change = on_change
        self._breakers: OrderedDict[BreakerKey, Breaker] = OrderedDict()
        self.watched: Collection[BreakerKey] = self._breakers
        """Those that something failed for lately: while it is empty, nobody need hear of successes."""
        self.tripped: set[BreakerKey] = set()
        """Those that aren't closed: while it is empty, everything may be sent."""

    def resting(self, key: BreakerKey) -> Ending | None:
        """None: a request may be sent now, as a probe where the breaker isn't closed; else how the last one
        ended. Whoever gets None must send, or the probe is lost until `PROBE_S` have passed."""
        if key not in self.tripped:
            return None
        breaker, now_s = self._breakers[key], self._now_s()
        if now_s < breaker.next_probe_s:
            return breaker.ending
        breaker.next_probe_s = now_s + PROBE_S
        self._change(key, breaker, State.HALF_OPEN)
        return None

    def release(self, key: BreakerKey) -> None:
        """What was to be the probe wasn't sent: the next request is."""
        breaker = self._breakers.get(key)
        if breaker is not None and breaker.state is State.HALF_OPEN:
            breaker.next_probe_s = self._now_s()

    def wait_s(self, key: BreakerKey) -> float:
        """How long until something may be sent."""
        breaker = self._breakers.get(key)
        return 0.0 if breaker is None else max(0.0, breaker.next_probe_s - self._now_s())

    def failed(self, key: BreakerKey, ending: Ending) -> None:
        """An attempt ended in a way that says the provider is sick."""
        if not self._settings.failures:
            return
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker()
            if len(self._breakers) > MAX_BREAKERS:
                dropped, _ = self._breakers.popitem(last=False)
                self.tripped.discard(dropped)
        self._breakers.move_to_end(key)
        breaker.ending = ending
        now_s = breaker.failed_at_s = self._now_s()
        if breaker.state is not State.CLOSED:
            # A probe failed, or an attempt from before the breaker opened; only a probe makes it longer.
            if breaker.state is State.HALF_OPEN:
                self._open(key, breaker, min(2 * breaker.open_s, LONGEST_OPEN_S), now_s)
            return
        breaker.outcomes.append((now_s, True))
        count = breaker.failures_since(now_s - self._settings.window_s)
        if count >= self._settings.failures and 2 * count >= len(breaker.outcomes):
            self._open(key, breaker, self._settings.open_s, now_s)

    def succeeded(self, key: BreakerKey) -> None:
        """An attempt brought an answer, or a refusal that says the provider works."""
        breaker = self._breakers.get(key)
        if breaker is None:
            return
        if breaker.state is State.HALF_OPEN:
            del self._breakers[key]
            self._change(key, breaker, State.CLOSED)
        elif breaker.state is State.CLOSED:
            now_s = self._now_s()
            breaker.outcomes.append((now_s, False))
            if breaker.failed_at_s < now_s - self._settings.window_s:
                del self._breakers[key]

    def tidy(self) -> None:
        """Forgets closed breakers without a failure in the window. Now and then."""
        since_s = self._now_s() - self._settings.window_s
        for key, breaker in list(self._breakers.items()):
            if breaker.state is State.CLOSED and breaker.failed_at_s < since_s:
                del self._breakers[key]

    def counts(self) -> dict[str, int]:
        """How many are open, and half open."""
        counts = {State.OPEN.value: 0, State.HALF_OPEN.value: 0}
        for key in self.tripped:
            counts[self._breakers[key].state.value] += 1
        return counts

    def rows(self) -> list[dict[str, object]]:
        """Those that aren't closed, for people: at most `MAX_ROWS`."""
        now_s = self._now_s()
        tripped = [(key, self._breakers[key]) for key in islice(self.tripped, MAX_ROWS)]
        return [
            {
                **key._asdict(),
                "state": breaker.state.value,
                "last_status": breaker.ending.status or None,
                "last_failure": breaker.ending.failure.value,
                "next_probe_in_s": round(max(0.0, breaker.next_probe_s - now_s), 1),
            }
            for key, breaker in tripped
        ]

    def _open(self, key: BreakerKey, breaker: Breaker, open_s: float, now_s: float) -> None:
        breaker.open_s = open_s
        breaker.next_probe_s = now_s + uniform(_SHORTEST, 1.0) * open_s
        breaker.outcomes.clear()
        self._change(key, breaker, State.OPEN)

    def _change(self, key: BreakerKey, breaker: Breaker, state: State) -> None:
        if state is State.CLOSED:
            self.tripped.discard(key)
        else:
            self.tripped.add(key)
        if breaker.state is not state:
            breaker.state = state
            status, failure = breaker.ending
            told = {**key._asdict(), "last_status": status or None, "last_failure": failure.value}
            log.warning("provider's health", state=state.value, **told)
            self._on_change(state)
