"""PostgreSQL: reachable, new enough, migrated, writable, durable, with connections and a clock that fit."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from control import migrations, postgres
from control.config import ControlSettings
from control.migrations import SchemaError
from doctor.finding import Finding, failed, ok, warning

CHECK = "database"
OLDEST_VERSION = 15
MAX_SKEW_S = 2.0
_CONNECT_TIMEOUT_S = 5
_STARTED = "Start `tollkeeper up`, or correct TOLLKEEPER_DATABASE_URL."


def address(settings: ControlSettings) -> str | None:
    """SQLAlchemy's URL of the database; None while the embedded one isn't running."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return postgres.url(settings.data_dir) if postgres.is_running(settings.data_dir) else None


def check_database(settings: ControlSettings, url: str | None) -> list[Finding]:
    """All about the database; never its URL, which may hold a password."""
    if url is None:
        return [failed(CHECK, "the embedded PostgreSQL isn't running", _STARTED)]
    try:
        with connected(url) as connection:
            return [
                *_version(connection),
                *_schema(url),
                *_durability(connection),
                *_connections(connection, settings.database_pool_size),
                *_clock(connection),
            ]
    except psycopg.Error as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [failed(CHECK, f"can't be used: {why}", _STARTED)]


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection of our own. Raises psycopg.Error."""
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '10s'")
        yield connection


def _version(connection: psycopg.Connection) -> list[Finding]:
    number = connection.info.server_version
    name = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number // 10_000 < OLDEST_VERSION:
        return [failed(CHECK, f"{name} is too old", f"Upgrade it to {OLDEST_VERSION} or newer.")]
    return [ok(CHECK, name)]


def _schema(url: str) -> list[Finding]:
    try:
        migrations.require_current(url)
    except SchemaError as error:
        advice = "Run `python -m control.migrations`, or `tollkeeper up`, which does it at its start."
        return [failed("schema", str(error), advice)]
    return [ok("schema", "current")]


def _durability(connection: psycopg.Connection) -> list[Finding]:
    findings = []
    if _one(connection, "SELECT pg_is_in_recovery()"):
        findings.append(
            failed(CHECK, "it is a standby, which can't be written", "Name the primary in the URL.")
        )
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if _one(connection, f"SHOW {name}") == "off":
            advice = f"Set {name} to on: after a crash, what was booked may be gone."
            findings.append(warning(CHECK, f"{name} is off", advice))
    return findings


def _connections(connection: psycopg.Connection, pool_size: int) -> list[Finding]:
    most = int(str(_one(connection, "SHOW max_connections")))
    used = int(str(_one(connection, "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL")))
    text = f"{used} of {most} connections in use"
    if most - used < 3:
        return [failed("connections", text, "Raise max_connections, or run fewer replicas.")]
    if most < pool_size + 5:
        advice = (
            "Raise max_connections above the pools of all replicas, or lower TOLLKEEPER_DATABASE_POOL_SIZE."
        )
        return [warning("connections", f"{text}, a pool is {pool_size}", advice)]
    return [ok("connections", text)]


def _clock(connection: psycopg.Connection) -> list[Finding]:
    before_s = time.time()
    theirs_s = float(str(_one(connection, "SELECT extract(epoch FROM clock_timestamp())")))
    skew_s = theirs_s - (before_s + time.time()) / 2
    return [clock_finding("the database", skew_s)]


def clock_finding(whose: str, skew_s: float) -> Finding:
    """Whether two clocks agree well enough for budgets' windows and for people who read logs."""
    text = f"{whose} is {abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) > MAX_SKEW_S:
        return warning("clock", text, "Keep all machines in time (NTP).")
    return ok("clock", f"{whose} agrees with this machine")


def _one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    value: object = row[0]
    return value
