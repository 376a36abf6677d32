"""One worker's share of one limit, in memory (L4; docs/limits.md). Plain bookkeeping: no clock, no calls.

What may be drawn is `left`. What was drawn and not yet reported stays covered by the share at the control
plane, which counts the whole share until the worker reports. So the bucket never draws more than it was
lent, but for tokens that turn out to be more than was counted up front; these are reported like all others.
"""

import random
from collections.abc import Sequence
from math import inf

from edge.rates.ask import Ask
from edge.rates.limits import CONCURRENT, Limit
from edge.windows import duration_s
from tollkeeper.v1 import edge_pb2

# Uses are reported by tenths of a second.
STEPS_PER_S = 10
MINUTE_S = 60.0
# No bucket has made so many reports.
ALL_REPORTED = -1
# What is taken back must not count longer than the use itself, which may have been reported faster.
TAKEN_BACK_EARLIER_S = 2.5
DEMAND_PERIOD_S = 10.0
# A worker likes to hold what it used in so long, and at least this part of the limit: it may just have begun.
AHEAD_PERIODS = 2
LEAST_AHEAD_PART = 100
# What nobody drew from for so long goes back; sooner where little is left for others.
IDLE_S = 15.0
SCARCE_PART = 5
SCARCE_IDLE_S = 2.0
# An ask without an answer is worth nothing any more once everything in it has left the minute.
STALE_ASK_S = 90.0
# Where the control plane knows no limit any more, and the grant will say so any moment.
UNLIMITED = 1 << 50
UNLIMITED_FOR_S = 10.0
# A refusal is believed so long, then one request asks again: another worker may have given something back.
REFUSED_FOR_S = 1.0


