"""One child process: started, watched, started again when it dies, drained at the end."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from supervisor.data_dir import RunFiles
from supervisor.logs import Relay, say

FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 5.0
STEADY_S = 10.0
"""A child that ran so long starts over with the first backoff."""
READY_POLL_S = 0.03
LAST_WORDS_S = 0.5

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartFailed(Exception):
    """A part can't be started, ended, or wasn't ready in time; the text is one line for people."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and as which system user (None: the present one)."""

    argv: tuple[str, ...]
    user: str | None = None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, how to tell that it is ready, and how to stop it."""

    name: str
    command: Callable[[], Awaitable[Command]]
    """Asked before each start, and free to clear the way for it. Raises StartFailed."""
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(repr=False)
    """All of the child's environment."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """Sent by Linux when the supervisor dies without having stopped the child."""
    ready_within_s: float = 30.0
    drain_s: float = 10.0
    """From the stop signal to SIGKILL."""


class Child:
    """The life of one child, over all its restarts."""

    def __init__(self, spec: ChildSpec, relay: Relay, files: RunFiles) -> None:
        self.spec = spec
        self._relay = relay
        self._files = files
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def start(self) -> None:
        """Starts the child and waits until it is ready. Raises StartFailed with the child's last line."""
        process = await self._spawn()
        deadline = monotonic() + self.spec.ready_within_s
        while not await self.spec.ready():
            if process.returncode is not None:
                await self._relay.finish(LAST_WORDS_S)
                raise StartFailed(f"{self.spec.name} {ending(process)}{self._last_words()}")
            if monotonic() > deadline:
                late = f"wasn't ready within {self.spec.ready_within_s:g} s"
                raise StartFailed(f"{self.spec.name} {late}{self._last_words()}")
            await asyncio.sleep(READY_POLL_S)

    async def keep_alive(self) -> None:
        """Starts the child again when it ends, later each time it ends soon. Returns once it is stopped."""
        backoff_s = FIRST_BACKOFF_S
        while (process := self._process) is not None:
            started = monotonic()
            await process.wait()
            if self._stopping:
                return
            _kill_group(process.pid)
            self._process = None
            if monotonic() - started >= STEADY_S:
                backoff_s = FIRST_BACKOFF_S
            say(f"{self.spec.name} {ending(process)}; it is started again in {backoff_s:g} s")
            await self._restart(backoff_s)
            backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def stop(self, drain_s: float | None = None) -> None:
        """Asks the child to end; ends it and its descendants when the time is over. Safe to call again."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, self.spec.stop_signal)
            try:
                async with asyncio.timeout(self.spec.drain_s if drain_s is None else drain_s):
                    await process.wait()
            except TimeoutError:
                say(f"{self.spec.name} didn't end in time: it is killed")
        await self.kill()

    async def kill(self) -> None:
        """Ends the child and its process group at once."""
        self._stopping = True
        if self._process is None:
            return
        _kill_group(self._process.pid)
        await self._process.wait()
        await self._relay.finish(LAST_WORDS_S)
        self._files.remove_pid(self.spec.name)

    async def _restart(self, backoff_s: float) -> None:
        await asyncio.sleep(backoff_s)
        while not self._stopping:
            try:
                await self._spawn()
                return
            except StartFailed as error:
                say(f"{error}; it is tried again in {LAST_BACKOFF_S:g} s")
                await asyncio.sleep(LAST_BACKOFF_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = await self.spec.command()
        try:
            output = await self._relay.pipe()
        except OSError as error:
            raise StartFailed(f"{self.spec.name} can't be run: {error.strerror or error}") from error
        try:
            process = await spawn(
                command,
                self.spec.env,
                stdout=output,
                stderr=output,
                death_signal=self.spec.death_signal,
            )
        except OSError as error:
            raise StartFailed(f"{self.spec.name} can't be run: {error.strerror or error}") from error
        finally:
            os.close(output)
        self._process = process
        self._files.write_pid(self.spec.name, process.pid)
        return process

    def _last_words(self) -> str:
        line = self._relay.last_line()
        return f": {line}" if line else ""


async def spawn(
    command: Command,
    env: Mapping[str, str],
    *,
    stdout: int,
    stderr: int,
    death_signal: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    """A process that leads its own session and, on Linux, doesn't outlive this one. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *command.argv,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        # A Ctrl-C in the terminal reaches the supervisor alone, which then drains in order.
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid(), death_signal),
        user=command.user,
        group=command.user,
        extra_groups=None if command.user is None else [],
    )


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        # Ended in between; the caller waits for it anyhow.
        return


def _kill_group(leader: int) -> None:
    """A dead edge's workers would keep its port: they die with it. Each child leads a group of its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in it (macOS says EPERM for a group of zombies).
        return


def ending(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _dies_with(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    """Run in the child between fork and exec, after its user was changed (which would clear the setting)."""
    if _LIBC is None:
        return None
    libc = _LIBC

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            # The supervisor died before the setting was made.
            os.kill(os.getpid(), signal.SIGKILL)

    return ask
