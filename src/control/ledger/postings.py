"""Booking usage records: which are new, which came before, and the entries that follow (L17, L18)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain import ledger as rules
from control.domain.ledger import Label, Lease, LeaseState, Part, WindowKey
from control.domain.records import ESTIMATED, REPORTED, VOIDED, PreparedRecord
from control.domain.rollups import Sum, Sums
from control.store import chains, kept_objects, ledger, request_log, rollups
from control.store.ledger import StoredRecord
from control.store.rows import Target
from tollkeeper.v1 import edge_pb2

Outcome = edge_pb2.SettleOutcome


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry to append."""

    usage_id: str
    part: int
    lease_id: str
    label: Label
    amount_nanousd: int
    estimated: bool


@dataclass(slots=True)
class Posting:
    """The records of one transaction, sorted by what is to be done with them."""

    fresh: list[PreparedRecord] = field(default_factory=list)
    # Reports over estimates.
    better: list[tuple[PreparedRecord, StoredRecord]] = field(default_factory=list)
    conflicts: list[PreparedRecord] = field(default_factory=list)
    # By identity of the record: the same usage id may come twice in one transaction.
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    # Estimates of lost leases, which arriving records replace (L22).
    lost: dict[str, StoredRecord] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    # The database's time, where something was new.
    now: datetime | None = None

    def lease_ids(self) -> set[str]:
        """Every lease that something is posted to."""
        return {r.message.lease_id for r in self.fresh} | {stored.lease_id for _, stored in self.better}


async def claim(connection: AsyncConnection, customer_id: str, records: Sequence[PreparedRecord]) -> Posting:
    """Inserts what is new, and tells the rest apart from what is stored."""
    posting = Posting()
    first: dict[str, PreparedRecord] = {}
    for record in records:
        if record.usage_id in first:
            # Its twin is in this very transaction; sent again, it is compared with the stored one.
            posting.outcomes[id(record)] = Outcome.RETRY
        else:
            first[record.usage_id] = record
    claimed, posting.now = await ledger.claim_records(connection, [record.row for record in first.values()])
    rest = {usage_id: record for usage_id, record in first.items() if usage_id not in claimed}
    stored = await ledger.lock_records(connection, customer_id, rest)
    for usage_id, record in first.items():
        if usage_id in claimed:
            posting.fresh.append(record)
            posting.outcomes[id(record)] = Outcome.POSTED
        else:
            posting.outcomes[id(record)] = _compare(record, stored[usage_id], posting)
    return posting


async def load_lost(
    connection: AsyncConnection, customer_id: str, posting: Posting, leases: Mapping[str, Lease]
) -> None:
    """Loads the estimates that stand for the lost ones of these leases. Only under the leases' locks: a lease
    may be lost while its records wait for them."""
    lost = {r.message.lease_id for r in posting.fresh}
    lost = {lease_id for lease_id in lost if leases[lease_id].state is LeaseState.LOST}
    posting.lost = await ledger.lock_records(connection, customer_id, lost)


def _compare(record: PreparedRecord, stored: StoredRecord, posting: Posting) -> Outcome:
    if record.digest == stored.digest:
        return Outcome.DUPLICATE
    if stored.state == ESTIMATED and record.state == REPORTED:
        posting.better.append((record, stored))
        return Outcome.POSTED
    if stored.state == REPORTED and record.state == ESTIMATED:
        return Outcome.DUPLICATE
    posting.conflicts.append(record)
    return Outcome.CONFLICT


def add_unknown_leases(
    posting: Posting, leases: dict[str, Lease], pinned: dict[str, list[WindowKey]]
) -> list[edge_pb2.WindowRef]:
    """A record whose lease is unknown posts all the same, to the windows it names, as late (L21). Returns
    these windows."""
    named: list[edge_pb2.WindowRef] = []
    for record in posting.fresh:
        lease_id = record.message.lease_id
        if lease_id not in leases:
            keys = [
                (window.budget_id, window.start_time.ToDatetime(tzinfo=UTC))
                for window in record.message.windows
            ]
            leases[lease_id] = chains.closed_lease(lease_id, record.message.key_id, keys)
            pinned[lease_id] = keys
            named.extend(record.message.windows)
    return named


