"""The whole product for end-to-end tests: a running `up`, what its parts count, and the simulator's bill."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from tests.e2e.admin import Admin
from tests.ports import free_port
from tests.supervisor import stack as up_stack

Found = TypeVar("Found")
CLI = "from clients.cli.app import main; main()"
# Short enough to wait for in a test, long enough for two busy cores.
TIMEOUTS = {"TOLLKEEPER_FIRST_BYTE_TIMEOUT_S": "3", "TOLLKEEPER_IDLE_TIMEOUT_S": "2"}


def found(look: Callable[[], Found | None], timeout_s: float = 20.0) -> Found:
    """What `look` finds once there is something. Raises AssertionError when there is nothing in time."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        if value := look():
            return value
        assert time.monotonic() < deadline_s, f"nothing within {timeout_s:g} s"
        time.sleep(0.05)


@dataclass(repr=False)
class Stack:
    """A running product. `admin` acts as the local command line does: as operator."""

    up: up_stack.Up
    metrics_url: str
    admin: Admin
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))
    _killed: int = 0

    @property
    def edge(self) -> str:
        return str(self.up.ready["edge"])

    @property
    def simulator(self) -> str:
        return str(self.up.ready["simulator"])

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`tollkeeper …` on this data directory."""
        return subprocess.run(
            [sys.executable, "-c", CLI, *arguments],
            env=up_stack.environment(TOLLKEEPER_DATA_DIR=str(self.up.data_dir)),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def cli_json(self, *arguments: str) -> Any:
        """What such a command prints with `--json`."""
        ran = self.cli(*arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def workers(self) -> list[int]:
        """Process ids of the edge's workers."""
        return [child.pid for child in psutil.Process(self.up.pid("edge")).children()]

    def kill_control(self) -> None:
        """kill -9; the supervisor starts it again."""
        self._killed = self.up.pid("control")
        os.kill(self._killed, signal.SIGKILL)

    def control_is_back(self, workers: int) -> bool:
        """Whether the new control plane serves, and so many edge workers found it."""
        return self.up.pid("control") != self._killed and self.watches() == workers

    def watches(self) -> int:
        """Watch streams open at the control plane; none while it is away."""
        try:
            return self.counted("tollkeeper_control_watch_streams")
        except httpx.TransportError:
            return 0

    # What the simulator knows

    def billed(self) -> int:
        """Number of the last row of the simulator's bill."""
        return int(self.http.get(f"{self.simulator}/_sim/bill/summary").json()["last_seq"])

    def bill(self, after: int) -> list[dict[str, Any]]:
        """Rows of the bill after that number."""
        text = self.http.get(f"{self.simulator}/_sim/bill", params={"after": after, "limit": 10_000}).text
        return [json.loads(line) for line in text.splitlines()]

    def captured(self, number: int = 1) -> list[dict[str, Any]]:
        """The last requests that reached the simulator, newest last."""
        answer = self.http.get(f"{self.simulator}/_sim/requests/last", params={"n": number})
        return list(answer.json())

    def open_gate(self, name: str) -> None:
        """Lets the answers go on that were steered to wait at this gate."""
        self.http.post(f"{self.simulator}/_sim/gates/{name}/open").raise_for_status()

    def waits_at(self, gate: str) -> bool:
        """Whether an answer waits at this gate, so that its request has reached the vendor."""
        gates: dict[str, dict[str, int]] = self.http.get(f"{self.simulator}/_sim/gates").json()
        return gates.get(gate, {}).get("waiting", 0) > 0

    # What the control plane counts

    def counted(self, metric: str, **labels: str) -> int:
        """Sum of a counter of the control plane over all label sets that have these labels."""
        return sum(value for found, value in self.counters(metric) if labels.items() <= found.items())

    def counters(self, metric: str) -> list[tuple[dict[str, str], int]]:
        """Labels and value of every sample of a counter."""
        samples = re.findall(
            rf"^{metric}(?:{{(.*)}})? (\S+)$", self.http.get(self.metrics_url).text, re.MULTILINE
        )
        return [
            (dict(re.findall(r'(\w+)="([^"]*)"', labels)), int(float(value))) for labels, value in samples
        ]

    def rpcs(self) -> dict[str, int]:
        """Calls that edges made, by method."""
        calls: dict[str, int] = {}
        for labels, value in self.counters("tollkeeper_control_rpcs_total"):
            service, _, method = labels["method"].lstrip("/").rpartition("/")
            if service.endswith("EdgeService"):
                calls[method] = calls.get(method, 0) + value
        return calls

    def close(self) -> None:
        self.http.close()
        self.admin.close()


def verify(data_dir: Path) -> dict[str, Any]:
    """The report of `tollkeeper ledger verify`. Raises AssertionError when it finds a violation."""
    ran = subprocess.run(
        [sys.executable, "-m", "control.verify", "--json"],
        env=up_stack.environment(TOLLKEEPER_DATA_DIR=str(data_dir)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout))


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A new installation, gone afterwards; its log is shown when it can't be stopped or started."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-e2e-") as directory:
        port = free_port()
        named = {
            "TOLLKEEPER_ALLOW_PRIVATE_BASE_URLS": "true",
            "TOLLKEEPER_CONTROL_METRICS_PORT": str(port),
            # A gateway that becomes ready in the middle of a test would be one more change to hear of.
            "TOLLKEEPER_GATEWAY_MODE": "shared",
            **TIMEOUTS,
        }
        up = up_stack.start(Path(directory) / "data", {**named, **(settings or {})})
        secret = (up.data_dir / "cli.credential").read_text().strip()
        stack = Stack(up, f"http://127.0.0.1:{port}/metrics", Admin(up.ready["control"], secret))
        try:
            yield stack
        finally:
            stack.close()
            up_stack.end(up)


@contextmanager
def audited(settings: Mapping[str, str]) -> Iterator[Stack]:
    """The same; before it ends its books are looked through."""
    with running(settings) as stack:
        yield stack
        audit(stack)


def audit(stack: Stack) -> None:
    """The invariants hold, nothing was refused, both planes priced alike. Raises AssertionError naming what
    is wrong with the books."""
    report = verify(stack.up.data_dir)
    assert report["refused"] == {}
    assert report["gaps"] == []
    assert stack.counted("tollkeeper_control_cost_mismatch_total") == 0


@contextmanager
def process(
    module: str, log: Path, arguments: Sequence[str] = (), **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """One of our parts by itself, killed at the end if it still runs."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=up_stack.environment(**settings),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        # Its group, too: a killed edge would leave its workers.
        family = psutil.Process(started.pid).children(recursive=True) if started.poll() is None else []
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        for child in family:
            if child.is_running():
                child.kill()
