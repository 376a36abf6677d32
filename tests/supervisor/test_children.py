"""Children of the supervisor, with small real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from supervisor.children import Child, ChildSpec, Command, StartFailed
from supervisor.data_dir import RunFiles
from supervisor.logs import LogStyle, Relay

MakeChild = Callable[..., Child]

WAITING = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(60)"
)


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[MakeChild]:
    """`make(code, *arguments)`: a child that runs Python code; all are killed after the test."""
    files = RunFiles(tmp_path)
    made: list[Child] = []

    def child(
        code: str,
        *arguments: str,
        ready: Callable[[], Awaitable[bool]] = _yes,
        drain_s: float = 5.0,
        ready_within_s: float = 20.0,
    ) -> Child:
        async def command() -> Command:
            return Command((sys.executable, "-c", code, *arguments))

        spec = ChildSpec(
            name="part",
            command=command,
            ready=ready,
            env=dict(os.environ),
            drain_s=drain_s,
            ready_within_s=ready_within_s,
        )
        made.append(Child(spec, Relay("part", LogStyle(labelled=False, shown=True)), files))
        return made[-1]

    yield child
    for each in made:
        await each.kill()


def _pid(directory: Path) -> int | None:
    return RunFiles(directory).read_pid("part")


async def _until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.01)


async def test_a_failed_start_tells_the_last_line(make: MakeChild) -> None:
    """A child that ends before it is ready is named with its exit code and the last line it wrote."""
    child = make(
        "import sys; print('first', flush=True); print('the port is taken', file=sys.stderr); sys.exit(3)",
        ready=_no,
    )
    with pytest.raises(StartFailed, match=r"^part ended with exit code 3: the port is taken$"):
        await child.start()


async def test_a_child_that_is_never_ready(make: MakeChild) -> None:
    """Waiting for readiness is bounded."""
    child = make(WAITING, ready=_no, ready_within_s=0.2)
    with pytest.raises(StartFailed, match=r"^part wasn't ready within 0\.2 s"):
        await child.start()


async def test_a_program_that_is_missing(tmp_path: Path) -> None:
    """What can't be run at all is one line too."""

    async def command() -> Command:
        return Command(("/nowhere/program",))

    spec = ChildSpec(name="part", command=command, ready=_yes, env={})
    child = Child(spec, Relay("part", LogStyle(labelled=False, shown=True)), RunFiles(tmp_path))
    with pytest.raises(StartFailed, match=r"^part can't be run: No such file or directory$"):
        await child.start()


async def test_a_killed_child_is_started_again(make: MakeChild, tmp_path: Path) -> None:
    """After kill -9 there is a new process under the same pid file."""
    child = make(WAITING)
    await child.start()
    keeping = asyncio.create_task(child.keep_alive())
    first = _pid(tmp_path)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await _until(lambda: _pid(tmp_path) not in (None, first))
    assert psutil.pid_exists(_pid(tmp_path) or 0)
    keeping.cancel()


async def test_a_child_that_keeps_dying_is_given_ever_more_time(
    make: MakeChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waits double from the first backoff up to the last."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay_s: float) -> None:
        waits.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    child = make("raise SystemExit(1)")
    await child.start()
    keeping = asyncio.create_task(child.keep_alive())
    async with asyncio.timeout(20):
        while len(waits) < 7:
            await sleep(0.01)
    keeping.cancel()
    assert waits[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_stopping_asks_first(make: MakeChild, tmp_path: Path) -> None:
    """A child that handles SIGTERM ends by itself, and its pid file goes."""
    mark = tmp_path / "ended"
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'w').close(), sys.exit(0)))\n"
        "open(sys.argv[2], 'w').close()\n"
        "time.sleep(60)"
    )
    started = tmp_path / "started"
    child = make(code, str(mark), str(started))
    await child.start()
    await _until(started.exists)
    await child.stop()
    assert mark.exists()
    assert _pid(tmp_path) is None


async def test_stopping_is_bounded(make: MakeChild, tmp_path: Path) -> None:
    """A child that doesn't end in its time is killed."""
    child = make(STUBBORN, drain_s=0.3)
    await child.start()
    pid = _pid(tmp_path)
    await asyncio.sleep(0.2)
    await child.stop()
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_descendants_die_with_a_killed_child(make: MakeChild, tmp_path: Path) -> None:
    """What a dead child left running would keep its port: it is killed before the child is started again."""
    note = tmp_path / "grandchild"
    child = make(PARENT, str(note))
    await child.start()
    keeping = asyncio.create_task(child.keep_alive())
    await _until(lambda: note.exists() and note.read_text() != "")
    grandchild = int(note.read_text())
    os.kill(_pid(tmp_path) or 0, signal.SIGKILL)
    await _until(lambda: not psutil.pid_exists(grandchild))
    keeping.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor takes its children with it."""
    code = (
        "import asyncio, os, sys\n"
        "from supervisor.children import Command, spawn\n"
        "async def main():\n"
        "    command = Command((sys.executable, '-c', 'import time; time.sleep(60)'))\n"
        "    child = await spawn(command, os.environ, stdout=2, stderr=2)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    child = int(await asyncio.wait_for(supervisor.stdout.readline(), 10))
    assert psutil.pid_exists(child)
    supervisor.kill()
    await supervisor.wait()
    await _until(lambda: not psutil.pid_exists(child))
