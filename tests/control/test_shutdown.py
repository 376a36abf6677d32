"""A replica ends in bounded time, and leaves nothing that listens, whatever happens while it starts or
ends."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from control import server
from control.app import Control
from control.domain.sealing import KeyRing
from control.health import Health
from control.metrics import Metrics
from control.store.database import Database
from control.store.notices import Notices
from control.watch import Hub
from tests.control.harness import replica_settings


def replica(database_url: str, data_dir: Path) -> Control:
    """One that isn't started."""
    return Control(replica_settings(data_dir), database_url, KeyRing([b"k" * 32]))


def listens(control: Control) -> bool:
    """Whether its address takes connections."""
    host, _, port = control.address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize("steps", range(6))
async def test_a_notice_at_the_last_moment(
    database: Database, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll that a notice wakes ends when it is told to, at whatever step of waking it is."""
    hub = Hub(database, Notices("postgresql://"), Metrics())
    hub.start()
    await hub._polled.wait()
    await asyncio.sleep(0.05)
    hub._on_notice("changed")
    for _ in range(steps):
        await asyncio.sleep(0)
    # Less than until a lost cancellation would be made again.
    monkeypatch.setattr("tollkeeper.tasks.AGAIN_S", 60.0)
    async with asyncio.timeout(20):
        await hub.close()


@pytest.mark.parametrize("fault", ["breaks", "cancelled"])
async def test_a_start_cut_short_leaves_no_server(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """What fails after the server began to listen stops it: the process could never end otherwise."""
    starting = asyncio.Event()

    async def fail(health: Health, names: list[str]) -> None:
        starting.set()
        if fault == "breaks":
            raise RuntimeError("odd")
        await asyncio.sleep(60)

    monkeypatch.setattr(Health, "start", fail)
    control = replica(database_url, tmp_path)
    async with asyncio.timeout(10):
        start = asyncio.create_task(control.__aenter__())
        await starting.wait()
        assert listens(control)
        if fault == "cancelled":
            start.cancel()
        await asyncio.wait([start])
    assert start.cancelled() or isinstance(start.exception(), RuntimeError)
    assert not listens(control)


@pytest.mark.parametrize("fault", ["hangs", "breaks", "cancelled"])
async def test_a_drain_gone_wrong_stops_the_server(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Health that never says goodbye, or can't, keeps nobody; nor does whoever loses patience."""
    monkeypatch.setattr(server, "_GOODBYE_S", 0.2 if fault == "hangs" else 60.0)
    closing = asyncio.Event()
    close = Health.close

    async def goodbye(health: Health) -> None:
        await close(health)
        closing.set()
        if fault == "breaks":
            raise RuntimeError("odd")
        await asyncio.sleep(60)

    monkeypatch.setattr(Health, "close", goodbye)
    control = await replica(database_url, tmp_path).__aenter__()
    assert listens(control)
    async with asyncio.timeout(10):
        ending = asyncio.create_task(control.__aexit__(None, None, None))
        await closing.wait()
        if fault == "cancelled":
            ending.cancel()
        await asyncio.wait([ending])
    assert ending.cancelled() == (fault == "cancelled")
    assert ending.cancelled() or (ending.exception() is not None) == (fault == "breaks")
    assert not listens(control)


STUCK = """
import asyncio, os, signal, sys
from pathlib import Path
from control import __main__ as program
from control.config import ControlSettings

class Stuck:
    def __init__(self, *_):
        pass
    async def __aenter__(self):
        os.kill(os.getpid(), signal.SIGTERM)
    async def __aexit__(self, *_):
        await asyncio.Event().wait()

program.Control, program._END_WITHIN_S = Stuck, 0.2
asyncio.run(program._serve(ControlSettings(data_dir=Path(sys.argv[1]), drain_s=0), ""))
"""


def test_a_process_that_hangs_says_where_and_exits(tmp_path: Path) -> None:
    """The last resort, whatever hangs: the process ends a few seconds after its time to drain."""
    command = [sys.executable, "-c", STUCK, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "Timeout (0:00:00.2" in ended.stderr
    assert "_serve" in ended.stderr or "run_forever" in ended.stderr
