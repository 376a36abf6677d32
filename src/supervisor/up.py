"""Everything on one machine: started in order, kept alive, drained in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping

from supervisor import plan
from supervisor.children import Child, ChildSpec, StartFailed
from supervisor.data_dir import RunFiles
from supervisor.logs import LogStyle, Relay, say
from supervisor.screen import Secrets
from supervisor.settings import Settings, environment_of_children
from supervisor.setup import set_up

NOTHING_WRONG = 0
START_FAILED = 1
AT_ONCE = 130

ABANDON_S = 3.0


class Stack:
    """The running parts, in the order they drain: edge, control, simulator, postgres."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], for_people: bool) -> None:
        self._settings = settings
        self._environment = environment
        self._style = LogStyle(labelled=for_people, shown=not for_people)
        self._relays: list[Relay] = []
        self._files = RunFiles(settings.data_dir)
        self._edge = self._child(plan.edge_spec(settings, environment))
        self._control = self._child(plan.control_spec(settings, environment))
        self._simulator = self._child(plan.simulator_spec(settings, environment))
        self._postgres = self._child(plan.postgres_spec(settings))
        parts = (self._edge, self._control, self._simulator, self._postgres)
        self._drain_order = [child for child in parts if child is not None]

    async def start(self) -> Secrets:
        """Returns when all parts are ready. Raises StartFailed; then the caller still has to `abandon`."""
        self._files.write_pid("up", os.getpid())
        async with asyncio.TaskGroup() as group:
            group.create_task(_start(self._simulator))
            await _start(self._postgres)
            environment = environment_of_children(self._settings, self._environment)
            secrets = await set_up(self._settings, environment, self._relay("setup"))
            group.create_task(_start(self._control))
            group.create_task(_start(self._edge))
        self._files.write_addresses(
            {
                "edge": self._settings.edge.url,
                "control": self._settings.control.reachable_address,
                "simulator": self._settings.simulator.url if self._settings.simulator else None,
            }
        )
        self._style.shown = True
        return secrets

    def explain(self) -> None:
        """Shows what the parts said last, if it hasn't been shown."""
        for relay in self._relays:
            relay.show_kept()

    async def keep_alive(self) -> None:
        """Restarts parts as they die. Runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for child in self._drain_order:
                group.create_task(child.keep_alive())

    async def drain(self) -> None:
        """Stops the parts one after the other, each within its time."""
        self._files.remove_addresses()
        for child in self._drain_order:
            await child.stop()
        self._files.remove_pid("up")

    async def abandon(self) -> None:
        """Stops the parts all together, in a short time."""
        await asyncio.gather(*(child.stop(ABANDON_S) for child in self._drain_order))
        self._files.remove_pid("up")

    async def kill(self) -> None:
        """Ends all parts at once."""
        self._files.remove_addresses()
        await asyncio.gather(*(child.kill() for child in self._drain_order))
        self._files.remove_pid("up")

    def _child(self, spec: ChildSpec | None) -> Child | None:
        return Child(spec, self._relay(spec.name), self._files) if spec is not None else None

    def _relay(self, part: str) -> Relay:
        self._relays.append(Relay(part, self._style))
        return self._relays[-1]


async def run(stack: Stack, on_ready: Callable[[Secrets], None]) -> int:
    """Starts, says so, and runs until a signal. Returns the exit code; nothing is left running."""
    stop, at_once = _signals()
    starting = asyncio.ensure_future(stack.start())
    await _first(starting, stop)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await stack.abandon()
        return AT_ONCE
    if (error := starting.exception()) is not None:
        await stack.abandon()
        stack.explain()
        say(_reason(error))
        return START_FAILED
    _tell(on_ready, starting.result())
    keeping = asyncio.ensure_future(stack.keep_alive())
    await _first(keeping, stop)
    if not keeping.done():
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        return await _end(stack, at_once)
    say(_reason(keeping.exception()))
    await stack.abandon()
    return START_FAILED


def _tell(on_ready: Callable[[Secrets], None], secrets: Secrets) -> None:
    try:
        on_ready(secrets)
    except OSError as error:
        say(f"standard output can't be written: {error.strerror or error}")


async def _end(stack: Stack, at_once: asyncio.Event) -> int:
    say("draining; once more stops at once")
    draining = asyncio.ensure_future(stack.drain())
    await _first(draining, at_once)
    if draining.done():
        draining.result()
        return NOTHING_WRONG
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    await stack.kill()
    return AT_ONCE


async def _start(child: Child | None) -> None:
    if child is not None:
        await child.start()


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first and by the second SIGINT, SIGTERM or SIGHUP."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def received() -> None:
        (at_once if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, received)
    return stop, at_once


async def _first(work: Awaitable[object], event: asyncio.Event) -> None:
    """Returns when the work is done or the event is set; the work goes on."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({asyncio.ensure_future(work), waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _reason(error: BaseException | None) -> str:
    """The first line that explains it: parts fail together when one of them does."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StartFailed):
        return str(error)
    return f"unexpected failure: {type(error).__name__}: {error}"
