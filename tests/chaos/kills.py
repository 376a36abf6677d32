"""Kills by pid file, and the wait until what was killed serves again."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil

from tests.chaos.load import Tally

EDGE_PARTS = ("worker", "edge")
PARTS = ("worker", "control", "edge", "postgres")
RECOVERY_TIMEOUT_S = 30.0
# Load between two kills, so that each one meets requests under way.
CALM_S = 1.5


class Killer:
    """Kills every part in turn; remembers how many requests were under way when an edge died."""

    def __init__(self, run_dir: Path, edge_url: str, tally: Tally) -> None:
        self.kills: Counter[str] = Counter()
        self.in_flight_at_kill = 0
        self._run_dir = run_dir
        self._edge_url = edge_url
        self._tally = tally

    async def rounds(self, count: int) -> None:
        """Each part `count` times."""
        for number in range(count):
            for part in PARTS:
                await asyncio.sleep(CALM_S)
                await self.kill(part, number)

    async def kill(self, part: str, number: int) -> None:
        """kill -9, then waits until the whole serves again."""
        name = self._worker(number) if part == "worker" else part
        pid = self._pid(name)
        if part in EDGE_PARTS:
            self.in_flight_at_kill += self._tally.in_flight
        os.kill(pid, signal.SIGKILL)
        self.kills[part] += 1
        await self._recovered(name, pid)

    def _worker(self, number: int) -> str:
        workers = sorted(path.stem for path in self._run_dir.glob("edge-worker-*.pid"))
        return workers[number % len(workers)]

    def _pid(self, name: str) -> int:
        return int((self._run_dir / f"{name}.pid").read_text())

    async def _recovered(self, name: str, pid: int) -> None:
        deadline_s = time.monotonic() + RECOVERY_TIMEOUT_S
        while time.monotonic() < deadline_s:
            await asyncio.sleep(0.1)
            if self._replaced(name, pid) and await self._serves():
                return
        raise TimeoutError(f"{name} did not come back within {RECOVERY_TIMEOUT_S:g} s")

    def _replaced(self, name: str, pid: int) -> bool:
        try:
            new = self._pid(name)
        except (FileNotFoundError, ValueError):
            return False
        return new != pid and psutil.pid_exists(new)

    async def _serves(self) -> bool:
        try:
            async with httpx.AsyncClient(timeout=2) as client:
                return (await client.get(f"{self._edge_url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False
