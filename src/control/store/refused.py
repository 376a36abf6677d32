"""Records that can't be posted, kept for a person before they are acknowledged (L17)."""

import hashlib
from datetime import UTC, datetime

from control.ledger.postings import refused_row
from control.store import ledger
from control.store.database import Database
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.ids import is_uuid, uuid7
from tollkeeper.v1 import edge_pb2


async def refuse(database: Database, record: edge_pb2.UsageRecord, why: str) -> None:
    """Stores a rejected record, under the platform's customer when it names none that can be."""
    digest = hashlib.sha256(record.SerializeToString(deterministic=True)).digest()
    row = refused_row(record, "rejected", why, digest, datetime.now(UTC))
    if not is_uuid(row["customer_id"]):
        row["customer_id"] = PLATFORM_CUSTOMER_ID
    for name in ("usage_id", "incarnation_id"):
        if not is_uuid(row[name]):
            row[name] = str(uuid7())
    async with database.write() as connection:
        await ledger.insert_refused(connection, [row])
