"""`ledger verify` names what is wrong, whichever row was changed behind the ledger's back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from control.domain.records import prepare
from control.ledger import closing
from control.ledger.queue import LedgerQueue
from control.metrics import Metrics
from control.store.database import Database
from control.verify import REPEATED, VANISHED, verify
from tests.factories.tenants import CUSTOMER, KEY, create_tenant, top_up
from tollkeeper.cost import PriceRates, resolve
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

RATES = PriceRates(resolve({"input": 1_000_000, "output": 1_000_000}))
REPORTED, ESTIMATED, VOIDED = (
    edge_pb2.USAGE_STATE_REPORTED,
    edge_pb2.USAGE_STATE_ESTIMATED,
    edge_pb2.USAGE_STATE_VOIDED,
)
ROLLUPS = "rollups are the sums of the records"
LIMIT = "I1 spent and held stay within the highest limit and the excused parts"
MADE = "I1 a grant counts only top-ups that were made"
TOPPED_UP = "I1 a window is topped up by the sum of its top-ups"
SPENT = "I2 spent is the sum of the entries"
HELD = "I2 held is the sum over the leases"
PINS = "I2 a lease pins the windows that its grants saw, and they exist"
HOLDS = "I2 no lease holds less than nothing, nor anything where it is closed or has no amount"
POSTED = "I2 posted of a lease is the sum of its entries within what it held"
COSTS = "I3 a usage id costs what its entries say"
OUTCOME = "I4 a voided request has no entries, every other has"
LABELLED = "I4 what an estimate costs is labelled so, and what replaces it is not"


@pytest.fixture
async def busy(database: Database) -> Database:
    """A ledger with a bit of everything: an open lease, a lost one, an overrun, and records of each kind."""
    tenant = await create_tenant(database, {KEY: 1000, CUSTOMER: 5000}, thresholds=[1])
    await top_up(database, tenant, KEY, 500)
    queue = LedgerQueue(database, Metrics(), timedelta(seconds=60), lambda *_: None)
    leases = [str(uuid7()) for _ in range(3)]
    for lease_id in leases:
        await queue.acquire(tenant.acquire(lease_id, 1, [100]), 0)
    await closing.lose_lease(database, tenant.customer_id, leases[1], 1)
    guess = tenant.record(leases[0], 20, ESTIMATED)
    records = [
        tenant.record(leases[0], 30),
        tenant.record(leases[0], 0, VOIDED),
        guess,
        tenant.record(leases[0], 10, ESTIMATED),
        tenant.record(leases[1], 40),
        tenant.record(leases[2], 130),
    ]
    better = tenant.record(leases[0], 15, REPORTED, guess.usage_id)
    better.sequence = guess.sequence
    for batch in (records, [better]):
        prepared = [prepare(record, {tenant.price_id: RATES}, datetime.now(UTC)) for record in batch]
        await queue.settle(tenant.customer_id, prepared, [])
    await closing.close_incarnation(database, tenant.incarnation_id, 8)
    # A life that is under way, after the first has ended.
    tenant.incarnation_id = str(uuid7())
    await queue.acquire(tenant.acquire(str(uuid7()), 1, [100]), 0)
    return database


async def test_a_sound_ledger_violates_nothing(busy: Database) -> None:
    """What the ledger itself wrote passes every check."""
    report = await verify(busy)
    assert report.violations == []
    assert report.records == {"reported": 4, "estimated": 2, "voided": 1}
    assert set(report.excused) == {"overrun", "late", "correction", "lease_lost"}
    assert [gap["gap_count"] for gap in report.gaps] == [2]


OPEN = "close_time IS NULL"
A_REPORT = "usage_id = (SELECT usage_id FROM usage_records WHERE state = 1 AND sequence = 1)"


@pytest.mark.parametrize(
    ("corruption", "check"),
    [
        # I1
        (
            "UPDATE lease_grants SET granted_nanousd = 10000 WHERE top_up = 1",
            "I1 no grant took a hard window past its limit",
        ),
        (
            "UPDATE lease_grants SET granted_nanousd = granted_nanousd + 1",
            "I1 what a lease was granted is the sum of its grants",
        ),
        ("DELETE FROM lease_grants", "I1 what a lease was granted is the sum of its grants"),
        (f"DELETE FROM leases WHERE {OPEN}", "I1 what a lease was granted is the sum of its grants"),
        ("UPDATE windows SET spent_nanousd = spent_nanousd + 5000", LIMIT),
        ("UPDATE windows SET held_nanousd = held_nanousd + 5000, highest_limit_nanousd = 0", LIMIT),
        ("UPDATE windows SET spent_nanousd = 20000, highest_limit_nanousd = 90000", LIMIT),
        ("DELETE FROM budget_top_ups", MADE),
        ("UPDATE lease_grants SET seen = replace(seen::text, '500', '501')::jsonb", MADE),
        ("DELETE FROM budget_top_ups", TOPPED_UP),
        ("UPDATE windows SET top_up_nanousd = top_up_nanousd + 1", TOPPED_UP),
        ("UPDATE budget_top_ups SET amount_nanousd = 400", TOPPED_UP),
        ("UPDATE budget_top_ups SET total_nanousd = 501", "I1 every top-up adds up with those before it"),
        (
            "UPDATE budget_alerts SET threshold_percent = 101",
            "an alert tells of a threshold that was reached",
        ),
        # I2
        ("UPDATE windows SET spent_nanousd = spent_nanousd - 1", SPENT),
        ("UPDATE windows SET spent_nanousd = -1", "I2 no window is below nothing"),
        ("UPDATE windows SET held_nanousd = held_nanousd + 1", HELD),
        (f"UPDATE leases SET returned_nanousd = 1 WHERE {OPEN}", HELD),
        (f"UPDATE leases SET posted_nanousd = 500 WHERE {OPEN}", HOLDS),
        (f"UPDATE leases SET state = 2 WHERE {OPEN}", HOLDS),
        (f"UPDATE leases SET close_time = now() WHERE {OPEN}", HOLDS),
        (f"UPDATE leases SET unlimited = true WHERE {OPEN}", HOLDS),
        ("DELETE FROM lease_windows", PINS),
        ("DELETE FROM windows", PINS),
        (
            "UPDATE windows SET held_nanousd = 0; DELETE FROM lease_windows WHERE lease_id IN"
            f" (SELECT lease_id FROM leases WHERE {OPEN})",
            PINS,
        ),
        ("DELETE FROM leases", "I2 every entry belongs to a lease"),
        (
            "INSERT INTO windows (customer_id, budget_id, start_time, end_time, scope)"
            " SELECT customer_id, budget_id, start_time + interval '1 s', end_time, scope FROM windows",
            "I2 windows of a budget never overlap",
        ),
        ("UPDATE leases SET posted_nanousd = posted_nanousd - 1 WHERE posted_nanousd > 0", POSTED),
        ("UPDATE entries SET label = 'late' WHERE label = 'post'", POSTED),
        # I3
        (f"UPDATE usage_records SET cost_nanousd = 31 WHERE {A_REPORT}", COSTS),
        (f"UPDATE entries SET amount_nanousd = 31 WHERE {A_REPORT}", COSTS),
        (f"DELETE FROM usage_records WHERE {A_REPORT}", "I3 every entry belongs to a usage record"),
        # I4
        (f"DELETE FROM entries WHERE {A_REPORT}", OUTCOME),
        (f"UPDATE usage_records SET state = 3 WHERE {A_REPORT}", OUTCOME),
        ("UPDATE usage_records SET state = 1 WHERE state = 3", OUTCOME),
        (
            f"UPDATE usage_records SET state = 9 WHERE {A_REPORT}",
            "I4 every request has one of the three outcomes, and its content",
        ),
        (
            f"UPDATE usage_records SET digest = '' WHERE {A_REPORT}",
            "I4 every request has one of the three outcomes, and its content",
        ),
        (f"UPDATE usage_records SET state = 2 WHERE {A_REPORT}", LABELLED),
        ("UPDATE entries SET estimated = false WHERE label = 'lease_lost'", LABELLED),
        ("UPDATE entries SET estimated = NOT estimated WHERE label <> 'lease_lost'", LABELLED),
        ("UPDATE usage_records SET sequence = 2 WHERE sequence = 1", REPEATED),
        (
            "UPDATE usage_records SET sequence = 2 WHERE sequence = 1",
            "I4 no sequence of an incarnation is used twice",
        ),
        (
            f"DELETE FROM entries WHERE {A_REPORT}; DELETE FROM usage_records WHERE {A_REPORT}",
            VANISHED,
        ),
        ("UPDATE incarnations SET gap_count = 0", VANISHED),
        # Sums
        ("UPDATE rollups SET cost_nanousd = cost_nanousd + 1 WHERE dimension = 1", ROLLUPS),
        ("UPDATE rollups SET request_count = request_count + 1 WHERE dimension = 3", ROLLUPS),
        ("UPDATE rollups SET input_tokens = input_tokens + 1 WHERE dimension = 4", ROLLUPS),
        ("DELETE FROM rollups WHERE dimension = 2", ROLLUPS),
    ],
)
async def test_every_corruption_is_named(busy: Database, corruption: str, check: str) -> None:
    """Each check can fail, on the very thing it is about."""
    async with busy.write() as connection:
        for statement in corruption.split(";"):
            await connection.execute(text(statement))
    report = await verify(busy)
    assert check in {violation["check"] for violation in report.violations}
    assert report.violation_count >= len(report.violations)
