"""What one key may spend on this worker: its leases, and how much of them it used lately (LEDGER L5–L9).

Money of a limited lease is in exactly one place: granted = undrawn + in flight + posted + returned. A draw
moves it from undrawn to in flight; a release moves it on to posted and, what is left, back to undrawn or,
where others may need it, to returned. Returned only grows; the control plane takes it from the reports.
`LeaseBook` makes the moves.
"""

import random
from collections.abc import Sequence
from math import inf

from edge.windows import WindowKey
from tollkeeper.errors import TollkeeperError
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

# A lease should hold so many times what was in flight: enough to go on for a while without the control
# plane. The control plane grants no more than a tenth of what the windows have left (L8).
FACTOR_START = 16
FACTOR_LEAST = 4
FACTOR_MOST = 256
QUICK_REFILL_S = 2.0
SLOW_REFILL_S = 20.0
PEAK_PERIOD_S = 10.0
PROBE_INTERVAL_S = 1.0
NEXT_WINDOW_LEAD_S = 60.0
NO_REFILL = -1


class Lease:
    """A slice of windows lent to this worker for one key. Drawable until `draws_until_s`, then only
    draining."""

    __slots__ = (
        "acked_nanousd",
        "draws_until_s",
        "exact",
        "granted_nanousd",
        "in_flight_nanousd",
        "last_draw_s",
        "lease_id",
        "look_at_s",
        "marked_until_s",
        "next_window",
        "not_before_s",
        "open_count",
        "overrun_nanousd",
        "posted_nanousd",
        "purse",
        "record_prefix",
        "refill_below_nanousd",
        "renew_at_s",
        "retired",
        "returned_nanousd",
        "room_nanousd",
        "sent_at_s",
        "top_up",
        "turn_lead_s",
        "unacked_count",
        "undrawn_nanousd",
        "unknown",
        "unlimited",
        "window_end_wall_s",
        "windows",
    )

    def __init__(self, purse: "Purse", next_window: bool, now_s: float) -> None:
        self.purse = purse
        self.lease_id = str(uuid7())
        self.next_window = next_window
        # Number of the last answered acquire; 0 until the lease is open.
        self.top_up = 0
        # When the unanswered acquire was first sent: its times count from there, however often it is
        # repeated.
        self.sent_at_s = 0.0
        # An acquire was sent and nobody knows what became of it.
        self.unknown = False
        self.granted_nanousd = 0
        self.undrawn_nanousd = 0
        self.in_flight_nanousd = 0
        self.posted_nanousd = 0
        self.returned_nanousd = 0
        # Part of costs above their holds that nothing in hand could cover; the ledger labels it so.
        self.overrun_nanousd = 0
        self.acked_nanousd = 0
        self.open_count = 0
        self.unacked_count = 0
        self.unlimited = False
        self.exact = False
        self.retired = False
        self.draws_until_s = -inf
        self.not_before_s = -inf
        self.renew_at_s = inf
        self.refill_below_nanousd = NO_REFILL
        self.last_draw_s = now_s
        self.marked_until_s = -inf
        self.window_end_wall_s = inf
        self.turn_lead_s = random.uniform(1.0, NEXT_WINDOW_LEAD_S)
        # When the book looks at it next, by itself.
        self.look_at_s = inf
        # Left in the tightest hard window at the last answer, plus what of this lease was in its spend
        # already.
        self.room_nanousd: int | None = None
        self.windows: tuple[WindowKey, ...] = ()
        # The part of every usage record that is the same for all requests of the lease, serialized.
        self.record_prefix = b""

    @property
    def remaining_nanousd(self) -> int | None:
        """What the tightest hard window had left at the last answer, less what was spent here since.

        None where nothing limits it."""
        if self.room_nanousd is None:
            return None
        return max(0, self.room_nanousd - self.posted_nanousd - self.overrun_nanousd)

    @property
    def closable(self) -> bool:
        """Was open; nothing can be drawn, nothing is in flight and every record is acknowledged."""
        return self.retired and not self.open_count and not self.unacked_count and self.top_up > 0

    def check(self) -> None:
        """Asserts that no money of the lease is lost or counted twice."""
        if self.unlimited:
            return
        parts = (self.undrawn_nanousd, self.in_flight_nanousd, self.posted_nanousd, self.returned_nanousd)
        assert min(parts) >= 0, self
        assert sum(parts) == self.granted_nanousd, self
        assert not self.retired or self.undrawn_nanousd == 0, self

    def __repr__(self) -> str:
        kind = "unlimited" if self.unlimited else "exact" if self.exact else "sized"
        return (
            f"Lease({self.lease_id} {kind}{' retired' if self.retired else ''} granted={self.granted_nanousd}"
            f" undrawn={self.undrawn_nanousd} in_flight={self.in_flight_nanousd} posted={self.posted_nanousd}"
            f" returned={self.returned_nanousd} open={self.open_count} unacked={self.unacked_count})"
        )


