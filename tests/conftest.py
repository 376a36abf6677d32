"""One real PostgreSQL per test process, migrated once; each test that asks for it gets a database of its
own."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from control import migrations, postgres
from control.store.database import Database

_TEMPLATE = "migrated"
_numbers = count(1)
_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 4 << 30

# How long an example takes says more about the machine than about us. In CI they are the same each time.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_configure() -> None:
    """Whatever tests write goes into memory where there is room: a database is hundreds of files, and on a
    disk that others use as well making one, or syncing a journal, takes as long as it takes."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


@pytest.fixture(scope="session")
def cluster_dir() -> Iterator[Path]:
    """A data directory whose embedded PostgreSQL runs for the whole session, without fsync.

    Not below pytest's own directory: every session that starts closes that one to other users, and run by
    root the database is another user.
    """
    with tempfile.TemporaryDirectory(prefix="tollkeeper-tests-") as directory:
        data_dir = Path(directory)
        with postgres.Embedded(data_dir, fsync=False):
            _execute(data_dir, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
            migrations.upgrade(postgres.url(data_dir, _TEMPLATE))
            yield data_dir


@pytest.fixture
def database_url(cluster_dir: Path) -> Iterator[str]:
    """The address of a migrated, empty database that only this test uses."""
    with _new_database(cluster_dir) as url:
        yield url


@pytest.fixture
def other_database_url(cluster_dir: Path) -> Iterator[str]:
    """Another one, for tests of two installations."""
    with _new_database(cluster_dir) as url:
        yield url


@contextmanager
def _new_database(cluster_dir: Path) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(
        cluster_dir,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(_TEMPLATE)
        ),
    )
    yield postgres.url(cluster_dir, name)
    _execute(cluster_dir, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool of connections to the test's own database."""
    database = Database(database_url)
    yield database
    await database.close()


def _execute(data_dir: Path, statement: sql.Composed) -> None:
    with psycopg.connect(
        host=str(postgres.socket_dir(data_dir)), user=postgres.SUPERUSER, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(statement)
