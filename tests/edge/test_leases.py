"""The lease book as pure state: where every nano-dollar is, whatever happens in whatever order."""

from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.lease_book import LeaseBook
from edge.leases import Ask, Lease, Purse
from edge.windows import WindowKey
from tests.edge.fake_control import new_id
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

WALL_S = 1_800_000_000.0
START_S = 1_700_000_000
REFUSED = TollkeeperError(Reason.INSUFFICIENT_QUOTA, "used up")


def make_book(idle_s: float = 30.0) -> tuple[LeaseBook, Purse]:
    """A book and the purse of one key."""
    book = LeaseBook(new_id(), idle_s)
    return book, book.purse("customer", "key", "", "", 1)


def answer(
    granted: int, *, exact: bool = False, unlimited: bool = False, draw_for_s: float = 60, budget: str = "b"
) -> edge_pb2.AcquireLeaseResponse:
    """What the control plane says, over one hard window."""
    message = edge_pb2.AcquireLeaseResponse(granted_nanousd=granted, exact=exact, unlimited=unlimited)
    message.draw_for.FromMicroseconds(int(draw_for_s * 1e6))
    window = message.windows.add(budget_id=budget, scope="key", hard=not unlimited)
    window.start_time.seconds, window.end_time.seconds = START_S, int(WALL_S) + 3600
    window.limit_nanousd, window.spent_nanousd = 1000, 100
    return message


def open_lease(
    book: LeaseBook,
    purse: Purse,
    granted: int,
    now_s: float = 0.0,
    holds: tuple[int, ...] = (),
    **said: object,
) -> Lease:
    """Asks and gets."""
    ask = book.ask(purse, holds, now_s)
    book.sent(ask, now_s)
    book.granted(ask, answer(granted, **said), now_s, WALL_S)  # type: ignore[arg-type]
    return ask.lease


def window() -> WindowKey:
    """The window that all answers pin."""
    return ("b", START_S, 0)


def test_a_draw_takes_and_a_release_gives_back() -> None:
    """The hold leaves the lease, the cost stays gone, the rest can be drawn again."""
    book, purse = make_book()
    lease = open_lease(book, purse, 100)
    assert book.draw(purse, 60, 1.0) is lease
    assert book.draw(purse, 60, 1.0) is None
    book.release(lease, 60, 25, 2.0)
    assert (lease.undrawn_nanousd, lease.posted_nanousd, lease.returned_nanousd) == (75, 25, 0)
    assert book.draw(purse, 60, 2.0) is lease
    book.check()


def test_an_exact_lease_returns_what_a_request_left() -> None:
    """L8: near the end of a budget nothing is kept for the next request."""
    book, purse = make_book()
    lease = open_lease(book, purse, 60, holds=(60,), exact=True)
    assert book.draw(purse, 60, 1.0) is lease
    book.release(lease, 60, 25, 2.0)
    assert (lease.undrawn_nanousd, lease.returned_nanousd) == (0, 35)
    assert not book.wants_refill(lease, 59.0)


@pytest.mark.parametrize(("undrawn", "overrun"), [(40, 0), (10, 20), (0, 30)])
def test_a_cost_above_its_hold_takes_from_the_rest_first(undrawn: int, overrun: int) -> None:
    """What no money in hand covers is an overrun, and nothing goes below zero."""
    book, purse = make_book()
    lease = open_lease(book, purse, 60 + undrawn)
    book.draw(purse, 60, 1.0)
    book.release(lease, 60, 90, 2.0)
    assert (lease.undrawn_nanousd, lease.overrun_nanousd) == (max(0, undrawn - 30), overrun)
    book.check()


def test_nothing_is_drawn_after_the_deadline() -> None:
    """L6: the deadline counts from before the acquire was sent, and the undrawn part is returned."""
    book, purse = make_book()
    ask = book.ask(purse, (), 10.0)
    book.sent(ask, 10.0)
    book.sent(ask, 14.0)
    book.granted(ask, answer(100, draw_for_s=5), 14.5, WALL_S)
    lease = book.draw(purse, 30, 14.9)
    assert lease is ask.lease
    assert book.draw(purse, 30, 15.0) is None
    assert (lease.returned_nanousd, lease.retired) == (70, True)
    book.release(lease, 30, 20, 16.0)
    assert lease.returned_nanousd == 80
    book.check()