class Refusal:
    """A final refusal, remembered so that it needn't be asked for again (L9)."""

    __slots__ = ("chain_version", "error", "fits_nanousd", "probe_at_s", "until_s")

    def __init__(
        self, error: TollkeeperError, fits_nanousd: int, chain_version: int, now_s: float, until_s: float
    ) -> None:
        self.error = error
        self.fits_nanousd = fits_nanousd
        self.chain_version = chain_version
        self.until_s = until_s
        self.probe_at_s = now_s + PROBE_INTERVAL_S


class Purse:
    """All leases of one key, and how much of them it has used lately."""

    __slots__ = (
        "chain_version",
        "current",
        "customer_id",
        "factor",
        "following",
        "in_flight_nanousd",
        "key_id",
        "last_refill_s",
        "look_at_s",
        "opening",
        "peak_before_nanousd",
        "peak_nanousd",
        "peak_turn_s",
        "refusal",
        "team_id",
        "user_id",
    )

    def __init__(self, customer_id: str, key_id: str, team_id: str, user_id: str, chain_version: int) -> None:
        self.customer_id = customer_id
        self.key_id = key_id
        self.team_id = team_id
        self.user_id = user_id
        self.chain_version = chain_version
        self.current: Lease | None = None
        # The lease of the windows that come next (L7).
        self.following: Lease | None = None
        # Named, perhaps asked for, but without an answer yet.
        self.opening: Lease | None = None
        self.refusal: Refusal | None = None
        self.in_flight_nanousd = 0
        self.peak_nanousd = 0
        self.peak_before_nanousd = 0
        self.peak_turn_s = -inf
        self.factor = FACTOR_START
        self.last_refill_s = -inf
        # When the book looks at it next, by itself.
        self.look_at_s = inf

    def peak(self, now_s: float) -> int:
        """The most that was in flight at once within the last ten to twenty seconds."""
        if now_s >= self.peak_turn_s:
            self.peak_before_nanousd = self.peak_nanousd if now_s < self.peak_turn_s + PEAK_PERIOD_S else 0
            self.peak_nanousd = self.in_flight_nanousd
            self.peak_turn_s = now_s + PEAK_PERIOD_S
        return max(self.peak_nanousd, self.peak_before_nanousd)

    def resize(self, now_s: float) -> None:
        """Doubles the share ahead when refills follow each other quickly, halves it when they are rare
        (L8)."""
        since_s = now_s - self.last_refill_s
        if since_s < QUICK_REFILL_S:
            self.factor = min(FACTOR_MOST, self.factor * 2)
        elif SLOW_REFILL_S < since_s < inf:
            self.factor = max(FACTOR_LEAST, self.factor // 2)
        self.last_refill_s = now_s

    @property
    def empty(self) -> bool:
        """Nothing here that anybody would miss."""
        return not (self.current or self.following or self.opening or self.refusal)

    def __repr__(self) -> str:
        return f"Purse(key {self.key_id}, {self.current!r})"


class Ask:
    """One acquire to be sent: which lease, which number, how much."""

    __slots__ = ("holds_nanousd", "lease", "top_up", "wanted_nanousd")

    def __init__(self, lease: Lease, holds_nanousd: Sequence[int], wanted_nanousd: int) -> None:
        self.lease = lease
        self.top_up = lease.top_up + 1
        self.holds_nanousd = holds_nanousd
        self.wanted_nanousd = wanted_nanousd


def report(lease: Lease) -> edge_pb2.LeaseReport:
    """Where a lease stands."""
    return edge_pb2.LeaseReport(
        customer_id=lease.purse.customer_id,
        lease_id=lease.lease_id,
        returned_nanousd=lease.returned_nanousd,
        undrawn_nanousd=lease.undrawn_nanousd,
        in_flight_nanousd=lease.in_flight_nanousd,
        closing=lease.closable,
    )
