"""The lease book: every lease of this worker, and every move of money in them (LEDGER L5–L11). Pure state:
no I/O, and time is passed in. The desk and the settler ask, wait and send, by what it says.
"""

import heapq
from collections.abc import Iterable, Sequence
from itertools import count, islice
from math import inf
from random import uniform

from edge.leases import Ask, Lease, Purse, Refusal, report
from edge.windows import WindowKey, duration_s, room_nanousd, window_key
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1 import edge_pb2

PROBE_INTERVAL_S = 1.0
RETRY_REFILL_S = 1.0
REFUSAL_KEPT_S = 60.0
# Changed leases looked at to ride along with one acquire.
RIDING_LOOKED_AT = 200
NO_REFILL = -1
# What the contract's int64 holds, with room to add.
MOST_WANTED_NANOUSD = 1 << 62


class LeaseBook:
    """Every lease of this worker, by key, by id and by window."""

    __slots__ = (
        "_due",
        "_idle_s",
        "_marks",
        "_order",
        "_pins",
        "_refused",
        "_turn_wall_s",
        "dirty",
        "incarnation_id",
        "leases",
        "owing",
        "purses",
    )

    def __init__(self, incarnation_id: str, idle_s: float = 30.0) -> None:
        self.incarnation_id = incarnation_id
        self.purses: dict[str, Purse] = {}
        self.leases: dict[str, Lease] = {}
        # Leases that changed since they were last reported.
        self.dirty: set[Lease] = set()
        # Whether a report is due soon: money was given back, or a lease may be closed.
        self.owing = False
        self._idle_s = idle_s
        self._pins: dict[WindowKey, set[Lease]] = {}
        self._marks: dict[WindowKey, float] = {}
        self._refused: dict[str, set[Purse]] = {}
        self._due: list[tuple[float, int, Lease | Purse]] = []
        self._order = count()
        # Unix time from which a lease's windows may be about to turn.
        self._turn_wall_s = inf

    # ---- drawing

    def draw(self, purse: Purse, hold_nanousd: int, now_s: float) -> Lease | None:
        """Takes a hold from the lease in hand; None when it can't cover it."""
        lease = purse.current
        if lease is None or now_s >= lease.draws_until_s:
            lease = self._turn(purse, now_s)
            if lease is None:
                return None
        if not lease.unlimited:
            if lease.undrawn_nanousd < hold_nanousd:
                return None
            lease.undrawn_nanousd -= hold_nanousd
        lease.in_flight_nanousd += hold_nanousd
        lease.open_count += 1
        lease.last_draw_s = now_s
        purse.in_flight_nanousd += hold_nanousd
        if purse.in_flight_nanousd > purse.peak_nanousd:
            purse.peak_nanousd = purse.in_flight_nanousd
        self.dirty.add(lease)
        return lease

    def draw_more(self, lease: Lease, hold_nanousd: int, now_s: float) -> bool:
        """Takes more for a request that drew from this lease before (L13); False when the lease can't cover
        it."""
        if lease.unlimited:
            lease.in_flight_nanousd += hold_nanousd
            lease.purse.in_flight_nanousd += hold_nanousd
            return True
        if not self.in_hand(lease, now_s) or self.draw(lease.purse, hold_nanousd, now_s) is None:
            return False
        lease.open_count -= 1
        return True

    def in_hand(self, lease: Lease, now_s: float) -> bool:
        """Whether its key draws from this very lease."""
        return lease.purse.current is lease and now_s < lease.draws_until_s

    def wants_refill(self, lease: Lease, now_s: float) -> bool:
        """Whether more should be fetched ahead of need: half of the last grant is left, or its time runs
        out (L9)."""
        return lease.undrawn_nanousd < lease.refill_below_nanousd or now_s >= lease.renew_at_s

    def release(self, lease: Lease, hold_nanousd: int, cost_nanousd: int, now_s: float) -> None:
        """Ends a draw: its cost is posted, the rest is free again. What nothing covers is counted as
        overrun."""
        lease.in_flight_nanousd -= hold_nanousd
        lease.open_count -= 1
        lease.purse.in_flight_nanousd -= hold_nanousd
        self.dirty.add(lease)
        if lease.unlimited:
            lease.posted_nanousd += cost_nanousd
            return
        rest_nanousd = hold_nanousd - cost_nanousd
        if rest_nanousd < 0:
            covered_nanousd = min(-rest_nanousd, lease.undrawn_nanousd)
            lease.undrawn_nanousd -= covered_nanousd
            lease.posted_nanousd += hold_nanousd + covered_nanousd
            lease.overrun_nanousd -= rest_nanousd + covered_nanousd
            return
        lease.posted_nanousd += cost_nanousd
        if lease.exact or now_s >= lease.draws_until_s or now_s < lease.marked_until_s:
            lease.returned_nanousd += rest_nanousd
            self.owing = True
        else:
            lease.undrawn_nanousd += rest_nanousd

    def undraw(self, lease: Lease, hold_nanousd: int, now_s: float) -> None:
        """Takes a draw back: nothing was sent for it."""
        self.release(lease, hold_nanousd, 0, now_s)
        if lease.closable:
            self.owing = True

    def queued(self, lease: Lease) -> None:
        """A record of the lease waits to be settled."""
        lease.unacked_count += 1

    def acknowledged(self, lease: Lease, cost_nanousd: int) -> None:
        """A record of the lease is settled."""
        lease.unacked_count -= 1
        lease.acked_nanousd += cost_nanousd
        if lease.retired and lease.closable:
            self.dirty.add(lease)
            self.owing = True

    # ---- asking

    def purse(self, customer_id: str, key_id: str, team_id: str, user_id: str, chain_version: int) -> Purse:
        """The purse of a key at this version of its chain, or a newer one. An older purse turns over (L3)."""
        purse = self.purses.get(key_id)
        if purse is None:
            purse = self.purses[key_id] = Purse(customer_id, key_id, team_id, user_id, chain_version)
        elif chain_version > purse.chain_version:
            self.turn_chain(purse, team_id, user_id, chain_version)
        return purse

    def turn_chain(self, purse: Purse, team_id: str, user_id: str, chain_version: int) -> None:
        """The budgets above the key changed: its leases only drain from now on."""
        self.retire_all(purse)
        self.forgive(purse)
        purse.team_id, purse.user_id, purse.chain_version = team_id, user_id, chain_version

    def ask(
        self, purse: Purse, holds_nanousd: Sequence[int], now_s: float, *, next_window: bool = False
    ) -> Ask:
        """The acquire to send for these waiting holds, or ahead of need when there are none.

        An acquire whose outcome is unknown comes first, under its own number, whatever else is wanted (L5).
        """
        lease = self._asked_lease(purse, now_s, next_window)
        waiting_nanousd = sum(holds_nanousd)
        if now_s < lease.marked_until_s:
            holds_nanousd = holds_nanousd[:1]
            return Ask(lease, holds_nanousd, sum(holds_nanousd))
        ahead_nanousd = purse.factor * max(purse.peak(now_s), waiting_nanousd) - lease.undrawn_nanousd
        wanted_nanousd = min(max(waiting_nanousd, ahead_nanousd, 0), MOST_WANTED_NANOUSD)
        return Ask(lease, holds_nanousd, wanted_nanousd)

    def _asked_lease(self, purse: Purse, now_s: float, next_window: bool) -> Lease:
        if purse.opening is not None and (purse.opening.unknown or purse.opening.next_window == next_window):
            return purse.opening
        current = purse.current
        if current is not None and now_s >= current.draws_until_s:
            current = self._turn(purse, now_s)
        if current is not None and not next_window:
            return current
        purse.opening = lease = Lease(purse, next_window, now_s)
        self.leases[lease.lease_id] = lease
        return lease

    def sent(self, ask: Ask, now_s: float) -> None:
        """The acquire leaves. Its outcome is unknown until `granted` or `refused`."""
        if not ask.lease.unknown:
            ask.lease.unknown = True
            ask.lease.sent_at_s = now_s

    def granted(self, ask: Ask, answer: edge_pb2.AcquireLeaseResponse, now_s: float, wall_s: float) -> None:
        """Books the answer. What comes for a lease that only drains is returned at once."""
        lease, purse = ask.lease, ask.lease.purse
        lease.unknown = False
        lease.top_up = ask.top_up
        lease.unlimited = answer.unlimited
        # A refill that brings nothing says nothing about what is in hand.
        lease.exact = answer.exact if ask.holds_nanousd or answer.granted_nanousd else lease.exact
        lease.granted_nanousd += answer.granted_nanousd
        lease.undrawn_nanousd += answer.granted_nanousd
        self.dirty.add(lease)
        if lease is purse.opening:
            purse.opening = None
            self._opened(lease, answer, wall_s)
        room = room_nanousd(answer.windows)
        lease.room_nanousd = None if room is None else room + lease.acked_nanousd
        if lease.retired:
            self.owing = True
            self._give_back(lease)
            return
        draw_for_s = duration_s(answer.draw_for)
        lease.draws_until_s = lease.sent_at_s + draw_for_s
        # An exact lease is renewed by the acquire that each of its requests makes anyway.
        lease.renew_at_s = inf if lease.exact else lease.sent_at_s + draw_for_s * uniform(0.5, 0.7)
        lease.refill_below_nanousd = self._refill_below(lease, answer, now_s)
        if not lease.exact and not lease.unlimited:
            purse.resize(now_s)
        self._look_again(lease.draws_until_s, lease)

    def _refill_below(self, lease: Lease, answer: edge_pb2.AcquireLeaseResponse, now_s: float) -> int:
        if lease.exact or lease.unlimited or now_s < lease.marked_until_s:
            return NO_REFILL
        if not answer.granted_nanousd:
            lease.renew_at_s = min(lease.renew_at_s, now_s + RETRY_REFILL_S)
            return NO_REFILL
        return answer.granted_nanousd // 2

    def _opened(self, lease: Lease, answer: edge_pb2.AcquireLeaseResponse, wall_s: float) -> None:
        purse = lease.purse
        lease.not_before_s = lease.sent_at_s + duration_s(answer.not_before)
        lease.windows = tuple(window_key(window) for window in answer.windows)
        ends = [window.end_time.seconds for window in answer.windows if window.HasField("end_time")]
        lease.window_end_wall_s = min((float(end) for end in ends if end > wall_s), default=inf)
        self._turn_wall_s = min(self._turn_wall_s, lease.window_end_wall_s - lease.turn_lead_s)
        lease.record_prefix = self._record_prefix(lease, answer.windows)
        for key in lease.windows:
            self._pins.setdefault(key, set()).add(lease)
            lease.marked_until_s = max(lease.marked_until_s, self._marks.get(key, -inf))
        self._look_again(lease.last_draw_s + self._idle_s, lease)
        if lease.retired:
            return
        if lease.next_window:
            if purse.following is not None:
                self.retire(purse.following)
            purse.following = lease
            return
        if purse.current is not None:
            self.retire(purse.current)
        purse.current = lease

    def _record_prefix(self, lease: Lease, windows: Iterable[edge_pb2.WindowRef]) -> bytes:
        purse = lease.purse
        record = edge_pb2.UsageRecord(
            incarnation_id=self.incarnation_id,
            customer_id=purse.customer_id,
            key_id=purse.key_id,
            team_id=purse.team_id,
            user_id=purse.user_id,
            lease_id=lease.lease_id,
        )
        for window in windows:
            pinned = record.windows.add()
            pinned.CopyFrom(window)
            for name in ("limit_nanousd", "spent_nanousd", "held_nanousd"):
                pinned.ClearField(name)
        return record.SerializeToString()

    def refused(self, ask: Ask) -> None:
        """A definite no: nothing was granted, and the number stays free for the next try."""
        ask.lease.unknown = False
        self._settle_unopened(ask.lease)
        if not ask.lease.retired:
            ask.lease.refill_below_nanousd = NO_REFILL
            ask.lease.renew_at_s = ask.lease.sent_at_s + RETRY_REFILL_S

    def lost(self, ask: Ask) -> None:
        """The control plane has closed the lease: nothing more is drawn from it, a new one takes its
        place."""
        ask.lease.unknown = False
        self.retire(ask.lease)

    def refill_sent(self, lease: Lease) -> None:
        """No second refill while one is under way."""
        lease.refill_below_nanousd = NO_REFILL
        lease.renew_at_s = inf

    # ---- refusals

    def refuse(
        self, purse: Purse, error: TollkeeperError, fits_nanousd: int, now_s: float, until_s: float
    ) -> None:
        """Remembers that larger holds than `fits_nanousd` are refused, until the window ends or a push says
        otherwise."""
        purse.refusal = Refusal(error, fits_nanousd, purse.chain_version, now_s, until_s)
        self._refused.setdefault(purse.customer_id, set()).add(purse)
        self._look_again(now_s + REFUSAL_KEPT_S, purse)

    def refusal(self, purse: Purse, hold_nanousd: int, now_s: float) -> TollkeeperError | None:
        """The refusal that stands against this hold. Once a second None anyway: that request asks again."""
        refusal = purse.refusal
        if refusal is None or hold_nanousd <= refusal.fits_nanousd:
            return None
        if now_s >= refusal.until_s:
            self.forgive(purse)
            return None
        if now_s >= refusal.probe_at_s:
            refusal.probe_at_s = now_s + PROBE_INTERVAL_S
            return None
        return refusal.error

    def forgive(self, purse: Purse) -> None:
        """Forgets a refusal."""
        purse.refusal = None
        refused = self._refused.get(purse.customer_id)
        if refused is not None:
            refused.discard(purse)
            if not refused:
                del self._refused[purse.customer_id]

    def room(self, customer_id: str) -> None:
        """A window of the customer has room again: all its refusals are forgotten (L9)."""
        for purse in tuple(self._refused.get(customer_id, ())):
            self.forgive(purse)

    # ---- giving back

    def retire(self, lease: Lease) -> None:
        """Nothing more is drawn; the undrawn part is returned. The lease closes when its last record is
        settled."""
        purse = lease.purse
        lease.retired = True
        lease.draws_until_s = -inf
        lease.renew_at_s = inf
        lease.refill_below_nanousd = NO_REFILL
        if purse.current is lease:
            purse.current = None
        if purse.following is lease:
            purse.following = None
        self._give_back(lease)
        self.dirty.add(lease)
        self.owing = True
        self._settle_unopened(lease)

    def retire_all(self, purse: Purse) -> None:
        """Retires every lease of a key."""
        for lease in (purse.current, purse.following, purse.opening):
            if lease is not None:
                self.retire(lease)

    def trim(self, lease: Lease, now_s: float) -> bool:
        """Returns what a grant for exactly the waiting holds left over because a request went away (L8,
        L10); says whether there was anything."""
        if not lease.undrawn_nanousd or not (lease.exact or now_s < lease.marked_until_s):
            return False
        self._give_back(lease)
        return True

    def _give_back(self, lease: Lease) -> None:
        if lease.undrawn_nanousd:
            lease.returned_nanousd += lease.undrawn_nanousd
            lease.undrawn_nanousd = 0
            self.dirty.add(lease)
            self.owing = True

    def _settle_unopened(self, lease: Lease) -> None:
        """A lease that was never opened, and can't be any more, leaves no trace."""
        if lease.top_up or lease.unknown:
            return
        if lease.purse.opening is lease:
            lease.purse.opening = None
        self._drop(lease)

    def recall(self, key: WindowKey, mark_for_s: float, now_s: float) -> int:
        """Returns all undrawn money of leases that pin the window, and marks them (L10). Says how many
        there are."""
        self._marks[key] = until_s = max(self._marks.get(key, -inf), now_s + mark_for_s)
        leases = tuple(self._pins.get(key, ()))
        for lease in leases:
            if lease.unlimited:
                # Nothing to return: the chain must have changed (L3), and a new lease will know.
                self.retire(lease)
                continue
            lease.marked_until_s = max(lease.marked_until_s, until_s)
            lease.refill_below_nanousd = NO_REFILL
            self._give_back(lease)
            self.dirty.add(lease)
            self.owing = True
        return len(leases)

    # ---- reports

    def take_reports(self, most: int) -> list[tuple[Lease, edge_pb2.LeaseReport]]:
        """Where changed leases stand now, at most so many. `confirm` or `put_back` must follow."""
        taken: list[tuple[Lease, edge_pb2.LeaseReport]] = []
        while self.dirty and len(taken) < most:
            lease = self.dirty.pop()
            if lease.top_up:
                taken.append((lease, report(lease)))
        if not self.dirty:
            self.owing = False
        return taken

    def confirm(self, reports: Iterable[tuple[Lease, edge_pb2.LeaseReport]]) -> None:
        """The control plane has these reports: leases reported as closing are gone."""
        for lease, sent in reports:
            if sent.closing and lease.closable:
                self._drop(lease)

    def put_back(self, reports: Iterable[tuple[Lease, edge_pb2.LeaseReport]]) -> None:
        """Nobody knows whether these reports arrived: they are due again."""
        for lease, _ in reports:
            if lease.lease_id in self.leases:
                self.dirty.add(lease)
                self.owing = True

    def reports_of(self, customer_id: str, most: int) -> list[edge_pb2.LeaseReport]:
        """Where changed leases of one customer stand, to ride along with an acquire; they stay due."""
        found: list[edge_pb2.LeaseReport] = []
        for lease in islice(self.dirty, RIDING_LOOKED_AT):
            if lease.purse.customer_id == customer_id and lease.top_up:
                found.append(report(lease))
                if len(found) == most:
                    break
        return found

    def _drop(self, lease: Lease) -> None:
        self.leases.pop(lease.lease_id, None)
        self.dirty.discard(lease)
        for key in lease.windows:
            pinned = self._pins.get(key)
            if pinned is not None:
                pinned.discard(lease)
                if not pinned:
                    del self._pins[key]
        self._drop_purse(lease.purse)

    def _drop_purse(self, purse: Purse) -> None:
        if purse.empty and not purse.in_flight_nanousd and self.purses.get(purse.key_id) is purse:
            del self.purses[purse.key_id]

    # ---- time

    def _turn(self, purse: Purse, now_s: float) -> Lease | None:
        """Past the draw deadline: the lease of the next windows takes over if its time has come (L7)."""
        if purse.current is not None:
            self.retire(purse.current)
        following = purse.following
        if following is None or now_s < following.not_before_s or now_s >= following.draws_until_s:
            return None
        purse.current, purse.following = following, None
        return following

    def _look_again(self, at_s: float, item: Lease | Purse) -> None:
        """Sees that an item is looked at by then. One that will be sooner decides for itself when next."""
        if at_s < item.look_at_s:
            item.look_at_s = at_s
            heapq.heappush(self._due, (at_s, next(self._order), item))

    def due(self, now_s: float, most: int = 1000) -> None:
        """Ends what has run its time: draw deadlines, idle leases, refusals nobody asks about, marks."""
        while self._due and self._due[0][0] <= now_s and most:
            most -= 1
            at_s, _, item = heapq.heappop(self._due)
            if at_s != item.look_at_s:
                # It was to be looked at sooner, and has been.
                continue
            item.look_at_s = inf
            if isinstance(item, Purse):
                self._due_purse(item, now_s)
            elif not item.retired and item.lease_id in self.leases:
                self._due_lease(item, now_s)
        for key in [key for key, until_s in self._marks.items() if until_s <= now_s]:
            del self._marks[key]

    def _due_purse(self, purse: Purse, now_s: float) -> None:
        # Every probe renews a refusal; one that nobody probed for so long isn't worth its memory.
        if purse.refusal is not None and now_s < purse.refusal.probe_at_s + REFUSAL_KEPT_S / 2:
            self._look_again(now_s + REFUSAL_KEPT_S, purse)
            return
        self.forgive(purse)
        self._drop_purse(purse)

    def _due_lease(self, lease: Lease, now_s: float) -> None:
        idle_at_s = inf if lease.unlimited else max(lease.last_draw_s, lease.not_before_s) + self._idle_s
        if now_s >= lease.draws_until_s or now_s >= idle_at_s:
            self.retire(lease)
        else:
            self._look_again(min(lease.draws_until_s, idle_at_s), lease)

    def turning(self, now_s: float, wall_s: float) -> list[Purse]:
        """Purses in use whose windows end soon and whose next lease should be taken now (L7)."""
        if wall_s < self._turn_wall_s:
            return []
        turning: list[Purse] = []
        self._turn_wall_s = inf
        for purse in self.purses.values():
            lease = purse.current
            if lease is None or purse.following is not None or now_s - lease.last_draw_s > self._idle_s:
                continue
            turn_wall_s = lease.window_end_wall_s - lease.turn_lead_s
            if turn_wall_s <= wall_s:
                turning.append(purse)
            self._turn_wall_s = min(self._turn_wall_s, turn_wall_s)
        return turning

    def check(self) -> None:
        """Asserts the invariants of all leases and of the indexes."""
        for lease in self.leases.values():
            lease.check()
        for purse in self.purses.values():
            for held in (purse.current, purse.following, purse.opening):
                assert held is None or held.lease_id in self.leases, purse
            for held in (purse.current, purse.following):
                assert held is None or not held.retired, purse
