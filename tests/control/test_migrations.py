"""The numbered steps lead to exactly the tables that the code uses."""

from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine

from control import migrations, postgres
from control.postgres import Embedded, PostgresError
from tollkeeper.ids import uuid7


def test_b9_steps_lead_to_the_tables(database_url: str) -> None:
    """An empty database that took every step has what `control.store.tables` says, and no more."""
    assert migrations.differences(database_url) == []
    migrations.require_current(database_url)


def test_difference_is_found(database_url: str) -> None:
    """A column that the tables don't have is reported."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("ALTER TABLE teams ADD COLUMN mascot text")
    assert any("mascot" in difference for difference in migrations.differences(database_url))


def test_b9_upgrading_again_changes_nothing(database_url: str) -> None:
    """A replica that starts later finds nothing to do."""
    migrations.upgrade(database_url)
    assert migrations.differences(database_url) == []


def test_second_owner_of_a_data_directory_is_refused(cluster_dir: Path) -> None:
    """Two processes never run one cluster; the answer is one clear line."""
    with pytest.raises(PostgresError, match="in use by another process") as refusal, Embedded(cluster_dir):
        pass
    assert "\n" not in str(refusal.value)


def test_socket_path_stays_short(tmp_path: Path) -> None:
    """A data directory too deep for a socket gets it in a short, fixed place."""
    deep = tmp_path / ("d" * 120)
    first, second = postgres.socket_dir(deep), postgres.socket_dir(deep)
    assert first == second
    assert len(str(first / ".s.PGSQL.5432")) <= 107


def test_b9_requests_of_the_first_release_move_to_the_log(cluster_dir: Path) -> None:
    """B9: an upgrade keeps every request and its sums, whatever an id says of its time."""
    url = postgres.url(cluster_dir, "first_release")
    customer, key, provider = str(uuid7()), str(uuid7()), str(uuid7())
    usage_ids = [str(uuid7()), "ffffffff-0000-7000-8000-000000000000", "00000000-0000-4000-8000-000000000000"]
    with psycopg.connect(
        postgres.url(cluster_dir, "postgres").replace("+psycopg", ""), autocommit=True
    ) as admin:
        admin.execute("CREATE DATABASE first_release")
        try:
            _step(url, "0001")
            with psycopg.connect(url.replace("+psycopg", "")) as database:
                for sequence, usage_id in enumerate(usage_ids, 1):
                    database.execute(
                        "INSERT INTO usage_records (customer_id, usage_id, incarnation_id, sequence,"
                        " lease_id, key_id, state, digest, cost_nanousd, provider_id, provider_name,"
                        " requested_model, input_tokens)"
                        " VALUES (%s, %s, %s, %s, %s, %s, 1, 'd', 7, %s, 'main', 'gpt', 5)",
                        (customer, usage_id, customer, sequence, customer, key, provider),
                    )
                database.execute(
                    "INSERT INTO rollups (customer_id, scope, scope_id, hour, request_count, cost_nanousd)"
                    " VALUES (%s, 1, %s, date_trunc('hour', now()), 3, 21)",
                    (customer, key),
                )
            migrations.upgrade(url)
            assert migrations.differences(url) == []
            with psycopg.connect(url.replace("+psycopg", "")) as database:
                logged = database.execute(
                    "SELECT CAST(usage_id AS text), requested_model, attempts->0->>'provider_name',"
                    " CAST(attempts->0->'usage'->>'input_tokens' AS integer) FROM request_log"
                    " ORDER BY usage_id"
                ).fetchall()
                assert logged == [(usage_id, "gpt", "main", 5) for usage_id in sorted(usage_ids)]
                assert database.execute("SELECT count(*) FROM partitions.request_log_default").fetchone() == (
                    2,
                )
                sums = database.execute(
                    "SELECT dimension, value, sum(request_count), sum(cost_nanousd) FROM rollups"
                    " GROUP BY 1, 2 ORDER BY 1"
                ).fetchall()
                assert sums == [(1, key, 3, 21), (7, "gpt", 3, 21), (8, provider, 3, 21)]
        finally:
            admin.execute("DROP DATABASE first_release WITH (FORCE)")


def test_b9_equal_names_of_the_first_release_are_told_apart(cluster_dir: Path) -> None:
    """Names of providers and routers were not unique: the oldest keeps its own, others get the end of their
    id, those of other customers and deleted ones stay."""
    url = postgres.url(cluster_dir, "equal_names")
    customer, other = str(uuid7()), str(uuid7())
    # Ids of one millisecond come in any order.
    rows = [(customer, row_id) for row_id in sorted(str(uuid7()) for _ in range(3))] + [(other, str(uuid7()))]
    with psycopg.connect(
        postgres.url(cluster_dir, "postgres").replace("+psycopg", ""), autocommit=True
    ) as admin:
        admin.execute("CREATE DATABASE equal_names")
        try:
            _step(url, "0001")
            with psycopg.connect(url.replace("+psycopg", "")) as database:
                for owner, row_id in rows:
                    database.execute(
                        "INSERT INTO providers (customer_id, provider_id, name, provider_type)"
                        " VALUES (%s, %s, 'main', 'openai')",
                        (owner, row_id),
                    )
                    database.execute(
                        "INSERT INTO routers (customer_id, router_id, name) VALUES (%s, %s, 'main')",
                        (owner, row_id),
                    )
                database.execute("UPDATE routers SET delete_time = now() WHERE router_id = %s", (rows[1][1],))
            migrations.upgrade(url)
            with psycopg.connect(url.replace("+psycopg", "")) as database:
                for table, renamed in (("providers", rows[1:3]), ("routers", rows[2:3])):
                    found = dict(
                        database.execute(
                            f"SELECT CAST({table[:-1]}_id AS text), name FROM {table}"
                        ).fetchall()
                    )
                    ends = {row_id: f"main ({row_id[-12:]})" for _, row_id in renamed}
                    assert found == {row_id: ends.get(row_id, "main") for _, row_id in rows}
        finally:
            admin.execute("DROP DATABASE equal_names WITH (FORCE)")


def _step(url: str, revision: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        command.upgrade(migrations.config(connection), revision)
    engine.dispose()
