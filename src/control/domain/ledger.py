"""The ledger's arithmetic on plain values: what a lease may be granted, and where a cost is booked
(docs/ledger.md).

Rows come in as the store locked them and are changed in place; the store writes them back. No I/O and no
clock here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

# Undrawn money over all leases of a window stays below this part of what is left (L8).
LEASABLE_PERCENT = 10


class LeaseState(IntEnum):
    OPEN = 1
    CLOSED = 2
    # Grace ran out: what was last reported in flight is booked as an estimate (L22).
    LOST = 3


class Label(StrEnum):
    """Why an entry is what it is. All but POST and LEASE_LOST are excused from the limit, and listed (I1)."""

    POST = "post"
    OVERRUN = "overrun"
    LATE = "late"
    CORRECTION = "correction"
    LEASE_LOST = "lease_lost"
    OPENING = "opening"


WindowKey = tuple[str, datetime]


@dataclass(slots=True)
class Window:
    """One period of one budget, locked."""

    budget_id: str
    start_time: datetime
    end_time: datetime
    scope: int
    scope_id: str
    hard: bool
    limit_nanousd: int
    spent_nanousd: int
    held_nanousd: int
    highest_limit_nanousd: int
    recall_until: datetime | None = None
    # Part of the limit that only this window has.
    top_up_nanousd: int = 0
    # Percentages of the limit to alert at, rising, and the highest that an alert told of.
    thresholds: tuple[int, ...] = ()
    alerted_percent: int = 0
    changed: bool = False

    @property
    def key(self) -> WindowKey:
        return self.budget_id, self.start_time

    @property
    def room_nanousd(self) -> int:
        """What a grant may still take; below zero after an overrun."""
        return self.limit_nanousd - self.spent_nanousd - self.held_nanousd

    @property
    def unspent_nanousd(self) -> int:
        return self.limit_nanousd - self.spent_nanousd

    def add(self, spent_nanousd: int, held_nanousd: int) -> None:
        self.spent_nanousd += spent_nanousd
        self.held_nanousd += held_nanousd
        self.changed = True
        if not self.hard:
            # A soft budget allows whatever comes; should it harden, that was no violation.
            self._allow(self.spent_nanousd + self.held_nanousd)

    def lend(self, amount_nanousd: int) -> None:
        """Sets an amount aside for a lease, under the limit in force."""
        self.add(0, amount_nanousd)
        if self.hard:
            self._allow(self.limit_nanousd)

    def reach(self) -> list["Alert"]:
        """Thresholds that spending has reached beyond the last that was told of; they are told of now."""
        reached = [
            percent
            for percent in self.thresholds
            if percent > self.alerted_percent and self.spent_nanousd * 100 >= percent * self.limit_nanousd
        ]
        if reached:
            self.alerted_percent = reached[-1]
        return [Alert(self, percent) for percent in reached]

    def _allow(self, limit_nanousd: int) -> None:
        self.highest_limit_nanousd = max(self.highest_limit_nanousd, limit_nanousd)


@dataclass(frozen=True, slots=True)
class Alert:
    """A window's spending reached a threshold."""

    window: Window
    percent: int


@dataclass(slots=True)
class Lease:
    """A slice of windows lent to one incarnation, locked, with the windows it pins for life (L3)."""

    lease_id: str
    incarnation_id: str
    key_id: str
    chain_version: int
    unlimited: bool
    granted_nanousd: int = 0
    posted_nanousd: int = 0
    returned_nanousd: int = 0
    undrawn_nanousd: int = 0
    in_flight_nanousd: int = 0
    top_up: int = 0
    renewals: int = 0
    state: LeaseState = LeaseState.OPEN
    windows: list[Window] = field(default_factory=list)
    new: bool = False
    changed: bool = False

    @property
    def held_nanousd(self) -> int:
        return self.granted_nanousd - self.posted_nanousd - self.returned_nanousd


@dataclass(frozen=True, slots=True)
class Part:
    """One entry to be: a label and an amount."""

    label: Label
    amount_nanousd: int


@dataclass(frozen=True, slots=True)
class Granted:
    amount_nanousd: int
    covered_holds: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """Final until the window ends: spent plus this hold is more than the limit (L11)."""

    window: Window
    # The largest hold that would fit under every hard window, were all holds settled at nothing.
    fits_nanousd: int


@dataclass(frozen=True, slots=True)
class Held:
    """Only holds are in the way, on these windows (L11)."""

    windows: tuple[Window, ...]
    fits_nanousd: int


