"""The ledger's rows against the simulator's bill, priced here, by rates written down here."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from tests.chaos.load import Key, Tally

# Nano-dollars per model token: input, cached input, output.
NANOUSD = {"gpt-4o-mini": (150, 75, 600), "gpt-4o": (2500, 1250, 10_000)}
REPORTED, ESTIMATED, VOIDED = 1, 2, 3
# Of an estimate whose request goes on after its answer.
BACKGROUND = "background"


@dataclass
class Verdict:
    """What was found; the last four must be zero."""

    requests: int = 0
    estimated: int = 0
    lost: int = 0
    duplicated: int = 0
    misposted: int = 0
    overspend_nanousd: int = 0
    details: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if len(self.details) < 30:
            self.details.append(text)


@dataclass
class Posted:
    """One usage record with the sum of its entries."""

    state: int
    cost: int
    entries: int
    key_id: str
    why: str


async def bill(simulator_url: str) -> list[dict[str, Any]]:
    """Every row of the simulator's bill."""
    rows: list[dict[str, Any]] = []
    async with httpx.AsyncClient(timeout=30) as client:
        while True:
            after = rows[-1]["seq"] if rows else 0
            answer = await client.get(f"{simulator_url}/_sim/bill", params={"after": after, "limit": 10_000})
            answer.raise_for_status()
            page = [httpx.Response(200, content=line).json() for line in answer.text.splitlines() if line]
            if not page:
                return rows
            rows += page


async def posted(database_url: str) -> dict[str, Posted]:
    """Every settled request by usage id."""
    query = """
        SELECT CAST(u.usage_id AS text), u.state, u.cost_nanousd, CAST(u.key_id AS text), u.why,
               coalesce((SELECT sum(e.amount_nanousd) FROM entries e WHERE e.customer_id = u.customer_id
                         AND e.usage_id = u.usage_id), 0)
        FROM usage_records u WHERE u.sequence > 0
        """
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        found = await (await connection.execute(query)).fetchall()
    return {
        usage_id: Posted(state, cost, int(entries), key_id, why)
        for usage_id, state, cost, key_id, why, entries in found
    }


def price(row: dict[str, Any]) -> int:
    """What the vendor's bill says one row costs."""
    per_input, per_cached, per_output = NANOUSD[row["model"]]
    cached = row["cached_tokens"]
    return (
        (row["prompt_tokens"] - cached) * per_input
        + cached * per_cached
        + row["completion_tokens"] * per_output
    )


def compare(rows: list[dict[str, Any]], records: dict[str, Posted], keys: list[Key], tally: Tally) -> Verdict:
    """Holds each billed request against what was posted for it, and each key against its limit."""
    verdict = Verdict(requests=sum(record.state != VOIDED for record in records.values()))
    verdict.estimated = sum(record.state == ESTIMATED for record in records.values())
    for event_id, count in Counter(row["event_id"] for row in rows).items():
        if count > 1:
            verdict.duplicated += 1
            verdict.note(f"{event_id} was sent upstream {count} times")
    billed: dict[str, int] = defaultdict(int)
    for row in rows:
        billed[row["event_id"].rpartition("-")[0]] += price(row)
    for usage_id, amount in billed.items():
        _compare_one(usage_id, amount, records.get(usage_id), verdict)
    for usage_id, record in records.items():
        if record.entries > record.cost:
            verdict.duplicated += 1
            verdict.note(f"{usage_id} costs {record.cost} but has entries of {record.entries}")
        if record.why == BACKGROUND:
            verdict.misposted += 1
            verdict.note(f"{usage_id} went on in the background, and nobody looked for its end")
        if record.state == REPORTED and usage_id not in billed:
            verdict.misposted += 1
            verdict.note(f"{usage_id} is posted as reported, but was never billed")
    for usage_id in tally.costs:
        if usage_id not in records:
            verdict.lost += 1
            verdict.note(f"{usage_id} was answered, but not posted")
    _compare_limits(billed, records, keys, verdict)
    return verdict


def _compare_one(usage_id: str, amount: int, record: Posted | None, verdict: Verdict) -> None:
    if record is None or record.state == VOIDED:
        verdict.lost += 1
        verdict.note(f"{usage_id} was billed {amount}, and is {'voided' if record else 'not posted'}")
    elif record.state == REPORTED and record.entries != amount:
        verdict.misposted += 1
        verdict.note(f"{usage_id} was billed {amount}, and posted {record.entries}")
    elif record.state == ESTIMATED and record.entries < amount:
        verdict.misposted += 1
        verdict.note(
            f"{usage_id} was billed {amount}, more than its estimate {record.entries} ({record.why})"
        )


def _compare_limits(
    billed: dict[str, int], records: dict[str, Posted], keys: list[Key], verdict: Verdict
) -> None:
    spent: dict[str, int] = defaultdict(int)
    for usage_id, amount in billed.items():
        if usage_id in records:
            spent[records[usage_id].key_id] += amount
    for key in keys:
        if key.limit_nanousd is not None and spent[key.key_id] > key.limit_nanousd:
            over = spent[key.key_id] - key.limit_nanousd
            verdict.overspend_nanousd += over
            verdict.note(f"key {key.key_id} was billed {over} above its limit")