class Bucket:
    """What this worker was lent of one limit, and what it did with it."""

    __slots__ = (
        "_demand",
        "_demand_before",
        "_demand_until_s",
        "_taken_back",
        "_used",
        "draws_until_s",
        "exact",
        "free",
        "in_flight",
        "key",
        "kind",
        "last_draw_s",
        "left",
        "most",
        "pending",
        "refused_least",
        "refused_until_s",
        "renew_at_s",
        "report_count",
        "retired",
        "retry_at_s",
        "topped",
        "waiter_count",
    )

    def __init__(self, limit: Limit, now_s: float) -> None:
        self.key = limit.key
        self.kind = limit.key.kind
        self.most = limit.most
        self.left = 0
        self.in_flight = 0
        self.draws_until_s = -inf
        self.renew_at_s = inf
        # Asks made so far: uses of before the last one are reported.
        self.report_count = 0
        self.pending: Ask | None = None
        # Requests that wait for a share; others queue behind them.
        self.waiter_count = 0
        self.exact = True
        # The worker ends: nothing is kept, nothing wanted.
        self.retired = False
        # `left` after the last answer.
        self.topped = 0
        # What nobody held at the last answer.
        self.free = limit.most
        self.refused_until_s = -inf
        self.refused_least = 0
        self.retry_at_s = -inf
        self.last_draw_s = now_s
        # Not reported yet, by tenths of a second.
        self._used: dict[int, int] = {}
        # Reported before, and too much.
        self._taken_back: dict[int, int] = {}
        self._demand = 0
        self._demand_before = 0
        self._demand_until_s = now_s + DEMAND_PERIOD_S

    # ---- requests

    def covers(self, amount: int, now_s: float) -> bool:
        """Whether a request can be served from what is in hand."""
        return amount <= self.left and now_s < self.draws_until_s

    def draw(self, amount: int, now_s: float) -> int:
        """Takes a request's part; returns the moment it counts from."""
        self.left -= amount
        self.last_draw_s = now_s
        step = int(now_s * STEPS_PER_S)
        if now_s >= self._demand_until_s:
            self._turn(now_s)
        if self.kind == CONCURRENT:
            self.in_flight += amount
            self._demand = max(self._demand, self.in_flight)
        else:
            self._used[step] = self._used.get(step, 0) + amount
            self._demand += amount
        return step

    def end(self) -> None:
        """A concurrent request is over."""
        self.in_flight -= 1
        self.left += 1

    def take_back(self, amount: int, step: int, report_count: int, now_s: float) -> None:
        """So much of what was drawn at `step` was not used after all."""
        if report_count == self.report_count:
            self._used[step] -= amount
            self.left += amount
        elif now_s - step / STEPS_PER_S < MINUTE_S:
            self._taken_back[step] = self._taken_back.get(step, 0) + amount
            # The next request asks again.
            self.refused_until_s = -inf

    def add(self, amount: int, now_s: float) -> None:
        """More was used than was drawn: `left` may fall below zero, and what comes next makes up for it."""
        self.left -= amount
        step = int(now_s * STEPS_PER_S)
        self._used[step] = self._used.get(step, 0) + amount

    def change(self, most: int) -> None:
        """The limit is another one now. What was lent under a higher one isn't used any more."""
        if most < self.most:
            self.left = min(0, self.left)
        self.most = most

    def refuses(self, amount: int, now_s: float) -> bool:
        """Whether the control plane just refused as much or less. A place may come free any moment."""
        if self.kind == CONCURRENT:
            return False
        return now_s < self.refused_until_s and amount >= self.refused_least

    @property
    def remaining(self) -> int:
        """What is left of the limit, as far as this worker knows."""
        return max(0, min(self.most, self.free + self.left))

    # ---- what it asks for

    def runs_low(self) -> bool:
        """Whether to ask ahead of need."""
        return not self.exact and self.left * 2 < self.topped and self.pending is None

    def gives_back(self) -> bool:
        """Whether a place that came free is wanted by others at once."""
        return self.exact and self.left > 0 and self.kind == CONCURRENT

    def due(self, now_s: float) -> bool:
        """Whether there is something to report or to give back."""
        if self.pending is not None or self.left < 0:
            return True
        if self.gives_back() or (self.left > 0 and self._idle(now_s)):
            return True
        return now_s >= self.renew_at_s and not self.empty

    @property
    def empty(self) -> bool:
        """Nothing in it that anybody would miss."""
        return not (
            self.left
            or self.in_flight
            or self._used
            or self._taken_back
            or self.pending is not None
            or self.waiter_count
        )

    def ask(self, number: int, waiting: Sequence[int], now_s: float) -> Ask:
        """The next report: all that was used since the last one. `waiting` is what requests lack."""
        if now_s >= self.draws_until_s:
            self.left = 0
        ask = Ask(self.key, number, now_s)
        ask.used = [(min(now_s, (step + 1) / STEPS_PER_S), used) for step, used in self._used.items() if used]
        oldest_s = now_s - MINUTE_S
        for step, amount in self._taken_back.items():
            at_s = step / STEPS_PER_S - TAKEN_BACK_EARLIER_S
            if at_s > oldest_s:
                ask.used.append((at_s, -amount))
        self._used, self._taken_back = {}, {}
        self.report_count += 1
        ask.in_flight = self.in_flight
        ask.waiting = waiting
        ask.wanted = 0 if self.retired else self._wanted(now_s)
        ask.kept = max(0, self.left)
        if not waiting:
            ask.kept = 0 if self.exact else min(ask.kept, ask.wanted)
        # What isn't kept is gone from here on, whatever becomes of the ask.
        self.left = ask.kept
        self.pending = ask
        return ask

    def answered(self, ask: Ask, answer: edge_pb2.ShareAnswer, now_s: float) -> None:
        """Takes what an ask was given."""
        self.pending = None
        if not answer.limit:
            self.most = self.left = self.topped = self.free = UNLIMITED
            self.draws_until_s = self.renew_at_s = now_s + UNLIMITED_FOR_S
            return
        draw_for_s = duration_s(answer.draw_for)
        self.left += answer.granted
        self.draws_until_s = ask.sent_at_s + draw_for_s
        self.renew_at_s = ask.sent_at_s + draw_for_s * random.uniform(0.5, 0.8)
        self.most = answer.limit
        self.exact = answer.exact
        self.topped = self.left
        self.free = answer.remaining
        if answer.HasField("retry_after"):
            wait_s = duration_s(answer.retry_after)
            self.retry_at_s = now_s + wait_s
            self.refused_until_s = now_s + min(wait_s, REFUSED_FOR_S)
            self.refused_least = self.most + 1
        else:
            self.retry_at_s = self.refused_until_s = -inf

    def refuse(self, amount: int) -> None:
        """A request for so much got nothing of the last answer."""
        self.refused_least = min(self.refused_least, amount)

    def forget(self) -> None:
        """The control plane counts nothing of an old ask any more."""
        self.pending = None

    def _idle(self, now_s: float) -> bool:
        scarce = self.free * SCARCE_PART < self.most
        return now_s - self.last_draw_s >= (SCARCE_IDLE_S if scarce else IDLE_S)

    def _wanted(self, now_s: float) -> int:
        if now_s >= self._demand_until_s:
            self._turn(now_s)
        if self._idle(now_s):
            return 0
        demand = max(self._demand, self._demand_before)
        if self.kind == CONCURRENT:
            return max(0, demand - self.in_flight)
        return min(self.most, max(AHEAD_PERIODS * demand, self.most // LEAST_AHEAD_PART))

    def _turn(self, now_s: float) -> None:
        over_s = now_s - self._demand_until_s
        self._demand_before = self._demand if over_s < DEMAND_PERIOD_S else 0
        self._demand = self.in_flight
        self._demand_until_s = now_s + DEMAND_PERIOD_S

    def __repr__(self) -> str:
        return f"Bucket({self.key}, left={self.left}, in_flight={self.in_flight})"
