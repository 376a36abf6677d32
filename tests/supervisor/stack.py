"""A real `up` for tests: on free ports, with its log in a file, and gone afterwards whatever happened."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from tests.ports import free_port

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


def free_ports() -> dict[str, str]:
    """Settings of an `up` with one edge worker, beside others."""
    parts = ("EDGE", "CONTROL", "CONTROL_METRICS", "SIMULATOR")
    return {"TOLLKEEPER_EDGE_WORKERS": "1"} | {f"TOLLKEEPER_{part}_PORT": str(free_port()) for part in parts}


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting of Tollkeeper or Cloudflare, plus those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOLLKEEPER_", "CF_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **settings}


def eventually(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Waits until it holds. Raises AssertionError when it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.02)


@contextmanager
def directory() -> Iterator[Path]:
    """A place for data directories. Not pytest's own: another run closes that to the database's user."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-test-") as path:
        yield Path(path)


@dataclass
class Up:
    """A running `up`; `ready` is its JSON line."""

    data_dir: Path
    process: subprocess.Popen[bytes]
    log: Path
    ready: dict[str, Any]

    def pid(self, part: str) -> int:
        """Of one part, from its pid file."""
        return int((self.data_dir / "run" / f"{part}.pid").read_text())

    def family(self) -> list[psutil.Process]:
        """`up` and everything below it."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)


def start(data_dir: Path, settings: Mapping[str, str] | None = None) -> Up:
    """Starts `up` and waits for its line. Raises AssertionError with its log when it ends first."""
    log = data_dir.with_name(data_dir.name + ".log")
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "--json", "--data-dir", str(data_dir)],
            env=environment(**{**free_ports(), **(settings or {})}),
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    line = _line(process.stdout, READY_TIMEOUT_S)
    if not line:
        process.kill()
        process.communicate()
        raise AssertionError(f"`up` said nothing; its log ends with:\n{log.read_text()[-4000:]}")
    return Up(data_dir, process, log, json.loads(line))


def end(up: Up) -> None:
    """Stops it, and fails when that isn't possible or when something stays."""
    family = up.family() if up.process.poll() is None else []
    try:
        if up.process.poll() is None:
            up.interrupt()
    finally:
        for process in family:
            if process.is_running():
                process.kill()
        said = close(up)
    assert said == b"", "standard output carries one line only"


def close(up: Up) -> bytes:
    """What else an ended `up` had said on standard output."""
    assert up.process.stdout is not None
    with up.process.stdout as stdout:
        return stdout.read()


def gone(family: list[psutil.Process]) -> bool:
    """Whether none of the processes is left (but as a zombie that nobody has collected yet)."""
    return not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def _line(stream: IO[bytes], timeout_s: float) -> bytes:
    readable, _, _ = select.select([stream], [], [], timeout_s)
    return stream.readline() if readable else b""
