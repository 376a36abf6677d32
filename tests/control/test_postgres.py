"""The embedded PostgreSQL outlives its own crashes and those of its owner."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from control import postgres
from control.postgres import Embedded, PostgresError

_OWNER = """
import sys, time
from pathlib import Path
from control.postgres import Embedded
with Embedded(Path(sys.argv[1]), fsync=False):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that other system users can be let into."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-tests-") as directory:
        yield Path(directory) / "data"


def server_of(data_dir: Path) -> psutil.Process:
    """The server that runs on the cluster."""
    pid_file = postgres.cluster_dir(data_dir) / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))


def run_sql(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    """Runs one statement on the product's database."""
    host = str(postgres.socket_dir(data_dir))
    with psycopg.connect(host=host, user="postgres", dbname=postgres.DATABASE, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def test_data_survive_restarts(data_dir: Path) -> None:
    """What was committed is there at the next start; fsync is on unless switched off."""
    with Embedded(data_dir):
        run_sql(data_dir, "CREATE TABLE kept (number int)")
        assert run_sql(data_dir, "SHOW fsync") == [("on",)]
        assert run_sql(data_dir, "SHOW synchronous_commit") == [("on",)]
        assert run_sql(data_dir, "SHOW listen_addresses") == [("",)]
    assert not postgres.is_running(data_dir)
    with Embedded(data_dir, fsync=False):
        assert run_sql(data_dir, "SELECT * FROM kept") == []


def test_killed_server_starts_again(data_dir: Path) -> None:
    """After kill -9 the next start clears what was left and recovers all that was committed."""
    with Embedded(data_dir, fsync=False):
        run_sql(data_dir, "CREATE TABLE kept (number int)")
        server = server_of(data_dir)
        server.kill()
        psutil.wait_procs([server], timeout=10)
    assert (postgres.cluster_dir(data_dir) / "postmaster.pid").exists()
    with Embedded(data_dir, fsync=False):
        assert run_sql(data_dir, "SELECT * FROM kept") == []


def test_orphan_of_a_killed_owner_is_replaced(data_dir: Path) -> None:
    """When its owner was killed, a server runs on; the next owner ends it and starts its own."""
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(data_dir)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == b"ready\n"
        with pytest.raises(PostgresError, match="in use by another process"), Embedded(data_dir):
            pass
        orphan = server_of(data_dir)
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
    assert orphan.is_running()
    assert not postgres.is_owned(data_dir)
    with Embedded(data_dir, fsync=False):
        assert server_of(data_dir).pid != orphan.pid
        assert run_sql(data_dir, "SELECT 1") == [(1,)]


def test_pid_of_another_program_is_no_server(data_dir: Path) -> None:
    """After a crash of the machine the number in the pid file may be anybody's, who must not be stopped."""
    with Embedded(data_dir, fsync=False):
        pass
    stale = f"{os.getpid()}\n{postgres.cluster_dir(data_dir)}\n"
    (postgres.cluster_dir(data_dir) / "postmaster.pid").write_text(stale)
    assert not postgres.is_running(data_dir)
    with Embedded(data_dir, fsync=False):
        assert run_sql(data_dir, "SELECT 1") == [(1,)]


def test_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    """An initdb that was killed leaves nothing that the next one trips over."""
    left = postgres.cluster_dir(data_dir) / "unfinished"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    with Embedded(data_dir, fsync=False):
        assert run_sql(data_dir, "SELECT 1") == [(1,)]


def test_only_the_owner_reaches_the_socket(data_dir: Path) -> None:
    """The socket asks nobody who he is, so the directory around it lets nobody in."""
    with Embedded(data_dir, fsync=False):
        assert postgres.socket_dir(data_dir).stat().st_mode & 0o077 == 0


def test_server_that_cannot_start_says_where_to_look(data_dir: Path) -> None:
    """A damaged cluster is one clear line with the log's place, in seconds, and the directory is free
    again."""
    with Embedded(data_dir, fsync=False):
        pass
    (postgres.cluster_dir(data_dir) / "global" / "pg_control").write_bytes(b"garbage")
    begin = time.monotonic()
    with (
        pytest.raises(PostgresError, match=r"ended while it was starting.*postgres\.log"),
        Embedded(data_dir),
    ):
        pass
    assert time.monotonic() - begin < 10
    assert not postgres.is_owned(data_dir)


def test_unwritable_data_directory_is_one_line(tmp_path: Path) -> None:
    """A data directory that can't be made is told, not traced."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PostgresError, match="can't be made") as refusal:
        postgres.make_data_dir(tmp_path / "file" / "data")
    assert "\n" not in str(refusal.value)
