"""The data directory: one `up` at a time, and what it leaves there for others to find."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_data_dir() -> Path:
    """TOLLKEEPER_DATA_DIR, else `.tollkeeper` here if there is one, else the user's place for data (XDG)."""
    if named := os.environ.get("TOLLKEEPER_DATA_DIR"):
        return Path(named).expanduser().absolute()
    here = Path(".tollkeeper")
    if here.is_dir():
        return here.absolute()
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser().absolute() / "tollkeeper"


class Locked(Exception):
    """Another `up` runs on this directory; `pid` is its process, or None when it can't be told."""

    def __init__(self, path: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(f"data directory {path} is in use by {owner}; stop it or set TOLLKEEPER_DATA_DIR")
        self.pid = pid


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes the directory (mode 700) and holds its lock. Raises Locked, or OSError when it can't be made."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not inherited by children, so the lock ends with this process however it ends.
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(path, _pid(os.read(descriptor, 32))) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


class RunFiles:
    """`run/`: one pid file a part, and `addresses.json` for the command line."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "run"
        self._path.mkdir(exist_ok=True)

    def write_pid(self, part: str, pid: int) -> None:
        _replace(self._path / f"{part}.pid", f"{pid}\n")

    def read_pid(self, part: str) -> int | None:
        try:
            return _pid((self._path / f"{part}.pid").read_bytes())
        except FileNotFoundError:
            return None

    def remove_pid(self, part: str) -> None:
        (self._path / f"{part}.pid").unlink(missing_ok=True)

    def write_addresses(self, addresses: dict[str, str | None]) -> None:
        _replace(self._path / "addresses.json", json.dumps(addresses) + "\n")

    def remove_addresses(self) -> None:
        (self._path / "addresses.json").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Readers see the old text or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _pid(raw: bytes) -> int | None:
    digits = raw.strip()
    return int(digits) if digits.isdigit() else None
