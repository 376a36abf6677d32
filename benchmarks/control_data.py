"""What `make bench-control` measures over: customers, keys, budgets and a month of requests, loaded by COPY.

Everything follows from its number, so that the loader can go on where it stopped, and the measurement knows
every id and secret without asking.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from tollkeeper.ids import first_at
from tollkeeper.key_format import secret_hash, shown_prefix

USERS, TEAMS = 10, 5
DAYS = 30
LIMIT_NANOUSD = 1_000_000 * 10**9
COST_NANOUSD = 1_500
IN_TOKENS, OUT_TOKENS = 900, 100
RATES = '{"input": 1000000, "output": 6000000}'
MODELS = ("gpt-4o-mini", "gpt-4o", "o3", "claude-sonnet")
# The first customer has this part of all requests.
HOT_PART = 10
# Customers that one transaction loads.
CHUNK = 50

CUSTOMER, USER, TEAM, KEY, BUDGET, PROVIDER, ROUTER, LEASE, PRICE, LIFE = range(10)


def make_id(kind: int, number: int) -> str:
    """The id of the n-th thing of a kind."""
    return f"0190{kind:04x}-0000-7000-8000-{number:012x}"


@dataclass(frozen=True)
class Scale:
    """How much there is. A database is loaded for one scale only."""

    customers: int
    keys: int
    records: int

    @property
    def keys_each(self) -> int:
        """Keys of a customer."""
        return self.keys // self.customers

    def customer_of(self, key: int) -> int:
        """The number of a key's customer."""
        return key // self.keys_each

    def records_of(self, customer: int) -> int:
        """Requests that are loaded for a customer."""
        hot = self.records // HOT_PART
        rest, more = divmod(self.records - hot, self.customers - 1)
        return hot if customer == 0 else rest + (customer <= more)

    def user_of(self, key: int) -> str:
        """The id of a key's user."""
        return make_id(USER, self.customer_of(key) * USERS + key % USERS)

    def team_of(self, key: int) -> str:
        """The id of a key's team."""
        return make_id(TEAM, self.customer_of(key) * TEAMS + key % TEAMS)


def secret_of(key: int) -> str:
    """The secret of a key."""
    return f"aig_{key:043d}"


def load(url: str, scale: Scale, say: Callable[[str], None]) -> None:
    """Brings a migrated database to the scale; goes on where an earlier load stopped. Raises SystemExit when
    it was loaded for another scale."""
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE SCHEMA IF NOT EXISTS bench")
        database.execute(
            "CREATE TABLE IF NOT EXISTS bench.progress"
            " (customers int, keys int, records bigint, now timestamptz, done int)"
        )
        row = database.execute("SELECT customers, keys, records, now, done FROM bench.progress").fetchone()
        if row is None:
            now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            row = (scale.customers, scale.keys, scale.records, now, 0)
            database.execute("INSERT INTO bench.progress VALUES (%s, %s, %s, %s, %s)", row)
        if row[:3] != (scale.customers, scale.keys, scale.records):
            raise SystemExit(f"This database holds {row[:3]}: choose another directory for another scale.")
        now, done = row[3], row[4]
        if done < scale.customers:
            _load_rest(database, scale, now, done, say)


def _load_rest(
    database: psycopg.Connection, scale: Scale, now: datetime, done: int, say: Callable[[str], None]
) -> None:
    database.execute("SET synchronous_commit = off")
    _add_months(database, now)
    begun_s, first = time.monotonic(), done
    while done < scale.customers:
        numbers = range(done, min(done + CHUNK, scale.customers))
        with database.transaction():
            _load_chunk(database, scale, now, numbers)
            database.execute("UPDATE bench.progress SET done = %s", (numbers.stop,))
        done = numbers.stop
        passed_s = time.monotonic() - begun_s
        left_s = passed_s / (done - first) * (scale.customers - done)
        say(f"loaded {done} of {scale.customers} customers, about {left_s:.0f} s left")
    database.execute("SET synchronous_commit = on")
    say("analyzing")
    database.execute("VACUUM (ANALYZE)")
    database.execute("CHECKPOINT")


