"""How many requests a second one replica settles, counted at the gRPC client."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.control_data import (
    COST_NANOUSD,
    CUSTOMER,
    IN_TOKENS,
    MODELS,
    OUT_TOKENS,
    PRICE,
    PROVIDER,
    Scale,
    make_id,
    secret_of,
)
from benchmarks.control_server import EDGE_SECRET, Server, connect, signed_in
from benchmarks.cpu import used_s
from tollkeeper.ids import uuid7
from tollkeeper.key_format import secret_hash
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.edge_pb2_grpc import EdgeServiceStub

# Edge workers that settle at the same time, and records of one call: the edge's defaults.
WORKERS = 4
BATCH = 500
LENT_NANOUSD = 10**12


@dataclass(frozen=True)
class Settled:
    """What came of one round."""

    records: int
    seconds: float
    control_cpu_us: float
    postgres_cpu_us: float

    @property
    def per_s(self) -> float:
        """Records a second, at the client."""
        return self.records / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.per_s:.0f} records/s; processor time of a record: control plane"
            f" {self.control_cpu_us:.0f} µs, PostgreSQL {self.postgres_cpu_us:.0f} µs"
        )


class Worker:
    """One edge worker: an incarnation with a lease of each key, and the calls it will make."""

    def __init__(self, server: Server, scale: Scale, keys: Sequence[int], records: int) -> None:
        self.incarnation_id = str(uuid7())
        self._stub, self._metadata = EdgeServiceStub(connect(server)), signed_in(EDGE_SECRET)
        leases = {key: self._lease(scale, key) for key in keys}
        dice = random.Random(0)
        prefixes = list(leases.values())
        requests = [self._record(dice.choice(prefixes), number + 1) for number in range(records)]
        self.calls = [requests[start : start + BATCH] for start in range(0, records, BATCH)]
        self.outcomes: Counter[int] = Counter()

    def _lease(self, scale: Scale, key: int) -> edge_pb2.UsageRecord:
        """A record of the key's new lease, without what each request has of its own."""
        request = edge_pb2.AuthorizeRequest(key_hash=secret_hash(secret_of(key)))
        grant = self._stub.Authorize(request, metadata=self._metadata).grant
        lease_id = str(uuid7())
        acquire = edge_pb2.AcquireLeaseRequest(
            incarnation_id=self.incarnation_id,
            customer_id=grant.customer_id,
            key_id=grant.key_id,
            lease_id=lease_id,
            top_up=1,
            chain_version=grant.chain_version,
            wanted_nanousd=LENT_NANOUSD,
        )
        answer = self._stub.AcquireLease(acquire, metadata=self._metadata)
        customer = scale.customer_of(key)
        record = edge_pb2.UsageRecord(
            incarnation_id=self.incarnation_id,
            customer_id=grant.customer_id,
            key_id=grant.key_id,
            team_id=grant.team_id,
            user_id=grant.user_id,
            lease_id=lease_id,
            windows=answer.windows,
            state=edge_pb2.USAGE_STATE_REPORTED,
            cost_nanousd=COST_NANOUSD,
            requested_model=MODELS[0],
            response_model=MODELS[0],
            status=200,
            latency_ms=700,
            finish="stop",
        )
        attempt = record.attempts.add(
            number=1,
            provider_id=make_id(PROVIDER, customer),
            provider_name="main",
            provider_type="openai",
            model=MODELS[0],
            status=200,
            price_id=make_id(PRICE, customer),
            hold_nanousd=2 * COST_NANOUSD,
            state=edge_pb2.USAGE_STATE_REPORTED,
            cost_nanousd=COST_NANOUSD,
        )
        attempt.usage.input_tokens, attempt.usage.output_tokens = IN_TOKENS, OUT_TOKENS
        return record

    @staticmethod
    def _record(of_lease: edge_pb2.UsageRecord, sequence: int) -> edge_pb2.UsageRecord:
        record = edge_pb2.UsageRecord()
        record.CopyFrom(of_lease)
        record.usage_id, record.sequence = str(uuid7()), sequence
        record.begin_time.GetCurrentTime()
        return record

    def settle(self) -> None:
        """All calls, one after the other."""
        for records in self.calls:
            request = edge_pb2.SettleRequest(incarnation_id=self.incarnation_id, records=records)
            self.outcomes.update(self._stub.Settle(request, metadata=self._metadata).outcomes)


def settle(server: Server, scale: Scale, keys: Sequence[int], records: int) -> Settled:
    """Settles that many records of these keys, and counts what is in the database then. Raises SystemExit
    when a record is missing or there twice."""
    workers = [Worker(server, scale, keys, records // WORKERS) for _ in range(WORKERS)]
    customers = sorted({make_id(CUSTOMER, scale.customer_of(key)) for key in keys})
    sums = _sums(server, customers)
    threads = [threading.Thread(target=worker.settle) for worker in workers]
    cpu = used_s(server.pid), used_s(server.postgres_pid)
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began_s
    used = used_s(server.pid) - cpu[0], used_s(server.postgres_pid) - cpu[1]
    sent = WORKERS * (records // WORKERS)
    outcomes: Counter[int] = sum((worker.outcomes for worker in workers), Counter())
    _expect("outcomes", dict(outcomes), {edge_pb2.POSTED: sent})
    _expect("rows", _rows(server, [worker.incarnation_id for worker in workers]), (sent, sent, sent, sent))
    _expect(
        "sums",
        {key: value - sums.get(key, 0) for key, value in _sums(server, customers).items()},
        dict.fromkeys((1, 2, 3, 4, 7, 8), sent),
    )
    return Settled(sent, seconds, used[0] / sent * 1e6, used[1] / sent * 1e6)


def _rows(server: Server, incarnation_ids: Sequence[str]) -> tuple[int, ...]:
    """Usage records of these incarnations, entries of those, their cost by what one costs, and log rows."""
    with psycopg.connect(server.database_url) as database:
        found = database.execute(
            "SELECT count(*), count(e.usage_id), coalesce(sum(e.amount_nanousd), 0) / %s, count(l.usage_id)"
            " FROM usage_records u LEFT JOIN entries e USING (customer_id, usage_id)"
            " LEFT JOIN request_log l USING (customer_id, usage_id)"
            " WHERE u.incarnation_id = ANY(CAST(%s AS uuid[]))",
            (COST_NANOUSD, list(incarnation_ids)),
        ).fetchone()
    assert found is not None
    return tuple(int(number) for number in found)


def _sums(server: Server, customer_ids: Sequence[str]) -> dict[int, int]:
    """Requests of these customers in the sums, by dimension; each must say the same."""
    with psycopg.connect(server.database_url) as database:
        found = database.execute(
            "SELECT dimension, sum(request_count) FROM rollups WHERE customer_id = ANY(CAST(%s AS uuid[]))"
            " GROUP BY 1",
            (list(customer_ids),),
        ).fetchall()
    return {dimension: int(count) for dimension, count in found}


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"FAILED: {what} {found} instead of {wanted}")
