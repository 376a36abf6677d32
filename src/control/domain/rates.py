"""Rates and requests at once, shared among edge workers (L4; docs/limits.md).

One meter per limited scope and kind. The minute slides: what was used at a moment counts for 60 s from then,
rounded up to a slot. What a worker was lent counts in full until the worker reports, for it may have used all
of it; a worker that never reports again is taken to have used it all when its share ended. So at any moment

    used in the last 60 s + lent to workers ≤ limit

for as long as the limit isn't lowered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tollkeeper.v1 import edge_pb2

Kind = edge_pb2.RateKind

MINUTE_MS = 60_000
SLOT_MS = 500
# A slot counts from its first use on, and a full minute after its last.
SLOTS = MINUTE_MS // SLOT_MS + 1
# Shares live so long, each another time, so that workers don't come all at once.
DRAW_FOR_LEAST_MS = 10_000
DRAW_FOR_MOST_MS = 30_000
# What all workers together hold beyond what their requests wait for, as a part of what is left.
AHEAD_PART = 4
# Workers with a share in one meter.
MAX_SHARES = 1000
# A slot of a request that is under way comes free whenever that request ends.
SLOT_FREE_AGAIN_MS = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ask was given; fields as in edge.proto's ShareAnswer."""

    granted: int = 0
    exact: bool = True
    draw_for_ms: int = 0
    remaining: int = 0
    # None: everything that waited was served.
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker reports and wants; fields as in edge.proto's ShareAsk."""

    incarnation_id: str
    number: int
    # (age in milliseconds, amount) of each use since the ask before.
    used: Sequence[tuple[int, int]] = ()
    in_flight: int = 0
    kept: int = 0
    waiting: Sequence[int] = ()
    wanted: int = 0


@dataclass(slots=True)
class Share:
    """What one worker was lent last, and what it was told."""

    number: int
    # What it may have used by now without having said so.
    amount: int
    # Of that, what no request waited for when it was lent.
    ahead: int
    asked_ms: int
    until_ms: int
    answer: Answer


@dataclass(slots=True)
class Meter:
    """One row: uses by slot of the last minute, and the shares of workers by incarnation."""

    # edge.proto RateKind.
    kind: int
    slots: dict[int, int] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """What was reported used in the last minute."""
        return max(0, sum(self.slots.values()))

    @property
    def lent(self) -> int:
        """What workers may have used or may use yet, beyond what they reported."""
        return sum(share.amount for share in self.shares.values())

    @property
    def _counts_on_ms(self) -> int:
        """How long a share counts after its end: what was used last must still leave the minute. A worker
        that has ended uses no slots."""
        return 0 if self.kind == Kind.CONCURRENT_REQUESTS else MINUTE_MS

    def forget(self, now_ms: int) -> None:
        """Drops what no longer counts, and what a clock that was set back has put into the future."""
        slot = now_ms // SLOT_MS
        for old in [each for each in self.slots if not slot - SLOTS < each < slot + SLOTS]:
            del self.slots[old]
        on_ms = self._counts_on_ms
        longest_ms = DRAW_FOR_MOST_MS + MINUTE_MS
        for incarnation_id, share in list(self.shares.items()):
            if not now_ms - on_ms < share.until_ms <= now_ms + longest_ms:
                del self.shares[incarnation_id]

    def book(self, used: Sequence[tuple[int, int]], now_ms: int) -> None:
        """Counts reported uses, each from when it happened."""
        oldest = now_ms // SLOT_MS - SLOTS
        for age_ms, amount in used:
            slot = (now_ms - age_ms) // SLOT_MS
            if slot > oldest:
                self.slots[slot] = self.slots.get(slot, 0) + amount


def lend(meter: Meter, limit: int, ask: Ask, now_ms: int, draw_for_ms: int) -> Answer:
    """Takes a worker's report and lends it what fits under `limit`.

    The same number again gets the stored answer; an older one, that was held up, gets nothing.
    """
    meter.forget(now_ms)
    before = meter.shares.pop(ask.incarnation_id, None)
    if before is not None and ask.number <= before.number:
        meter.shares[ask.incarnation_id] = before
        return before.answer if ask.number == before.number else Answer()
    if meter.kind != Kind.CONCURRENT_REQUESTS:
        meter.book(ask.used, now_ms)
    own = ask.in_flight + ask.kept
    free = limit - meter.used - meter.lent - own
    served = 0
    refused = 0
    for amount in ask.waiting:
        if served + amount <= free:
            served += amount
        elif not refused:
            refused = amount
    spare = 0 if ask.waiting else ask.kept
    ahead = 0 if refused else _ahead(meter, ask.wanted, free - served, spare)
    answer = Answer(
        served + ahead,
        ahead + spare == 0,
        draw_for_ms,
        max(0, free - served - ahead),
        _retry_after_ms(meter, refused - (free - served), now_ms) if refused else None,
    )
    if len(meter.shares) < MAX_SHARES or own:
        until_ms = now_ms + draw_for_ms
        meter.shares[ask.incarnation_id] = Share(
            ask.number, own + answer.granted, ahead + spare, now_ms, until_ms, answer
        )
        return answer
    return Answer(retry_after_ms=DRAW_FOR_LEAST_MS)


def _ahead(meter: Meter, wanted: int, free: int, spare: int) -> int:
    """What is lent before it is needed: the less is left, the less, so that nothing lies with one worker
    while another has to refuse."""
    lent_ahead = sum(share.ahead for share in meter.shares.values())
    most = (free + lent_ahead + spare) // AHEAD_PART - lent_ahead
    return max(0, min(min(wanted, most) - spare, free))


def _retry_after_ms(meter: Meter, lacking: int, now_ms: int) -> int:
    """When so much more is free, if nobody uses anything meanwhile: at most a minute."""
    if meter.kind == Kind.CONCURRENT_REQUESTS:
        return SLOT_FREE_AGAIN_MS
    comes_free = [((slot + SLOTS) * SLOT_MS, amount) for slot, amount in meter.slots.items()]
    comes_free += [(share.asked_ms + MINUTE_MS, share.amount) for share in meter.shares.values()]
    for free_ms, amount in sorted(comes_free):
        lacking -= amount
        if lacking <= 0:
            return min(MINUTE_MS, max(1, free_ms - now_ms))
    return MINUTE_MS