def _add_months(database: psycopg.Connection, now: datetime) -> None:
    """Partitions of the months before this one that requests are loaded for."""
    month = (now - timedelta(days=DAYS)).replace(day=1, hour=0)
    while month < now:
        after = (month + timedelta(days=32)).replace(day=1)
        for table in ("request_log", "request_tags"):
            database.execute(
                f"CREATE TABLE IF NOT EXISTS partitions.{table}_{month:%Y%m} PARTITION OF {table}"
                f" FOR VALUES FROM ('{first_at(month)}') TO ('{first_at(after)}')"
            )
        month = after


def _load_chunk(database: psycopg.Connection, scale: Scale, now: datetime, numbers: range) -> None:
    keys = range(numbers.start * scale.keys_each, numbers.stop * scale.keys_each)
    _copy(database, "customers (customer_id, slug, name)", _customers(numbers))
    _copy(
        database,
        "users (customer_id, user_id, email)",
        (
            (make_id(CUSTOMER, c), make_id(USER, c * USERS + n), f"u{n}@c{c}.example")
            for c in numbers
            for n in range(USERS)
        ),
    )
    _copy(
        database,
        "teams (customer_id, team_id, name)",
        (
            (make_id(CUSTOMER, c), make_id(TEAM, c * TEAMS + n), f"team {n}")
            for c in numbers
            for n in range(TEAMS)
        ),
    )
    _copy(
        database,
        "providers (customer_id, provider_id, name, provider_type)",
        ((make_id(CUSTOMER, c), make_id(PROVIDER, c), "main", "openai") for c in numbers),
    )
    _copy(
        database,
        "prices (customer_id, price_id, provider_id, model, rates)",
        ((make_id(CUSTOMER, c), make_id(PRICE, c), make_id(PROVIDER, c), MODELS[0], RATES) for c in numbers),
    )
    _copy(
        database,
        "keys (customer_id, key_id, name, key_hash, prefix, user_id, team_id)",
        (
            (
                make_id(CUSTOMER, scale.customer_of(k)),
                make_id(KEY, k),
                f"key {k}",
                "\\\\x" + secret_hash(secret_of(k)).hex(),
                shown_prefix(secret_of(k)),
                scale.user_of(k),
                scale.team_of(k),
            )
            for k in keys
        ),
    )
    _copy(
        database,
        "directory (kind, value, customer_id, target_id)",
        (
            (
                "key_hash",
                secret_hash(secret_of(k)).hex(),
                make_id(CUSTOMER, scale.customer_of(k)),
                make_id(KEY, k),
            )
            for k in keys
        ),
    )
    _copy(
        database,
        "budgets (customer_id, budget_id, scope, scope_id, limit_nanousd, period)",
        _budgets(scale, numbers, keys),
    )
    for customer in numbers:
        _load_requests(database, scale, now, customer)


def _customers(numbers: range) -> Iterator[tuple[str, ...]]:
    for number in numbers:
        customer_id = make_id(CUSTOMER, number)
        yield customer_id, f"bench-{number}", f"Customer {number}"


def _budgets(scale: Scale, numbers: range, keys: range) -> Iterator[tuple[object, ...]]:
    """A monthly one on every scope."""
    number = numbers.start * (scale.keys_each + USERS + TEAMS + 1)
    owners = [(scale.customer_of(k), 1, make_id(KEY, k)) for k in keys]
    owners += [(c, 2, make_id(USER, c * USERS + n)) for c in numbers for n in range(USERS)]
    owners += [(c, 3, make_id(TEAM, c * TEAMS + n)) for c in numbers for n in range(TEAMS)]
    owners += [(c, 4, make_id(CUSTOMER, c)) for c in numbers]
    for offset, (customer, scope, scope_id) in enumerate(owners):
        budget_id = make_id(BUDGET, number + offset)
        yield make_id(CUSTOMER, customer), budget_id, scope, scope_id, LIMIT_NANOUSD, 4