def test_a_recall_returns_the_undrawn_and_marks() -> None:
    """L10: undrawn money goes back, what comes free while the mark stands too, and asks are for one hold."""
    book, purse = make_book()
    lease = open_lease(book, purse, 100)
    book.draw(purse, 30, 1.0)
    assert book.recall(window(), 0.3, 2.0) == 1
    assert (lease.returned_nanousd, book.owing) == (70, True)
    book.release(lease, 30, 10, 2.2)
    assert lease.returned_nanousd == 90
    ask = book.ask(purse, (5, 6), 2.25)
    assert (list(ask.holds_nanousd), ask.wanted_nanousd) == ([5], 5)
    assert len(book.ask(purse, (5, 6), 2.4).holds_nanousd) == 2
    other = book.purse("customer", "other key", "", "", 1)
    assert open_lease(book, other, 10, 2.2).marked_until_s == pytest.approx(2.3)


def test_a_recall_of_an_unlimited_lease_ends_it() -> None:
    """L3: it has nothing to return; that it is recalled means that the chain has changed."""
    book, purse = make_book()
    lease = open_lease(book, purse, 0, unlimited=True)
    book.draw(purse, 10**15, 1.0)
    book.recall(window(), 0.3, 2.0)
    assert lease.retired
    assert book.draw(purse, 1, 2.1) is None


def test_want_follows_the_peak_and_the_pace() -> None:
    """L8: sixteen times the recent peak; twice that when refills follow quickly, half when they are rare."""
    book, purse = make_book()
    open_lease(book, purse, 1000, 0.0, holds=(10,))
    for _ in range(5):
        book.draw(purse, 10, 0.1)
    assert book.ask(purse, (), 0.2).wanted_nanousd == 0
    purse.current.undrawn_nanousd = 100  # type: ignore[union-attr]
    assert book.ask(purse, (), 0.2).wanted_nanousd == 16 * 50 - 100
    purse.resize(0.5)
    assert purse.factor == 32
    for _ in range(9):
        purse.resize(0.5)
    assert purse.factor == 256
    purse.resize(30.0)
    assert purse.factor == 128


def test_no_wish_is_too_large_for_the_contract() -> None:
    """Holds of a billion dollars, many times over, still make a message that can be sent."""
    book, purse = make_book()
    ask = book.ask(purse, [10**18] * 12, 0.0)
    edge_pb2.AcquireLeaseRequest(wanted_nanousd=ask.wanted_nanousd)
    assert ask.wanted_nanousd == 1 << 62


def test_refills_start_at_half_of_the_last_grant() -> None:
    """L9: ahead of need, once, and again later when it brought nothing."""
    book, purse = make_book()
    lease = open_lease(book, purse, 100)
    assert not book.wants_refill(lease, 1.0)
    book.draw(purse, 51, 1.0)
    assert book.wants_refill(lease, 1.0)
    book.refill_sent(lease)
    assert not book.wants_refill(lease, 1.0)
    ask = book.ask(purse, (), 1.0)
    book.sent(ask, 1.0)
    book.refused(ask)
    assert not book.wants_refill(lease, 1.5)
    assert book.wants_refill(lease, 2.0)


def test_a_lease_is_renewed_before_its_deadline() -> None:
    """A lease in use is topped up in time, so that no request waits for it."""
    book, purse = make_book()
    lease = open_lease(book, purse, 1000, draw_for_s=10)
    assert not book.wants_refill(lease, 4.9)
    assert book.wants_refill(lease, 7.1)


def test_an_unknown_opening_is_asked_again_under_its_own_name() -> None:
    """L5: even after its chain changed, since nobody knows whether it was opened; a late yes is given
    back."""
    book, purse = make_book()
    ask = book.ask(purse, (10,), 0.0)
    book.sent(ask, 0.0)
    again = book.ask(purse, (10, 20), 1.0)
    assert (again.lease, again.top_up) == (ask.lease, 1)
    purse = book.purse("customer", "key", "", "", 2)
    third = book.ask(purse, (), 2.0)
    assert third.lease is ask.lease
    book.granted(third, answer(10), 2.1, WALL_S)
    assert (ask.lease.returned_nanousd, purse.current) == (10, None)
    assert book.ask(purse, (), 3.0).lease is not ask.lease
    book.check()


def test_a_refused_number_stays_free() -> None:
    """A refusal uses no number up, and an opening that was refused leaves no trace."""
    book, purse = make_book()
    ask = book.ask(purse, (10,), 0.0)
    book.sent(ask, 0.0)
    book.refused(ask)
    assert not book.leases
    purse = book.purse("customer", "key", "", "", 1)
    lease = open_lease(book, purse, 100)
    ask = book.ask(purse, (10,), 1.0)
    book.sent(ask, 1.0)
    book.refused(ask)
    assert book.ask(purse, (10,), 2.0).top_up == lease.top_up + 1 == 2


