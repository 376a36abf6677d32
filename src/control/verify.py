"""`tollkeeper ledger verify`: recomputes the invariants from the rows alone (docs/ledger.md).

Goes customer by customer, each in one short snapshot (L25). Exits 1 and names each violation when something
doesn't hold.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from control import postgres
from control.config import load
from control.store.database import Database
from control.store.tables import customers

# Per check: what it proves, and a query whose rows are violations. All take :customer_id.
CHECKS = {
    "I1 no grant took a hard window past its limit": """
        SELECT g.lease_id, g.top_up, s->>'budget_id' AS budget_id, s->>'start_time' AS start_time
        FROM lease_grants g, jsonb_array_elements(g.seen) s
        WHERE g.customer_id = :customer_id AND (s->>'hard')::boolean AND g.granted_nanousd > 0
          AND (s->>'spent')::bigint + (s->>'held')::bigint + g.granted_nanousd > (s->>'limit')::bigint
        """,
    "I1 a grant counts only top-ups that were made": """
        SELECT g.lease_id, g.top_up, s->>'budget_id' AS budget_id, s->>'top_up' AS top_up_nanousd
        FROM lease_grants g, jsonb_array_elements(g.seen) s
        WHERE g.customer_id = :customer_id AND (s->>'top_up')::bigint <> 0 AND NOT EXISTS (
            SELECT FROM budget_top_ups t
            WHERE t.customer_id = g.customer_id AND t.budget_id = CAST(s->>'budget_id' AS uuid)
              AND t.start_time = CAST(s->>'start_time' AS timestamptz)
              AND t.total_nanousd = (s->>'top_up')::bigint)
        """,
    "I1 a window is topped up by the sum of its top-ups": """
        SELECT budget_id, start_time, w.top_up_nanousd, coalesce(t.amount, 0) AS top_ups_nanousd
        FROM (SELECT * FROM windows WHERE customer_id = :customer_id) w
        FULL JOIN (
            SELECT budget_id, start_time, sum(amount_nanousd) AS amount FROM budget_top_ups
            WHERE customer_id = :customer_id GROUP BY 1, 2) t USING (budget_id, start_time)
        WHERE w.top_up_nanousd IS DISTINCT FROM coalesce(t.amount, 0)
        """,
    "I1 every top-up adds up with those before it": """
        SELECT budget_id, number, total_nanousd, running FROM (
            SELECT budget_id, number, total_nanousd,
                   sum(amount_nanousd) OVER (PARTITION BY budget_id, start_time ORDER BY number) AS running
            FROM budget_top_ups WHERE customer_id = :customer_id) t
        WHERE total_nanousd <> running OR total_nanousd < 0
        """,
    "an alert tells of a threshold that was reached": """
        SELECT alert_id, budget_id, threshold_percent, limit_nanousd, spent_nanousd FROM budget_alerts
        WHERE customer_id = :customer_id
          AND CAST(spent_nanousd AS numeric) * 100 < CAST(threshold_percent AS numeric) * limit_nanousd
        """,
    "I1 what a lease was granted is the sum of its grants": """
        SELECT lease_id, l.granted_nanousd, g.amount AS grants_nanousd
        FROM (SELECT * FROM leases WHERE customer_id = :customer_id AND NOT unlimited) l
        FULL JOIN (
            SELECT lease_id, sum(granted_nanousd) AS amount FROM lease_grants
            WHERE customer_id = :customer_id GROUP BY 1) g USING (lease_id)
        WHERE coalesce(l.granted_nanousd, 0) <> coalesce(g.amount, 0)
        """,
    # Limits come from the grants: the window's own note counts only where it was soft for a time, which
    # leaves no other trace.
    "I1 spent and held stay within the highest limit and the excused parts": """
        SELECT w.budget_id, w.start_time, w.spent_nanousd, w.held_nanousd, w.highest_limit_nanousd
        FROM windows w JOIN budgets b USING (customer_id, budget_id)
        LEFT JOIN (
            SELECT CAST(s->>'budget_id' AS uuid) AS budget_id,
                   CAST(s->>'start_time' AS timestamptz) AS start_time,
                   max((s->>'limit')::bigint) FILTER (WHERE (s->>'hard')::boolean) AS highest,
                   bool_or(NOT (s->>'hard')::boolean) AS was_soft
            FROM lease_grants g, jsonb_array_elements(g.seen) s
            WHERE g.customer_id = :customer_id GROUP BY 1, 2) seen USING (budget_id, start_time)
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(e.amount_nanousd) FILTER (WHERE e.amount_nanousd > 0), 0) AS amount
            FROM lease_windows lw JOIN entries e USING (customer_id, lease_id)
            WHERE lw.customer_id = w.customer_id AND lw.budget_id = w.budget_id AND lw.start_time =
            w.start_time
              AND e.label IN ('overrun', 'late', 'correction', 'opening')) excused ON true
        WHERE w.customer_id = :customer_id AND NOT b.soft
          AND w.spent_nanousd + w.held_nanousd > excused.amount + CASE
              WHEN seen.was_soft THEN greatest(w.highest_limit_nanousd, seen.highest)
              ELSE coalesce(seen.highest, 0) END
        """,
    "I2 no window is below nothing": """
        SELECT budget_id, start_time, spent_nanousd, held_nanousd FROM windows
        WHERE customer_id = :customer_id AND (spent_nanousd < 0 OR held_nanousd < 0)
        """,
    "I2 a lease pins the windows that its grants saw, and they exist": """
        SELECT pinned.lease_id, pinned.budget_id, pinned.start_time
        FROM (
            SELECT g.lease_id, CAST(s->>'budget_id' AS uuid) AS budget_id,
                   CAST(s->>'start_time' AS timestamptz) AS start_time
            FROM lease_grants g, jsonb_array_elements(g.seen) s WHERE g.customer_id = :customer_id
            UNION
            SELECT lease_id, budget_id, start_time FROM lease_windows WHERE customer_id = :customer_id
        ) pinned
        LEFT JOIN lease_windows lw ON lw.customer_id = :customer_id AND lw.lease_id = pinned.lease_id
            AND lw.budget_id = pinned.budget_id AND lw.start_time = pinned.start_time
        LEFT JOIN windows w ON w.customer_id = :customer_id
            AND w.budget_id = pinned.budget_id AND w.start_time = pinned.start_time
        WHERE lw.lease_id IS NULL OR w.budget_id IS NULL
        """,
    "I2 every entry belongs to a lease": """
        SELECT e.usage_id, e.part, e.lease_id FROM entries e LEFT JOIN leases l USING (customer_id, lease_id)
        WHERE e.customer_id = :customer_id AND l.lease_id IS NULL
        """,
    "I2 spent is the sum of the entries": """
        SELECT w.budget_id, w.start_time, w.spent_nanousd, coalesce(s.amount, 0) AS entries_nanousd
        FROM windows w LEFT JOIN (
            SELECT lw.budget_id, lw.start_time, sum(e.amount_nanousd) AS amount
            FROM lease_windows lw JOIN entries e USING (customer_id, lease_id)
            WHERE lw.customer_id = :customer_id GROUP BY 1, 2) s USING (budget_id, start_time)
        WHERE w.customer_id = :customer_id AND w.spent_nanousd <> coalesce(s.amount, 0)
        """,
    "I2 held is the sum over the leases": """
        SELECT w.budget_id, w.start_time, w.held_nanousd, coalesce(s.amount, 0) AS leases_nanousd
        FROM windows w LEFT JOIN (
            SELECT lw.budget_id, lw.start_time,
                   sum(l.granted_nanousd - l.posted_nanousd - l.returned_nanousd) AS amount
            FROM lease_windows lw JOIN leases l USING (customer_id, lease_id)
            WHERE lw.customer_id = :customer_id GROUP BY 1, 2) s USING (budget_id, start_time)
        WHERE w.customer_id = :customer_id AND w.held_nanousd <> coalesce(s.amount, 0)
        """,
    "I2 no lease holds less than nothing, nor anything where it is closed or has no amount": """
        SELECT lease_id, granted_nanousd, posted_nanousd, returned_nanousd FROM leases
        WHERE customer_id = :customer_id
          AND (granted_nanousd - posted_nanousd - returned_nanousd < 0
               OR (unlimited OR state <> 1 OR close_time IS NOT NULL)
                  AND granted_nanousd <> posted_nanousd + returned_nanousd)
        """,
    "I2 windows of a budget never overlap": """
        SELECT a.budget_id, a.start_time, b.start_time AS other_start_time
        FROM windows a JOIN windows b USING (customer_id, budget_id)
        WHERE customer_id = :customer_id AND a.start_time < b.start_time AND b.start_time < a.end_time
        """,
    "I2 posted of a lease is the sum of its entries within what it held": """
        SELECT l.lease_id, l.posted_nanousd, coalesce(s.amount, 0) AS entries_nanousd
        FROM leases l LEFT JOIN (
            SELECT lease_id, sum(amount_nanousd) AS amount FROM entries
            WHERE customer_id = :customer_id AND label IN ('post', 'lease_lost')
            GROUP BY 1) s USING (lease_id)
        WHERE l.customer_id = :customer_id AND l.posted_nanousd <> coalesce(s.amount, 0)
        """,
    "I3 a usage id costs what its entries say": """
        SELECT u.usage_id, u.cost_nanousd, coalesce(s.amount, 0) AS entries_nanousd
        FROM usage_records u LEFT JOIN (
            SELECT usage_id, sum(amount_nanousd) AS amount FROM entries
            WHERE customer_id = :customer_id GROUP BY 1) s USING (usage_id)
        WHERE u.customer_id = :customer_id AND u.cost_nanousd <> coalesce(s.amount, 0)
        """,
    "I3 every entry belongs to a usage record": """
        SELECT e.usage_id, e.part FROM entries e LEFT JOIN usage_records u USING (customer_id, usage_id)
        WHERE e.customer_id = :customer_id AND u.usage_id IS NULL AND e.label <> 'opening'
        """,
    "I4 a voided request has no entries, every other has": """
        SELECT u.usage_id, u.state FROM usage_records u
        WHERE u.customer_id = :customer_id
          AND (u.state = 3) = EXISTS (SELECT 1 FROM entries e
               WHERE e.customer_id = u.customer_id AND e.usage_id = u.usage_id)
        """,
    "I4 every request has one of the three outcomes, and its content": """
        SELECT usage_id, state FROM usage_records
        WHERE customer_id = :customer_id AND (state NOT IN (1, 2, 3) OR sequence > 0 AND digest = '')
        """,
    "I4 what an estimate costs is labelled so, and what replaces it is not": """
        SELECT u.usage_id, u.state, e.part, e.label
        FROM usage_records u JOIN entries e USING (customer_id, usage_id)
        WHERE u.customer_id = :customer_id
          AND (u.state = 2 AND NOT e.estimated
               OR u.state = 1 AND e.estimated AND EXISTS (
                   SELECT FROM entries before WHERE before.customer_id = e.customer_id
                     AND before.usage_id = e.usage_id AND before.part < e.part AND NOT before.estimated))
        """,
    "I4 no sequence of an incarnation is used twice": """
        SELECT incarnation_id, sequence, count(*) FROM usage_records
        WHERE customer_id = :customer_id AND sequence > 0 GROUP BY 1, 2 HAVING count(*) > 1
        """,
    "rollups are the sums of the records": """
        SELECT dimension, value, r.cost_nanousd, u.cost_nanousd AS records_nanousd
        FROM (
            SELECT dimension, value, sum(request_count) AS request_count, sum(cost_nanousd) AS cost_nanousd,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
            FROM rollups WHERE customer_id = :customer_id AND dimension <= 4 GROUP BY 1, 2
            HAVING (sum(request_count), sum(cost_nanousd), sum(input_tokens), sum(output_tokens))
                <> (0, 0, 0, 0)) r
        FULL JOIN (
            SELECT s.dimension, s.value, count(*) AS request_count, sum(cost_nanousd) AS cost_nanousd,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
            FROM usage_records,
                 LATERAL (VALUES (1, CAST(key_id AS text)), (2, CAST(user_id AS text)),
                     (3, CAST(team_id AS text)), (4, CAST(customer_id AS text))) s(dimension, value)
            WHERE customer_id = :customer_id AND sequence > 0 AND s.value IS NOT NULL
            GROUP BY 1, 2) u USING (dimension, value)
        WHERE (r.request_count, r.cost_nanousd, r.input_tokens, r.output_tokens) IS DISTINCT FROM
              (u.request_count, u.cost_nanousd, u.input_tokens, u.output_tokens)
        """,
}

LISTINGS = {
    "excused": """
        SELECT label, count(*) AS number, sum(amount_nanousd) AS amount_nanousd FROM entries
        WHERE customer_id = :customer_id AND label IN ('overrun', 'late', 'correction', 'opening',
        'lease_lost')
        GROUP BY label
        """,
    "records": """
        SELECT state, count(*) AS number FROM usage_records WHERE customer_id = :customer_id GROUP BY state
        """,
    "refused": """
        SELECT outcome, count(*) AS number FROM refused_records
        WHERE customer_id = :customer_id GROUP BY outcome
        """,
}
# Sequences aren't a customer's: they are checked incarnation by incarnation.
_INCARNATIONS = """
    SELECT incarnation_id, last_sequence, gap_count FROM incarnations
    WHERE close_time IS NOT NULL ORDER BY incarnation_id
    """
_SEQUENCES = """
    SELECT count(DISTINCT sequence) FILTER (WHERE sequence <= :last_sequence) AS settled,
           count(*) FILTER (WHERE posted) - count(DISTINCT sequence) FILTER (WHERE posted) AS repeated
    FROM (
        SELECT sequence, true AS posted FROM usage_records
        WHERE incarnation_id = :incarnation_id AND sequence > 0
        UNION ALL
        SELECT sequence, false FROM refused_records WHERE incarnation_id = :incarnation_id AND sequence > 0
    ) records
    """
VANISHED = "I4 every sequence of a closed incarnation is settled or was a gap when it closed"
REPEATED = "I4 no sequence of an incarnation is used twice, by whatever customers"
_STATES = {1: "reported", 2: "estimated", 3: "voided"}
MAX_NAMED = 20


@dataclass(slots=True)
class Report:
    """What was found. `violations` name the check, the customer and the row."""

    customers: int = 0
    records: dict[str, int] = field(default_factory=dict)
    excused: dict[str, int] = field(default_factory=dict)
    excused_nanousd: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    gaps: list[dict[str, object]] = field(default_factory=list)
    violations: list[dict[str, object]] = field(default_factory=list)
    violation_count: int = 0

    def violated(self, check: str, row: Mapping[str, object]) -> None:
        """Counts a violation, and names it unless too many are named already."""
        self.violation_count += 1
        if len(self.violations) < MAX_NAMED:
            self.violations.append({"check": check, **_plain(row)})


async def verify(database: Database) -> Report:
    """Checks every customer, and every incarnation that is over."""
    report = Report()
    async with database.read() as connection:
        ids = list((await connection.execute(select(customers.c.customer_id))).scalars())
        lives = [dict(row) for row in (await connection.execute(text(_INCARNATIONS))).mappings()]
    for customer_id in ids:
        async with database.read() as connection:
            await _verify_customer(connection, customer_id, report)
    for life in lives:
        async with database.read() as connection:
            await _verify_incarnation(connection, life, report)
    return report


async def _verify_incarnation(connection: AsyncConnection, life: Mapping[str, Any], report: Report) -> None:
    if life["gap_count"]:
        report.gaps.append(_plain(life))
    row = (await connection.execute(text(_SEQUENCES), life)).one()
    # Records may come after the close, and fill gaps; none may go.
    if life["last_sequence"] - row.settled > life["gap_count"]:
        report.violated(VANISHED, {**life, "settled": row.settled})
    if row.repeated:
        report.violated(REPEATED, {**life, "repeated": row.repeated})


async def _verify_customer(connection: AsyncConnection, customer_id: str, report: Report) -> None:
    report.customers += 1
    for check, query in CHECKS.items():
        for violation in (await connection.execute(text(query), {"customer_id": customer_id})).mappings():
            report.violated(check, {"customer_id": customer_id, **violation})
    found = {
        name: (await connection.execute(text(query), {"customer_id": customer_id})).all()
        for name, query in LISTINGS.items()
    }
    for row in found["records"]:
        name = _STATES.get(row.state, "unknown")
        report.records[name] = report.records.get(name, 0) + row.number
    for row in found["excused"]:
        report.excused[row.label] = report.excused.get(row.label, 0) + row.number
        report.excused_nanousd[row.label] = report.excused_nanousd.get(row.label, 0) + int(row.amount_nanousd)
    for row in found["refused"]:
        report.refused[row.outcome] = report.refused.get(row.outcome, 0) + row.number


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value if isinstance(value, int) else str(value) for name, value in row.items()}


def main() -> int:
    """Prints the report; exit code 1 when anything is violated."""
    parser = argparse.ArgumentParser(prog="tollkeeper ledger verify", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    arguments = parser.parse_args()
    report = asyncio.run(_run())
    if arguments.json:
        print(json.dumps({name: getattr(report, name) for name in Report.__slots__}))
    else:
        _print(report)
    return 1 if report.violation_count else 0


async def _run() -> Report:
    settings = load()
    url = (
        settings.database_url.get_secret_value() if settings.database_url else postgres.url(settings.data_dir)
    )
    database = Database(url)
    try:
        return await verify(database)
    finally:
        await database.close()


def _print(report: Report) -> None:
    records = sum(report.records.values())
    print(f"{report.customers} customers, {records} usage records: {report.records or 'none'}")
    for label, count in sorted(report.excused.items()):
        print(f"excused {label}: {count} entries, {report.excused_nanousd[label]} nano-dollars")
    for outcome, count in sorted(report.refused.items()):
        print(f"kept for a person, {outcome}: {count}")
    for gap in report.gaps:
        print(
            f"gap: {gap['gap_count']} of {gap['last_sequence']} sequences of {gap['incarnation_id']}"
            " never settled"
        )
    for violation in report.violations:
        print("VIOLATED", json.dumps(violation))
    print(f"{report.violation_count} violations" if report.violation_count else "all invariants hold")


if __name__ == "__main__":
    sys.exit(main())