class _Requests:
    """A customer's requests as rows: of each a usage record, an entry and a log row, and the sums of them
    all. Each key has a closed lease that they were posted to."""

    def __init__(self, scale: Scale, customer: int) -> None:
        self._scale = scale
        self._customer = customer
        self._customer_id, self._provider_id = make_id(CUSTOMER, customer), make_id(PROVIDER, customer)
        self._dice = random.Random(customer)
        self.posted: dict[int, int] = defaultdict(int)
        self.records: list[tuple[object, ...]] = []
        self.entries: list[tuple[object, ...]] = []
        self.log: list[tuple[object, ...]] = []
        self.sums: dict[tuple[int, str, str], int] = defaultdict(int)

    def add(self, number: int, begin: datetime) -> None:
        """The n-th request, begun then."""
        customer_id, provider_id = self._customer_id, self._provider_id
        key = self._customer * self._scale.keys_each + number % self._scale.keys_each
        key_id, user_id, team_id = make_id(KEY, key), self._scale.user_of(key), self._scale.team_of(key)
        usage_id, lease_id, at = _usage_id(begin, self._dice), make_id(LEASE, key), begin.isoformat()
        model = MODELS[number % len(MODELS)]
        status = 429 if number % 100 == 0 else 200
        life = make_id(LIFE, self._customer)
        whose = (customer_id, usage_id, key_id, user_id, team_id, 1)
        self.posted[key] += COST_NANOUSD
        self.records.append(
            (*whose, life, number + 1, lease_id, "\\\\x00", COST_NANOUSD, IN_TOKENS, OUT_TOKENS, at, at)
        )
        self.entries.append((customer_id, usage_id, 0, lease_id, "post", COST_NANOUSD, at))
        attempts = (
            f'[{{"number":1,"provider_id":"{provider_id}","provider_name":"main","provider_type":"openai",'
            f'"model":"{model}","status":{status},"state":1,"cost_nanousd":{COST_NANOUSD},'
            f'"usage":{{"input_tokens":{IN_TOKENS},"output_tokens":{OUT_TOKENS}}}}}]'
        )
        self.log.append((*whose, model, model, provider_id, status, attempts, "stop", 700, at))
        hour = begin.replace(minute=0, second=0, microsecond=0).isoformat()
        for dimension, value in zip(
            (1, 2, 3, 4, 7, 8), (key_id, user_id, team_id, customer_id, model, provider_id), strict=True
        ):
            self.sums[dimension, value, hour] += 1


def _load_requests(database: psycopg.Connection, scale: Scale, now: datetime, customer: int) -> None:
    requests = _Requests(scale, customer)
    count = scale.records_of(customer)
    span = timedelta(days=DAYS)
    for number in range(count):
        requests.add(number, now - span + span * (number + 0.5) / count)
    customer_id, life = make_id(CUSTOMER, customer), make_id(LIFE, customer)
    _copy(
        database,
        "leases (customer_id, lease_id, incarnation_id, key_id, chain_version, unlimited, state,"
        " granted_nanousd, posted_nanousd, close_time)",
        (
            (customer_id, make_id(LEASE, key), life, make_id(KEY, key), 0, "t", 2, amount, amount, now)
            for key, amount in requests.posted.items()
        ),
    )
    whose = "customer_id, usage_id, key_id, user_id, team_id, state"
    _copy(
        database,
        f"usage_records ({whose}, incarnation_id, sequence, lease_id, digest, cost_nanousd, input_tokens,"
        " output_tokens, begin_time, post_time)",
        requests.records,
    )
    _copy(
        database,
        "entries (customer_id, usage_id, part, lease_id, label, amount_nanousd, post_time)",
        requests.entries,
    )
    _copy(
        database,
        f"request_log ({whose}, requested_model, response_model, provider_id, status, attempts, finish,"
        " latency_ms, begin_time)",
        requests.log,
    )
    _copy(
        database,
        "rollups (customer_id, dimension, value, hour, request_count, cost_nanousd, input_tokens,"
        " output_tokens)",
        (
            (customer_id, *key, count, count * COST_NANOUSD, count * IN_TOKENS, count * OUT_TOKENS)
            for key, count in requests.sums.items()
        ),
    )


def _usage_id(begin: datetime, dice: random.Random) -> str:
    high = str(first_at(begin))
    bits = dice.getrandbits(74)
    return f"{high[:14]}7{bits >> 62:03x}-8{bits & 0xFFF:03x}-{bits >> 12 & 0xFFFF_FFFF_FFFF:012x}"


def _copy(database: psycopg.Connection, into: str, rows: Iterable[tuple[object, ...]]) -> None:
    with database.cursor().copy(f"COPY {into} FROM STDIN") as copy:  # type: ignore[arg-type]
        lines: list[str] = []
        for row in rows:
            lines.append("\t".join(map(str, row)))
            if len(lines) >= 1000:
                copy.write("\n".join(lines) + "\n")
                lines.clear()
        if lines:
            copy.write("\n".join(lines) + "\n")