def test_refusals_are_remembered_and_probed() -> None:
    """L9: larger holds are refused, once a second one asks again, and room, time or a new chain forget it."""
    book, purse = make_book()
    book.refuse(purse, REFUSED, 50, 0.0, 100.0)
    assert book.refusal(purse, 50, 0.5) is None
    assert book.refusal(purse, 51, 0.5) is REFUSED
    assert book.refusal(purse, 51, 1.0) is None
    assert book.refusal(purse, 51, 1.5) is REFUSED
    assert book.refusal(purse, 51, 100.0) is None
    book.refuse(purse, REFUSED, 50, 0.0, inf)
    book.room("customer")
    assert book.refusal(purse, 51, 0.5) is None
    book.refuse(purse, REFUSED, 50, 0.0, inf)
    purse = book.purse("customer", "key", "", "", 2)
    assert book.refusal(purse, 51, 0.5) is None


def test_refusals_nobody_asks_about_are_forgotten() -> None:
    """What is remembered is bounded by what is in use."""
    book, purse = make_book()
    book.refuse(purse, REFUSED, 50, 0.0, inf)
    book.due(200.0)
    assert not book.purses


def test_idle_leases_are_returned() -> None:
    """A lease that nothing was drawn from for a while goes back, and its purse is forgotten."""
    book, purse = make_book(idle_s=30)
    lease = open_lease(book, purse, 100, draw_for_s=1000)
    book.draw(purse, 10, 20.0)
    book.release(lease, 10, 10, 20.5)
    book.due(45.0)
    assert not lease.retired
    book.due(50.0)
    assert (lease.returned_nanousd, lease.closable) == (90, True)
    book.confirm(book.take_reports(10))
    assert not book.leases
    assert not book.purses


def test_the_next_windows_lease_takes_over_in_time() -> None:
    """L7: taken ahead, not drawn before its time, in place when the old one ends."""
    book, purse = make_book()
    old = open_lease(book, purse, 100, draw_for_s=20)
    old.window_end_wall_s, old.turn_lead_s, book._turn_wall_s = WALL_S + 20, 15.0, WALL_S
    book.draw(purse, 1, 9.0)
    assert book.turning(4.0, WALL_S + 4) == []
    assert book.turning(9.0, WALL_S + 9) == [purse]
    ask = book.ask(purse, (), 9.0, next_window=True)
    book.sent(ask, 9.0)
    said = answer(50, draw_for_s=71)
    said.not_before.seconds = 11
    book.granted(ask, said, 9.1, WALL_S + 9)
    assert book.turning(10.0, WALL_S + 10) == []
    assert book.draw(purse, 1, 19.9) is old
    assert book.draw(purse, 1, 20.0) is ask.lease
    assert old.retired
    book.check()


def test_a_lease_closes_with_its_last_acknowledgement() -> None:
    """Closing is reported only when nothing is in flight and every record is in."""
    book, purse = make_book()
    lease = open_lease(book, purse, 100)
    book.draw(purse, 10, 1.0)
    book.retire(lease)
    assert not book.take_reports(10)[0][1].closing
    book.release(lease, 10, 4, 2.0)
    book.queued(lease)
    assert not book.take_reports(10)[0][1].closing
    book.acknowledged(lease, 4)
    assert book.owing
    (taken,) = book.take_reports(10)
    assert (taken[1].closing, taken[1].returned_nanousd) == (True, 96)
    book.put_back([taken])
    book.confirm(book.take_reports(10))
    assert not book.leases


def test_remaining_counts_what_was_spent_here_since_the_answer() -> None:
    """The header's figure: room at the answer, less what this lease has posted since."""
    book, purse = make_book()
    lease = open_lease(book, purse, 500)
    book.draw(purse, 100, 1.0)
    book.release(lease, 100, 30, 2.0)
    assert lease.remaining_nanousd == 900 - 30
    book.queued(lease)
    book.acknowledged(lease, 30)
    open_lease(book, purse, 500, 3.0)
    assert lease.remaining_nanousd == 900


@dataclass
class Tally:
    """One lease as an outsider counts it."""

    granted: int = 0
    open_holds: list[int] = field(default_factory=list)
    posted: int = 0
    returned: int = 0
    unacked: int = 0
    closed: bool = False


