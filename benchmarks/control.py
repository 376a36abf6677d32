"""`make bench-control`: the control plane over many customers, keys and requests.

    python -m benchmarks.control [--customers 10000] [--keys 1000000] [--records 10000000] [--data-dir DIR]

The database is loaded at the first run and kept for the next ones; a load that was interrupted goes on. Exits
with 1 when the rows counted afterwards aren't those that were sent.
"""

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.control_data import (
    CUSTOMER,
    KEY,
    MODELS,
    TEAM,
    TEAMS,
    USER,
    USERS,
    Scale,
    load,
    make_id,
    secret_of,
)
from benchmarks.control_server import CLI_SECRET, EDGE_SECRET, Server, connect, database, serving, signed_in
from benchmarks.control_settle import settle
from tollkeeper.ids import uuid7
from tollkeeper.key_format import secret_hash
from tollkeeper.v1 import edge_pb2, usage_pb2
from tollkeeper.v1.edge_pb2_grpc import EdgeServiceStub
from tollkeeper.v1.usage_pb2_grpc import UsageServiceStub

DATA_ROOT = Path(__file__).resolve().parent.parent / ".bench"
CALLS = 2000
# Keys that lend in turns, so that their windows are there.
LENDING_KEYS = 200
# The many keys of the settlement, and their customers.
MANY_KEYS, MANY_CUSTOMERS = 1000, 10
HOLD_NANOUSD = 10**6


class Calls:
    """Calls one after the other, each on its own key or customer, and how long they took."""

    def __init__(self, server: Server, scale: Scale) -> None:
        channel = connect(server)
        self._edge, self._usage = EdgeServiceStub(channel), UsageServiceStub(channel)
        self._scale = scale
        self._dice = random.Random(1)
        self._incarnation_id = str(uuid7())

    def authorize_p99_ms(self) -> float:
        """Grants of random keys."""
        return _p99_ms(lambda: self._authorize(self._dice.randrange(self._scale.keys)), CALLS)

    def acquire_p99_ms(self) -> float:
        """New leases of keys under four hard budgets each."""
        keys = self._dice.sample(range(self._scale.keys), min(LENDING_KEYS, self._scale.keys))
        grants = [self._authorize(key) for key in keys]
        for grant in grants:
            self._acquire(grant)
        return _p99_ms(lambda: self._acquire(self._dice.choice(grants)), CALLS)

    def list_p99_ms(self) -> float:
        """Pages of 50, with each filter in turn; half of them of the customer with the most requests."""
        return _p99_ms(self._list, CALLS)

    def summary_p99_ms(self) -> float:
        """Totals, some of them by group; half of them of the customer with the most requests."""
        return _p99_ms(self._summarise, CALLS)

    def _authorize(self, key: int) -> edge_pb2.Grant:
        request = edge_pb2.AuthorizeRequest(key_hash=secret_hash(secret_of(key)))
        return self._edge.Authorize(request, metadata=signed_in(EDGE_SECRET)).grant

    def _acquire(self, grant: edge_pb2.Grant) -> None:
        request = edge_pb2.AcquireLeaseRequest(
            incarnation_id=self._incarnation_id,
            customer_id=grant.customer_id,
            key_id=grant.key_id,
            lease_id=str(uuid7()),
            top_up=1,
            chain_version=grant.chain_version,
            holds_nanousd=[HOLD_NANOUSD],
            wanted_nanousd=10 * HOLD_NANOUSD,
        )
        self._edge.AcquireLease(request, metadata=signed_in(EDGE_SECRET))

    def _list(self) -> None:
        customer, dice = self._customer(), self._dice
        number = dice.randrange(self._scale.keys_each)
        wanted: dict[str, Any] = dice.choice(
            (
                {},
                {"key_id": make_id(KEY, customer * self._scale.keys_each + number)},
                {"user_id": make_id(USER, customer * USERS + number % USERS)},
                {"team_id": make_id(TEAM, customer * TEAMS + number % TEAMS)},
                {"model": dice.choice(MODELS)},
                {"status": 429},
                {"tag": "nightly"},
            )
        )
        request = usage_pb2.ListUsageRequest(customer_id=make_id(CUSTOMER, customer), page_size=50, **wanted)
        answer = self._usage.ListUsage(request, metadata=signed_in(CLI_SECRET))
        if answer.next_page_token and dice.random() < 0.3:
            request.page_token = answer.next_page_token
            self._usage.ListUsage(request, metadata=signed_in(CLI_SECRET))

    def _summarise(self) -> None:
        group_by = self._dice.choice((0, 0, *usage_pb2.UsageDimension.values()))
        request = usage_pb2.GetUsageSummaryRequest(
            customer_id=make_id(CUSTOMER, self._customer()), group_by=group_by
        )
        self._usage.GetUsageSummary(request, metadata=signed_in(CLI_SECRET))

    def _customer(self) -> int:
        return 0 if self._dice.random() < 0.5 else self._dice.randrange(self._scale.customers)


def _p99_ms(call: Callable[[], object], times: int) -> float:
    """The 99th percentile of calls made one after the other; the first tenth is for warming up."""
    took_s = []
    for number in range(times + times // 10):
        began_s = time.perf_counter()
        call()
        if number >= times // 10:
            took_s.append(time.perf_counter() - began_s)
    return sorted(took_s)[int(len(took_s) * 0.99)] * 1000


def measure(server: Server, scale: Scale, settled: int) -> str:
    """All figures in one line."""
    calls = Calls(server, scale)
    figures: dict[str, float] = {}
    for name in ("authorize_p99_ms", "acquire_p99_ms", "list_p99_ms", "summary_p99_ms"):
        figures[name] = getattr(calls, name)()
        say(f"{name} {figures[name]:.2f}")
    hot = settle(server, scale, [scale.keys_each], settled)
    say(f"one key: {hot}")
    customers = min(MANY_CUSTOMERS, scale.customers - 1)
    each = min(MANY_KEYS // customers, scale.keys_each)
    keys = [(1 + c) * scale.keys_each + k for c in range(customers) for k in range(each)]
    many = settle(server, scale, keys, settled)
    say(f"{len(keys)} keys of {customers} customers: {many}")
    line = " ".join(f"{name}={value:.2f}" for name, value in figures.items())
    rates = f"settle_hot_per_s={hot.per_s:.0f} settle_many_per_s={many.per_s:.0f}"
    return f"CONTROL {line} {rates} settle_per_s={min(hot.per_s, many.per_s):.0f}"


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Loads what isn't there yet, and measures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--settled", type=int, default=100_000, help="records of each settlement")
    parser.add_argument(
        "--data-dir", type=Path, help="where the database is kept; .bench/control-… unless given"
    )
    wanted = parser.parse_args()
    if wanted.customers < 2 or wanted.keys < wanted.customers:
        parser.error("at least two customers, and a key each")
    scale = Scale(wanted.customers, wanted.keys, wanted.records)
    name = f"control-{scale.customers}-{scale.keys}-{scale.records}"
    data_dir = wanted.data_dir or DATA_ROOT / name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    for folder in (data_dir.parent, data_dir):
        folder.mkdir(parents=True, exist_ok=True)
    data_dir.parent.chmod(0o711)  # PostgreSQL may run as another user, who has to get through.
    with database(data_dir) as url:
        load(url, scale, say)
        with serving(data_dir, url) as server:
            line = measure(server, scale, wanted.settled)
    print(line)


if __name__ == "__main__":
    main()
