"""The ledger's arithmetic, as tables: one row a case, the outcome last."""

from datetime import UTC, datetime, timedelta

import pytest

from control.domain import ledger as rules
from control.domain.ledger import Granted, Held, Label, Lease, LeaseState, Part, Spent, Window

NOW = datetime(2026, 11, 22, tzinfo=UTC)
THRESHOLDS = (50, 80, 100)


def window(
    limit: int = 100, spent: int = 0, held: int = 0, hard: bool = True, marked: bool = False
) -> Window:
    return Window(
        budget_id=f"budget-{limit}-{spent}-{held}",
        start_time=NOW,
        end_time=NOW + timedelta(days=1),
        scope=1,
        scope_id="key",
        hard=hard,
        limit_nanousd=limit,
        spent_nanousd=spent,
        held_nanousd=held,
        highest_limit_nanousd=0,
        recall_until=NOW + timedelta(seconds=1) if marked else None,
    )


def lease(*windows: Window, granted: int = 0, posted: int = 0, returned: int = 0) -> Lease:
    made = Lease("lease", "incarnation", "key", 1, False, granted, posted, returned)
    made.windows = list(windows)
    for each in windows:
        each.held_nanousd += made.held_nanousd
    return made


@pytest.mark.parametrize(
    ("windows", "holds", "wanted", "outcome"),
    [
        # Plenty of room: the holds, and what was wanted beyond, while undrawn money stays within a tenth.
        ([window(1000)], [10], 10, Granted(10, 1, exact=True)),
        ([window(1000)], [10], 50, Granted(50, 1, exact=False)),
        ([window(1000)], [10], 500, Granted(110, 1, exact=False)),
        # A tenth of what is left is already held: just the holds.
        ([window(1000, held=100)], [10, 20], 500, Granted(30, 2, exact=True)),
        ([window(1000, spent=900)], [5], 50, Granted(15, 1, exact=False)),
        # The tightest hard window decides; soft ones never do.
        ([window(1000), window(200)], [10], 500, Granted(30, 1, exact=False)),
        ([window(1000), window(5, hard=False)], [10], 10, Granted(10, 1, exact=True)),
        ([window(100, held=50), window(400)], [40, 40], 80, Granted(40, 1, exact=True)),
        # Not all holds fit: those that do, in order.
        ([window(100, spent=50)], [20, 20, 20], 60, Granted(40, 2, exact=True)),
        ([window(100, spent=50)], [50, 1], 51, Granted(50, 1, exact=True)),
        # A hold of nothing always fits.
        ([window(100, spent=100)], [0], 0, Granted(0, 1, exact=True)),
        # A refill takes nothing rather than be refused.
        ([window(100, spent=100)], [], 50, Granted(0, 0, exact=True)),
        ([window(1000, spent=100)], [], 50, Granted(50, 0, exact=False)),
        # While a recall mark stands: one hold an acquire.
        ([window(1000, marked=True)], [10, 10], 500, Granted(10, 1, exact=True)),
    ],
)
def test_what_an_acquire_gets(windows: list[Window], holds: list[int], wanted: int, outcome: Granted) -> None:
    """A grant covers what every hard window can, and little more."""
    assert rules.decide(windows, holds, wanted, NOW) == outcome


@pytest.mark.parametrize(
    ("spent", "held", "hold", "outcome", "fits"),
    [
        (100, 0, 1, Spent, 0),
        (60, 0, 41, Spent, 40),
        (60, 40, 41, Spent, 40),
        (60, 40, 40, Held, 40),
        (60, 1, 40, Held, 40),
        (120, 0, 1, Spent, 0),
    ],
)
def test_spent_is_final_and_held_is_not(
    spent: int, held: int, hold: int, outcome: type[Spent | Held], fits: int
) -> None:
    """L11: only spent plus this hold over the limit is final; the refusal says what would fit (L12)."""
    decision = rules.decide([window(100, spent, held)], [hold], hold, NOW)
    assert isinstance(decision, outcome)
    assert decision.fits_nanousd == fits


@pytest.mark.parametrize(
    ("granted", "cost", "state", "parts", "spent", "held"),
    [
        (50, 30, LeaseState.OPEN, [Part(Label.POST, 30)], 30, 20),
        (50, 50, LeaseState.OPEN, [Part(Label.POST, 50)], 50, 0),
        (50, 0, LeaseState.OPEN, [Part(Label.POST, 0)], 0, 50),
        (50, 70, LeaseState.OPEN, [Part(Label.POST, 50), Part(Label.OVERRUN, 20)], 70, 0),
        (0, 30, LeaseState.OPEN, [Part(Label.OVERRUN, 30)], 30, 0),
        (0, 30, LeaseState.CLOSED, [Part(Label.LATE, 30)], 30, 0),
    ],
)
def test_where_a_cost_is_booked(
    granted: int, cost: int, state: LeaseState, parts: list[Part], spent: int, held: int
) -> None:
    """What the lease holds pays; the rest is labelled, and every pinned window counts all of it."""
    windows = [window(1000), window(500, hard=False)]
    made = lease(*windows, granted=granted)
    made.state = state
    assert rules.post(made, cost) == parts
    assert [(w.spent_nanousd, w.held_nanousd) for w in windows] == [(spent, held)] * 2
    assert made.held_nanousd == held