class BookMachine(RuleBasedStateMachine):
    """Any order of calls. An outsider's tally must find every nano-dollar, and nothing drawn twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.book = LeaseBook(new_id(), 30.0)
        self.version = 1
        self.tallies: dict[Lease, Tally] = {}
        self.draws: list[tuple[Lease, int]] = []
        self.unacked: list[tuple[Lease, int]] = []
        self.taken: list[tuple[Lease, edge_pb2.LeaseReport]] = []
        self.ask: Ask | None = None

    def purse(self, key: int) -> Purse:
        return self.book.purse("customer", f"key {key}", "", "", self.version)

    @precondition(lambda self: self.ask is None)
    @rule(key=st.integers(0, 1), holds=st.lists(st.integers(0, 50), max_size=3), turn=st.booleans())
    def send(self, key: int, holds: list[int], turn: bool) -> None:
        self.ask = self.book.ask(self.purse(key), holds, self.now_s, next_window=turn)
        assert self.ask.wanted_nanousd >= sum(self.ask.holds_nanousd)
        self.book.sent(self.ask, self.now_s)

    @precondition(lambda self: self.ask is not None)
    @rule(amount=st.integers(0, 200), exact=st.booleans(), draw_for_s=st.floats(0, 60))
    def grant(self, amount: int, exact: bool, draw_for_s: float) -> None:
        ask, self.ask = self.ask, None
        assert ask is not None
        said = answer(amount, exact=exact, draw_for_s=draw_for_s)
        self.book.granted(ask, said, self.now_s, WALL_S)
        self.tallies.setdefault(ask.lease, Tally()).granted += amount

    @precondition(lambda self: self.ask is not None)
    @rule(how=st.sampled_from(["refused", "lost", "unknown"]))
    def no_grant(self, how: str) -> None:
        ask, self.ask = self.ask, None
        assert ask is not None
        if how == "refused":
            self.book.refused(ask)
        elif how == "lost":
            self.book.lost(ask)

    @rule(key=st.integers(0, 1), hold=st.integers(0, 100))
    def draw(self, key: int, hold: int) -> None:
        lease = self.book.draw(self.purse(key), hold, self.now_s)
        if lease is not None:
            assert not lease.retired
            assert self.now_s < lease.draws_until_s
            self.draws.append((lease, hold))
            self.tallies[lease].open_holds.append(hold)

    @precondition(lambda self: self.draws)
    @rule(data=st.data(), cost=st.integers(0, 120))
    def release(self, data: st.DataObject, cost: int) -> None:
        lease, hold = self.draws.pop(data.draw(st.integers(0, len(self.draws) - 1)))
        tally = self.tallies[lease]
        covered = min(cost, hold + lease.undrawn_nanousd)
        self.book.release(lease, hold, cost, self.now_s)
        self.book.queued(lease)
        tally.open_holds.remove(hold)
        tally.posted += covered
        tally.unacked += 1
        self.unacked.append((lease, cost))

    @precondition(lambda self: self.draws)
    @rule()
    def undraw(self) -> None:
        lease, hold = self.draws.pop()
        self.book.undraw(lease, hold, self.now_s)
        self.tallies[lease].open_holds.remove(hold)

    @precondition(lambda self: self.unacked)
    @rule()
    def acknowledge(self) -> None:
        lease, cost = self.unacked.pop(0)
        self.book.acknowledged(lease, cost)
        self.tallies[lease].unacked -= 1

    @precondition(lambda self: not self.taken)
    @rule(most=st.integers(1, 3))
    def take(self, most: int) -> None:
        self.taken = self.book.take_reports(most)
        for lease, report in self.taken:
            tally = self.tallies[lease]
            assert report.returned_nanousd >= tally.returned
            assert report.in_flight_nanousd == sum(tally.open_holds)
            tally.returned = report.returned_nanousd
            if report.closing:
                assert not tally.open_holds
                assert not tally.unacked
                tally.closed = True

    @precondition(lambda self: self.taken)
    @rule(arrived=st.booleans())
    def reported(self, arrived: bool) -> None:
        taken, self.taken = self.taken, []
        (self.book.confirm if arrived else self.book.put_back)(taken)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.book.due(self.now_s)

    @rule()
    def recall(self) -> None:
        self.book.recall(window(), 0.3, self.now_s)

    @rule()
    def change_chain(self) -> None:
        self.version += 1

    @invariant()
    def every_nanodollar_is_somewhere(self) -> None:
        self.book.check()
        for lease, tally in self.tallies.items():
            left = tally.granted - lease.returned_nanousd - tally.posted - sum(tally.open_holds)
            assert left == lease.undrawn_nanousd >= 0
            assert lease.returned_nanousd >= tally.returned
            assert lease.open_count == len(tally.open_holds)
            if not tally.closed and lease.top_up:
                assert lease.lease_id in self.book.leases

    @invariant()
    def what_changed_is_due(self) -> None:
        for lease, tally in self.tallies.items():
            if lease.returned_nanousd > tally.returned and not tally.closed:
                assert lease in self.book.dirty
                assert self.book.owing


BookMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBook = BookMachine.TestCase
