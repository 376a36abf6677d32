"""The edge's parent process: starts the workers, starts dead ones again, drains all of them at the end.

It serves no requests. It keeps the port reserved for the workers, which share it (SO_REUSEPORT), and answers
/metrics where that has an address of its own.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from edge import metrics
from edge.config import EXIT_UNUSABLE, LEDGER_DRAIN_S, EdgeSettings
from edge.health import health_file
from edge.sockets import PortTaken, reserve

log = structlog.get_logger()

FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
# A worker that lived this long died of something new.
STEADY_S = 10.0
# Beyond a worker's own time to drain, before it is killed.
SLACK_S = LEDGER_DRAIN_S + 5.0


class Parent:
    """All workers of one edge."""

    def __init__(self, settings: EdgeSettings, metrics_dir: Path) -> None:
        self._settings = settings
        self._metrics_dir = metrics_dir
        self._run_dir = settings.data_dir / "run"
        self._stopping = asyncio.Event()
        self._failed: int | None = None

    async def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit status. Raises PortTaken."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        with ExitStack() as stack:
            reserved = stack.enter_context(reserve(self._settings.host, self._settings.port))
            stack.enter_context(_pid_file(self._run_dir / "edge.pid", os.getpid()))
            self._serve_metrics(stack)
            port = reserved.getsockname()[1]
            log.info("starting", host=self._settings.host, port=port, workers=self._settings.workers)
            await asyncio.gather(
                *(self._keep_running(number, port) for number in range(self._settings.workers))
            )
        return 0 if self._failed is None else self._failed

    async def _keep_running(self, number: int, port: int) -> None:
        backoff_s = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            began = monotonic()
            process = await self._spawn(number, port)
            with _pid_file(self._run_dir / f"edge-worker-{number}.pid", process.pid):
                code = await self._watch(process)
            metrics.forget_process(self._metrics_dir, process.pid)
            health_file(self._settings.data_dir, number).unlink(missing_ok=True)
            if self._stopping.is_set():
                return
            if code == EXIT_UNUSABLE:
                self._failed = 1
                self._stopping.set()
                return
            backoff_s = (
                FIRST_BACKOFF_S if monotonic() - began > STEADY_S else min(backoff_s * 2, MAX_BACKOFF_S)
            )
            metrics.worker_restarted()
            log.warning("worker died", worker=number, exit_code=code, again_in_s=backoff_s)
            await self._sleep(backoff_s)

    async def _spawn(self, number: int, port: int) -> Process:
        environment = dict(os.environ)
        environment["TOLLKEEPER_EDGE_PORT"] = str(port)
        environment["TOLLKEEPER_EDGE_PARENT_PID"] = str(os.getpid())
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "edge.worker",
            str(number),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
        )

    async def _watch(self, process: Process) -> int:
        """Until the worker ended, draining it when the parent stops. Returns its exit status."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            process.terminate()
            await asyncio.wait((ended,), timeout=self._settings.drain_s + SLACK_S)
        if not ended.done():
            log.error("worker killed", pid=process.pid, why="it did not drain in time")
            process.kill()
        return await ended

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _serve_metrics(self, stack: ExitStack) -> None:
        address = self._settings.metrics_address
        if address is None:
            return
        host, _, port = address.rpartition(":")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        try:
            server, _ = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            raise PortTaken(f"TOLLKEEPER_EDGE_METRICS_ADDRESS: {address}: {error.strerror}") from None
        stack.callback(server.shutdown)


@contextmanager
def _pid_file(path: Path, pid: int) -> Iterator[None]:
    """The file names a process while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{pid}\n", "ascii")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