def test_an_unlimited_lease_posts_without_holding() -> None:
    """L9: no hard budget above it: the windows it pins record, and nothing is ever held."""
    soft = window(10, hard=False)
    made = lease(soft)
    made.unlimited = True
    assert rules.post(made, 25) == [Part(Label.POST, 25)]
    assert (soft.spent_nanousd, soft.held_nanousd, made.held_nanousd) == (25, 0, 0)


@pytest.mark.parametrize(
    ("totals", "freed", "held"),
    [
        ([30], [30], 70),
        # Repetition and old news change nothing.
        ([30, 30, 10], [30, 0, 0], 70),
        ([30, 50], [30, 20], 50),
        # Never more than is held.
        ([500], [100], 0),
    ],
)
def test_reports_are_growing_totals(totals: list[int], freed: list[int], held: int) -> None:
    """L5: what is given back is a total, so any loss or repetition is harmless."""
    made = lease(window(1000), granted=100)
    assert [rules.report(made, total, 0, 0, closing=False) for total in totals] == freed
    assert made.held_nanousd == held
    assert made.windows[0].held_nanousd == held


def test_a_closing_report_frees_everything_once() -> None:
    """A closed lease holds nothing, and closing it again frees nothing."""
    made = lease(window(1000), granted=100, posted=20)
    assert rules.report(made, 10, 0, 0, closing=True) == 80
    assert rules.report(made, 10, 0, 0, closing=True) == 0
    assert (made.state, made.held_nanousd, made.windows[0].held_nanousd) == (LeaseState.CLOSED, 0, 0)


@pytest.mark.parametrize(
    ("in_flight", "part", "spent"),
    [(40, Part(Label.LEASE_LOST, 40), 40), (0, None, 0), (500, Part(Label.LEASE_LOST, 100), 100)],
)
def test_a_lost_lease_leaves_an_estimate(in_flight: int, part: Part | None, spent: int) -> None:
    """L22: the last reported in-flight holds are booked, the rest is freed."""
    made = lease(window(1000), granted=100)
    made.in_flight_nanousd = in_flight
    assert rules.lose(made) == part
    assert (made.windows[0].spent_nanousd, made.windows[0].held_nanousd) == (spent, 0)


def test_one_full_window_is_enough_to_wait() -> None:
    """Every hard window must have room; the refusal names those that haven't."""
    full, roomy = window(100, held=80), window(400, held=80)
    assert rules.decide([roomy, full], [50], 50, NOW) == Held((full,), 100)


def test_a_correction_moves_spent_only() -> None:
    """L18: a report over an estimate changes what is spent, in the same windows."""
    made = lease(window(1000), granted=100)
    assert rules.correct(made, -15) == Part(Label.CORRECTION, -15)
    assert (made.windows[0].spent_nanousd, made.windows[0].held_nanousd) == (-15, 100)


def test_a_grant_moves_room_into_the_lease() -> None:
    """Held of every window and of the lease rise together; the highest limit is remembered for verify."""
    hard, soft = window(1000), window(50, hard=False)
    made = lease(hard, soft)
    rules.grant(made, 60, 40)
    assert (hard.held_nanousd, soft.held_nanousd, made.held_nanousd) == (60, 60, 60)
    assert (made.undrawn_nanousd, made.in_flight_nanousd) == (20, 40)
    # A soft window allows what comes.
    assert (hard.highest_limit_nanousd, soft.highest_limit_nanousd) == (1000, 60)


@pytest.mark.parametrize(
    ("limit", "spent", "alerted", "reached", "remembered"),
    [
        (100, 49, 0, [], 0),
        (100, 50, 0, [50], 50),
        (100, 50, 50, [], 50),
        (100, 100, 0, [50, 80, 100], 100),
        (100, 99, 50, [80], 80),
        # After a report below an estimate it is not told of again.
        (100, 40, 80, [], 80),
        # Per cent are exact on integers: half of three isn't one.
        (3, 1, 0, [], 0),
        (3, 2, 0, [50], 50),
        (10**18, 5 * 10**17 - 1, 0, [], 0),
        (10**18, 5 * 10**17, 0, [50], 50),
    ],
)
def test_thresholds_are_told_of_once(
    limit: int, spent: int, alerted: int, reached: list[int], remembered: int
) -> None:
    """Every threshold from the last that was told of up to what is spent, and none twice."""
    each = window(limit, spent)
    each.thresholds, each.alerted_percent = THRESHOLDS, alerted
    assert [alert.percent for alert in each.reach()] == reached
    assert each.alerted_percent == remembered
    assert each.reach() == []