def decide(
    windows: Sequence[Window], holds_nanousd: Sequence[int], wanted_nanousd: int, now: datetime
) -> Granted | Spent | Held:
    """What one acquire gets from the windows of its chain, all of them locked.

    Covers as many of the waiting holds, in order, as every hard window can; adds more up to what was wanted
    while undrawn money stays small (L8); takes one hold only while a recall mark stands (L10).
    """
    hard = [window for window in windows if window.hard]
    room = min(window.room_nanousd for window in hard)
    if holds_nanousd:
        first = holds_nanousd[0]
        fits = max(0, min(window.unspent_nanousd for window in hard))
        for window in hard:
            if window.spent_nanousd + first > window.limit_nanousd:
                return Spent(window, fits)
        if room < first:
            return Held(tuple(window for window in hard if window.room_nanousd < first), fits)
    marked = any(window.recall_until is not None and window.recall_until > now for window in hard)
    covered, needed = _covered(holds_nanousd[:1] if marked else holds_nanousd, room)
    allowance = min(window.unspent_nanousd * LEASABLE_PERCENT // 100 - window.held_nanousd for window in hard)
    short = marked or covered < len(holds_nanousd)
    extra = 0 if short else max(0, min(wanted_nanousd - needed, allowance, room - needed))
    return Granted(needed + extra, covered, exact=extra == 0)


def _covered(holds_nanousd: Sequence[int], room_nanousd: int) -> tuple[int, int]:
    """How many of the holds fit in order, and their sum."""
    total = 0
    for count, hold in enumerate(holds_nanousd):
        if total + hold > room_nanousd:
            return count, total
        total += hold
    return len(holds_nanousd), total


def grant(lease: Lease, amount_nanousd: int, needed_nanousd: int) -> None:
    """Moves an amount from the windows' room into the lease."""
    lease.undrawn_nanousd += amount_nanousd - needed_nanousd
    lease.in_flight_nanousd += needed_nanousd
    _lend(lease, amount_nanousd)


def _lend(lease: Lease, amount_nanousd: int) -> None:
    lease.granted_nanousd += amount_nanousd
    _touch(lease)
    for window in lease.windows:
        window.lend(amount_nanousd)


def _lend_unasked(lease: Lease, amount_nanousd: int) -> None:
    """A lease without an amount gets what it turns out to need, unless a budget above it has hardened since
    and has no room (I1)."""
    if lease.unlimited and lease.state is LeaseState.OPEN:
        room = min((window.room_nanousd for window in lease.windows if window.hard), default=amount_nanousd)
        _lend(lease, max(0, min(amount_nanousd, room)))


def post(lease: Lease, cost_nanousd: int) -> list[Part]:
    """Books a cost: from what the lease holds, and the rest as an excused part."""
    _lend_unasked(lease, cost_nanousd)
    covered = min(cost_nanousd, lease.held_nanousd)
    lease.posted_nanousd += covered
    _touch(lease)
    for window in lease.windows:
        window.add(cost_nanousd, -covered)
    parts = []
    if covered or not cost_nanousd:
        parts.append(Part(Label.POST, covered))
    if cost_nanousd > covered:
        label = Label.OVERRUN if lease.state is LeaseState.OPEN else Label.LATE
        parts.append(Part(label, cost_nanousd - covered))
    return parts


def correct(lease: Lease, difference_nanousd: int) -> Part:
    """A report over an estimate, or a record over a lost lease's estimate: one correcting entry in the same
    windows."""
    for window in lease.windows:
        window.add(difference_nanousd, 0)
    return Part(Label.CORRECTION, difference_nanousd)


def report(
    lease: Lease, returned_nanousd: int, undrawn_nanousd: int, in_flight_nanousd: int, closing: bool
) -> int:
    """Takes a lease's growing totals as the edge reports them; repetition and old news change nothing.

    Returns what came free.
    """
    if lease.state is not LeaseState.OPEN:
        return 0
    freed = min(max(0, returned_nanousd - lease.returned_nanousd), lease.held_nanousd)
    lease.undrawn_nanousd = undrawn_nanousd
    lease.in_flight_nanousd = in_flight_nanousd
    _give_back(lease, freed)
    return freed + (close(lease) if closing else 0)


def close(lease: Lease, state: LeaseState = LeaseState.CLOSED) -> int:
    """Ends a lease and frees what it still holds. Returns that amount."""
    if lease.state is not LeaseState.OPEN:
        return 0
    freed = lease.held_nanousd
    _give_back(lease, freed)
    lease.state = state
    lease.undrawn_nanousd = lease.in_flight_nanousd = 0
    return freed


def lose(lease: Lease) -> Part | None:
    """Grace ran out: books the last reported in-flight holds as an estimate, and frees the rest (L22)."""
    _lend_unasked(lease, lease.in_flight_nanousd)
    estimate = min(lease.in_flight_nanousd, lease.held_nanousd)
    lease.posted_nanousd += estimate
    for window in lease.windows:
        window.add(estimate, -estimate)
    close(lease, LeaseState.LOST)
    return Part(Label.LEASE_LOST, estimate) if estimate else None


def changed_windows(leases: Iterable[Lease]) -> list[Window]:
    """Each changed window once."""
    return list(
        {window.key: window for lease in leases for window in lease.windows if window.changed}.values()
    )


def _give_back(lease: Lease, amount_nanousd: int) -> None:
    lease.returned_nanousd += amount_nanousd
    _touch(lease)
    for window in lease.windows:
        window.add(0, -amount_nanousd)


def _touch(lease: Lease) -> None:
    lease.renewals += 1
    lease.changed = True
