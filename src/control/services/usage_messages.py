"""Rows of the request log as the contract shows them."""

from collections.abc import Sequence

from control.services.convert import timestamp
from control.store.rows import Row
from tollkeeper.v1 import edge_pb2, usage_pb2


def logged_entry(row: Row, with_attempts: bool = False) -> usage_pb2.UsageEntry:
    """A request of the log, without its ledger entries."""
    attempts = [edge_pb2.Attempt(**attempt) for attempt in row["attempts"]]
    last = attempts[-1] if attempts else edge_pb2.Attempt()
    return usage_pb2.UsageEntry(
        usage_id=row["usage_id"],
        customer_id=row["customer_id"],
        key_id=row["key_id"],
        user_id=row["user_id"] or "",
        team_id=row["team_id"] or "",
        router_id=row["router_id"] or "",
        end_user=row["end_user"] or "",
        tags=row["tags"],
        provider_id=row["provider_id"] or "",
        provider_name=last.provider_name,
        provider_type=last.provider_type,
        requested_model=row["requested_model"],
        response_model=row["response_model"],
        state=row["state"],
        status=row["status"],
        usage=_usage_of(attempts),
        cost_nanousd=row["cost_nanousd"],
        why=row["why"],
        refused_scope=row["refused_scope"],
        omitted_count=row["omitted_count"],
        stream=row["stream"],
        failover=row["failover"],
        cached=row["cached"],
        latency_ms=row["latency_ms"],
        first_byte_ms=row["first_byte_ms"],
        finish=row["finish"],
        cf_log_id=row["cf_log_id"],
        begin_time=timestamp(row["begin_time"]),
        post_time=timestamp(row["post_time"]),
        attempts=attempts if with_attempts else (),
    )


def ledger_entry(row: Row) -> usage_pb2.UsageEntry:
    """What the ledger knows of a request that the log no longer has."""
    return usage_pb2.UsageEntry(
        usage_id=row["usage_id"],
        customer_id=row["customer_id"],
        key_id=row["key_id"],
        user_id=row["user_id"] or "",
        team_id=row["team_id"] or "",
        state=row["state"],
        usage=edge_pb2.Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"]),
        cost_nanousd=row["cost_nanousd"],
        why=row["why"],
        begin_time=timestamp(row["begin_time"]),
        post_time=timestamp(row["post_time"]),
        ledger_only=True,
    )


def entry_parts(rows: Sequence[Row]) -> list[usage_pb2.LedgerEntry]:
    """The ledger entries of a request."""
    return [
        usage_pb2.LedgerEntry(
            part=row["part"],
            label=row["label"],
            amount_nanousd=row["amount_nanousd"],
            post_time=timestamp(row["post_time"]),
        )
        for row in rows
    ]


def _usage_of(attempts: Sequence[edge_pb2.Attempt]) -> edge_pb2.Usage:
    """The counts of all attempts together; of service tiers the last."""
    usage = edge_pb2.Usage()
    for attempt in attempts:
        for field, value in attempt.usage.ListFields():
            before = "" if type(value) is str else getattr(usage, field.name)
            setattr(usage, field.name, before + value)
    return usage
