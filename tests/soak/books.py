"""Every request on the simulator's bill against what was posted: each once, whoever failed or left."""

from collections import Counter
from typing import Any

from tests.chaos.check import REPORTED, VOIDED, Posted


def violations(rows: list[dict[str, Any]], records: dict[str, Posted]) -> list[str]:
    """What is wrong between bill and ledger, in words; nothing when both agree."""
    found = [
        f"{event_id} was sent upstream {count} times"
        for event_id, count in Counter(row["event_id"] for row in rows).items()
        if count > 1
    ]
    billed = {row["event_id"].rpartition("-")[0] for row in rows}
    for usage_id in sorted(billed):
        record = records.get(usage_id)
        if record is None or record.state == VOIDED:
            found.append(f"{usage_id} was billed, and is {'voided' if record else 'not posted'}")
    for usage_id, record in records.items():
        if record.entries != record.cost:
            found.append(f"{usage_id} costs {record.cost} but has entries of {record.entries}")
        if record.state == REPORTED and record.cost and usage_id not in billed:
            found.append(f"{usage_id} is posted as reported, but was never billed")
    return found
