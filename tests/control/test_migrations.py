"""The numbered steps lead to exactly the tables that the code uses."""

from pathlib import Path

import psycopg
import pytest

from control import migrations, postgres
from control.postgres import Embedded, PostgresError


def test_steps_lead_to_the_tables(database_url: str) -> None:
    """An empty database that took every step has what `control.store.tables` says, and no more."""
    assert migrations.differences(database_url) == []
    migrations.require_current(database_url)


def test_difference_is_found(database_url: str) -> None:
    """A column that the tables don't have is reported."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("ALTER TABLE teams ADD COLUMN mascot text")
    assert any("mascot" in difference for difference in migrations.differences(database_url))


def test_upgrading_again_changes_nothing(database_url: str) -> None:
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