def apply(posting: Posting, leases: dict[str, Lease], roomier: list[WindowKey]) -> None:
    """Moves the money of all records, and lists the entries."""
    for record in posting.fresh:
        lease = leases[record.message.lease_id]
        if record.state == VOIDED:
            continue
        estimated = record.state == ESTIMATED
        for number, part in enumerate(rules.post(lease, record.cost_nanousd)):
            posting.entries.append(_entry(record.usage_id, number, lease, part, estimated))
        if lease.state is LeaseState.LOST:
            _replace_lost(posting, lease, record.cost_nanousd, roomier)
    for record, stored in posting.better:
        lease = leases[stored.lease_id]
        difference = record.cost_nanousd - stored.cost_nanousd
        if difference:
            part = rules.correct(lease, difference)
            posting.entries.append(_entry(record.usage_id, stored.next_part, lease, part, estimated=False))
            if difference < 0:
                roomier.extend(window.key for window in lease.windows)


def _replace_lost(posting: Posting, lease: Lease, cost_nanousd: int, roomier: list[WindowKey]) -> None:
    """The lost lease's estimate shrinks by what its records turn out to be."""
    estimate = posting.lost.get(lease.lease_id)
    if estimate is None:
        return
    replaced = min(cost_nanousd, estimate.cost_nanousd)
    if replaced:
        part = rules.correct(lease, -replaced)
        posting.entries.append(_entry(lease.lease_id, estimate.next_part, lease, part, estimated=True))
        posting.lost[lease.lease_id] = StoredRecord(
            estimate.lease_id,
            estimate.state,
            estimate.digest,
            estimate.cost_nanousd - replaced,
            estimate.next_part + 1,
        )
        roomier.extend(window.key for window in lease.windows)


def _entry(usage_id: str, number: int, lease: Lease, part: Part, estimated: bool) -> Entry:
    return Entry(usage_id, number, lease.lease_id, part.label, part.amount_nanousd, estimated)


async def save(connection: Target, customer_id: str, posting: Posting, now: datetime, sums: Sums) -> None:
    """Writes entries, replaced records, the request log, what vendors keep, rollups, and what is kept for a
    person."""
    await ledger.replace_records(connection, [record.row for record, _ in posting.better])
    await ledger.set_costs(
        connection, customer_id, {lease_id: stored.cost_nanousd for lease_id, stored in posting.lost.items()}
    )
    await ledger.insert_entries(
        connection,
        [
            {
                "customer_id": customer_id,
                "usage_id": entry.usage_id,
                "part": entry.part,
                "lease_id": entry.lease_id,
                "label": entry.label,
                "amount_nanousd": entry.amount_nanousd,
                "estimated": entry.estimated,
                "post_time": now,
            }
            for entry in posting.entries
        ],
    )
    await ledger.insert_refused(
        connection,
        [
            refused_row(r.message, "conflict", "other content is posted", r.digest, now)
            for r in posting.conflicts
        ],
    )
    reported = [record for record, _ in posting.better]
    await request_log.add(connection, [record.log_row for record in posting.fresh])
    await request_log.replace(connection, [record.log_row for record in reported])
    await kept_objects.add(connection, [*posting.fresh, *reported], now)
    await kept_objects.reported(connection, reported)
    await rollups.add(connection, customer_id, sums)


def refused_row(
    record: edge_pb2.UsageRecord, outcome: str, why: str, digest: bytes, now: datetime
) -> dict[str, Any]:
    """A record kept for a person (L17)."""
    return {
        "customer_id": record.customer_id,
        "usage_id": record.usage_id,
        "digest": digest,
        "outcome": outcome,
        "why": why,
        "incarnation_id": record.incarnation_id,
        "sequence": record.sequence,
        "record": record.SerializeToString(),
        "create_time": now,
    }


def sums_of(posting: Posting) -> Sums:
    """What all that was posted adds to the sums."""
    sums = Sums()
    for record in posting.fresh:
        row = record.row
        sums.count(record.log_row, Sum(1, 0, row["cost_nanousd"], row["input_tokens"], row["output_tokens"]))
    for record, stored in posting.better:
        row = record.row
        difference = Sum(
            cost_nanousd=row["cost_nanousd"] - stored.cost_nanousd,
            input_tokens=row["input_tokens"] - stored.input_tokens,
            output_tokens=row["output_tokens"] - stored.output_tokens,
        )
        sums.count(record.log_row, difference)
    return sums
